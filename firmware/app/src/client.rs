//! One run.
use rand_core::CryptoRngCore;
use crate::answer::Answer;
use crate::platform::{Console, Network};
use crate::settings::Settings;

/// What a run works on.
#[expect(missing_debug_implementations, reason = "borrowed for one call")]
pub struct Connector<'a, C, N, R> {
    /// Where the transcript goes.
    pub console: &'a mut C,
    /// The way to the server.
    pub network: &'a mut N,
    /// Where keys come from.
    pub random: &'a mut R,
    /// What to do.
    pub settings: &'a Settings,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {}
impl Report {
    /// Adds the report to an answer.
    pub fn describe(&self, answer: Answer) -> Answer { answer }
}

/// One run.
pub async fn run<C: Console, N: Network, R: CryptoRngCore>(_c: Connector<'_, C, N, R>) -> Result<Report, &'static str> {
    Err("not yet")
}
