//! Peripherals without behaviour: settings that firmware writes and reads back, and that make no difference to what it can
//! observe here (clocks, pads, permissions, analog trims). Offsets and values enter and leave; what is not on the list of
//! known settings is reported.

use std::ops::RangeInclusive;

use super::peripheral::{Context, Peripheral};
use super::registers::Registers;

/// What is known of such a peripheral.
#[derive(Debug)]
pub(super) struct Known {
    /// Bytes of registers.
    size: u32,
    /// The registers that are harmless to store.
    settings: &'static [RangeInclusive<u32>],
}

mod spi0 {
    use super::super::registers::offsets;

    offsets! { pub(super) SPI0:
        FSM = 0x54,
        CORE_CLK_SEL = 0xE0,
        DATE = 0x3FC,
    }
    /// As SPI1's; the description does not name it here.
    pub(super) const FLASH_WAITI_CTRL: u32 = 0x98;
}

/// The controller behind the cache. Its flash is read without it, so that timing and modes make no difference.
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

/// Parts of the radio's front end, whose power firmware switches.
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

/// The analog-to-digital converter, of which firmware sets the clock.
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

/// Permissions. Those that software takes away are not enforced, so that only these two make no difference.
pub(super) const SENSITIVE: Known = Known {
    size: 0x1000,
    settings: &[
        sensitive::INTERNAL_SRAM_USAGE_1..=sensitive::INTERNAL_SRAM_USAGE_1,
        sensitive::DATE..=sensitive::DATE,
    ],
};

/// A peripheral whose listed registers are settings only.
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
