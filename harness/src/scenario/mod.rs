//! Scenarios: one TOML file is one test.
//!
//! What enters: a file below `fixtures/scenarios`. What leaves: a [`Scenario`] in which everything has been checked
//! once: certificates and replies exist, numbers are in their ranges, and every setting has an effect. The rest of the
//! harness does not check again. A mistake in a file is a [`ScenarioError`] with file, line and column. This module knows
//! no board.
//!
//! The modules stand from the ground up; each imports only from those above it in this list. Each table of the file's
//! language has a module: `expect`, `device`, `server` (with `reply` and `steps`) and `network`. `variant` multiplies refusals, `text` reads a whole
//! file, and `load` finds the files.

mod problem;
mod recipe;
mod device;
mod expect;
mod limit;
mod reply;
mod steps;
mod server;
mod network;
mod model;
mod variant;
mod text;
mod load;
mod index;
#[cfg(test)]
mod tests;

pub use device::{DEFAULT_HOST, DEFAULT_PATH, DeviceSettings, Digest, OnMismatch, Rule, Timeouts, is_host_name};
pub use expect::{Build, Dates, Expectation, Name, Pin};
pub use index::index;
pub use limit::Limit;
pub use load::{ScenarioError, is_meant, load, load_all, near, select};
pub use model::{Run, SOAK_WARM_UP, Scenario, Variant};
pub use server::{Service, TlsService};

/// The JSON schema of scenario files, for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(text::RawScenario).to_value()
}
