//! The debug assistant, as an operating system uses it: a guard for the stack, and a record of where the hart was
//! before a reset.

mod soc_support;

use soc_support::{A0, Program, SP};

const ASSIST_DEBUG: u32 = 0x600C_E000;
const SOURCE: u32 = 54;
const BOTTOM: u32 = 0x3FCA_0000;
const TOP: u32 = 0x3FCA_1000;

/// A program whose stack pointer is in the middle of its stack, with both ends guarded.
fn guarded() -> Program {
    let mut program = Program::new();
    program
        .li(SP, BOTTOM + 0x800)
        .store(ASSIST_DEBUG + 0x38, BOTTOM)
        .store(ASSIST_DEBUG + 0x3C, TOP)
        .store(ASSIST_DEBUG + 0x08, 3 << 8)
        .store(ASSIST_DEBUG, 3 << 8)
        .interrupt(SOURCE, 9);
    program
}

/// Adds a handler that keeps its cause and the address of the instruction that moved the stack pointer too far.
fn handler(program: &mut Program) {
    program
        .handler()
        .record(ASSIST_DEBUG + 0x04)
        .record(ASSIST_DEBUG + 0x40)
        .store(ASSIST_DEBUG + 0x0C, 3 << 8)
        .end_handler(false);
}

#[test]
fn a_stack_overflow_interrupts_and_names_its_instruction() {
    let mut program = guarded();
    program
        // Down to the last word and up again is allowed.
        .addi(SP, SP, -0x800)
        .li(SP, BOTTOM + 0x800)
        .li(A0, 0)
        .word(0x0000_0517) // auipc a0, 0
        .addi(SP, SP, -0x7FC)
        .addi(SP, SP, -16)
        .addi(SP, SP, 0x7FC)
        .addi(SP, SP, 16)
        .record_register(A0)
        .done();
    handler(&mut program);
    let [raw, at, before] = program.results();
    assert_eq!(raw, 1 << 8, "SP_SPILL_MIN");
    assert_eq!(at, before + 8, "the second instruction behind auipc");
}

#[test]
fn a_stack_underflow_interrupts_unless_the_guard_is_off() {
    let mut program = guarded();
    program
        .li(SP, TOP + 4)
        .li(SP, BOTTOM + 0x800)
        .store(ASSIST_DEBUG, 0)
        .li(SP, TOP + 4)
        .li(SP, BOTTOM - 4)
        .li(SP, BOTTOM + 0x800)
        .record(ASSIST_DEBUG + 0x04)
        .done();
    handler(&mut program);
    let [high, _, off, end] = program.results();
    assert_eq!(high, 1 << 9, "SP_SPILL_MAX");
    assert_eq!([off, end], [0, 0]);
}

#[test]
fn after_a_reset_the_rom_prints_where_the_hart_was() {
    let mut program = Program::new();
    // Like an operating system: recording is switched on, and then RTC_CNTL_SW_SYS_RST resets.
    program.store(ASSIST_DEBUG + 0x44, 3).store(0x6000_8000, 1 << 31).done();
    let mut machine = program.start();
    assert!(
        machine.run_until(|machine| machine.console.contains("Saved PC:")),
        "{}",
        machine.console
    );
    let before: Vec<_> = machine
        .console
        .lines()
        .take_while(|line| !line.contains("Saved PC"))
        .collect();
    assert!(before.iter().any(|line| line.starts_with("rst:0x3")), "{before:?}");
    let saved = machine.run_until(|machine| {
        machine
            .console
            .split("Saved PC:")
            .nth(1)
            .is_some_and(|rest| rest.contains('\n'))
    });
    assert!(saved, "{}", machine.console);
    let at = machine
        .console
        .split("Saved PC:0x")
        .nth(1)
        .and_then(|rest| rest.lines().next())
        .unwrap_or_default();
    let at = u32::from_str_radix(at.trim(), 16).expect(at);
    assert!((0x4038_0100..0x4038_0400).contains(&at), "{at:#x} is in the program");
}

#[test]
fn after_power_on_the_rom_prints_no_saved_pc() {
    let mut program = Program::new();
    program.done();
    let mut machine = program.start();
    machine.finish();
    assert!(!machine.console.contains("Saved PC"), "{}", machine.console);
}
