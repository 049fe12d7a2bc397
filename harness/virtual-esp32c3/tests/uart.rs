//! The UARTs as programs on the chip and the far ends of their lines see them.

mod soc_support;

use soc_support::Program;

const UART1: u32 = 0x6001_0000;

#[test]
fn what_a_uart_sends_arrives_at_whoever_listens_at_its_pad() {
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
        // And not without the input buffer.
        .store(0x6000_9004 + 4 * 4, 1 << 12)
        .store(UART1, 0x43)
        .record(UART1 + 0x1C)
        .done();
    let [status, first, second, after] = program.results();
    assert_eq!([status & 0x3FF, first, second, after & 0x3FF], [2, 0x41, 0x42, 0]);
}
