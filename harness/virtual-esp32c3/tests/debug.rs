//! The debug module and the TAP, driven register by register as by a debugger, on a chip that has booted into its ROM.

use std::sync::Arc;

use virtual_esp32c3::chip::{Chip, ChipOptions, ConsolePort, Pause};
use virtual_esp32c3::{BoardConfig, DebugPortError, DmiAccess, JtagClock, NoAnswer, Strapping, VirtualBoard};

const DATA0: u8 = 0x04;
const DMCONTROL: u8 = 0x10;
const DMSTATUS: u8 = 0x11;
const ABSTRACTCS: u8 = 0x16;
const COMMAND: u8 = 0x17;
const ABSTRACTAUTO: u8 = 0x18;
const PROGBUF0: u8 = 0x20;
const SBCS: u8 = 0x38;
const SBADDRESS0: u8 = 0x39;
const SBDATA0: u8 = 0x3C;

const ACTIVE: u32 = 1;
const HALTREQ: u32 = 1 << 31;
const RESUMEREQ: u32 = 1 << 30;
const HARTRESET: u32 = 1 << 29;
const ACKHAVERESET: u32 = 1 << 28;
const SETRESETHALTREQ: u32 = 1 << 3;
const NDMRESET: u32 = 1 << 1;

const HAVERESET: u32 = 1 << 19;
const RESUMEACK: u32 = 1 << 17;
const RUNNING: u32 = 1 << 11;
const HALTED: u32 = 1 << 9;

const DCSR: u32 = 0x7B0;
const DPC: u32 = 0x7B1;
const TSELECT: u32 = 0x7A0;
const TDATA1: u32 = 0x7A1;
const TDATA2: u32 = 0x7A2;
const A0: u32 = 0x100A;
const A1: u32 = 0x100B;

const EBREAKM: u32 = 1 << 15;
const STEP: u32 = 1 << 2;

const CODE: u32 = 0x4038_1000;
const DATA: u32 = 0x3FC9_0000;
const RESET_VECTOR: u32 = 0x4000_0000;
const MILLISECOND: u64 = 160_000;

// addi a0, a0, 1 / addi a0, a0, 2 / addi a0, a0, 4 / ebreak / j .
const ADD: [u32; 5] = [0x0015_0513, 0x0025_0513, 0x0045_0513, 0x0010_0073, 0x0000_006F];

struct Debugger(Chip);

impl Debugger {
    /// A debugger at a chip that has run for a while.
    fn attach() -> Self {
        let mut chip = Chip::new(ChipOptions {
            flash: Arc::from(vec![0xFF; 4 << 20]),
            mac: [2, 0, 0, 0, 0, 1],
            revision: (0, 3),
            seed: 0,
            console: ConsolePort::Uart0,
        })
        .expect("a chip");
        chip.set_lines(true, true);
        chip.run(5 * MILLISECOND);
        let mut debugger = Self(chip);
        debugger.write(DMCONTROL, ACTIVE | ACKHAVERESET);
        debugger
    }

    /// A debugger at a halted chip that will execute `code` at [`CODE`] next.
    fn halted_at(code: &[u32]) -> Self {
        let mut debugger = Self::attach();
        debugger.halt();
        for (address, word) in (CODE..).step_by(4).zip(code) {
            debugger.poke(address, *word);
        }
        debugger.set(DPC, CODE);
        debugger.set(A0, 0);
        debugger.set(DCSR, EBREAKM | 3);
        debugger
    }

    fn read(&mut self, address: u8) -> u32 {
        self.0.dmi(DmiAccess::Read(address)).expect("the module answers")
    }

    fn write(&mut self, address: u8, value: u32) {
        self.0
            .dmi(DmiAccess::Write(address, value))
            .expect("the module answers");
    }

    fn halt(&mut self) {
        self.write(DMCONTROL, ACTIVE | HALTREQ);
        self.write(DMCONTROL, ACTIVE);
        assert!(self.is(HALTED));
    }

    fn resume(&mut self) {
        self.write(DMCONTROL, ACTIVE | RESUMEREQ);
        assert!(self.is(RESUMEACK));
        self.write(DMCONTROL, ACTIVE);
    }

    /// Lets the chip run, and returns whether its hart is halted afterwards.
    fn run(&mut self, cycles: u64) -> bool {
        self.0.run(self.0.now() + cycles);
        self.is(HALTED)
    }

    fn step(&mut self) -> u32 {
        let dcsr = self.get(DCSR);
        self.set(DCSR, dcsr | STEP);
        self.resume();
        assert!(self.run(100), "a step ends");
        self.set(DCSR, dcsr);
        self.get(DPC)
    }

    fn is(&mut self, status: u32) -> bool {
        self.read(DMSTATUS) & status != 0
    }

    fn command(&mut self, command: u32) -> u32 {
        self.write(ABSTRACTCS, 7 << 8);
        self.write(COMMAND, command);
        self.read(ABSTRACTCS) >> 8 & 7
    }

    fn get(&mut self, register: u32) -> u32 {
        assert_eq!(self.command(0x22_0000 | register), 0, "reading {register:#x}");
        self.read(DATA0)
    }

    fn set(&mut self, register: u32, value: u32) {
        self.write(DATA0, value);
        assert_eq!(self.command(0x23_0000 | register), 0, "writing {register:#x}");
    }

    fn poke(&mut self, address: u32, value: u32) {
        self.write(SBCS, 2 << 17 | 7 << 12);
        self.write(SBADDRESS0, address);
        self.write(SBDATA0, value);
        assert_eq!(self.bus_error(), 0, "writing {address:#x}");
    }

    fn peek(&mut self, address: u32) -> u32 {
        self.write(SBCS, 1 << 20 | 2 << 17 | 7 << 12);
        self.write(SBADDRESS0, address);
        assert_eq!(self.bus_error(), 0, "reading {address:#x}");
        self.read(SBDATA0)
    }

    fn bus_error(&mut self) -> u32 {
        self.read(SBCS) >> 12 & 7
    }

    fn trigger(&mut self, index: u32, kind: u32, address: u32) {
        const DEBUG_MODE: u32 = 1 << 27 | 1 << 12;
        const MACHINE_AND_USER: u32 = 1 << 6 | 1 << 3;
        self.set(TSELECT, index);
        self.set(TDATA1, 0);
        self.set(TDATA2, address);
        self.set(TDATA1, 2 << 28 | DEBUG_MODE | MACHINE_AND_USER | kind);
    }

    fn cause(&mut self) -> u32 {
        self.get(DCSR) >> 6 & 7
    }
}

#[test]
fn a_halt_request_stops_the_hart_and_time_goes_on() {
    let mut debugger = Debugger::attach();
    assert!(debugger.is(RUNNING));
    debugger.halt();
    assert_eq!(debugger.get(DCSR), 0xC3, "as on the chip: requested, machine mode");
    let (pc, now) = (debugger.get(DPC), debugger.0.now());
    assert!(matches!(debugger.0.run(now + MILLISECOND), Pause::Asleep(_)));
    debugger.0.sleep_until(now + MILLISECOND);
    assert_eq!(debugger.get(DPC), pc);
    debugger.resume();
    assert!(!debugger.run(MILLISECOND));
    assert!(debugger.is(RUNNING));
}

#[test]
fn only_the_counter_that_is_set_to_stall_stands_still_while_the_hart_is_halted() {
    const CONF: u32 = 0x6002_3000;
    let counters = |debugger: &mut Debugger| {
        debugger.poke(CONF + 0x04, 1 << 30);
        debugger.poke(CONF + 0x08, 1 << 30);
        [debugger.peek(CONF + 0x44), debugger.peek(CONF + 0x4C)]
    };
    let mut debugger = Debugger::attach();
    // Both run, and the second stalls with the hart, as after a reset.
    debugger.poke(CONF, 1 << 30 | 1 << 29 | 1 << 26);
    debugger.halt();
    let before = counters(&mut debugger);
    let now = debugger.0.now();
    debugger.0.run(now + MILLISECOND);
    debugger.0.sleep_until(now + MILLISECOND);
    let after = counters(&mut debugger);
    assert_eq!((after[0] - before[0], after[1] - before[1]), (16_000, 0));
    debugger.resume();
    debugger.0.run(now + 2 * MILLISECOND);
    let last = counters(&mut debugger);
    assert_eq!((last[0] - after[0], last[1] - after[1]), (16_000, 16_000));
}

#[test]
fn registers_and_csrs_are_read_and_written_while_halted() {
    let mut debugger = Debugger::attach();
    assert_eq!(debugger.command(0x22_0000 | A0), 4, "a running hart shows no register");
    debugger.halt();
    debugger.set(A0, 0xCAFE_F00D);
    assert_eq!(debugger.get(A0), 0xCAFE_F00D);
    assert_eq!(debugger.get(0x301), 0x4010_1104, "misa");
    debugger.set(0x340, 7);
    assert_eq!(debugger.get(0x340), 7, "mscratch");
    assert_eq!(debugger.command(0x22_0000 | 0x7A4), 3, "the chip has no tinfo");
    assert_eq!(debugger.command(0x23_0000 | 0xF12), 3, "marchid cannot be written");
    assert_eq!(debugger.command(0x32_0000 | A0), 2, "64 bits");
    // An error stays until it is cleared.
    debugger.write(COMMAND, 0x22_0000 | A0);
    assert_eq!(debugger.read(ABSTRACTCS), 16 << 24 | 2 << 8 | 2);
}

#[test]
fn a_program_in_the_buffer_runs_and_an_exception_ends_it() {
    let mut debugger = Debugger::attach();
    debugger.halt();
    let kept = debugger.peek(0x4037_C000);
    debugger.poke(DATA, 0x1234_5678);
    debugger.set(A0, DATA);
    // lw a1, 0(a0)
    debugger.write(PROGBUF0, 0x0005_2583);
    debugger.write(PROGBUF0 + 1, 0x0010_0073);
    assert_eq!(debugger.command(1 << 18), 0);
    assert_eq!(debugger.get(A1), 0x1234_5678);
    let (pc, mepc, mcause) = (debugger.get(DPC), debugger.get(0x341), debugger.get(0x342));
    debugger.set(A0, 0x7000_0000);
    assert_eq!(debugger.command(1 << 18), 3);
    assert_eq!(
        (debugger.get(DPC), debugger.get(0x341), debugger.get(0x342)),
        (pc, mepc, mcause)
    );
    // j .
    debugger.write(PROGBUF0, 0x0000_006F);
    assert_eq!(debugger.command(1 << 18), 7, "an endless loop is ended");
    assert_eq!(debugger.peek(0x4037_C000), kept);
    assert!(debugger.is(HALTED));
}

#[test]
fn autoexec_reads_memory_word_by_word() {
    let mut debugger = Debugger::attach();
    debugger.halt();
    (0..4).for_each(|n| debugger.poke(DATA + 4 * n, 100 + n));
    debugger.set(A0, DATA);
    // lw a1, 0(a0) / addi a0, a0, 4
    debugger.write(PROGBUF0, 0x0005_2583);
    debugger.write(PROGBUF0 + 1, 0x0045_0513);
    debugger.write(PROGBUF0 + 2, 0x0010_0073);
    assert_eq!(debugger.command(0x26_0000 | A1), 0);
    debugger.write(ABSTRACTAUTO, 1);
    debugger.read(DATA0);
    let read: Vec<u32> = (0..4).map(|_| debugger.read(DATA0)).collect();
    assert_eq!(read, [100, 101, 102, 103]);
    debugger.write(ABSTRACTAUTO, u32::MAX);
    assert_eq!(debugger.read(ABSTRACTAUTO), 0xFFFF_0003);
}

#[test]
fn a_step_is_one_instruction_and_an_ebreak_halts() {
    let mut debugger = Debugger::halted_at(&ADD);
    assert_eq!(debugger.step(), CODE + 4);
    assert_eq!((debugger.get(A0), debugger.cause()), (1, 4));
    assert_eq!(debugger.step(), CODE + 8);
    assert_eq!(debugger.get(A0), 3);
    debugger.resume();
    assert!(debugger.run(100));
    assert_eq!(
        (debugger.get(A0), debugger.get(DPC), debugger.cause()),
        (7, CODE + 12, 1)
    );
    // Without ebreakm the ebreak is an exception of the program.
    debugger.set(DCSR, 3);
    debugger.set(0x305, CODE + 0x100);
    debugger.poke(CODE + 0x100, ADD[4]);
    assert_eq!(debugger.step(), CODE + 0x100);
    assert_eq!(debugger.get(0x342), 3);
}

#[test]
fn a_step_masks_interrupts_unless_stepie_is_set() {
    const MATRIX: u32 = 0x600C_2000;
    const FROM_CPU: u32 = 0x600C_0028;
    const LINE: u32 = 9;
    const STEPIE: u32 = 1 << 11;
    let mut debugger = Debugger::halted_at(&ADD);
    // Route the software interrupt (source 50) to a line that is enabled and has a priority above the threshold.
    debugger.poke(MATRIX + 4 * 50, LINE);
    debugger.poke(MATRIX + 0x104, 1 << LINE);
    debugger.poke(MATRIX + 0x114 + 4 * LINE, 5);
    debugger.poke(FROM_CPU, 1);
    debugger.set(0x305, CODE + 0x100);
    debugger.set(0x300, 1 << 3 | 3 << 11);
    assert_eq!(debugger.step(), CODE + 4);
    debugger.set(DCSR, EBREAKM | STEPIE | 3);
    assert_eq!(
        debugger.step(),
        CODE + 0x100 + 4 * LINE,
        "the handler, of which nothing has run"
    );
    assert_eq!((debugger.get(A0), debugger.get(0x341)), (1, CODE + 4));
}

#[test]
fn a_step_over_wfi_wakes() {
    let mut debugger = Debugger::halted_at(&[0x1050_0073, ADD[0], ADD[4]]);
    assert_eq!(debugger.step(), CODE + 4);
    assert_eq!(debugger.step(), CODE + 8);
    assert_eq!(debugger.get(A0), 1);
}

#[test]
fn a_breakpoint_halts_before_its_instruction_even_in_code_that_has_run() {
    // addi a0, a0, 1 / addi a0, a0, 2 / j -8
    let mut debugger = Debugger::halted_at(&[ADD[0], ADD[1], 0xFF9F_F06F]);
    debugger.resume();
    assert!(!debugger.run(1000));
    debugger.halt();
    debugger.set(DPC, CODE);
    debugger.set(A0, 0);
    debugger.trigger(3, 1 << 2, CODE + 4);
    debugger.resume();
    assert!(debugger.run(1000));
    assert_eq!(
        (debugger.get(A0), debugger.get(DPC), debugger.cause()),
        (1, CODE + 4, 2)
    );
    // Resumed there, the breakpoint fires again. Switched off, it does not.
    debugger.resume();
    assert!(debugger.run(1000));
    assert_eq!(debugger.get(A0), 1);
    debugger.set(TDATA1, 0);
    assert_eq!(debugger.step(), CODE + 8);
    debugger.trigger(3, 1 << 2, CODE + 4);
    debugger.resume();
    assert!(debugger.run(1000));
    assert_eq!((debugger.get(A0), debugger.get(DPC)), (4, CODE + 4));
    assert_ne!(debugger.get(TDATA1) & 1 << 20, 0, "hit");
}

/// A loop with pairs of instructions that an interpreter may execute together.
const PAIRS: [u32; 19] = [
    0x0006_2583, // lw a1, 0(a2)
    0x0046_2683, // lw a3, 4(a2)
    0x00B6_2423, // sw a1, 8(a2)
    0x00D6_2623, // sw a3, 12(a2)
    0x02B6_8733, // mul a4, a3, a1
    0x02B6_B7B3, // mulhu a5, a3, a1
    0x00E5_8833, // add a6, a1, a4
    0x00B8_38B3, // sltu a7, a6, a1
    0x0117_88B3, // add a7, a5, a7
    0x1234_52B7, // lui t0, 0x12345
    0x6782_8293, // addi t0, t0, 0x678
    0x0032_9313, // slli t1, t0, 3
    0x01D2_D393, // srli t2, t0, 29
    0x0073_6333, // or t1, t1, t2
    0x0000_0097, // auipc ra, 0
    0x0080_80E7, // jalr ra, 8(ra)
    0x0015_0513, // addi a0, a0, 1
    0xFA05_1EE3, // bne a0, zero, -68
    0x0000_006F, // j .
];

#[test]
fn a_breakpoint_halts_at_every_instruction_of_code_that_has_run() {
    for index in 0..PAIRS.len() - 1 {
        let at = CODE + 4 * index as u32;
        let mut debugger = Debugger::halted_at(&PAIRS);
        debugger.set(0x100C, DATA);
        debugger.resume();
        assert!(!debugger.run(10_000));
        debugger.halt();
        debugger.trigger(0, 1 << 2, at);
        debugger.resume();
        assert!(debugger.run(1000), "{at:#x}");
        assert_eq!((debugger.get(DPC), debugger.cause()), (at, 2));
        // From here on, each instruction takes one step.
        debugger.set(TDATA1, 0);
        for step in 1..=2 * PAIRS.len() {
            let next = CODE + 4 * ((index + step) % (PAIRS.len() - 1)) as u32;
            assert_eq!(debugger.step(), next, "step {step} from {at:#x}");
        }
    }
}

#[test]
fn watchpoints_halt_before_the_access() {
    // lw a1, 0(a2) / sw a0, 4(a2) / sw a0, 0(a3) / j .
    let code = [0x0006_2583, 0x00A6_2223, 0x00A6_A023, ADD[4]];
    for (trigger, address, at) in [
        (1, DATA, CODE),
        (2, DATA + 4, CODE + 4),
        (2, DATA + 7, CODE + 4),
        (2, 0x6000_0004, CODE + 8),
    ] {
        let mut debugger = Debugger::halted_at(&code);
        debugger.set(0x100C, DATA);
        debugger.set(0x100D, 0x6000_0004);
        debugger.trigger(7, trigger, address);
        debugger.resume();
        assert!(debugger.run(1000), "{address:#x}");
        assert_eq!((debugger.get(DPC), debugger.cause()), (at, 2), "{address:#x}");
        debugger.set(TDATA1, 0);
        assert_eq!(debugger.step(), at + 4);
    }
}

#[test]
fn a_program_cannot_change_the_debuggers_triggers() {
    // csrw tdata1, zero / csrr a0, tdata1 / j .
    let mut debugger = Debugger::halted_at(&[0x7A10_1073, 0x7A10_2573, ADD[4]]);
    debugger.trigger(0, 1 << 2, CODE + 0x400);
    let armed = debugger.get(TDATA1);
    debugger.step();
    debugger.step();
    assert_eq!(debugger.get(A0), armed);
}

#[test]
fn the_system_bus_reads_and_writes_in_every_width_and_reports_errors() {
    let mut debugger = Debugger::attach();
    debugger.poke(DATA, 0x1122_3344);
    debugger.write(SBCS, 1 << 20 | 1 << 16 | 1 << 15);
    debugger.write(SBADDRESS0, DATA);
    let bytes: Vec<u32> = (0..4).map(|_| debugger.read(SBDATA0)).collect();
    assert_eq!(bytes, [0x44, 0x33, 0x22, 0x11]);
    debugger.write(SBCS, 1 << 17 | 1 << 16);
    debugger.write(SBADDRESS0, DATA);
    debugger.write(SBDATA0, 0xAAAA);
    debugger.write(SBDATA0, 0xBBBB);
    assert_eq!(debugger.peek(DATA), 0xBBBB_AAAA);
    assert_eq!(
        debugger.peek(DATA - 2),
        0xAAAA_0000,
        "memory need not be accessed aligned"
    );
    assert_eq!(
        debugger.peek(0x4000_1000),
        0x1B31_506F,
        "the magic word in the ROM of revision 0.3"
    );
    for (control, address, error) in [(2 << 17, 0x7000_0000, 2), (2 << 17, 0x6000_8002, 3), (3 << 17, DATA, 4)] {
        debugger.write(SBCS, 1 << 20 | 7 << 12 | control);
        debugger.write(SBADDRESS0, address);
        assert_eq!(debugger.bus_error(), error, "{address:#x}");
        // No access is made until the error is cleared.
        debugger.write(SBDATA0, 1);
        assert_eq!(debugger.bus_error(), error);
    }
    debugger.write(SBCS, 2 << 17 | 7 << 12);
    debugger.write(SBADDRESS0, 0x4000_0000);
    debugger.write(SBDATA0, 1);
    assert_eq!(debugger.bus_error(), 2, "the ROM cannot be written");
}

#[test]
fn a_reset_by_software_leaves_a_halted_hart_halted() {
    let mut debugger = Debugger::attach();
    debugger.halt();
    assert!(!debugger.is(HAVERESET));
    debugger.poke(0x6000_8000, 0x9C00_A000);
    assert!(debugger.is(HAVERESET) && debugger.is(HALTED));
    assert_eq!(debugger.get(DPC), RESET_VECTOR);
    debugger.write(DMCONTROL, ACTIVE | ACKHAVERESET);
    assert!(!debugger.is(HAVERESET));
    debugger.resume();
    assert!(!debugger.run(MILLISECOND));
}

#[test]
fn resets_by_the_module_halt_on_request() {
    for reset in [HARTRESET, NDMRESET] {
        let mut debugger = Debugger::attach();
        // This acknowledges the reset before.
        debugger.write(DMCONTROL, ACTIVE | reset | HALTREQ | ACKHAVERESET);
        assert_ne!(debugger.read(DMCONTROL) & reset, 0);
        assert!(!debugger.is(HALTED) && !debugger.is(RUNNING));
        debugger.run(MILLISECOND);
        debugger.write(DMCONTROL, ACTIVE | HALTREQ);
        assert!(debugger.is(HALTED) && debugger.is(HAVERESET));
        assert_eq!((debugger.get(DPC), debugger.cause()), (RESET_VECTOR, 3));

        let mut debugger = Debugger::attach();
        debugger.write(DMCONTROL, ACTIVE | SETRESETHALTREQ);
        assert!(debugger.is(RUNNING));
        debugger.write(DMCONTROL, ACTIVE | reset);
        debugger.write(DMCONTROL, ACTIVE);
        assert_eq!((debugger.get(DPC), debugger.cause()), (RESET_VECTOR, 5));

        let mut debugger = Debugger::attach();
        debugger.write(DMCONTROL, ACTIVE | reset);
        debugger.write(DMCONTROL, ACTIVE);
        assert!(debugger.is(RUNNING) && debugger.is(HAVERESET));
    }
}

#[test]
fn a_power_cycle_resets_the_debug_module() {
    let mut debugger = Debugger::attach();
    debugger.halt();
    debugger.0.set_lines(false, true);
    assert_eq!(debugger.0.dmi(DmiAccess::Read(DMSTATUS)), None);
    debugger.0.set_lines(true, true);
    assert!(debugger.is(RUNNING));
    assert_eq!(debugger.read(DMCONTROL), 0);
}

#[test]
fn a_copy_of_a_halted_chip_can_run_while_the_chip_stays_halted() {
    let mut debugger = Debugger::halted_at(&ADD);
    let mut fork = Debugger(debugger.0.clone());
    fork.resume();
    assert!(fork.run(100));
    assert_eq!(fork.get(A0), 7);
    assert_eq!((debugger.get(A0), debugger.get(DPC)), (0, CODE));
}

/// Clocks the TAP, and returns the levels of TDO.
fn clock(chip: &mut Chip, tms: &[u8], tdi: u64) -> u64 {
    let clocks = tms.iter().enumerate();
    clocks.fold(0, |out, (n, tms)| {
        let tdi = tdi >> n & 1 != 0;
        out | u64::from(chip.jtag(JtagClock { tms: *tms != 0, tdi })) << n
    })
}

/// Shifts a value through a register, from Run-Test/Idle and back.
fn scan(chip: &mut Chip, path: &[u8], bits: usize, value: u64) -> u64 {
    clock(chip, path, 0);
    let mut tms = vec![0; bits];
    tms[bits - 1] = 1;
    let out = clock(chip, &tms, value);
    clock(chip, &[1, 0], 0);
    out
}

fn instruction(chip: &mut Chip, value: u64) -> u64 {
    scan(chip, &[1, 1, 0, 0], 5, value)
}

fn data(chip: &mut Chip, bits: usize, value: u64) -> u64 {
    scan(chip, &[1, 0, 0], bits, value)
}

#[test]
fn the_tap_gives_its_idcode_bypasses_and_reaches_the_debug_module() {
    let mut chip = Debugger::attach().0;
    clock(&mut chip, &[1, 1, 1, 1, 1, 0], 0);
    assert_eq!(data(&mut chip, 32, 0), 0x5C25, "after a reset the IDCODE is selected");
    assert_eq!(instruction(&mut chip, 0x1F) & 3, 1);
    assert_eq!(data(&mut chip, 8, 0b1010_0110), 0b0100_1100, "one bit later");
    instruction(&mut chip, 0x10);
    assert_eq!(data(&mut chip, 32, 0), 0x71);
    instruction(&mut chip, 0x11);
    data(&mut chip, 41, u64::from(DMSTATUS) << 34 | 1);
    let status = data(&mut chip, 41, 0);
    assert_eq!(status & 3, 0);
    assert_eq!((status >> 2) as u32 & 0xF, 2, "version 0.13");
    assert_eq!(status >> 34, u64::from(DMSTATUS));
    data(
        &mut chip,
        41,
        u64::from(DMCONTROL) << 34 | u64::from(HALTREQ | ACTIVE) << 2 | 2,
    );
    let mut debugger = Debugger(chip);
    assert!(debugger.is(HALTED));
}

#[test]
fn a_failed_access_blocks_later_ones_until_it_is_cleared() {
    let mut chip = Debugger::attach().0;
    clock(&mut chip, &[1, 1, 1, 1, 1, 0], 0);
    instruction(&mut chip, 0x11);
    chip.set_lines(false, true);
    data(&mut chip, 41, u64::from(DMSTATUS) << 34 | 1);
    chip.set_lines(true, true);
    let halt = u64::from(DMCONTROL) << 34 | u64::from(HALTREQ | ACTIVE) << 2 | 2;
    assert_eq!(data(&mut chip, 41, halt) & 3, 2);
    assert_eq!(data(&mut chip, 41, 0) & 3, 2);
    let status = chip.dmi(DmiAccess::Read(DMSTATUS)).expect("the module answers again");
    assert_ne!(status & RUNNING, 0, "the access after the failed one is not made");
    instruction(&mut chip, 0x10);
    assert_eq!(data(&mut chip, 32, 1 << 16) >> 10 & 3, 2);
    assert_eq!(data(&mut chip, 32, 0) >> 10 & 3, 0);
    instruction(&mut chip, 0x11);
    data(&mut chip, 41, u64::from(DMSTATUS) << 34 | 1);
    assert_eq!(data(&mut chip, 41, 0) >> 2 & 0xF, 2);
}

#[test]
fn a_boards_debug_port_answers_as_long_as_the_board_runs() {
    let board = VirtualBoard::start(BoardConfig::default(), None).expect("a board");
    let port = board.debug_port();
    assert_eq!(port.read_dmi(DMSTATUS), Err(DebugPortError::InReset));
    board.power_cycle(Strapping::Flash);
    port.write_dmi(DMCONTROL, ACTIVE | HALTREQ).expect("it answers");
    let accesses = [
        DmiAccess::Write(COMMAND, 0x22_0000 | DPC),
        DmiAccess::Read(ABSTRACTCS),
        DmiAccess::Read(DATA0),
        DmiAccess::Read(DMSTATUS),
    ];
    let [_, abstractcs, pc, status] = port.access(&accesses).expect("it answers")[..] else {
        panic!("each access has one value");
    };
    assert_eq!(abstractcs >> 8 & 7, 0);
    assert!((0x4000_0000..0x4006_0000).contains(&pc), "in the ROM: {pc:#x}");
    assert_ne!(status & HALTED, 0);
    drop(board);
    let ended = port.read_dmi(DMSTATUS).expect_err("the board has ended");
    assert!(
        matches!(ended, DebugPortError::NoAnswer(NoAnswer::Ended { .. })),
        "{ended:?}"
    );
}
