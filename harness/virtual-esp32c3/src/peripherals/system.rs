//! SYSTEM: interrupts that the processor raises for itself, the checksum of RTC fast RAM, and settings of clocks,
//! resets and power. Stores and memory enter; four interrupts, and the states of clocks, resets and power leave. It
//! does not know which peripheral a bit stands for.
//! (ESP32-C3 Technical Reference Manual, chapter "System Registers".)

use super::peripheral::{Context, Peripheral};
use super::registers::{Registers, offsets};
use crate::memory::{RTC, RTC_SIZE};

offsets! { SYSTEM:
    CPU_PERI_CLK_EN = 0x00,
    PERIP_CLK_EN1 = 0x14,
    PERIP_RST_EN0 = 0x18,
    PERIP_RST_EN1 = 0x1C,
    CPU_INTR_FROM_CPU0 = 0x28,
    RSA_PD_CTRL = 0x38,
    CACHE_CONTROL = 0x40,
    RTC_FASTMEM_CONFIG = 0x48,
    RTC_FASTMEM_CRC = 0x4C,
    SYSCLK_CONF = 0x58,
    SYSTEM_REG_DATE = 0xFFC,
}

/// Bits of RSA_PD_CTRL: the memory is off; it is on in spite of that; it is off in spite of both.
const RSA_MEM_PD: u32 = 1 << 0;
const RSA_MEM_FORCE_PU: u32 = 1 << 1;
const RSA_MEM_FORCE_PD: u32 = 1 << 2;

const CRC_START: u32 = 1 << 8;
const CRC_FINISH: u32 = 1 << 31;
/// The read-only fields CLK_XTAL_FREQ and CLK_DIV_EN of SYSCLK_CONF.
const XTAL_MHZ: u32 = 40;
const XTAL_FREQ: u32 = 0x7F << 12;
const DIV_EN: u32 = 1 << 19;

/// Peripherals that software resets, by their bits in PERIP_RST_EN0 and PERIP_RST_EN1.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Resets {
    pub(super) en0: u32,
    pub(super) en1: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct System {
    registers: Registers,
    crc: u32,
    resets: Option<Resets>,
}

impl System {
    pub(crate) fn new(base: u32) -> Self {
        Self {
            registers: Registers::new(base, 0x1000),
            crc: 0,
            resets: None,
        }
    }

    /// The peripherals that software has reset by its last store to a reset register, once.
    pub(super) fn take_resets(&mut self) -> Option<Resets> {
        self.resets.take()
    }

    /// Whether a peripheral has its clock, by its bit in PERIP_CLK_EN1, and none of its bits in PERIP_RST_EN1 is set.
    pub(super) fn runs(&self, clock: u32, held_by: u32) -> bool {
        self.registers.get(PERIP_CLK_EN1) & clock != 0 && self.registers.get(PERIP_RST_EN1) & held_by == 0
    }

    /// Whether the RSA accelerator's memory has power.
    pub(super) fn powers_rsa_memory(&self) -> bool {
        let control = self.registers.get(RSA_PD_CTRL);
        let on = control & RSA_MEM_PD == 0 || control & RSA_MEM_FORCE_PU != 0;
        on && control & RSA_MEM_FORCE_PD == 0
    }

    /// Computes the checksum by which software checks code in RTC fast RAM. The fields for address and length count
    /// words. The polynomial is not documented. This one is that of IEEE 802.3; software cannot tell, since it only
    /// compares checksums from this register.
    fn checksum(&mut self, config: u32, context: &Context<'_>) {
        let start = 4 * (config >> 9 & 0x7FF);
        let length = (4 * (config >> 20 & 0x7FF)).min(RTC_SIZE - start);
        let mut bytes = vec![0; length as usize];
        let read = context.memory.read_bytes(RTC + start, &mut bytes);
        debug_assert!(read, "the range is cut to the memory's size");
        self.crc = !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                crc >> 1 ^ if crc & 1 == 0 { 0 } else { 0xEDB8_8320 }
            })
        });
    }
}

impl Peripheral for System {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            RTC_FASTMEM_CRC => self.crc,
            SYSCLK_CONF => self.registers.get(offset) & !XTAL_FREQ | XTAL_MHZ << 12 | DIV_EN,
            CPU_PERI_CLK_EN..=CACHE_CONTROL | RTC_FASTMEM_CONFIG..=SYSCLK_CONF | SYSTEM_REG_DATE => {
                self.registers.get(offset)
            }
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            RTC_FASTMEM_CONFIG => {
                let started = value & CRC_START != 0;
                if started {
                    self.checksum(value, context);
                }
                let finish = if started { CRC_FINISH } else { 0 };
                self.registers.set(offset, value & !CRC_FINISH | finish);
            }
            RTC_FASTMEM_CRC => {}
            PERIP_RST_EN0 => {
                self.registers.set(offset, value);
                self.resets = Some(Resets { en0: value, en1: 0 });
            }
            PERIP_RST_EN1 => {
                self.registers.set(offset, value);
                self.resets = Some(Resets { en0: 0, en1: value });
            }
            // Not flash encryption (EXTERNAL_DEVICE_ENCRYPT_DECRYPT_CONTROL), nor the process monitors (from MEM_PVT
            // on).
            CPU_PERI_CLK_EN..=CACHE_CONTROL | RTC_FASTMEM_CONFIG..=SYSCLK_CONF | SYSTEM_REG_DATE => {
                self.registers.set(offset, value);
            }
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _context: &mut Context<'_>) {
        self.registers.reset();
        self.crc = 0;
    }

    fn interrupts(&self) -> u64 {
        (0..4).fold(0, |levels, n| {
            levels | u64::from(self.registers.get(CPU_INTR_FROM_CPU0 + 4 * n) & 1) << n
        })
    }
}
