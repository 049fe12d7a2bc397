//! The bus, and peripherals by their registers, at times that a test sets.

use super::registers;
use super::table::{Place, Units};
use super::{FarEnd, PeripheralOptions, Peripherals};
use crate::bus::{AfterStore, Bus, Width};
use crate::log::{HardwareEvent, LogEntry, ResetCause};
use crate::memory::{FLASH_CODE, Memory};

/// The bus at a time that the test moves.
struct Rig {
    bus: Peripherals,
    memory: Memory,
    now: u64,
}

impl Rig {
    fn new() -> Self {
        let mut bus = Peripherals::new(&PeripheralOptions {
            mac: [2, 0, 0, 0, 0, 1],
            revision: (0, 3),
            seed: 7,
            uart0: FarEnd::Connected,
            usb: FarEnd::Open,
        });
        let mut memory = Memory::new(vec![0; 16].into(), 1 << 20);
        bus.reset(ResetCause::PowerOn, &mut memory, 0);
        bus.log.take();
        Self { bus, memory, now: 0 }
    }

    /// Reads a register by its name, as `UART0.STATUS`.
    fn read(&mut self, register: &str) -> u32 {
        self.read_at(registers::address(register))
    }

    /// Writes a register by its name.
    fn write(&mut self, register: &str, value: u32) -> AfterStore {
        self.write_at(registers::address(register), value)
    }

    fn read_at(&mut self, address: u32) -> u32 {
        self.bus.load(&mut self.memory, self.now, address, Width::Word).unwrap()
    }

    fn write_at(&mut self, address: u32, value: u32) -> AfterStore {
        self.bus
            .store(&mut self.memory, self.now, address, Width::Word, value)
            .unwrap()
    }

    fn pass(&mut self, cycles: u64) {
        self.now += cycles;
        self.bus.update(&mut self.memory, self.now);
    }
}

#[test]
fn every_line_of_the_table_answers_at_its_own_addresses() {
    let mut rig = Rig::new();
    // With clocks for the accelerators, and out of reset.
    rig.write("SYSTEM.PERIP_CLK_EN1", u32::MAX);
    rig.write("SYSTEM.PERIP_RST_EN1", 0);
    for (name, base, first) in Units::WINDOWS {
        let Place::Unit(_, offset) = rig.bus.units.at(*base) else {
            panic!("{name} does not answer at {base:#010x}");
        };
        assert_eq!(offset, *first, "another answers at {base:#010x} instead of {name}");
        let namesakes = Units::WINDOWS.iter().filter(|(_, other, _)| other == base);
        assert_eq!(namesakes.count(), 1, "{name} shares its base with another");
    }
}

#[test]
fn a_peripheral_without_a_clock_or_in_reset_reads_as_zero() {
    let mut rig = Rig::new();
    let mut kept = |clocks, resets| {
        rig.write("SYSTEM.PERIP_CLK_EN1", clocks);
        rig.write("SYSTEM.PERIP_RST_EN1", resets);
        rig.write("AES.KEY0", 0x55);
        rig.read("AES.KEY0")
    };
    let (aes, rsa, signature) = (1 << 1, 1 << 3, 1 << 4);
    assert_eq!(kept(0, 0), 0);
    assert_eq!(kept(aes, 0), 0x55);
    assert_eq!(kept(aes, rsa), 0x55);
    assert_eq!(kept(aes, aes), 0);
    assert_eq!(kept(aes, signature), 0);
    assert_eq!(rig.read("AES.KEY0"), 0);
    rig.write("SYSTEM.PERIP_RST_EN1", 0);
    assert_eq!(rig.read("AES.KEY0"), 0, "the reset has cleared it");
}

#[test]
fn system_resets_the_peripheral_of_a_bit_and_no_other() {
    let mut rig = Rig::new();
    rig.write("UART0.CLKDIV", 1);
    rig.write("UART1.CLKDIV", 1);
    let after_reset = 0x2B6;
    rig.write("SYSTEM.PERIP_RST_EN0", 1 << 5);
    assert_eq!((rig.read("UART0.CLKDIV"), rig.read("UART1.CLKDIV")), (1, after_reset));
    rig.write("SYSTEM.PERIP_RST_EN0", 1 << 2);
    assert_eq!(rig.read("UART0.CLKDIV"), after_reset);
}

const RAM: u32 = 0x3FC9_0000;
/// The first entry of the MMU table, for the first page of [`FLASH_CODE`].
const MMU_TABLE: u32 = 0x600C_5000;

/// The Ethernet MAC, which the chip's description does not have.
mod openeth {
    pub(super) const MODER: u32 = 0x600C_D000;
    pub(super) const INT_SOURCE: u32 = MODER + 0x04;
    pub(super) const INT_MASK: u32 = MODER + 0x08;
    pub(super) const TX_BD_NUM: u32 = MODER + 0x20;
    pub(super) const TX_FLAGS: u32 = MODER + 0x400;
    pub(super) const TX_POINTER: u32 = MODER + 0x404;
    pub(super) const RX_FLAGS: u32 = MODER + 0x408;
    pub(super) const RX_POINTER: u32 = MODER + 0x40C;
}

#[test]
fn an_ethernet_frame_comes_back_in_loopback_and_interrupts() {
    let mut rig = Rig::new();
    let mut frame: Vec<u8> = (0..100).collect();
    frame[..6].fill(0xFF);
    rig.memory.write_bytes(RAM, &frame);
    rig.write_at(openeth::MODER, 1 << 11);
    rig.write_at(openeth::MODER, 0xA000);
    rig.write_at(openeth::TX_BD_NUM, 1);
    rig.write_at(openeth::TX_POINTER, RAM);
    rig.write_at(openeth::RX_POINTER, RAM + 0x800);
    rig.write_at(openeth::RX_FLAGS, 0xE000);
    rig.write_at(openeth::INT_MASK, 0x7F);
    // Source 0 to line 9, at priority 5.
    rig.write("INTERRUPT_CORE0.CORE_0_INTR_MAP0", 9);
    rig.write("INTERRUPT_CORE0.CPU_INT_PRI9", 5);
    rig.write("INTERRUPT_CORE0.CPU_INT_ENABLE", 1 << 9);
    rig.write_at(openeth::MODER, 0xA000 | 1 << 7 | 3);
    assert_eq!(rig.bus.interrupt(), None);
    assert_eq!(rig.write_at(openeth::TX_FLAGS, 100 << 16 | 0xE000), AfterStore::Yield);
    assert_eq!(rig.bus.interrupt(), Some(9));
    assert_eq!(rig.read_at(openeth::INT_SOURCE), 0b101);
    assert_eq!(rig.read_at(openeth::TX_FLAGS) & 0x8000, 0);
    assert_eq!(rig.read_at(openeth::RX_FLAGS), 104 << 16 | 0x6000);
    let mut back = [0; 100];
    assert!(rig.memory.read_bytes(RAM + 0x800, &mut back));
    assert_eq!(back[..], frame[..]);
    rig.write_at(openeth::INT_SOURCE, 0b101);
    assert_eq!(rig.bus.interrupt(), None);
}

#[test]
fn a_register_without_a_model_is_reported_once() {
    let mut rig = Rig::new();
    rig.write("I2C0.CTR", 0x55);
    assert_eq!(rig.read("I2C0.CTR"), 0x55);
    let log = rig.bus.log.take();
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!(
        log[0].event.to_string(),
        "write of 0x00000055 to I2C0.CTR (0x60013004), which is not modelled"
    );
    assert!(rig.bus.load(&mut rig.memory, 0, 0x7000_0000, Width::Word).is_err());
    assert!(matches!(
        rig.bus.log.take()[..],
        [LogEntry {
            event: HardwareEvent::BusError {
                address: 0x7000_0000,
                store: false
            },
            ..
        }]
    ));
}

#[test]
fn permissions_that_are_not_kept_are_reported_by_name() {
    let mut rig = Rig::new();
    rig.write("SENSITIVE.CORE_X_IRAM0_PMS_CONSTRAIN_1", 0x1F_FFFF);
    rig.write("SYSTEM.EXTERNAL_DEVICE_ENCRYPT_DECRYPT_CONTROL", 1);
    let names: Vec<String> = rig.bus.log.take().iter().map(|entry| entry.event.to_string()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0].contains("SENSITIVE.CORE_X_"), "{names:?}");
    assert!(
        names[1].contains("SYSTEM.EXTERNAL_DEVICE_ENCRYPT_DECRYPT_CONTROL"),
        "{names:?}"
    );
}

#[test]
fn a_system_timer_alarm_is_due_at_its_count() {
    let mut rig = Rig::new();
    rig.write("SYSTIMER.TRGT0_LO", 1600);
    rig.write("SYSTIMER.COMP_LOAD0", 0);
    rig.write("SYSTIMER.INT_ENA", 1);
    // Unit 0 and target 0 work.
    rig.write("SYSTIMER.CONF", 1 << 30 | 1 << 24);
    assert_eq!(rig.bus.next_event(), 16_000);
    rig.pass(15_999);
    assert_eq!(rig.read("SYSTIMER.INT_ST"), 0);
    rig.pass(1);
    assert_eq!(rig.read("SYSTIMER.INT_ST"), 1);
}

#[test]
fn rtc_stores_outlive_a_software_reset_and_not_a_power_cycle() {
    let mut rig = Rig::new();
    rig.write("RTC_CNTL.STORE0", 0xCAFE);
    // SW_SYS_RST.
    rig.write("RTC_CNTL.OPTIONS0", 1 << 31);
    assert_eq!(rig.bus.take_reset(), Some(ResetCause::SoftwareSystem));
    rig.bus.reset(ResetCause::SoftwareSystem, &mut rig.memory, 0);
    assert_eq!(rig.read("RTC_CNTL.RESET_STATE") & 0x3F, 3);
    assert_eq!(rig.read("RTC_CNTL.STORE0"), 0xCAFE);
    rig.bus.reset(ResetCause::PowerOn, &mut rig.memory, 0);
    assert_eq!(rig.read("RTC_CNTL.STORE0"), 0);
}

#[test]
fn the_rtc_watchdog_and_the_super_watchdog_reset_by_causes_of_their_own() {
    let mut rig = Rig::new();
    // The main watchdog of flash boot off, the RTC watchdog to reset the system after 136 slow clocks: a millisecond.
    rig.write("TIMG0.WDTCONFIG0", 0);
    rig.write("RTC_CNTL.WDTWPROTECT", 0x50D8_3AA1);
    rig.write("RTC_CNTL.WDTCONFIG1", 68);
    rig.write("RTC_CNTL.WDTCONFIG0", 1 << 31 | 3 << 28);
    rig.pass(159_000);
    assert_eq!(rig.bus.take_reset(), None);
    rig.pass(2_000);
    assert_eq!(rig.bus.take_reset(), Some(ResetCause::RtcWatchdogSystem));
    rig.write("RTC_CNTL.WDTCONFIG0", 0);
    rig.pass(160_000_000);
    assert_eq!(rig.bus.take_reset(), Some(ResetCause::SuperWatchdog));
}

#[test]
fn a_uart_pushes_back_and_loses_nothing() {
    let mut rig = Rig::new();
    let received = |status: u32| status & 0x3FF;
    let waiting = |status: u32| status >> 16 & 0x3FF;
    let sent: Vec<u8> = (0..=255).cycle().take(1000).collect();
    rig.bus.units.uart0.receive(&sent, 0);
    assert_eq!(received(rig.read("UART0.STATUS")), 128);
    let taken: Vec<u8> = (0..1000).map(|_| rig.read("UART0.FIFO") as u8).collect();
    assert_eq!(taken, sent);
    assert_eq!(received(rig.read("UART0.STATUS")), 0);
    for byte in 0..5000 {
        rig.write("UART0.FIFO", byte & 0xFF);
    }
    assert_eq!(waiting(rig.read("UART0.STATUS")), 128);
    assert_ne!(rig.read("UART0.FSM_STATUS"), 0, "the transmitter is busy");
    rig.bus.units.uart0.outgoing().clear();
    rig.bus.units.uart0.drain();
    assert_eq!(waiting(rig.read("UART0.STATUS")), 0);
    assert_ne!(rig.read("UART0.INT_RAW") & 1 << 14, 0, "TX_DONE");
}

#[test]
fn an_unconnected_usb_port_stays_busy() {
    let mut rig = Rig::new();
    assert_eq!(rig.read("USB_DEVICE.EP1_CONF"), 2);
    rig.write("USB_DEVICE.EP1", 65);
    rig.write("USB_DEVICE.EP1_CONF", 1);
    rig.pass(160_000_000);
    assert_eq!(rig.read("USB_DEVICE.EP1_CONF"), 0);
}

#[test]
fn a_store_that_changes_what_the_hart_executes_ends_its_run() {
    let mut rig = Rig::new();
    assert_eq!(rig.write("SPI1.W0", 0), AfterStore::Yield);
    assert_eq!(rig.write_at(MMU_TABLE, 0), AfterStore::Yield);
    assert_eq!(rig.write("ASSIST_DEBUG.CORE_0_SP_MIN", 0), AfterStore::Yield);
    assert_eq!(rig.write("UART0.SLEEP_CONF", 0), AfterStore::Continue);
}

#[test]
fn a_reset_of_the_chip_unmaps_the_flash() {
    let mut rig = Rig::new();
    rig.write_at(MMU_TABLE, 1);
    assert!(rig.memory.load(FLASH_CODE, Width::Word).is_some());
    rig.bus.reset(ResetCause::SoftwareCpu, &mut rig.memory, 0);
    assert!(
        rig.memory.load(FLASH_CODE, Width::Word).is_some(),
        "only the processor was reset"
    );
    rig.bus.reset(ResetCause::SoftwareSystem, &mut rig.memory, 0);
    assert!(rig.memory.load(FLASH_CODE, Width::Word).is_none());
}

#[test]
fn rts_follows_a_fifo_that_is_read() {
    let mut rig = Rig::new();
    // Pad 4 is U0RTS: function 1 of the pad, signal 7. RTS is high from one byte on (CONF1 with RX_FLOW_EN, MEM_CONF).
    rig.write("IO_MUX.GPIO4", 1 << 12);
    rig.write("GPIO.FUNC_OUT_SEL_CFG4", 7);
    rig.write("UART0.MEM_CONF", 1 << 7);
    rig.write("UART0.CONF1", 1 << 20);
    let rts = |rig: &Rig| rig.bus.units.gpio.pads() >> 4 & 1;
    assert_eq!(rts(&rig), 0);
    rig.bus.units.uart0.receive(b"x", 0);
    rig.pass(1);
    assert_eq!(rts(&rig), 1);
    assert_eq!(rig.read("UART0.FIFO"), u32::from(b'x'));
    assert_eq!(rts(&rig), 0);
}

#[test]
fn a_timer_group_measures_the_slow_clock_that_is_selected() {
    let mut rig = Rig::new();
    // 1000 cycles of the slow clock, in cycles of the 40 MHz crystal.
    let measured = |rig: &mut Rig| {
        rig.write("TIMG0.RTCCALICFG", 0);
        rig.write("TIMG0.RTCCALICFG", 1 << 31 | 1000 << 16);
        u64::from(rig.read("TIMG0.RTCCALICFG1") >> 7)
    };
    let at = |hz: u64| 1000 * 40_000_000 / hz;
    assert_eq!(measured(&mut rig), at(136_000));
    // ANA_CLK_RTC_SEL: 17.5 MHz divided by 256.
    rig.write("RTC_CNTL.CLK_CONF", 2 << 30);
    assert_eq!(measured(&mut rig), at(17_500_000 / 256));
    rig.bus.reset(ResetCause::PowerOn, &mut rig.memory, 0);
    assert_eq!(measured(&mut rig), at(136_000));
}
