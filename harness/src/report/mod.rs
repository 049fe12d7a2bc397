//! Reports for machines: they consume events and outcomes and decide nothing.

pub mod json;
