//! The UARTs, as programs on the chip and devices at their lines see them.

mod soc_support;

use soc_support::Program;
use virtual_esp32c3::chip::Chip;
use virtual_esp32c3::{UartFormat, UartParity, UartPort};

const UART1: u32 = 0x6001_0000;

#[test]
fn bytes_of_a_uart_arrive_at_a_receiver_on_its_pad() {
    let mut program = Program::new();
    program
        // UART1's TXD (signal 9) on GPIO4, and its RXD from there.
        .store(0x6000_9004 + 4 * 4, 1 << 12 | 1 << 9)
        .store(0x6000_4554 + 4 * 4, 9)
        .store(0x6000_4154 + 4 * 9, 1 << 6 | 4)
        .store(UART1, 0x41)
        .store(UART1, 0x42)
        .record(UART1 + 0x1C)
        .record(UART1)
        .record(UART1)
        // Nothing arrives without the input buffer.
        .store(0x6000_9004 + 4 * 4, 1 << 12)
        .store(UART1, 0x43)
        .record(UART1 + 0x1C)
        .done();
    let [status, first, second, after] = program.results();
    assert_eq!([status & 0x3FF, first, second, after & 0x3FF], [2, 0x41, 0x42, 0]);
}

const UART1_RAW: u32 = UART1 + 0x04;
const PARITY_ERR: u32 = 1 << 2;
const FRM_ERR: u32 = 1 << 3;
const RXFIFO_OVF: u32 = 1 << 4;
const CTS_CHG: u32 = 1 << 6;
const BRK_DET: u32 = 1 << 7;
const ERRORS: u32 = PARITY_ERR | FRM_ERR | RXFIFO_OVF | BRK_DET;
/// UART_CONF0 for eight bits (UART_BIT_NUM) and one stop bit.
const EIGHT_BITS: u32 = 3 << 2 | 1 << 4;

/// A program that sets UART1 to 115200 baud from the crystal, reports by its first result that it is ready, and sleeps.
fn listener(conf0: u32, conf1: u32) -> Program {
    let mut program = Program::new();
    program
        .store(UART1 + 0x78, 0x0370_0000)
        .store(UART1 + 0x14, 347 | 4 << 20)
        .store(UART1 + 0x24, conf1)
        .store(UART1 + 0x20, conf0 | EIGHT_BITS)
        .store(UART1 + 0x10, u32::MAX);
    program
}

/// Lets a device act at UART1, and returns the raw interrupts, the number of bytes in the FIFO, and the first four of
/// them.
fn received(conf0: u32, far_end: impl FnOnce(&mut Chip)) -> (u32, u32, [u32; 4]) {
    let mut program = listener(conf0, 0x60);
    // Twenty milliseconds, the time of more than two hundred characters.
    program
        .spin(3_200_000)
        .record(UART1_RAW)
        .record(UART1 + 0x1C)
        .record(UART1)
        .record(UART1)
        .record(UART1)
        .record(UART1)
        .done();
    let mut machine = program.start();
    let ready = machine.run_until(|machine| machine.chip.baud(UartPort::Uart1).abs_diff(115_200) < 200);
    assert!(
        ready,
        "the program has set its rate: {}",
        machine.chip.baud(UartPort::Uart1)
    );
    // The program stores the format within a few instructions.
    machine.run_for(1, |_| false);
    far_end(&mut machine.chip);
    machine.finish();
    let [raw, status, bytes @ ..] = machine.results::<6>();
    (raw & ERRORS, status & 0x3FF, bytes)
}

fn format(baud: u32, parity: Option<UartParity>) -> UartFormat {
    UartFormat {
        baud,
        parity,
        ..UartFormat::default()
    }
}

#[test]
fn bytes_at_the_same_rate_or_a_little_off_arrive() {
    for baud in [115_200, 112_000, 118_500] {
        let (errors, count, bytes) = received(0, |chip| {
            chip.transmit(UartPort::Uart1, &format(baud, None), &[0x55, 0xA3, 0x00, 0xFF]);
        });
        assert_eq!((errors, count, bytes), (0, 4, [0x55, 0xA3, 0x00, 0xFF]), "{baud} baud");
    }
}

#[test]
fn bytes_at_another_rate_arrive_garbled() {
    // At half the rate the start bit is as long as two bits, so that bytes arrive as others, and zeros as breaks.
    let (errors, _, bytes) = received(0, |chip| {
        chip.transmit(UartPort::Uart1, &format(57_600, None), &[0x00, 0x41, 0x42]);
    });
    assert_ne!(errors & (FRM_ERR | BRK_DET), 0);
    assert_ne!(bytes[..3], [0x00, 0x41, 0x42]);
    // At a much higher rate several characters look like one.
    let (_, count, _) = received(0, |chip| {
        chip.transmit(UartPort::Uart1, &format(921_600, None), &[0x55; 16]);
    });
    assert!((1..16).contains(&count), "{count}");
}

#[test]
fn parity_is_checked_when_the_software_asks_for_it() {
    const ODD: u32 = 3;
    const EVEN: u32 = 2;
    let send = |parity| move |chip: &mut Chip| chip.transmit(UartPort::Uart1, &format(115_200, parity), &[0x41, 0x43]);
    for (conf0, parity) in [(ODD, UartParity::Odd), (EVEN, UartParity::Even)] {
        assert_eq!(
            received(conf0, send(Some(parity))),
            (0, 2, [0x41, 0x43, 0, 0]),
            "{parity:?}"
        );
    }
    assert_eq!(
        received(ODD, send(Some(UartParity::Even))),
        (PARITY_ERR, 2, [0x41, 0x43, 0, 0])
    );
    // With UART_ERR_WR_MASK, wrong bytes are not kept.
    assert_eq!(
        received(ODD | 1 << 26, send(Some(UartParity::Even))),
        (PARITY_ERR, 0, [0; 4])
    );
}

#[test]
fn a_break_arrives_as_a_zero_without_stop_bit_and_the_next_byte_is_received() {
    let bits = |bits: u64| bits * 160_000_000 / 115_200;
    let (errors, count, bytes) = received(0, |chip| {
        chip.transmit_break(UartPort::Uart1, bits(30));
        chip.transmit(UartPort::Uart1, &UartFormat::default(), b"ok");
    });
    assert_eq!((errors, count), (FRM_ERR | BRK_DET, 3));
    assert_eq!(bytes[..3], [0, u32::from(b'o'), u32::from(b'k')]);
}

#[test]
fn a_fifo_that_is_not_read_overflows_and_keeps_the_first_bytes() {
    let sent: Vec<u8> = (0..140).collect();
    let (errors, count, bytes) = received(0, |chip| {
        chip.transmit(UartPort::Uart1, &UartFormat::default(), &sent);
    });
    assert_eq!((errors, count, bytes), (RXFIFO_OVF, 128, [0, 1, 2, 3]));
}

#[test]
fn the_transmitter_waits_for_cts_and_the_receiver_raises_rts() {
    const CTS_PIN: u8 = 5;
    const RTS_PIN: u8 = 6;
    let mut program = listener(1 << 15, 1 << 20 | 0x60);
    program
        // RTS has a threshold of eight bytes.
        .store(UART1 + 0x60, 0x000A_0012 & !(0x1FF << 7) | 8 << 7)
        // CTS (signal 10) comes from GPIO5, and RTS goes to GPIO6.
        .store(0x6000_9004 + 4 * u32::from(CTS_PIN), 1 << 12 | 1 << 9)
        .store(0x6000_4154 + 4 * 10, 1 << 6 | u32::from(CTS_PIN))
        .store(0x6000_9004 + 4 * u32::from(RTS_PIN), 1 << 12)
        .store(0x6000_4554 + 4 * u32::from(RTS_PIN), 10)
        .store(0x6000_4024, 1 << RTS_PIN)
        .store(UART1 + 0x10, u32::MAX)
        .store(UART1, 0x41)
        .wait(UART1_RAW, CTS_CHG)
        .record(UART1 + 0x1C)
        .spin(800_000)
        .record(UART1)
        .wait(0x6000_403C, 1 << CTS_PIN)
        .done();
    let mut machine = program.start();
    machine.chip.set_pin(CTS_PIN, Some(true));
    let set = machine.run_until(|machine| machine.chip.baud(UartPort::Uart1).abs_diff(115_200) < 200);
    assert!(set);
    machine.run_for(1, |_| false);
    assert_eq!(machine.chip.transmitted(UartPort::Uart1), b"", "CTS is high");
    assert_eq!(machine.chip.pins() >> RTS_PIN & 1, 0, "there is room");
    machine.chip.set_pin(CTS_PIN, Some(false));
    assert_eq!(machine.chip.transmitted(UartPort::Uart1), b"A");
    machine.chip.transmit(UartPort::Uart1, &UartFormat::default(), &[7; 8]);
    machine.run_for(2, |_| false);
    assert_eq!(machine.chip.pins() >> RTS_PIN & 1, 1, "eight bytes wait");
    machine.run_for(5, |_| false);
    assert_eq!(machine.chip.pins() >> RTS_PIN & 1, 0, "one has been taken");
    machine.chip.set_pin(CTS_PIN, Some(true));
    machine.finish();
    let [status, byte] = machine.results();
    assert_eq!((status >> 14 & 1, byte), (0, 7), "CTSN is low");
}
