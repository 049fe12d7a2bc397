//! The USB serial/JTAG, as a program on the chip and the host at its cable see it.

mod soc_support;

use soc_support::{Machine, Program};
use virtual_esp32c3::ConsolePort;
use virtual_esp32c3::chip::{Chip, ChipOptions};

const USB: u32 = 0x6004_3000;
const EP1_CONF: u32 = USB + 4;
const RAW: u32 = USB + 8;
const ENABLE: u32 = USB + 0x10;
const CLEAR: u32 = USB + 0x14;
const CONF0: u32 = USB + 0x18;
const FRAME: u32 = USB + 0x24;
const OUT_EP1: u32 = USB + 0x3C;
const SOURCE: u32 = 26;

const SOF: u32 = 1 << 1;
const SERIAL_OUT_RECV_PKT: u32 = 1 << 2;
const SERIAL_IN_EMPTY: u32 = 1 << 3;
const USB_BUS_RESET: u32 = 1 << 9;
/// Bits of EP1_CONF: the software has completed its packet, there is room for one, and there is data.
const WR_DONE: u32 = 1;
const FREE: u32 = 1 << 1;
const AVAILABLE: u32 = 1 << 2;

/// Whether a program has got as far as this result.
fn reached(machine: &Machine, result: usize) -> bool {
    machine.results::<32>()[result] != 0
}

#[test]
fn frames_start_each_millisecond_while_the_cable_is_plugged_in() {
    let mut program = Program::new();
    program
        .store(CLEAR, SOF)
        .wait(RAW, SOF)
        .record(FRAME)
        .store(CLEAR, SOF)
        .wait(RAW, SOF)
        .record(FRAME)
        // The cable is unplugged here.
        .spin(800_000)
        .store(CLEAR, SOF | USB_BUS_RESET)
        .spin(800_000)
        .record(RAW)
        .record(FRAME)
        // It is plugged in again here.
        .wait(RAW, USB_BUS_RESET)
        .store(CLEAR, SOF)
        .wait(RAW, SOF)
        .record(FRAME)
        .done();
    let mut machine = program.start_with(ConsolePort::UsbSerialJtag);
    assert!(machine.run_until(|machine| reached(machine, 1)));
    machine.chip.unplug_usb();
    machine.run_for(15, |_| false);
    machine.chip.plug_usb();
    machine.finish();
    let [first, second, raw, gone, back] = machine.results();
    assert_eq!(second, first + 1);
    assert_eq!((raw & (SOF | USB_BUS_RESET), gone), (0, 0), "no frames start");
    assert!(back > second, "{back} frames");
}

#[test]
fn data_from_the_host_comes_in_packets_that_interrupt() {
    let mut program = Program::new();
    program
        .store(CLEAR, u32::MAX)
        .store(ENABLE, SERIAL_OUT_RECV_PKT)
        .interrupt(SOURCE, 9)
        .label("wait")
        .wfi()
        .jump("wait")
        .handler()
        .store(CLEAR, SERIAL_OUT_RECV_PKT)
        .record(OUT_EP1);
    for _ in 0..64 {
        program.record(USB);
    }
    program.record(EP1_CONF).record(RAW).end_handler(false);
    let mut machine = program.start_with(ConsolePort::UsbSerialJtag);
    assert!(machine.run_for(100, |machine| machine.chip.hart().is_asleep()));
    let sent: Vec<u8> = (1..=100).collect();
    machine.chip.receive(&sent);
    machine.run_for(5, |_| false);
    let results = machine.results::<134>();
    let (first, second) = results.split_at(67);
    assert_eq!(first[0], 64 << 2 | 64 << 16, "64 bytes, none read");
    assert_eq!(first[1..65].to_vec(), (1..=64).collect::<Vec<u32>>());
    assert_eq!(first[65] & AVAILABLE, AVAILABLE, "there is more");
    assert_eq!(first[66] & SERIAL_OUT_RECV_PKT, SERIAL_OUT_RECV_PKT);
    assert_eq!(second[0], 36 << 2 | 36 << 16);
    assert_eq!(second[1..37].to_vec(), (65..=100).collect::<Vec<u32>>());
    assert_eq!(second[65] & AVAILABLE, 0);
}

#[test]
fn a_packet_goes_when_it_is_full_or_completed_and_stays_while_the_cable_is_unplugged() {
    let mut program = Program::new();
    for _ in 0..64 {
        program.store(USB, u32::from(b'a'));
    }
    program
        .store(USB, u32::from(b'b'))
        .store(EP1_CONF, WR_DONE)
        .record(EP1_CONF)
        // The packet is not completed, so it does not leave.
        .store(USB, u32::from(b'c'))
        .record(EP1_CONF)
        // The cable is unplugged here.
        .spin(800_000)
        .store(CLEAR, SERIAL_IN_EMPTY)
        .store(EP1_CONF, WR_DONE)
        .spin(800_000)
        .record(EP1_CONF)
        .record(RAW)
        // Bytes that are written meanwhile are lost.
        .store(USB, u32::from(b'd'))
        .wait(RAW, SERIAL_IN_EMPTY)
        .record(EP1_CONF)
        .done();
    let mut machine = program.start_with(ConsolePort::UsbSerialJtag);
    assert!(machine.run_until(|machine| reached(machine, 1)));
    assert!(
        machine.console.ends_with(&format!("{}b", "a".repeat(64))),
        "{:?}",
        machine.console
    );
    machine.chip.unplug_usb();
    machine.run_for(15, |_| false);
    assert!(machine.console.ends_with('b'));
    machine.chip.plug_usb();
    machine.finish();
    let [full, open, stuck, raw, again] = machine.results();
    assert_eq!(
        [full & FREE, open & FREE, stuck & FREE, again & FREE],
        [FREE, FREE, 0, FREE]
    );
    assert_eq!(raw & SERIAL_IN_EMPTY, 0);
    assert!(machine.console.ends_with("bc"), "{:?}", machine.console);
}

#[test]
fn a_chip_whose_pull_up_goes_away_is_enumerated_again() {
    const PAD_PULL_OVERRIDE: u32 = 1 << 8;
    const DP_PULLUP: u32 = 1 << 9;
    const USB_PAD_ENABLE: u32 = 1 << 14;
    let mut program = Program::new();
    program
        .store(CLEAR, u32::MAX)
        .store(CONF0, USB_PAD_ENABLE | PAD_PULL_OVERRIDE)
        .record(FRAME)
        .record(RAW)
        .store(CONF0, USB_PAD_ENABLE | PAD_PULL_OVERRIDE | DP_PULLUP)
        .record(RAW)
        .done();
    let mut machine = program.start_with(ConsolePort::UsbSerialJtag);
    machine.finish();
    let [frame, gone, back] = machine.results();
    assert_eq!((frame, gone & USB_BUS_RESET), (0, 0));
    assert_eq!(back & USB_BUS_RESET, USB_BUS_RESET);
}

/// The host sees the ROM's report of the reset over the chip's own port.
#[test]
fn the_hosts_lines_reset_the_chip_and_choose_its_mode() {
    let mut chip = Chip::new(ChipOptions {
        flash: vec![0xFF; 4 << 20].into(),
        mac: [2, 0, 0, 0, 0, 1],
        revision: (0, 3),
        seed: 0,
        console: ConsolePort::UsbSerialJtag,
    })
    .expect("a chip");
    let said = |chip: &mut Chip| {
        let mut said = Vec::new();
        for _ in 0..30 {
            chip.run(chip.now() + 160_000);
            said.extend(chip.sent().drain(..));
            chip.taken();
        }
        String::from_utf8_lossy(&said).into_owned()
    };
    chip.set_usb_lines(false, true);
    assert_eq!(said(&mut chip), "", "EN is low");
    chip.set_lines(true, true);
    let power_on = "rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)";
    assert!(said(&mut chip).contains(power_on));
    // The kernel raises both lines when the port is opened.
    chip.set_usb_lines(true, true);
    assert!(!said(&mut chip).contains("rst:"));
    for (dtr, rts) in [(true, false), (true, true), (false, true)] {
        chip.set_usb_lines(dtr, rts);
    }
    let download = said(&mut chip);
    let line = "rst:0x15 (USB_UART_CHIP_RESET),boot:0x4 (DOWNLOAD(USB/UART0/1))";
    assert!(download.contains(line), "{download}");
    for (dtr, rts) in [(false, false), (false, true)] {
        chip.set_usb_lines(dtr, rts);
    }
    let flash = said(&mut chip);
    let line = "rst:0x15 (USB_UART_CHIP_RESET),boot:0xc (SPI_FAST_FLASH_BOOT)";
    assert!(flash.contains(line), "{flash}");
    // The chip keeps the wish for download mode, and loses it with its supply.
    chip.set_usb_lines(true, false);
    chip.set_lines(false, true);
    chip.set_lines(true, true);
    assert!(said(&mut chip).contains(power_on));
}
