//! A debug probe at a board, by probe-rs: it flashes, resets, and looks at firmware that hangs.
//!
//! What enters: the probe's selector, as probe-rs has it, and an image. What leaves: a chip with the image in flash, or the registers and
//! callers of a halted hart. Without the feature `probe-rs` each of these is an error that names the feature.

use std::ops::Range;
use std::time::Duration;

/// How long a hart may take to halt.
pub(super) const HALT: Duration = Duration::from_secs(2);
/// Deeper than any stack: a chain of frame pointers that does not end is none.
const DEEPEST: usize = 64;
/// Where a stack can lie (ESP32-C3 Technical Reference Manual, "System and Memory").
const RAM: Range<u32> = 0x3FC8_0000..0x3FCE_0000;

/// The program counter of a halted hart, and x0 (RISC-V External Debug Support 0.13, table 3.3).
const DPC: u16 = 0x7B1;
const X0: u16 = 0x1000;
const NAMES: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2",
    "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
];
const RA: usize = 1;
const FP: usize = 8;

/// What a probe can do for a board.
#[derive(Clone, Debug)]
pub struct DebugProbe {
    /// `VID:PID` or `VID:PID:SERIAL`.
    pub selector: String,
}

/// A hart that has been halted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Halted {
    /// Where it stood.
    pub pc: u32,
    /// Its registers by their names in the calling convention.
    pub registers: Vec<(&'static str, u32)>,
    /// The addresses to which the functions on the stack return, innermost first, as far as frame pointers lead.
    pub callers: Vec<u32>,
}

impl Halted {
    /// What a hart shows that is halted, by whatever reads its registers (by their numbers in the debug specification) and words of memory.
    ///
    /// # Errors
    /// When a register cannot be read. Memory that cannot be read ends the chain of callers.
    pub(super) fn new<E>(
        mut register: impl FnMut(u16) -> Result<u32, E>,
        mut word: impl FnMut(u32) -> Result<u32, E>,
    ) -> Result<Self, E> {
        let pc = register(DPC)?;
        let mut registers = vec![("pc", pc)];
        for (number, name) in (X0..).zip(NAMES).skip(1) {
            registers.push((name, register(number)?));
        }
        // A frame keeps its return address at fp - 4 and the caller's frame pointer at fp - 8.
        let mut callers = vec![registers[RA].1];
        let mut frame = registers[FP].1;
        while callers.len() < DEEPEST && frame % 4 == 0 && RAM.contains(&frame) {
            let (Ok(back), Ok(caller)) = (word(frame - 4), word(frame - 8)) else {
                break;
            };
            if callers.last() != Some(&back) {
                callers.push(back);
            }
            // Frames lie ever higher; anything else is not a frame.
            frame = if caller > frame { caller } else { 0 };
        }
        Ok(Self { pc, registers, callers })
    }
}

/// Looks at a board from outside.
pub trait Debugger: Send {
    /// Halts the hart, looks, and lets it go on.
    ///
    /// # Errors
    /// When the probe or the chip cannot be reached.
    fn look(&self) -> Result<Halted, String>;
}

/// Whether this build has probe-rs in it.
pub const BUILT_IN: bool = cfg!(feature = "probe-rs");

/// What to do where it has not.
pub(crate) const NOT_BUILT_IN: &str = "this pinrig was built without probe-rs: build it with `--features probe-rs`";

#[cfg(not(feature = "probe-rs"))]
impl DebugProbe {
    pub(super) fn flash(
        &self,
        _: &str,
        _: &crate::image::Image,
        _: super::flash::FlashProgress<'_>,
    ) -> Result<super::flash::FlashReport, String> {
        Err(NOT_BUILT_IN.to_owned())
    }

    pub(super) fn reset(&self) -> Result<(), String> {
        Err(NOT_BUILT_IN.to_owned())
    }
}

#[cfg(not(feature = "probe-rs"))]
impl Debugger for DebugProbe {
    fn look(&self) -> Result<Halted, String> {
        Err(NOT_BUILT_IN.to_owned())
    }
}

#[cfg(feature = "probe-rs")]
mod built_in {
    use std::cell::RefCell;
    use std::sync::Once;
    use std::time::Instant;

    use probe_rs::flashing::{
        DownloadOptions, FlashError, FlashProgress as Progress, ProgressEvent, ProgressOperation, build_loader,
        image_format,
    };
    use probe_rs::probe::list::Lister;
    use probe_rs::probe::{DebugProbeSelector, WireProtocol};
    use probe_rs::{MemoryInterface, Permissions, RegisterId, Session};

    use super::{DebugProbe, Debugger, HALT, Halted};
    use crate::board::flash::{FlashProgress, FlashReport, FlashStep};
    use crate::image::Image;

    const CHIP: &str = "esp32c3";
    impl DebugProbe {
        fn attach(&self) -> Result<Session, String> {
            static CHIPS: Once = Once::new();
            CHIPS.call_once(probe_rs_espressif::register_plugin);
            let failed =
                |what: &str, error: &dyn std::fmt::Display| format!("probe {}: {what}: {error}", self.selector);
            let selector: DebugProbeSelector = self
                .selector
                .parse()
                .map_err(|error| failed("no selector of a probe", &error))?;
            let mut probe = Lister::new()
                .open(selector)
                .map_err(|error| failed("it does not open", &error))?;
            probe
                .select_protocol(WireProtocol::Jtag)
                .map_err(|error| failed("it does not speak JTAG", &error))?;
            probe
                .attach(CHIP, Permissions::default())
                .map_err(|error| failed("no ESP32-C3 answers", &error))
        }

        pub(in crate::board) fn flash(
            &self,
            name: &str,
            image: &Image,
            progress: FlashProgress<'_>,
        ) -> Result<FlashReport, String> {
            let began = Instant::now();
            let failed = |error: &dyn std::fmt::Display| format!("probe {}: {error}", self.selector);
            image.elf().map_err(|error| error.to_string())?;
            let mut session = self.attach()?;
            let format = image_format("idf").ok_or("probe-rs knows no images of ESP-IDF")?;
            let loader = build_loader(&mut session, image.path(), format.create_loader(None), None);
            let loader = loader.map_err(|error| failed(&error))?;
            let report = |written, skipped| FlashReport {
                written,
                skipped,
                took: began.elapsed(),
                ..FlashReport::default()
            };
            match loader.verify(&mut session, &mut Progress::new(|_| {})) {
                Ok(()) => return Ok(report(0, 1)),
                Err(FlashError::Verify) => {}
                Err(error) => return Err(failed(&error)),
            }
            let (mut total, mut done) = (0, 0);
            let mut options = DownloadOptions::default();
            options.verify = true;
            options.progress = Progress::new(|event| match event {
                ProgressEvent::AddProgressBar {
                    operation: ProgressOperation::Program,
                    total: Some(bytes),
                } => total += bytes,
                ProgressEvent::Progress {
                    operation: ProgressOperation::Program,
                    size,
                    ..
                } => {
                    done += size;
                    progress(FlashStep {
                        board: name,
                        address: 0,
                        done,
                        total,
                    });
                }
                _ => {}
            });
            loader.commit(&mut session, options).map_err(|error| failed(&error))?;
            Ok(report(1, 0))
        }

        pub(in crate::board) fn reset(&self) -> Result<(), String> {
            let failed = |error: &dyn std::fmt::Display| format!("probe {}: {error}", self.selector);
            let mut session = self.attach()?;
            let mut core = session.core(0).map_err(|error| failed(&error))?;
            core.reset().map_err(|error| failed(&error))
        }
    }

    impl Debugger for DebugProbe {
        fn look(&self) -> Result<Halted, String> {
            let mut session = self.attach()?;
            let halted = session
                .core(0)
                .and_then(|mut core| {
                    core.halt(HALT)?;
                    let core = RefCell::new(core);
                    let halted = Halted::new(
                        |number| core.borrow_mut().read_core_reg(RegisterId(number)),
                        |address| core.borrow_mut().read_word_32(u64::from(address)),
                    );
                    let mut core = core.into_inner();
                    // Whatever was seen, it goes on.
                    core.run()?;
                    halted
                })
                .map_err(|error| format!("probe {}: {error}", self.selector))?;
            Ok(halted)
        }
    }
}
