//! Tests of traps, privilege, control and status registers, sleep, devices, and the clock.

mod isa_support;

use isa_support::{CLOCK, CODE, DATA, MCAUSE, MEPC, MSTATUS, MTVEC, Machine, RAISE, REGISTER, VECTOR, YIELDING};
use virtual_esp32c3::bus::Width;
use virtual_esp32c3::hart::{AtEbreak, Exit};

const ADDI_A0_1: u32 = 0x0015_0513;
const ADDI_A0_2: u32 = 0x0025_0513;
const CSRRW_MSCRATCH: u32 = 0x3405_9573;
const ECALL: u32 = 0x0000_0073;
const EBREAK: u32 = 0x0010_0073;
const MRET: u32 = 0x3020_0073;
const WFI: u32 = 0x1050_0073;
/// `csrrsi zero, mstatus, 8`
const ENABLE_INTERRUPTS: u32 = 0x3004_6073;
/// `csrrs a0, mstatus, zero`
const READ_MSTATUS: u32 = 0x3000_2573;
/// `csrrs a0, mpccr, zero`
const READ_MPCCR: u32 = 0x7E20_2573;
/// `lw a0, 0(a2)`
const LW: u32 = 0x0006_2503;
/// `sw a1, 0(a2)`
const SW: u32 = 0x00B6_2023;
const JUMP_TO_ITSELF: u32 = 0x0000_006F;

const MIE: u32 = 1 << 3;
const MPIE: u32 = 1 << 7;
const MPP_MACHINE: u32 = 3 << 11;

#[test]
fn csr_instructions_swap_set_and_clear() {
    for (text, code, new) in [
        ("csrrw a0, mscratch, a1", CSRRW_MSCRATCH, 0x0F),
        ("csrrs a0, mscratch, a1", 0x3405_A573, 0x3F),
        ("csrrc a0, mscratch, a1", 0x3405_B573, 0x30),
        ("csrrwi a0, mscratch, 21", 0x340A_D573, 21),
        ("csrrsi a0, mscratch, 21", 0x340A_E573, 0x33 | 21),
        ("csrrci a0, mscratch, 21", 0x340A_F573, 0x33 & !21),
        ("csrrs a0, mscratch, zero", 0x3400_2573, 0x33),
    ] {
        let mut machine = Machine::new(&[code]);
        machine.hart.set_csr(0x340, 0x33);
        machine.hart.set_register(11, 0x0F);
        machine.run(1);
        assert_eq!(machine.a0(), 0x33, "{text}");
        assert_eq!(machine.hart.csr(0x340), Some(new), "{text}");
        assert_eq!((machine.hart.pc(), machine.hart.now()), (CODE + 4, 1), "{text}");
    }
}

#[test]
fn identity_registers_have_the_chips_values() {
    let hart = Machine::new(&[]).hart;
    let identity = [0xF11, 0xF12, 0xF13, 0xF14, 0x301].map(|csr| hart.csr(csr));
    assert_eq!(identity, [0x612, 0x8000_0001, 1, 0, 0x4010_1104].map(Some));
}

#[test]
fn registers_that_do_not_exist_or_may_not_be_written_are_illegal() {
    for (text, code) in [
        ("csrrw zero, mvendorid, a1", 0xF115_9073),
        ("csrrs a0, mie, zero", 0x3040_2573),
        ("csrrs a0, mcycle, zero", 0xB000_2573),
        ("csrrs a0, dcsr, zero", 0x7B00_2573),
    ] {
        let mut machine = Machine::new(&[code]);
        machine.hart.set_register(10, 7);
        machine.run(1);
        assert_eq!(machine.trap(), [CODE, 2, code], "{text}");
        assert_eq!(machine.a0(), 7, "{text}");
    }
}

#[test]
fn warl_registers_drop_what_they_cannot_hold() {
    let mut hart = Machine::new(&[]).hart;
    for (csr, written, read) in [
        (MTVEC, 0x4038_12FC, 0x4038_1201),
        (MEPC, 0x4200_0003, 0x4200_0002),
        (MCAUSE, 0xFFFF_FFFF, 0x8000_001F),
        (MSTATUS, 0xFFFF_FFFF, 0x0020_1899),
        (MSTATUS, 1 << 11, 0),
        (0x301, 0, 0x4010_1104),
    ] {
        assert!(hart.set_csr(csr, written));
        assert_eq!(hart.csr(csr), Some(read), "{csr:#x} = {written:#x}");
    }
}

#[test]
fn locked_memory_protection_entries_stay_until_reset() {
    let mut hart = Machine::new(&[]).hart;
    hart.set_csr(0x3B0, 1);
    hart.set_csr(0x3B1, 2);
    // Entry 1 is locked and of the kind "top of range", which also locks the address of entry 0.
    hart.set_csr(0x3A0, 0x0000_8F00);
    hart.set_csr(0x3A0, 0x0707_0707);
    hart.set_csr(0x3B0, 11);
    hart.set_csr(0x3B1, 12);
    hart.set_csr(0x3B2, 13);
    let entries = [0x3A0, 0x3B0, 0x3B1, 0x3B2].map(|csr| hart.csr(csr));
    assert_eq!(entries, [0x0707_8F07, 1, 2, 13].map(Some));
    hart.reset();
    assert_eq!(hart.csr(0x3A0), Some(0));
}

#[test]
fn the_cycle_counter_follows_the_clock_while_enabled() {
    let mut machine = Machine::new(&[READ_MPCCR, READ_MPCCR, READ_MPCCR]);
    machine.hart.set_csr(0x7E0, 1);
    machine.hart.set_csr(0x7E1, 1);
    machine.hart.set_csr(0x7E2, 1000);
    machine.run(1);
    let first = machine.a0();
    machine.hart.advance(50);
    machine.run(1);
    assert_eq!((first, machine.a0()), (1000, 1051));
    machine.hart.set_csr(0x7E1, 0);
    machine.hart.advance(50);
    machine.run(1);
    assert_eq!(machine.a0(), 1052, "it stands still at the count that it had reached");
}

/// The mask ROM starts the counter with CSRs 0x800 and 0x801, and its delay loops read 0x802. It also clears ustatus.
#[test]
fn the_mask_roms_registers_exist() {
    // csrw 0x800, a1; csrw 0x801, a1; csrr a0, 0x802; csrw ustatus, zero
    let mut machine = Machine::new(&[0x8005_9073, 0x8015_9073, 0x8020_2573, 0x0000_1073]);
    machine.hart.set_register(11, 1);
    machine.hart.set_csr(MSTATUS, MIE | 0x11);
    machine.run(4);
    assert_eq!((machine.hart.pc(), machine.a0()), (CODE + 16, 2));
    assert_eq!(
        [0x7E0, 0x7E1, MSTATUS].map(|csr| machine.hart.csr(csr)),
        [1, 1, MIE].map(Some)
    );
}

#[test]
fn gpio_registers_belong_to_the_bus_and_user_mode_may_access_them() {
    // csrrs a0, 0x803, zero; csrrw a0, 0x805, a1
    let mut machine = Machine::new(&[MRET, 0x8030_2573, 0x8055_9573]);
    machine.open_to_user_mode();
    machine.hart.set_csr(MEPC, CODE + 4);
    machine.hart.set_register(11, 0x55);
    machine.run(2);
    assert_eq!(machine.a0(), 0x803);
    machine.run(1);
    assert_eq!((machine.a0(), machine.bus.gpio), (0x805, 0x55));
}

#[test]
fn exceptions_go_to_the_table_and_return() {
    let mut machine = Machine::new(&[ECALL, ADDI_A0_2]);
    machine.put(VECTOR, &[READ_MSTATUS, MRET]);
    machine.hart.set_csr(MSTATUS, MIE);
    machine.run(2);
    assert_eq!(machine.trap(), [CODE, 11, 0]);
    assert_eq!(machine.a0(), MPIE | MPP_MACHINE, "interrupts are off in the handler");
    machine.hart.set_csr(MEPC, CODE + 4);
    machine.run(1);
    assert_eq!(machine.hart.pc(), CODE + 4);
    assert_eq!(machine.hart.csr(MSTATUS), Some(MIE | MPIE));
}

#[test]
fn user_mode_may_not_execute_machine_mode_instructions() {
    for (text, code, cause, value) in [
        ("ecall", ECALL, 8, 0),
        ("mret", MRET, 2, MRET),
        ("csrrw mscratch", CSRRW_MSCRATCH, 2, CSRRW_MSCRATCH),
        ("wfi with TW", WFI, 2, WFI),
    ] {
        let mut machine = Machine::new(&[MRET, code]);
        machine.open_to_user_mode();
        machine.hart.set_csr(MEPC, CODE + 4);
        machine.hart.set_csr(MSTATUS, 1 << 21);
        machine.run(2);
        assert_eq!(machine.trap(), [CODE + 4, cause, value], "{text}");
        let mpp = machine.hart.csr(MSTATUS).expect("exists") & MPP_MACHINE;
        assert_eq!(mpp, 0, "{text}: came from user mode");
    }
}

#[test]
fn access_faults_name_the_address() {
    for (text, code, address, cause) in [
        ("load from nowhere", LW, 0x6FFF_0000, 5),
        ("load next to the ROM's end", LW, 0x4006_0000, 5),
        ("store to nowhere", SW, 0x6FFF_0000, 7),
        ("store to flash", SW, 0x3C00_0000, 7),
        ("misaligned register load", LW, REGISTER + 2, 5),
        ("misaligned register store", SW, REGISTER + 1, 7),
        ("load past SRAM's end", LW, 0x3FCD_FFFD, 5),
    ] {
        let mut machine = Machine::new(&[code]);
        machine.memory.map(0, Some(0));
        machine.hart.set_register(10, 7);
        machine.hart.set_register(12, address);
        machine.run(1);
        assert_eq!(machine.trap(), [CODE, cause, address], "{text}");
        assert_eq!(machine.a0(), 7, "{text}");
    }
}

#[test]
fn code_cannot_be_fetched_from_the_data_bus_or_registers() {
    for target in [DATA, REGISTER, 0x3C00_0000, 0x0000_0000, 0x4280_0000, 0x4200_0000] {
        // jalr zero, 0(a1)
        let mut machine = Machine::new(&[0x0005_8067]);
        machine.hart.set_register(11, target);
        machine.run(2);
        assert_eq!(machine.trap(), [target, 1, target], "{target:#010x}");
        assert_eq!(machine.hart.pc(), VECTOR);
    }
}

#[test]
fn a_handler_that_cannot_be_fetched_leaves_the_hart_stuck() {
    let mut machine = Machine::new(&[ECALL]);
    machine.hart.set_csr(MTVEC, 0x6000_0000);
    assert_eq!(machine.run(100), Exit::DoubleTrap);
    assert_eq!(machine.hart.pc(), 0x6000_0000);
}

#[test]
fn a_loop_of_exceptions_ends_at_the_deadline() {
    let mut machine = Machine::new(&[ECALL]);
    // The handler is an illegal instruction.
    machine.put(VECTOR, &[0]);
    assert_eq!(machine.run(1000), Exit::Deadline);
    assert_eq!(machine.hart.now(), 1000);
}

#[test]
fn ebreak_traps_or_stops_for_a_debugger() {
    let mut machine = Machine::new(&[EBREAK]);
    machine.run(1);
    assert_eq!(machine.trap(), [CODE, 3, CODE]);
    let mut machine = Machine::new(&[ADDI_A0_1, EBREAK]);
    machine.hart.set_at_ebreak(AtEbreak::Stop);
    assert_eq!(machine.run(10), Exit::Breakpoint(CODE + 4));
    assert_eq!((machine.hart.pc(), machine.hart.now()), (CODE + 4, 1));
}

#[test]
fn an_interrupt_goes_to_its_own_entry() {
    let mut machine = Machine::new(&[ADDI_A0_1, ENABLE_INTERRUPTS, ADDI_A0_2]);
    machine.put(VECTOR + 4 * 17, &[JUMP_TO_ITSELF]);
    machine.bus.line = Some(17);
    machine.run(2);
    assert_eq!(machine.hart.pc(), VECTOR + 4 * 17, "taken as soon as it is enabled");
    assert_eq!(machine.trap(), [CODE + 8, 0x8000_0011, 0]);
    assert_eq!(machine.a0(), 1);
    assert_eq!(machine.hart.csr(MSTATUS), Some(MPIE | MPP_MACHINE));
    machine.run(5);
    assert_eq!(
        machine.hart.pc(),
        VECTOR + 4 * 17,
        "not taken again with interrupts off"
    );
}

#[test]
fn a_pending_interrupt_is_taken_after_mret() {
    let mut machine = Machine::new(&[ADDI_A0_1, ADDI_A0_2]);
    machine.put(VECTOR + 4 * 3, &[MRET]);
    machine.hart.set_csr(MSTATUS, MIE);
    machine.bus.line = Some(3);
    machine.run(3);
    assert_eq!(machine.a0(), 0, "while the line stays high the program does not go on");
    machine.bus.line = None;
    machine.run(2);
    assert_eq!(machine.a0(), 1, "one more return, then the program goes on");
}

#[test]
fn user_mode_cannot_disable_interrupts() {
    let mut machine = Machine::new(&[MRET, ADDI_A0_1]);
    machine.hart.set_csr(MEPC, CODE + 4);
    machine.bus.line = Some(9);
    machine.run(1);
    assert_eq!(machine.trap(), [CODE + 4, 0x8000_0009, 0]);
}

#[test]
fn a_store_that_raises_a_line_yields_and_the_interrupt_is_taken_next() {
    let mut machine = Machine::new(&[SW, ADDI_A0_1]);
    machine.put(VECTOR + 4 * 5, &[JUMP_TO_ITSELF]);
    machine.hart.set_csr(MSTATUS, MIE);
    machine.hart.set_register(11, 5);
    machine.hart.set_register(12, RAISE);
    assert_eq!(machine.run(10), Exit::Yield);
    assert_eq!((machine.hart.pc(), machine.hart.now()), (CODE + 4, 1));
    machine.run(1);
    assert_eq!(machine.trap(), [CODE + 4, 0x8000_0005, 0]);
    assert_eq!(machine.a0(), 0);
}

#[test]
fn wfi_sleeps_until_a_line_is_presented() {
    let mut machine = Machine::new(&[WFI, ADDI_A0_1]);
    assert_eq!(machine.run(100), Exit::Wfi);
    assert_eq!(machine.hart.now(), 1);
    machine.hart.advance(500);
    assert_eq!(machine.run(100), Exit::Wfi, "still asleep");
    assert!(machine.hart.is_asleep());
    assert_eq!(machine.hart.now(), 501);
    // It also wakes with interrupts off, but does not trap then.
    machine.bus.line = Some(1);
    machine.run(1);
    assert_eq!((machine.a0(), machine.hart.pc()), (1, CODE + 8));
}

#[test]
fn wfi_with_interrupts_on_wakes_into_the_handler() {
    let mut machine = Machine::new(&[WFI, ADDI_A0_1]);
    machine.put(VECTOR + 4 * 31, &[JUMP_TO_ITSELF]);
    machine.hart.set_csr(MSTATUS, MIE);
    assert_eq!(machine.run(100), Exit::Wfi);
    machine.bus.line = Some(31);
    machine.run(1);
    assert_eq!(machine.trap(), [CODE + 4, 0x8000_001F, 0]);
    assert_eq!(machine.a0(), 0);
}

#[test]
fn devices_see_width_value_and_time() {
    // sb, sh, sw a1, 0(a2); lw a0, 0(a2); lb; lbu; lh a0, 0(a2)
    let code = [0x00B6_0023, 0x00B6_1023, SW, LW, 0x0006_0503, 0x0006_4503, 0x0006_1503];
    let mut machine = Machine::new(&code);
    machine.hart.set_register(11, 0xCAFE_BABE);
    machine.hart.set_register(12, REGISTER);
    machine.run(3);
    assert_eq!(
        machine.bus.stores,
        [
            (REGISTER, Width::Byte, 0xBE),
            (REGISTER, Width::Half, 0xBABE),
            (REGISTER, Width::Word, 0xCAFE_BABE),
        ]
    );
    for value in [0xCAFE_BABE, 0xFFFF_FFBE, 0xBE, 0xFFFF_BABE] {
        machine.run(1);
        assert_eq!(machine.a0(), value);
    }
    let mut machine = Machine::new(&[ADDI_A0_1, ADDI_A0_1, LW]);
    machine.hart.set_register(12, CLOCK);
    machine.run(3);
    assert_eq!(machine.a0(), 2, "instructions retired before the load");
}

#[test]
fn the_deadline_is_exact_and_a_run_may_be_cut_anywhere() {
    // addi a0, a0, 1; jal zero, -4
    let code = [ADDI_A0_1, 0xFFDF_F06F];
    let mut whole = Machine::new(&code);
    assert_eq!(whole.run(10_001), Exit::Deadline);
    let mut sliced = Machine::new(&code);
    for slice in [1, 2, 3, 5, 9_990] {
        let now = sliced.hart.now();
        assert_eq!(sliced.run(slice), Exit::Deadline);
        assert_eq!(sliced.hart.now(), now + slice);
    }
    assert_eq!((whole.a0(), whole.hart.pc()), (sliced.a0(), sliced.hart.pc()));
    assert_eq!(whole.a0(), 5001);
    // A deadline in the past executes nothing.
    assert_eq!(whole.hart.run(&mut whole.memory, &mut whole.bus, 5), Exit::Deadline);
    assert_eq!((whole.a0(), whole.hart.now()), (5001, 10_001));
}

#[test]
fn the_hart_yields_after_each_store_that_asks_for_it() {
    let mut machine = Machine::new(&[SW, ADDI_A0_1]);
    machine.hart.set_register(12, YIELDING);
    assert_eq!(machine.run(10), Exit::Yield);
    assert_eq!(machine.run(1), Exit::Deadline);
    assert_eq!(machine.a0(), 1);
}

#[test]
fn reset_keeps_only_the_clock() {
    let mut machine = Machine::new(&[ADDI_A0_1, WFI]);
    machine.hart.set_csr(MSTATUS, MIE);
    machine.run(2);
    machine.hart.reset();
    assert_eq!((machine.hart.pc(), machine.hart.now()), (CODE, 2));
    assert_eq!((machine.a0(), machine.hart.csr(MSTATUS)), (0, Some(0)));
    assert!(!machine.hart.is_asleep());
}

/// The watchpoint that firmware puts at the end of a stack: four bytes, machine mode, stores.
#[test]
fn a_store_to_a_watched_address_traps_and_is_not_done() {
    const GUARD: u32 = 0x3FC8_2F00;
    // sw a1, 0(a2); lw a0, 0(a2)
    let mut machine = Machine::new(&[SW, LW]);
    machine.put(VECTOR, &[SW, MRET]);
    for (csr, value) in [
        (0x7A0, 1),
        (0x7A5, 1 << 3),
        (0x7A1, 1 << 7 | 1 << 6 | 1 << 1),
        (0x7A2, GUARD | 1),
    ] {
        assert!(machine.hart.set_csr(csr, value));
    }
    machine.hart.set_register(11, 0xDEAD_BEEF);
    for (address, hit) in [
        (GUARD - 4, false),
        (GUARD + 4, false),
        (GUARD, true),
        (GUARD - 3, true),
        (GUARD + 3, true),
    ] {
        machine.hart.set_pc(CODE);
        machine.hart.set_register(12, address);
        machine.run(1);
        let stored = machine.memory.load(address, Width::Word) == Some(0xDEAD_BEEF);
        assert_eq!((machine.hart.pc() == VECTOR, stored), (hit, !hit), "{address:#010x}");
        if hit {
            assert_eq!(machine.trap(), [CODE, 3, address]);
            assert_eq!(machine.hart.csr(0x7A1), Some(0x2010_00C2), "type, hit and what was set");
            // In the handler machine-mode triggers are off, so the same store is done. mret switches them on again.
            assert_eq!(machine.hart.csr(0x7A5), Some(1 << 7));
            machine.run(2);
            assert_eq!(
                machine.memory.load(address, Width::Word),
                Some(0xDEAD_BEEF),
                "{address:#010x}"
            );
            machine.run(1);
            assert_eq!(machine.hart.pc(), VECTOR, "{address:#010x}: hit again after the return");
            machine.hart.set_csr(0x7A5, 1 << 3);
            machine.put(GUARD - 4, &[0; 3]);
        }
    }
    // With another trigger selected and much of memory changed, this one still works. Once it is cleared, it does not.
    machine.hart.set_pc(CODE + 4);
    machine.run(1);
    for index in 0..100 {
        machine.put(CODE, &[SW, LW + (index << 7)]);
    }
    machine.hart.set_csr(0x7A0, 0);
    machine.hart.set_pc(CODE);
    machine.hart.set_register(12, GUARD);
    machine.run(1);
    assert_eq!(machine.hart.pc(), VECTOR);
    machine.hart.set_csr(0x7A0, 1);
    machine.hart.set_csr(0x7A1, 0);
    machine.hart.set_csr(0x7A5, 1 << 3);
    machine.hart.set_pc(CODE);
    machine.run(1);
    assert_eq!(machine.hart.pc(), CODE + 4);
}
