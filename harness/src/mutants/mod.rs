//! Tests the tests: the catalogue against firmware with mistakes that were put in on purpose.
//!
//! What enters: mutants, scenarios, and the sources of the firmware. What leaves: [`Event`]s while it goes on, and a [`Judgement`] of
//! each meeting of a mutant with its scenarios. This module does not know what a mistake is about.
//!
//! Most mistakes are in the client, which is built for this machine in a second and for the chip in ten. So a mutant meets its scenarios
//! as a program on this machine where that shows the same ([`Place`]), and a sample of those meets them on the virtual board, too. The
//! firmware without any mistake comes first, at each place: a scenario that it fails says nothing about a mutant.

mod place;
mod accepted;
mod judgement;
mod survey;

pub use accepted::Accepted;
pub use judgement::{Fate, Judgement};
pub use place::{Meeting, Place, Plan, Seed};
pub use survey::{Event, Survey, SurveyError};
