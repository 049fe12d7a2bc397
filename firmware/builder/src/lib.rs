//! Builds the firmware images and keeps their provenance
