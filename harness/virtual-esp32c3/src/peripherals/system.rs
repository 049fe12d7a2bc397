//! SYSTEM: interrupts that the CPU raises for itself, the checksum of RTC fast RAM, and settings of clocks, resets and
//! power. Stores and memory enter; four interrupt levels leave. Which peripheral a reset bit means is the bus's business.
//! (ESP32-C3 Technical Reference Manual, chapter "System Registers".)

use super::registers::{Registers, offsets};
use super::{Context, Peripheral};
use crate::memory::{RTC, RTC_SIZE};

offsets! { SYSTEM:
    CPU_PERI_CLK_EN = 0x00,
    CPU_INTR_FROM_CPU0 = 0x28,
    CACHE_CONTROL = 0x40,
    RTC_FASTMEM_CONFIG = 0x48,
    RTC_FASTMEM_CRC = 0x4C,
    SYSCLK_CONF = 0x58,
    SYSTEM_REG_DATE = 0xFFC,
}

const CRC_START: u32 = 1 << 8;
const CRC_FINISH: u32 = 1 << 31;
/// SYSTEM_CLK_XTAL_FREQ and SYSTEM_CLK_DIV_EN are the hardware's.
const XTAL_MHZ: u32 = 40;
const XTAL_FREQ: u32 = 0x7F << 12;
const DIV_EN: u32 = 1 << 19;

#[derive(Debug, Clone)]
pub(crate) struct System {
    registers: Registers,
    crc: u32,
}

impl System {
    pub(crate) fn new(base: u32) -> Self {
        Self {
            registers: Registers::new(base, 0x1000),
            crc: 0,
        }
    }

    /// What a register of settings holds.
    pub(crate) fn get(&self, offset: u32) -> u32 {
        self.registers.get(offset)
    }

    /// Works the checksum out that software compares before it trusts code in RTC fast RAM: address and length are in
    /// words. The polynomial is not documented; this is that of IEEE 802.3, and nobody but this register computes it.
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
            // Not the switch of flash encryption (EXTERNAL_DEVICE_ENCRYPT_DECRYPT_CONTROL), nor the process monitors (from MEM_PVT on).
            CPU_PERI_CLK_EN..=CACHE_CONTROL | RTC_FASTMEM_CONFIG..=SYSCLK_CONF | SYSTEM_REG_DATE => {
                self.registers.set(offset, value);
            }
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _now: u64) {
        self.registers.reset();
        self.crc = 0;
    }

    fn interrupts(&self) -> u64 {
        (0..4).fold(0, |levels, n| {
            levels | u64::from(self.registers.get(CPU_INTR_FROM_CPU0 + 4 * n) & 1) << n
        })
    }
}
