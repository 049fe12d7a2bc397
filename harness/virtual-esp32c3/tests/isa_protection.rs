//! Physical memory protection. Small programs in user and machine mode make accesses that are allowed and accesses that
//! are denied, on both interpreters. The tests check where they trap, and the values of mepc, mcause and mtval.

mod isa_support;

use isa_support::{CODE, DATA, MEPC, Machine, REGISTER, VECTOR};
use virtual_esp32c3::hart::{Exit, Interpreter};
use virtual_esp32c3::memory::FLASH_DATA;

const PMPCFG0: u16 = 0x3A0;
const PMPCFG3: u16 = 0x3A3;
const PMPADDR0: u16 = 0x3B0;
const PMPADDR14: u16 = 0x3BE;

const R: u32 = 1;
const W: u32 = 2;
const X: u32 = 4;
const TOR: u32 = 1 << 3;
const NA4: u32 = 2 << 3;
const NAPOT: u32 = 3 << 3;
const LOCK: u32 = 1 << 7;

const MRET: u32 = 0x3020_0073;
const ECALL: u32 = 0x0000_0073;
const NOP: u32 = 0x0000_0013;
const JUMP_TO_ITSELF: u32 = 0x0000_006F;
/// `lw a0, 0(a2)`
const LW: u32 = 0x0006_2503;
/// `lbu a0, 0(a2)`
const LBU: u32 = 0x0006_4503;
/// `sw a1, 0(a2)`
const SW: u32 = 0x00B6_2023;
/// `jalr zero, 0(a2)`
const JUMP: u32 = 0x0006_0067;
const A1: u8 = 11;
const A2: u8 = 12;

const INSTRUCTION_FAULT: u32 = 1;
const LOAD_FAULT: u32 = 5;
const STORE_FAULT: u32 = 7;
const ECALL_FROM_USER: u32 = 8;

/// Entries of memory protection: address register and configuration.
type Entries<'a> = &'a [(u32, u32)];

/// Both interpreters, which will execute `code` under these entries next. Trap handlers loop for ever.
fn machines(code: &[u32], entries: Entries<'_>) -> [Machine; 2] {
    [Interpreter::Fast, Interpreter::Plain].map(|interpreter| {
        let mut machine = Machine::new(code);
        machine.put(VECTOR, &[JUMP_TO_ITSELF]);
        machine.hart.set_interpreter(interpreter);
        set(&mut machine, entries);
        machine
    })
}

fn set(machine: &mut Machine, entries: Entries<'_>) {
    for (number, (address, _)) in (PMPADDR0..).zip(entries) {
        assert!(machine.hart.set_csr(number, *address));
    }
    for (number, four) in (PMPCFG0..).zip(entries.chunks(4)) {
        let word = four.iter().rev().fold(0, |word, (_, config)| word << 8 | config);
        assert!(machine.hart.set_csr(number, word));
    }
}

/// Gives user mode the right to execute everything, by the last two entries, so that those before decide first.
fn open_code(machine: &mut Machine) {
    assert!(machine.hart.set_csr(PMPADDR14, (CODE & !0xFFFF) >> 2));
    assert!(machine.hart.set_csr(PMPADDR14 + 1, (CODE | 0xFFFF) >> 2));
    assert!(machine.hart.set_csr(PMPCFG3, (TOR | X) << 24));
}

/// An entry for the naturally aligned range of `size` bytes at `start`.
fn napot(start: u32, size: u32) -> u32 {
    start >> 2 | (size / 8 - 1)
}

/// Makes an access in user mode, followed by an `ecall`, and returns mepc, mcause and mtval.
fn in_user_mode(access: u32, address: u32, entries: Entries<'_>) -> [u32; 3] {
    let [fast, plain] = machines(&[MRET, access, ECALL], entries).map(|mut machine| {
        open_code(&mut machine);
        machine.hart.set_csr(MEPC, CODE + 4);
        machine.hart.set_register(A2, address);
        machine.run(10);
        machine.trap()
    });
    assert_eq!(fast, plain, "both interpreters");
    fast
}

const DONE: [u32; 3] = [CODE + 8, ECALL_FROM_USER, 0];

#[test]
fn user_mode_may_do_what_an_entry_allows_and_nothing_else() {
    let page = napot(DATA, 0x1000);
    for (text, access, rights, expected) in [
        ("a load", LW, R, DONE),
        ("a load without the right", LW, W, [CODE + 4, LOAD_FAULT, DATA + 8]),
        ("a byte without the right", LBU, 0, [CODE + 4, LOAD_FAULT, DATA + 8]),
        ("a store", SW, R | W, DONE),
        ("a store without the right", SW, R, [CODE + 4, STORE_FAULT, DATA + 8]),
    ] {
        assert_eq!(
            in_user_mode(access, DATA + 8, &[(page, NAPOT | rights)]),
            expected,
            "{text}"
        );
    }
    assert_eq!(
        in_user_mode(LW, DATA, &[]),
        [CODE + 4, LOAD_FAULT, DATA],
        "no entry at all"
    );
    assert_eq!(
        in_user_mode(SW, DATA, &[]),
        [CODE + 4, STORE_FAULT, DATA],
        "no entry at all"
    );
}

#[test]
fn every_mode_covers_exactly_its_range() {
    let (start, end) = (DATA + 0x10, DATA + 0x18);
    for (text, entries) in [
        ("top of range", &[(start >> 2, 0), (end >> 2, TOR | R)][..]),
        (
            "two of four bytes",
            &[(start >> 2, NA4 | R), ((start + 4) >> 2, NA4 | R)],
        ),
        ("power of two", &[(napot(start, 8), NAPOT | R)]),
    ] {
        for (address, allowed) in [(start - 1, false), (start, true), (end - 1, true), (end, false)] {
            let expected = if allowed { DONE } else { [CODE + 4, LOAD_FAULT, address] };
            assert_eq!(in_user_mode(LBU, address, entries), expected, "{text}, {address:#x}");
        }
        // A word that begins inside and ends outside.
        assert_eq!(in_user_mode(LW, end - 2, entries)[1], LOAD_FAULT, "{text}");
    }
}

#[test]
fn registers_flash_and_ram_on_the_other_bus_are_protected_too() {
    let words = [
        napot(REGISTER, 0x1000),
        napot(FLASH_DATA, 0x1_0000),
        napot(DATA, 0x1000),
    ];
    let entries = words.map(|word| (word, NAPOT | R | W));
    assert_eq!(in_user_mode(LW, REGISTER, &entries), DONE);
    assert_eq!(in_user_mode(SW, REGISTER, &entries), DONE);
    assert_eq!(in_user_mode(SW, DATA, &entries), DONE);
    let entries = words.map(|word| (word, NAPOT | W));
    assert_eq!(in_user_mode(LW, REGISTER, &entries), [CODE + 4, LOAD_FAULT, REGISTER]);
    assert_eq!(
        in_user_mode(LW, FLASH_DATA, &entries),
        [CODE + 4, LOAD_FAULT, FLASH_DATA]
    );
    let entries = words.map(|word| (word, NAPOT | R));
    assert_eq!(in_user_mode(SW, REGISTER, &entries), [CODE + 4, STORE_FAULT, REGISTER]);
    // The entry for RAM does not apply to the same bytes on the instruction bus.
    let mirror = DATA + 0x70_0000;
    let entries = words.map(|word| (word, NAPOT | R | W));
    assert_eq!(in_user_mode(SW, mirror, &entries), [CODE + 4, STORE_FAULT, mirror]);
}

#[test]
fn a_denied_store_or_load_changes_nothing() {
    for mut machine in machines(&[MRET, LW, SW], &[(napot(DATA, 8), NAPOT | R)]) {
        open_code(&mut machine);
        machine.put(DATA, &[5]);
        machine.hart.set_csr(MEPC, CODE + 4);
        machine.hart.set_register(A2, DATA);
        machine.hart.set_register(A1, 9);
        machine.run(10);
        assert_eq!(machine.trap(), [CODE + 8, STORE_FAULT, DATA]);
        let mut word = [0; 4];
        assert!(machine.memory.read_bytes(DATA, &mut word));
        assert_eq!((word, machine.a0()), ([5, 0, 0, 0], 5));
    }
}

#[test]
fn instructions_are_fetched_only_where_execution_is_allowed() {
    let target = CODE + 0x100;
    let allowed = napot(target, 0x20);
    for (text, address, entries, expected) in [
        (
            "allowed",
            target,
            &[(allowed, NAPOT | X)][..],
            [target + 4, ECALL_FROM_USER, 0],
        ),
        (
            "denied",
            target,
            &[(allowed, NAPOT | R | W)],
            [target, INSTRUCTION_FAULT, target],
        ),
        (
            "the second half denied",
            target + 2,
            &[((target + 4) >> 2, NA4 | R)],
            [target + 2, INSTRUCTION_FAULT, target + 4],
        ),
    ] {
        for mut machine in machines(&[MRET, JUMP], entries) {
            open_code(&mut machine);
            // The same code runs in machine mode first, and is decoded.
            machine.put(target, &[NOP, ECALL]);
            if address != target {
                assert!(machine.memory.write_bytes(address, &NOP.to_le_bytes()));
            }
            machine.hart.set_pc(address);
            machine.run(1);
            assert_eq!(machine.hart.pc(), address + 4, "{text}: machine mode may execute it");
            machine.hart.set_pc(CODE);
            machine.hart.set_csr(MEPC, CODE + 4);
            machine.hart.set_register(A2, address);
            machine.run(10);
            assert_eq!(machine.trap(), expected, "{text}");
        }
    }
}

#[test]
fn only_locked_entries_apply_to_machine_mode() {
    let page = napot(DATA, 0x1000);
    for (access, config, expected) in [
        (LW, NAPOT, None),
        (SW, NAPOT, None),
        (LW, NAPOT | LOCK | R, None),
        (SW, NAPOT | LOCK | R, Some(STORE_FAULT)),
        (LW, NAPOT | LOCK | W, Some(LOAD_FAULT)),
    ] {
        for mut machine in machines(&[access, NOP, JUMP_TO_ITSELF], &[(page, config)]) {
            machine.hart.set_register(A2, DATA + 4);
            machine.run(2);
            match expected {
                Some(cause) => assert_eq!(machine.trap(), [CODE, cause, DATA + 4], "{access:#x} {config:#x}"),
                None => assert_eq!(machine.hart.pc(), CODE + 8, "{access:#x} {config:#x}"),
            }
        }
    }
    // Execution is denied by a locked entry, for the handler too, so that the hart is stuck.
    for mut machine in machines(&[NOP], &[(napot(CODE & !0xFFFF, 0x1_0000), NAPOT | LOCK | R)]) {
        assert_eq!(machine.run(10), Exit::DoubleTrap);
        assert_eq!(machine.trap(), [CODE, INSTRUCTION_FAULT, CODE]);
    }
}

#[test]
fn a_load_that_may_not_be_fetched_raises_the_fault_of_the_fetch() {
    for mut machine in machines(&[MRET, LW], &[]) {
        machine.hart.set_csr(MEPC, CODE + 4);
        machine.hart.set_register(A2, DATA);
        machine.run(3);
        assert_eq!(machine.trap(), [CODE + 4, INSTRUCTION_FAULT, CODE + 4]);
    }
}

/// Decoded and joined instructions obey a change of the registers at once.
#[test]
fn changed_rights_take_effect_at_the_next_instruction() {
    // loop: lw a0, 0(a2); lw a0, 0(a2); csrw pmpcfg0, a1; lw a0, 0(a2); j loop
    let code = [LW, LW, 0x3A05_9073, LW, 0xFF1F_F06F];
    for mut machine in machines(&code, &[(napot(DATA, 8), NAPOT | LOCK | R)]) {
        machine.hart.set_register(A2, DATA + 8);
        machine.hart.set_register(A1, 0);
        machine.hart.set_csr(PMPADDR0 + 1, napot(DATA + 8, 8));
        machine.run(50);
        assert_eq!(machine.trap(), [0, 0, 0], "nothing is denied");
        machine.hart.set_register(A1, (NAPOT | LOCK | W) << 8);
        machine.hart.set_pc(CODE);
        for steps in 1..=4 {
            machine.run(1);
            let expected = if steps < 4 {
                [0, 0, 0]
            } else {
                [CODE + 12, LOAD_FAULT, DATA + 8]
            };
            assert_eq!(machine.trap(), expected, "after {steps} instructions");
        }
    }
}

#[test]
fn a_reset_removes_the_protection() {
    for mut machine in machines(&[SW, LW, JUMP_TO_ITSELF], &[(napot(DATA, 0x1000), NAPOT | LOCK)]) {
        machine.hart.set_register(A2, DATA);
        machine.run(2);
        assert_eq!(machine.trap(), [CODE, STORE_FAULT, DATA]);
        machine.hart.reset();
        machine.hart.set_register(A2, DATA);
        machine.run(5);
        assert_eq!((machine.trap(), machine.hart.pc()), ([0, 0, 0], CODE + 8));
    }
}
