//! A driver for probe-rs that clocks the board's JTAG pins directly, without a probe between them. A debug port enters;
//! a probe leaves, which the caller hands to probe-rs or which probe-rs finds in its list. It knows JTAG bits, but not
//! what they mean.

use std::fmt;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use bitvec::vec::BitVec;
use probe_rs::architecture::riscv::JtagDtmBuilder;
use probe_rs::architecture::riscv::communication_interface::{RiscvError, RiscvInterfaceBuilder};
use probe_rs::plugin::{Plugin, register_plugin};
use probe_rs::probe::list::ProbeListItem;
use probe_rs::probe::{
    AutoImplementJtagAccess, DebugProbe, DebugProbeError, DebugProbeInfo, DebugProbeSelector, JtagAccess,
    JtagDriverState, Probe, ProbeCreationError, ProbeFactory, RawJtagIo, WireProtocol,
};
use virtual_esp32c3::{DebugPort, DebugPortError, JtagClock};

/// The USB vendor and product under which probe-rs lists the boards. pid.codes reserves this pair for private tests.
pub const VENDOR_AND_PRODUCT: (u16, u16) = (0x1209, 0x0001);

/// A probe at this board, for probe-rs to attach with.
#[must_use]
pub fn probe(port: DebugPort) -> Probe {
    Probe::new(BoardProbe::new(port))
}

/// Keeps a board in probe-rs' list of probes until it is dropped.
#[derive(Debug)]
pub struct Offer {
    name: String,
}

/// Another board is listed under the name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("another virtual board is listed as `{0}` already; give each board a name of its own")]
pub struct NameTaken(String);

impl Offer {
    /// Lists a board under this name, which appears as its serial number.
    ///
    /// # Errors
    /// If another board of this process is listed under the name.
    pub fn new(name: &str, port: DebugPort) -> Result<Self, NameTaken> {
        static REGISTERED: Once = Once::new();
        REGISTERED.call_once(|| {
            register_plugin(Plugin {
                probe_drivers: &[&BoardProbes],
                ..Plugin::default()
            });
        });
        let mut offered = offered();
        if offered.iter().any(|(taken, _)| taken == name) {
            return Err(NameTaken(name.to_owned()));
        }
        offered.push((name.to_owned(), port));
        Ok(Self { name: name.to_owned() })
    }

    /// The selector with which probe-rs opens the board.
    #[must_use]
    pub fn selector(&self) -> DebugProbeSelector {
        let (vendor_id, product_id) = VENDOR_AND_PRODUCT;
        DebugProbeSelector {
            vendor_id,
            product_id,
            interface: None,
            serial_number: Some(self.name.clone()),
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        offered().retain(|(name, _)| *name != self.name);
    }
}

/// The boards that are listed. They are static because probe-rs asks for probes through functions that get no context.
fn offered() -> MutexGuard<'static, Vec<(String, DebugPort)>> {
    static OFFERED: Mutex<Vec<(String, DebugPort)>> = Mutex::new(Vec::new());
    OFFERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lists and opens the boards for probe-rs.
#[derive(Debug)]
struct BoardProbes;

impl fmt::Display for BoardProbes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("virtual ESP32-C3")
    }
}

impl ProbeFactory for BoardProbes {
    fn open(&self, selector: &DebugProbeSelector) -> Result<Box<dyn DebugProbe>, DebugProbeError> {
        let offered = offered();
        let selected = (selector.vendor_id, selector.product_id) == VENDOR_AND_PRODUCT;
        let mut boards = offered.iter().filter(|_| selected);
        let board = boards.find(|(name, _)| selector.serial_number.as_ref().is_none_or(|wanted| wanted == name));
        let (_, port) = board.ok_or(ProbeCreationError::NotFound)?;
        Ok(Box::new(BoardProbe::new(port.clone())))
    }

    fn list_probes(&self) -> Vec<ProbeListItem> {
        let (vendor, product) = VENDOR_AND_PRODUCT;
        let info = |name: &String| {
            let identifier = "virtual ESP32-C3";
            DebugProbeInfo::new(identifier, vendor, product, Some(name.clone()), &Self, None, false)
        };
        let boards = offered();
        boards
            .iter()
            .map(|(name, _)| ProbeListItem::accessible(info(name)))
            .collect()
    }
}

/// A probe whose pins are the chip's. Clocks wait here until probe-rs asks for captured bits, and then go to the board
/// together.
#[derive(Debug)]
struct BoardProbe {
    port: DebugPort,
    state: JtagDriverState,
    clocks: Vec<JtagClock>,
    /// For each of the clocks, whether probe-rs wants its TDO.
    captured: Vec<bool>,
}

impl BoardProbe {
    fn new(port: DebugPort) -> Self {
        Self {
            port,
            state: JtagDriverState::default(),
            clocks: Vec::new(),
            captured: Vec::new(),
        }
    }

    fn flush(&mut self) -> Result<BitVec, DebugProbeError> {
        let levels = self.port.jtag(&self.clocks).map_err(failed)?;
        self.clocks.clear();
        let captured = std::mem::take(&mut self.captured);
        Ok(levels
            .into_iter()
            .zip(captured)
            .filter_map(|(level, captured)| captured.then_some(level))
            .collect())
    }
}

fn failed(error: DebugPortError) -> DebugProbeError {
    DebugProbeError::Other(error.to_string())
}

impl RawJtagIo for BoardProbe {
    fn shift_bit(&mut self, tms: bool, tdi: bool, capture: bool) -> Result<(), DebugProbeError> {
        self.state.state.update(tms);
        self.clocks.push(JtagClock { tms, tdi });
        self.captured.push(capture);
        Ok(())
    }

    fn read_captured_bits(&mut self) -> Result<BitVec, DebugProbeError> {
        self.flush()
    }

    fn state_mut(&mut self) -> &mut JtagDriverState {
        &mut self.state
    }

    fn state(&self) -> &JtagDriverState {
        &self.state
    }
}

impl AutoImplementJtagAccess for BoardProbe {}

impl DebugProbe for BoardProbe {
    fn get_name(&self) -> &'static str {
        "virtual ESP32-C3"
    }

    /// Zero, since there is no cable and so no limit.
    fn speed_khz(&self) -> u32 {
        0
    }

    fn set_speed(&mut self, speed_khz: u32) -> Result<u32, DebugProbeError> {
        Ok(speed_khz)
    }

    fn attach(&mut self) -> Result<(), DebugProbeError> {
        self.select_target(0)
    }

    fn detach(&mut self) -> Result<(), probe_rs::Error> {
        self.flush()?;
        Ok(())
    }

    fn target_reset(&mut self) -> Result<(), DebugProbeError> {
        self.target_reset_assert()?;
        self.target_reset_deassert()
    }

    fn target_reset_assert(&mut self) -> Result<(), DebugProbeError> {
        self.flush()?;
        self.port.set_reset(true);
        Ok(())
    }

    fn target_reset_deassert(&mut self) -> Result<(), DebugProbeError> {
        self.port.set_reset(false);
        Ok(())
    }

    fn select_protocol(&mut self, protocol: WireProtocol) -> Result<(), DebugProbeError> {
        match protocol {
            WireProtocol::Jtag => Ok(()),
            other => Err(DebugProbeError::UnsupportedProtocol(other)),
        }
    }

    fn active_protocol(&self) -> Option<WireProtocol> {
        Some(WireProtocol::Jtag)
    }

    fn try_as_jtag_probe(&mut self) -> Option<&mut dyn JtagAccess> {
        Some(self)
    }

    fn has_riscv_interface(&self) -> bool {
        true
    }

    fn try_get_riscv_interface_builder<'probe>(
        &'probe mut self,
    ) -> Result<Box<dyn RiscvInterfaceBuilder<'probe> + 'probe>, RiscvError> {
        Ok(Box::new(JtagDtmBuilder::new(self)))
    }

    fn into_probe(self: Box<Self>) -> Box<dyn DebugProbe> {
        self
    }
}
