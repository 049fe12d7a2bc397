//! Certificates from recipes, and their fingerprints
