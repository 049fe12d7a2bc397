//! Soak tests: a run is repeated on the same board, and the device must neither change nor lose memory.
//!
//! What enters: a booted board whose first run has passed. What leaves: a line for the transcript, or a failure that names
//! the memory that grew.

use super::attempt::Attempt;
use super::drive::{BootedBoard, blamed};
use crate::deadline::Deadline;
use crate::device::Answer;
use crate::language::Fields;
use crate::scenario::{Run, SOAK_WARM_UP};
use crate::service::Running;
use crate::transcript::{DeviceLine, Lanes};
use crate::verdict::{Blame, Failure};

/// How much deeper the stack may be found when an interrupt has come at an unlucky moment, in bytes.
const INTERRUPT_STACK: u64 = 1024;

/// What the device's `status` says of its memory, in bytes.
#[derive(Clone, Copy, Debug)]
struct MemoryUse {
    /// In use now.
    heap_used: u64,
    /// The most that has been in use.
    heap_peak: u64,
    /// The deepest that the stack has been.
    stack_peak: u64,
}

impl MemoryUse {
    /// Reads the fields of an answer to `status`.
    fn read(fields: &Fields) -> Result<Self, Failure> {
        let bytes = |name: &str| {
            let bytes = fields.get(name).and_then(|bytes| bytes.parse().ok());
            bytes.ok_or_else(|| Failure::new(Blame::Assertion, format!("the firmware's `status` has no {name}")))
        };
        Ok(Self {
            heap_used: bytes("heap-used")?,
            heap_peak: bytes("heap-peak")?,
            stack_peak: bytes("stack-peak")?,
        })
    }

    /// Each figure that is larger `after`, by name, with both values.
    fn grown(&self, after: &Self) -> Vec<(&'static str, u64, u64)> {
        [
            ("heap-used", self.heap_used, after.heap_used, 0),
            ("heap-peak", self.heap_peak, after.heap_peak, 0),
            ("stack-peak", self.stack_peak, after.stack_peak, INTERRUPT_STACK),
        ]
        .into_iter()
        .filter(|(_, before, after, allowed)| *after > before.saturating_add(*allowed))
        .map(|(name, before, after, _)| (name, before, after))
        .collect()
    }
}

impl Attempt<'_> {
    /// The further runs of a soak test. Each must be like the first, and none may need more memory than the device needs
    /// after its first [`SOAK_WARM_UP`] runs.
    pub(super) fn repeat(
        &mut self,
        run: &Run,
        board: &mut BootedBoard<'_>,
        service: &mut Running,
    ) -> Result<(), Failure> {
        let times = self.scenario.repeat;
        if times <= 1 {
            return Ok(());
        }
        // Not the commands: the first run sends settings that the others find set.
        let said = |lanes: &Lanes| -> Vec<DeviceLine> {
            let said = lanes.device.iter();
            said.filter(|line| matches!(line, DeviceLine::Said(_) | DeviceLine::Reply(_)))
                .cloned()
                .collect()
        };
        let first = self.transcript.runs.last().map(said);
        let mut warm = None;
        for time in 2..=times {
            self.transcript.runs.push(Lanes::default());
            self.one_run(run, board, service)
                .map_err(|failure| failure.within(&format!("repetition {time} of {times}")))?;
            if self.transcript.runs.last().map(said) != first {
                return Err(Failure::new(
                    Blame::Assertion,
                    format!(
                        "repetition {time} of {times} should have been like the first; the device said something else"
                    ),
                ));
            }
            self.transcript.runs.pop();
            if time == SOAK_WARM_UP {
                // Where runs need little memory, the answer to `status` needs the most: it is part of the warming up.
                self.memory(board)?;
                warm = Some(self.memory(board)?);
            }
        }
        let after = self.memory(board)?;
        let grown: Vec<String> = warm
            .map_or_else(Vec::new, |warm| warm.grown(&after))
            .into_iter()
            .map(|(name, before, after)| {
                format!("{name} was {before} bytes after {SOAK_WARM_UP} runs and {after} after {times}: memory is lost")
            })
            .collect();
        if !grown.is_empty() {
            return Err(Failure {
                blame: Blame::Assertion,
                findings: grown,
            });
        }
        let line = format!("the same {times} times in all, with no more memory after {SOAK_WARM_UP}");
        self.transcript.afterwards.push(line);
        Ok(())
    }

    fn memory(&self, board: &mut BootedBoard<'_>) -> Result<MemoryUse, Failure> {
        let deadline = Deadline::after("the answer to `status`", self.runner.limits.setting);
        let answer = board.device.command("status", &deadline, |_| {});
        match answer.map_err(|error| blamed(&error))? {
            Answer::Ok(fields) => MemoryUse::read(&fields),
            Answer::Error(_) => Err(Failure::new(Blame::Assertion, "the firmware refused `status`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::MachineLine;

    fn memory(status: &str) -> Result<MemoryUse, Failure> {
        MemoryUse::read(&MachineLine::parse(&format!("@x ok status {status}")).unwrap().fields)
    }

    #[test]
    fn memory_that_grows_is_found_and_a_deeper_interrupt_is_not() {
        let before = memory("heap-used=100 heap-peak=900 stack-peak=4000").unwrap();
        let same = memory("heap-used=90 heap-peak=900 stack-peak=5024").unwrap();
        assert_eq!(before.grown(&same), []);
        let more = memory("heap-used=101 heap-peak=901 stack-peak=5025").unwrap();
        let names: Vec<&str> = before.grown(&more).iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, ["heap-used", "heap-peak", "stack-peak"]);
        let failure = memory("heap-used=1 heap-peak=many stack-peak=1").unwrap_err();
        assert!(failure.findings[0].contains("heap-peak"), "{failure:?}");
    }
}
