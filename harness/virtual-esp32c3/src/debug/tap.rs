//! The chip's JTAG TAP. TMS and TDI at each rise of TCK enter; TDO leaves, and accesses to the debug module go out
//! through a function. It knows the width of the debug module's interface, and nothing behind it.
//!
//! Source: IEEE 1149.1 for the state machine; RISC-V External Debug Support 0.13.2, 6.1, for the debug transport module
//! with an IR of 5 bits, IDCODE, DTMCS, and a DMI with 7 bits of address. The chip's IDCODE is 0x00005c25.

use super::dmi::DmiAccess;

const IR_BITS: u32 = 5;
const IDCODE: u32 = 0x01;
const DTMCS: u32 = 0x10;
const DMI: u32 = 0x11;

const IDCODE_VALUE: u64 = 0x0000_5C25;
const ADDRESS_BITS: u32 = 7;
const DMI_BITS: u32 = ADDRESS_BITS + 34;
/// Version 0.13; no idle cycles are needed.
const DTMCS_VALUE: u64 = (ADDRESS_BITS as u64) << 4 | 1;
const DMIHARDRESET: u64 = 1 << 17;
const DMIRESET: u64 = 1 << 16;

/// One period of TCK: the levels at the TAP's inputs when TCK rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JtagClock {
    /// Test mode select: where the TAP's state machine goes.
    pub tms: bool,
    /// Test data in.
    pub tdi: bool,
}

/// The sixteen states of IEEE 1149.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    TestLogicReset,
    RunTestIdle,
    SelectDr,
    CaptureDr,
    ShiftDr,
    Exit1Dr,
    PauseDr,
    Exit2Dr,
    UpdateDr,
    SelectIr,
    CaptureIr,
    ShiftIr,
    Exit1Ir,
    PauseIr,
    Exit2Ir,
    UpdateIr,
}

impl State {
    fn next(self, tms: bool) -> Self {
        let (low, high) = match self {
            Self::TestLogicReset => (Self::RunTestIdle, Self::TestLogicReset),
            Self::RunTestIdle | Self::UpdateDr | Self::UpdateIr => (Self::RunTestIdle, Self::SelectDr),
            Self::SelectDr => (Self::CaptureDr, Self::SelectIr),
            Self::CaptureDr | Self::ShiftDr => (Self::ShiftDr, Self::Exit1Dr),
            Self::Exit1Dr => (Self::PauseDr, Self::UpdateDr),
            Self::PauseDr => (Self::PauseDr, Self::Exit2Dr),
            Self::Exit2Dr => (Self::ShiftDr, Self::UpdateDr),
            Self::SelectIr => (Self::CaptureIr, Self::TestLogicReset),
            Self::CaptureIr | Self::ShiftIr => (Self::ShiftIr, Self::Exit1Ir),
            Self::Exit1Ir => (Self::PauseIr, Self::UpdateIr),
            Self::PauseIr => (Self::PauseIr, Self::Exit2Ir),
            Self::Exit2Ir => (Self::ShiftIr, Self::UpdateIr),
        };
        if tms { high } else { low }
    }
}

/// The result of the last access over DMI, numbered as in the op field of DMI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Outcome {
    #[default]
    Success = 0,
    Failed = 2,
}

/// A TAP: a state machine with its instruction and data registers. The chip has one at its pins. A probe that gets a
/// few bits at a time may keep a second one, and ask the chip only for accesses to the debug module.
#[derive(Debug, Clone)]
pub struct JtagTap {
    state: State,
    instruction: u32,
    shifter: u64,
    /// Address and data of the last access.
    last: (u8, u32),
    /// A failure stays until DTMCS clears it. Until then no access is made.
    outcome: Outcome,
}

impl Default for JtagTap {
    /// In Test-Logic-Reset.
    fn default() -> Self {
        Self {
            state: State::default(),
            instruction: IDCODE,
            shifter: 0,
            last: (0, 0),
            outcome: Outcome::default(),
        }
    }
}

impl JtagTap {
    /// Lets TCK rise once, and returns the level of TDO before that. `dmi` makes an access to the debug module. It
    /// returns the value read (any value for a write), or `None` if the module does not answer.
    pub fn clock(&mut self, clock: JtagClock, dmi: impl FnOnce(DmiAccess) -> Option<u32>) -> bool {
        let tdo = match self.state {
            State::CaptureDr => {
                self.shifter = self.capture();
                false
            }
            State::CaptureIr => {
                // The standard requires the two lowest bits to be 01.
                self.shifter = 1;
                false
            }
            State::ShiftDr => self.shift(clock.tdi, self.data_bits()),
            State::ShiftIr => self.shift(clock.tdi, IR_BITS),
            _ => false,
        };
        self.state = self.state.next(clock.tms);
        match self.state {
            State::UpdateDr => self.update(dmi),
            State::UpdateIr => self.instruction = self.shifter as u32,
            State::TestLogicReset => {
                *self = Self {
                    last: self.last,
                    ..Self::default()
                };
            }
            _ => {}
        }
        tdo
    }

    fn shift(&mut self, tdi: bool, bits: u32) -> bool {
        let tdo = self.shifter & 1 != 0;
        self.shifter = self.shifter >> 1 | u64::from(tdi) << (bits - 1);
        tdo
    }

    fn data_bits(&self) -> u32 {
        match self.instruction {
            IDCODE | DTMCS => 32,
            DMI => DMI_BITS,
            // All other instructions select BYPASS.
            _ => 1,
        }
    }

    fn capture(&self) -> u64 {
        match self.instruction {
            IDCODE => IDCODE_VALUE,
            DTMCS => DTMCS_VALUE | (self.outcome as u64) << 10,
            DMI => {
                let (address, data) = self.last;
                u64::from(address) << 34 | u64::from(data) << 2 | self.outcome as u64
            }
            _ => 0,
        }
    }

    fn update(&mut self, dmi: impl FnOnce(DmiAccess) -> Option<u32>) {
        match self.instruction {
            DTMCS if self.shifter & (DMIRESET | DMIHARDRESET) != 0 => self.outcome = Outcome::Success,
            DMI if self.outcome == Outcome::Success => {
                let address = (self.shifter >> 34) as u8 & 0x7F;
                let data = (self.shifter >> 2) as u32;
                let access = match self.shifter & 3 {
                    1 => DmiAccess::Read(address),
                    2 => DmiAccess::Write(address, data),
                    _ => return,
                };
                match (dmi(access), access) {
                    (Some(value), DmiAccess::Read(_)) => self.last = (address, value),
                    (Some(_), DmiAccess::Write(..)) => self.last = (address, data),
                    (None, _) => self.outcome = Outcome::Failed,
                }
            }
            _ => {}
        }
    }
}
