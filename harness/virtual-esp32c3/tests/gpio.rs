//! GPIO and IO_MUX, as programs on the chip and devices at its pins see them.

mod soc_support;

use soc_support::{A0, MCAUSE, MSTATUS, Program};

const OUT: u32 = 0x6000_4004;
const OUT_W1TS: u32 = 0x6000_4008;
const OUT_W1TC: u32 = 0x6000_400C;
const ENABLE: u32 = 0x6000_4020;
const ENABLE_W1TS: u32 = 0x6000_4024;
const STRAP: u32 = 0x6000_4038;
const IN: u32 = 0x6000_403C;
const STATUS: u32 = 0x6000_4044;
const STATUS_W1TC: u32 = 0x6000_404C;
const PCPU_INT: u32 = 0x6000_405C;
const SOURCE: u32 = 16;

fn pin(n: u32) -> u32 {
    0x6000_4074 + 4 * n
}

fn in_sel(signal: u32) -> u32 {
    0x6000_4154 + 4 * signal
}

fn out_sel(n: u32) -> u32 {
    0x6000_4554 + 4 * n
}

fn mux(n: u32) -> u32 {
    0x6000_9004 + 4 * n
}

/// Settings of a pin in IO_MUX: function 1 (GPIO), with the input enabled.
const INPUT: u32 = 1 << 12 | 1 << 9;
const PULL_UP: u32 = 1 << 8;
const PULL_DOWN: u32 = 1 << 7;

#[test]
fn an_output_is_seen_outside_and_read_back() {
    let mut program = Program::new();
    for n in [4, 5] {
        program.store(mux(n), INPUT);
    }
    program
        .store(ENABLE, 1 << 4)
        .store(ENABLE_W1TS, 1 << 5)
        .store(OUT_W1TS, 1 << 4 | 1 << 5)
        .record(OUT)
        .record(IN)
        .store(OUT_W1TC, 1 << 4)
        .record(IN)
        .record(ENABLE)
        // Without its input buffer a pad reads low at any level.
        .store(mux(5), 1 << 12)
        .record(IN)
        .done();
    let mut machine = program.start();
    machine.finish();
    let [out, high, lower, enable, blind] = machine.results();
    assert_eq!(out, 0x30);
    assert_eq!([high & 0x30, lower & 0x30, blind & 0x30], [0x30, 0x20, 0]);
    assert_eq!(enable, 0x30);
    assert_eq!(machine.chip.pins() & 0x30, 0x20);
}

#[test]
fn pulls_devices_and_open_drains_make_the_level() {
    let mut program = Program::new();
    program
        .store(mux(4), INPUT | PULL_UP)
        .store(mux(5), INPUT | PULL_DOWN)
        .store(mux(6), INPUT | PULL_UP)
        .store(mux(7), INPUT | PULL_UP)
        // An open drain, set high.
        .store(pin(7), 1 << 2)
        .store(OUT, 1 << 7)
        .store(ENABLE, 1 << 7)
        .record(IN)
        .store(OUT, 0)
        .record(IN)
        .done();
    let mut machine = program.start();
    machine.chip.set_pin(6, Some(false));
    machine.finish();
    let [released, driven] = machine.results();
    assert_eq!(
        released & 0xF0,
        0x90,
        "pulled up, pulled down, held low, open drain released"
    );
    assert_eq!(driven & 0xF0, 0x10);
    machine.chip.set_pin(5, Some(true));
    machine.chip.set_pin(6, None);
    assert_eq!(machine.chip.pins() & 0xF0, 0x70);
    machine.chip.set_pin(22, Some(true));
    machine.chip.set_pin(255, Some(true));
    assert_eq!(machine.chip.pins() >> 22, 0, "there is no such pin");
}

#[test]
fn strapping_pins_are_sampled_at_power_on() {
    let mut program = Program::new();
    program.record(STRAP).done();
    let mut machine = program.start();
    machine.finish();
    assert_eq!(machine.results(), [0b1100]);
    assert!(
        machine.console.contains("boot:0xc (SPI_FAST_FLASH_BOOT)"),
        "{}",
        machine.console
    );
    machine.chip.set_pin(2, Some(true));
    machine.chip.set_lines(false, true);
    machine.chip.set_lines(true, true);
    machine.run_until(|machine| machine.console.contains("boot:0xd (SPI_FAST_FLASH_BOOT)"));
    machine.finish();
    assert_eq!(machine.results(), [0b1101]);
}

#[test]
fn edges_and_levels_interrupt() {
    // Each case: the type of interrupt, the levels that the device drives in turn, and how many interrupts follow.
    for (kind, levels, expected) in [
        (1, vec![true, false, true], 2),
        (2, vec![true, false, true], 1),
        (3, vec![true, false, true], 3),
        (0, vec![true, false, true], 0),
    ] {
        let mut program = Program::new();
        program
            .store(mux(3), INPUT)
            .store(pin(3), kind << 7 | 1 << 13)
            .interrupt(SOURCE, 7)
            .store(0x3FC8_0000, 1)
            .label("sleep")
            .wfi()
            .jump("sleep")
            .handler()
            .record(PCPU_INT)
            .store(STATUS_W1TC, 1 << 3)
            .end_handler(false);
        let mut machine = program.start();
        machine.chip.set_pin(3, Some(false));
        assert!(machine.run_until(|machine| machine.chip.hart().is_asleep() && machine.word(0x3FC8_0000) == 1));
        for level in levels {
            machine.chip.set_pin(3, Some(level));
            machine.run_for(1, |_| false);
        }
        let results: [u32; 4] = machine.results();
        let taken = results.iter().filter(|result| **result != 0).count();
        assert_eq!(taken, expected, "type {kind}: {results:x?}");
        assert!(results[..taken].iter().all(|pins| *pins == 1 << 3), "{results:x?}");
    }
}

#[test]
fn a_level_interrupts_while_it_lasts_and_its_pin_is_reported() {
    let mut program = Program::new();
    program
        .store(mux(3), INPUT | PULL_UP)
        .store(pin(3), 4 << 7 | 1 << 13)
        .interrupt(SOURCE, 7)
        .wfi()
        .done()
        .handler()
        .record_csr(MCAUSE)
        .store(STATUS_W1TC, 1 << 3)
        .record(STATUS)
        // The level is still there, so the handler masks it, or it would be entered for ever.
        .store(pin(3), 4 << 7)
        .record(PCPU_INT)
        .end_handler(false);
    let mut machine = program.start();
    assert!(machine.run_until(|machine| machine.chip.hart().is_asleep()));
    machine.chip.set_pin(3, Some(false));
    machine.finish();
    assert_eq!(machine.results(), [0x8000_0007, 1 << 3, 0, 0]);
}

#[test]
fn the_cpus_own_gpio_lines_go_through_the_matrix() {
    let mut program = Program::new();
    program
        .store(mux(4), INPUT)
        .store(mux(5), INPUT)
        // Line 0 drives GPIO4 (signal 28). Line 1 reads GPIO4, and line 2 reads GPIO5, inverted.
        .store(out_sel(4), 28)
        .store(in_sel(29), 1 << 6 | 4)
        .store(in_sel(30), 1 << 6 | 1 << 5 | 5)
        .csr(0x803, 1)
        .csr(0x805, 1)
        .record_csr(0x804)
        .csr_read(A0, 0x805)
        .record_register(A0)
        .csr(0x805, 0)
        .record_csr(0x804)
        // An input that is set to high needs no pad.
        .store(in_sel(31), 1 << 6 | 0x1E)
        .record_csr(0x804)
        .csr(MSTATUS, 0)
        .done();
    assert_eq!(program.results(), [0b110, 1, 0b100, 0b1100]);
}
