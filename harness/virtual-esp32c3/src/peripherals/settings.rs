//! Peripherals without behaviour. Firmware writes their settings and reads them back, and nothing that it can observe
//! here depends on them: clocks, permissions, power of analog parts. An access to any other register of such a
//! peripheral is logged.
//! (ESP32-C3 Technical Reference Manual, chapters "SPI Controller", "On-Chip Sensors and Analog Signal Processing",
//! "Permission Control"; the parts of the radio by their names in the `esp32c3` description.)

use std::ops::RangeInclusive;

use super::peripheral::{Context, Peripheral};
use super::registers::Registers;

/// The registers of such a peripheral.
#[derive(Debug)]
pub(super) struct Known {
    /// Bytes that are stored.
    size: u32,
    /// The registers that are settings, by their offsets.
    settings: &'static [RangeInclusive<u32>],
}

mod spi0 {
    use super::super::registers::offsets;

    offsets! { pub(super) SPI0:
        FSM = 0x54,
        CORE_CLK_SEL = 0xE0,
        DATE = 0x3FC,
    }
    /// The description names it for SPI1 only.
    pub(super) const FLASH_WAITI_CTRL: u32 = 0x98;
}

/// The SPI controller of the cache. Here the cache reads the flash without it, so that timing and modes have no effect.
pub(super) const SPI0: Known = Known {
    size: 0x400,
    settings: &[
        0..=spi0::FSM,
        spi0::FLASH_WAITI_CTRL..=spi0::CORE_CLK_SEL,
        spi0::DATE..=spi0::DATE,
    ],
};

mod fe2 {
    super::super::registers::offsets! { pub(super) FE2:
        TX_INTERP_CTRL = 0xF0,
    }
}

/// A part of the radio whose power firmware switches, as FE, NRX and BB are.
pub(super) const FE2: Known = Known {
    size: 0x1000,
    settings: &[fe2::TX_INTERP_CTRL..=fe2::TX_INTERP_CTRL],
};

mod fe {
    super::super::registers::offsets! { pub(super) FE:
        GEN_CTRL = 0x90,
    }
}

pub(super) const FE: Known = Known {
    size: 0x1000,
    settings: &[fe::GEN_CTRL..=fe::GEN_CTRL],
};

mod nrx {
    super::super::registers::offsets! { pub(super) NRX:
        NRXPD_CTRL = 0xD4,
    }
}

pub(super) const NRX: Known = Known {
    size: 0x400,
    settings: &[nrx::NRXPD_CTRL..=nrx::NRXPD_CTRL],
};

mod bb {
    super::super::registers::offsets! { pub(super) BB:
        BBPD_CTRL = 0x54,
    }
}

pub(super) const BB: Known = Known {
    size: 0x1000,
    settings: &[bb::BBPD_CTRL..=bb::BBPD_CTRL],
};

mod saradc {
    super::super::registers::offsets! { pub(super) APB_SARADC:
        CTRL = 0x00,
        SAR_PATT_TAB2 = 0x1C,
        DMA_CONF = 0x50,
        TSENS_CTRL2 = 0x5C,
        CTRL_DATE = 0x3FC,
    }
}

/// The analog-to-digital converter, whose clock and patterns firmware sets. It converts nothing here.
pub(super) const SARADC: Known = Known {
    size: 0x400,
    settings: &[
        saradc::CTRL..=saradc::SAR_PATT_TAB2,
        saradc::DMA_CONF..=saradc::TSENS_CTRL2,
        saradc::CTRL_DATE..=saradc::CTRL_DATE,
    ],
};

mod sensitive {
    super::super::registers::offsets! { pub(super) SENSITIVE:
        INTERNAL_SRAM_USAGE_1 = 0x1C,
        DATE = 0xFFC,
    }
}

/// Permissions. None is enforced here, so that only these two registers are without effect.
pub(super) const SENSITIVE: Known = Known {
    size: 0x1000,
    settings: &[
        sensitive::INTERNAL_SRAM_USAGE_1..=sensitive::INTERNAL_SRAM_USAGE_1,
        sensitive::DATE..=sensitive::DATE,
    ],
};

/// A peripheral whose known registers are settings only.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    registers: Registers,
    known: &'static Known,
}

impl Settings {
    pub(super) fn new(base: u32, known: &'static Known) -> Self {
        Self {
            registers: Registers::new(base, known.size),
            known,
        }
    }

    fn knows(&self, offset: u32) -> bool {
        self.known.settings.iter().any(|range| range.contains(&offset))
    }
}

impl Peripheral for Settings {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        if self.knows(offset) {
            self.registers.get(offset)
        } else {
            context.unmodelled_read(&self.registers, offset)
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        if self.knows(offset) {
            self.registers.set(offset, value);
        } else {
            context.unmodelled_write(&mut self.registers, offset, value);
        }
    }

    fn reset(&mut self, _context: &mut Context<'_>) {
        self.registers.reset();
    }
}
