//! Reports: what people and machines are shown of a run. They consume events and outcomes and decide nothing.

pub mod json;
pub mod mutants;
pub mod terminal;
