//! The cryptographic accelerators and the DMA controller, 0x6003_A000 to 0x6004_0000, and what joins them: bytes between the
//! controller and AES or SHA, keys from the eFuses to HMAC, from there to the digital signature unit, clocks and resets from
//! SYSTEM. Register accesses enter by address, interrupt levels leave. Each unit by itself is in a file of its own.
//! (ESP32-C3 Technical Reference Manual, chapter "System Registers" and those of the units.)

use super::aes::Aes;
use super::digital_signature::DigitalSignature;
use super::efuse::Efuse;
use super::gdma::Gdma;
use super::hmac::Hmac;
use super::rsa::Rsa;
use super::sha::Sha;
use super::{Context, Peripheral};
use crate::memory::Memory;

const BASE: u32 = 0x6003_A000;
const END: u32 = 0x6004_0000;

/// Bits of SYSTEM_PERIP_CLK_EN1 and SYSTEM_PERIP_RST_EN1.
const BIT_AES: u32 = 1 << 1;
const BIT_SHA: u32 = 1 << 2;
const BIT_RSA: u32 = 1 << 3;
const BIT_DS: u32 = 1 << 4;
const BIT_HMAC: u32 = 1 << 5;
const BIT_DMA: u32 = 1 << 6;

/// Bytes that DMA moves in one go, and the cycles until it moves more: four bytes a cycle.
const BUDGET: usize = 1 << 16;
const PAUSE: u64 = BUDGET as u64 / 4;

/// What SYSTEM says about the units.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Power {
    /// SYSTEM_PERIP_CLK_EN1.
    pub(crate) clocks: u32,
    /// SYSTEM_PERIP_RST_EN1.
    pub(crate) resets: u32,
    /// SYSTEM_RSA_PD_CTRL.
    pub(crate) rsa_memory: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Aes,
    Sha,
    Rsa,
    Signature,
    Hmac,
    Dma,
}

impl Power {
    fn is_held(self, unit: Unit) -> bool {
        // The signature unit's reset holds the three that it works with, and HMAC's holds SHA.
        let bits = match unit {
            Unit::Aes => BIT_AES | BIT_DS,
            Unit::Sha => BIT_SHA | BIT_DS | BIT_HMAC,
            Unit::Rsa => BIT_RSA | BIT_DS,
            Unit::Signature => BIT_DS,
            Unit::Hmac => BIT_HMAC,
            Unit::Dma => BIT_DMA,
        };
        self.resets & bits != 0
    }

    fn answers(self, unit: Unit) -> bool {
        let clock = match unit {
            Unit::Aes => BIT_AES,
            Unit::Sha => BIT_SHA,
            Unit::Rsa => BIT_RSA,
            Unit::Signature => BIT_DS,
            Unit::Hmac => BIT_HMAC,
            Unit::Dma => BIT_DMA,
        };
        self.clocks & clock != 0 && !self.is_held(unit)
    }

    /// RSA_MEM_PD, unless RSA_MEM_FORCE_PU; or RSA_MEM_FORCE_PD.
    fn rsa_memory_is_off(self) -> bool {
        self.rsa_memory & 1 != 0 && self.rsa_memory & 2 == 0 || self.rsa_memory & 4 != 0
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Accelerators {
    aes: Aes,
    sha: Sha,
    rsa: Rsa,
    signature: DigitalSignature,
    hmac: Hmac,
    gdma: Gdma,
    /// When DMA goes on with what was too much for one go.
    resumes: Option<u64>,
}

impl Accelerators {
    pub(crate) fn new() -> Self {
        Self {
            aes: Aes::new(0x6003_A000),
            sha: Sha::new(0x6003_B000),
            rsa: Rsa::new(0x6003_C000),
            signature: DigitalSignature::new(0x6003_D000),
            hmac: Hmac::new(0x6003_E000),
            gdma: Gdma::new(0x6003_F000),
            resumes: None,
        }
    }

    /// Whether an address is one of theirs.
    pub(crate) fn cover(address: u32) -> bool {
        (BASE..END).contains(&address)
    }

    /// Reads a register; one whose unit has no clock or is held in reset reads as zero.
    pub(crate) fn read(&mut self, address: u32, power: Power, context: &mut Context<'_>) -> u32 {
        let (unit, offset) = decode(address);
        if power.answers(unit) {
            self.unit(unit).read(offset, context)
        } else {
            0
        }
    }

    /// Writes a register; nothing happens if its unit has no clock or is held in reset.
    pub(crate) fn write(&mut self, address: u32, value: u32, power: Power, efuse: &Efuse, context: &mut Context<'_>) {
        let (unit, offset) = decode(address);
        if !power.answers(unit) {
            return;
        }
        self.unit(unit).write(offset, value, context);
        if let Some(request) = self.hmac.take_request() {
            let (purpose, key) = efuse.key(request.key);
            self.hmac.use_key(request, purpose, key);
        }
        self.signature.take_key(self.hmac.signature_key());
        self.transfer(context.memory, context.now);
    }

    /// Takes over what SYSTEM says.
    pub(crate) fn set_power(&mut self, power: Power, now: u64) {
        for unit in [Unit::Aes, Unit::Sha, Unit::Rsa, Unit::Signature, Unit::Hmac, Unit::Dma] {
            if power.is_held(unit) {
                self.unit(unit).reset(now);
            }
        }
        self.rsa.set_memory(!power.rsa_memory_is_off());
    }

    /// Goes on with transfers that have become due.
    pub(crate) fn update(&mut self, memory: &mut Memory, now: u64) {
        if self.resumes.is_some_and(|at| at <= now) {
            self.transfer(memory, now);
        }
    }

    /// When transfers go on.
    pub(crate) fn next_event(&self) -> Option<u64> {
        self.resumes
    }

    /// Levels of the interrupt sources 44 to 49: three DMA channels, RSA, AES, SHA.
    pub(crate) fn interrupts(&self) -> u64 {
        self.gdma.interrupts() | self.rsa.interrupts() << 3 | self.aes.interrupts() << 4 | self.sha.interrupts() << 5
    }

    /// All units back to the state after a reset.
    pub(crate) fn reset(&mut self, _now: u64) {
        *self = Self::new();
    }

    fn transfer(&mut self, memory: &mut Memory, now: u64) {
        let aes = self.aes.run(&mut self.gdma, memory, BUDGET);
        let sha = self.sha.run(&mut self.gdma, memory, BUDGET);
        let copies = self.gdma.copy(memory, BUDGET);
        self.resumes = (aes || sha || copies).then_some(now + PAUSE);
    }

    fn unit(&mut self, unit: Unit) -> &mut dyn Peripheral {
        match unit {
            Unit::Aes => &mut self.aes,
            Unit::Sha => &mut self.sha,
            Unit::Rsa => &mut self.rsa,
            Unit::Signature => &mut self.signature,
            Unit::Hmac => &mut self.hmac,
            Unit::Dma => &mut self.gdma,
        }
    }
}

fn decode(address: u32) -> (Unit, u32) {
    let unit = match address >> 12 {
        0x6_003A => Unit::Aes,
        0x6_003B => Unit::Sha,
        0x6_003C => Unit::Rsa,
        0x6_003D => Unit::Signature,
        0x6_003E => Unit::Hmac,
        _ => Unit::Dma,
    };
    (unit, address & 0xFFF)
}
