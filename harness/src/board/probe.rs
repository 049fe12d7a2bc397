//! A debug probe at a board, by probe-rs: it flashes, resets, and looks at firmware that hangs.
//!
//! What enters: the probe's selector, and an image. What leaves: a chip with the image in flash, or a [`Halted`] hart.
//! Without the feature `probe-rs` each of these is an error that says so.

use std::error::Error;
use std::ops::Range;
use std::time::Duration;

use virtual_esp32c3::DebugPortError;

use super::flash::{FlashProgress, FlashReport};
use crate::deadline::Timeout;
use crate::image::{FlashImage, Image};
use crate::rig::ProbeSelector;

/// How long a hart may take to halt.
pub(super) const HALT: Duration = Duration::from_secs(2);
/// The most callers that are told. A longer chain of frame pointers is not that of a stack.
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

/// What a debug probe did not do.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// This program has no probe-rs in it.
    #[error("this pinrig was built without the feature `probe-rs`; build it with that feature to use debug probes")]
    NotBuiltIn,
    /// The image is not an ELF.
    #[error(transparent)]
    FlashImage(#[from] FlashImage),
    /// probe-rs failed.
    #[error("probe {probe}: {step}: {cause}")]
    ProbeRs {
        /// The probe.
        probe: ProbeSelector,
        /// What it was to do.
        step: &'static str,
        /// What probe-rs said.
        cause: Box<dyn Error + Send + Sync>,
    },
}

/// Why a debugger shows nothing.
#[derive(Debug, thiserror::Error)]
pub enum DebugError {
    /// The debug probe failed.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The virtual board's debug port failed.
    #[error(transparent)]
    Port(#[from] DebugPortError),
    /// The hart did not do what it was asked to.
    #[error(transparent)]
    Timeout(#[from] Timeout),
    /// The debug module refused to read a register.
    #[error("the debug module does not give register {0:#x}")]
    Register(u16),
    /// The system bus refused to read a word.
    #[error("the system bus does not give {0:#010x}")]
    Memory(u32),
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
    /// Reads a halted hart. `register` reads a register by its number in the debug specification, `word` a word of
    /// memory by its address.
    ///
    /// # Errors
    /// When a register cannot be read. Memory that cannot be read ends the chain of callers.
    pub(super) fn read<E>(
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
            // A caller's frame lies higher; anything else is not a frame.
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
    fn look(&self) -> Result<Halted, DebugError>;
}

/// A debug probe as a [`Debugger`].
#[derive(Clone, Debug)]
pub(crate) struct DebugProbe(pub(crate) ProbeSelector);

impl Debugger for DebugProbe {
    fn look(&self) -> Result<Halted, DebugError> {
        Ok(driver::look(&self.0)?)
    }
}

/// Whether this build has probe-rs in it.
pub const BUILT_IN: bool = cfg!(feature = "probe-rs");

/// Puts an image into the flash of the board `name`, unless it is there already.
pub(super) fn flash(
    probe: &ProbeSelector,
    name: &str,
    image: &Image,
    progress: FlashProgress<'_>,
) -> Result<FlashReport, ProbeError> {
    image.elf()?;
    driver::flash(probe, name, image, progress)
}

/// Resets the chip into its firmware.
pub(super) fn reset(probe: &ProbeSelector) -> Result<(), ProbeError> {
    driver::reset(probe)
}

#[cfg(not(feature = "probe-rs"))]
mod driver {
    //! A build without probe-rs.

    use super::{Halted, ProbeError};
    use crate::board::flash::{FlashProgress, FlashReport};
    use crate::image::Image;
    use crate::rig::ProbeSelector;

    pub(super) fn flash(
        _: &ProbeSelector,
        _: &str,
        _: &Image,
        _: FlashProgress<'_>,
    ) -> Result<FlashReport, ProbeError> {
        Err(ProbeError::NotBuiltIn)
    }

    pub(super) fn reset(_: &ProbeSelector) -> Result<(), ProbeError> {
        Err(ProbeError::NotBuiltIn)
    }

    pub(super) fn look(_: &ProbeSelector) -> Result<Halted, ProbeError> {
        Err(ProbeError::NotBuiltIn)
    }
}

#[cfg(feature = "probe-rs")]
mod driver {
    //! probe-rs.

    use std::cell::RefCell;
    use std::error::Error;
    use std::sync::Once;
    use std::time::Instant;

    use probe_rs::flashing::{
        DownloadOptions, FlashError, FlashProgress as Progress, ProgressEvent, ProgressOperation, build_loader,
        image_format,
    };
    use probe_rs::probe::list::Lister;
    use probe_rs::probe::{DebugProbeSelector, WireProtocol};
    use probe_rs::{MemoryInterface, Permissions, RegisterId, Session};

    use super::{HALT, Halted, ProbeError};
    use crate::board::flash::{FlashProgress, FlashReport, FlashStep};
    use crate::image::Image;
    use crate::rig::ProbeSelector;

    const CHIP: &str = "esp32c3";

    /// Makes the error for a step that failed.
    fn failed<E: Into<Box<dyn Error + Send + Sync>>>(
        probe: &ProbeSelector,
        step: &'static str,
    ) -> impl FnOnce(E) -> ProbeError {
        let probe = probe.clone();
        move |cause| ProbeError::ProbeRs {
            probe,
            step,
            cause: cause.into(),
        }
    }

    fn attach(probe: &ProbeSelector) -> Result<Session, ProbeError> {
        static CHIPS: Once = Once::new();
        CHIPS.call_once(probe_rs_espressif::register_plugin);
        let selector = DebugProbeSelector {
            vendor_id: probe.vendor,
            product_id: probe.product,
            interface: probe.interface,
            serial_number: probe.serial.clone(),
        };
        let mut opened = Lister::new()
            .open(selector)
            .map_err(failed(probe, "it does not open"))?;
        opened
            .select_protocol(WireProtocol::Jtag)
            .map_err(failed(probe, "it does not speak JTAG"))?;
        opened
            .attach(CHIP, Permissions::default())
            .map_err(failed(probe, "no ESP32-C3 answers"))
    }

    pub(super) fn flash(
        probe: &ProbeSelector,
        name: &str,
        image: &Image,
        progress: FlashProgress<'_>,
    ) -> Result<FlashReport, ProbeError> {
        let began = Instant::now();
        let mut session = attach(probe)?;
        let format = image_format("idf").ok_or("it knows no images of ESP-IDF");
        let format = format.map_err(failed(probe, "it cannot flash"))?;
        let loader = build_loader(&mut session, image.path(), format.create_loader(None), None)
            .map_err(failed(probe, "it cannot read the image"))?;
        let report = |written, skipped| FlashReport {
            written,
            skipped,
            took: began.elapsed(),
            ..FlashReport::default()
        };
        match loader.verify(&mut session, &mut Progress::new(|_| {})) {
            Ok(()) => return Ok(report(0, 1)),
            Err(FlashError::Verify) => {}
            Err(error) => return Err(failed(probe, "it cannot read the flash")(error)),
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
        loader
            .commit(&mut session, options)
            .map_err(failed(probe, "it cannot flash"))?;
        Ok(report(1, 0))
    }

    pub(super) fn reset(probe: &ProbeSelector) -> Result<(), ProbeError> {
        let mut session = attach(probe)?;
        let reset = session.core(0).and_then(|mut core| core.reset());
        reset.map_err(failed(probe, "it cannot reset the chip"))
    }

    pub(super) fn look(probe: &ProbeSelector) -> Result<Halted, ProbeError> {
        let mut session = attach(probe)?;
        let halted = session.core(0).and_then(|mut core| {
            core.halt(HALT)?;
            let core = RefCell::new(core);
            let halted = Halted::read(
                |number| core.borrow_mut().read_core_reg(RegisterId(number)),
                |address| core.borrow_mut().read_word_32(u64::from(address)),
            );
            // Whatever was seen, the hart goes on.
            core.into_inner().run()?;
            halted
        });
        halted.map_err(failed(probe, "it cannot look at the hart"))
    }
}
