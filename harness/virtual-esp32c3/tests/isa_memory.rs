//! Memory as the hart sees it: the memory map, flash through the MMU, and decoded code that changes.

mod isa_support;

use std::sync::Arc;

use isa_support::{CODE, DATA, DMA, Machine, REMAP};
use virtual_esp32c3::bus::Width;
use virtual_esp32c3::memory::Memory;

const ADDI_A0_1: u32 = 0x0015_0513;
const ADDI_A0_2: u32 = 0x0025_0513;
const ADDI_A0_16: u32 = 0x0105_0513;
const NOP: u32 = 0x0000_0013;
/// `sw a1, 0(a2)`
const SW: u32 = 0x00B6_2023;
/// `sh a1, 1(a2)`
const SH_1: u32 = 0x00B6_10A3;
/// `jalr zero, 0(a1)`
const JR_A1: u32 = 0x0005_8067;
const FLASH: u32 = 0x4200_0000;

#[test]
fn both_buses_see_the_same_bytes() {
    let rom: Vec<u8> = (0..0x6_0000u32).map(|index| (index >> 8) as u8).collect();
    let mut memory = Memory::new(rom.into(), 0x2_0000);
    assert!(memory.store(0x4038_0010, Width::Word, 0x1234_5678));
    assert_eq!(memory.load(0x3FC8_0010, Width::Word), Some(0x1234_5678));
    assert!(memory.store(0x3FCD_FFFF, Width::Byte, 0xAB));
    assert_eq!(memory.load(0x403D_FFFF, Width::Byte), Some(0xAB));
    // On the instruction bus SRAM1 follows SRAM0. SRAM0 is not on the data bus.
    assert!(memory.store(0x4037_FFFE, Width::Word, 0xAABB_CCDD));
    assert_eq!(memory.load(0x3FC8_0000, Width::Half), Some(0xAABB));
    assert_eq!(memory.load(0x3FC7_FFFE, Width::Half), None);
    // The last 128 KB of the ROM are on the data bus too.
    assert_eq!(memory.load(0x4004_1200, Width::Byte), Some(0x12));
    assert_eq!(memory.load(0x3FF0_1200, Width::Byte), Some(0x12));
    assert!(!memory.store(0x4000_0000, Width::Word, 0));
    assert!(memory.store(0x5000_1FFC, Width::Word, 7));
    assert_eq!(memory.load(0x5000_1FFC, Width::Word), Some(7));
}

#[test]
fn nothing_answers_between_the_memories() {
    let mut memory = Memory::new(vec![0; 0x6_0000].into(), 0x2_0000);
    for address in [
        0,
        0x3BFF_FFFF,
        0x3C80_0000,
        0x3FC7_FFFF,
        0x3FCE_0000,
        0x3FEF_FFFF,
        0x3FF2_0000,
        0x3FFF_FFFF,
        0x4006_0000,
        0x4037_BFFF,
        0x403E_0000,
        0x41FF_FFFF,
        0x4280_0000,
        0x4FFF_FFFF,
        0x5000_2000,
        0x6000_0000,
        u32::MAX,
    ] {
        assert_eq!(memory.load(address, Width::Byte), None, "{address:#010x}");
        assert!(!memory.store(address, Width::Byte, 0), "{address:#010x}");
    }
    // The last word that lies in the memory, and the first that does not.
    for end in [0x3FCE_0000, 0x403E_0000, 0x5000_2000, 0x4006_0000, 0x3FF2_0000] {
        assert!(memory.load(end - 4, Width::Word).is_some(), "{end:#010x}");
        assert_eq!(memory.load(end - 3, Width::Word), None, "{end:#010x}");
    }
}

#[test]
fn a_short_rom_or_flash_does_not_answer_beyond_its_end() {
    let mut memory = Memory::new(Arc::from([1, 2, 3, 4, 5]), 6);
    assert_eq!(memory.load(0x4000_0001, Width::Word), Some(0x0504_0302));
    assert_eq!(memory.load(0x4000_0002, Width::Word), None);
    memory.map(0, Some(0));
    assert_eq!(memory.load(0x3C00_0002, Width::Word), Some(0xFFFF_FFFF));
    assert_eq!(memory.load(0x3C00_0003, Width::Word), None);
    memory.map(0, Some(u16::MAX));
    assert_eq!(memory.load(0x3C00_0000, Width::Byte), None);
    memory.map(128, Some(0));
    memory.flash_modify(4..100, |bytes| bytes.fill(0));
    assert_eq!(memory.flash_part(0..100)[..], [0xFF, 0xFF, 0xFF, 0xFF, 0, 0]);
}

#[test]
fn dma_reaches_ram_only_and_copies_all_bytes_or_none() {
    let mut memory = Memory::new(vec![9; 0x6_0000].into(), 0x1_0000);
    memory.map(0, Some(0));
    assert!(memory.write_bytes(0x3FCD_FFFC, &[1, 2, 3, 4]));
    assert!(!memory.write_bytes(0x3FCD_FFFD, &[5, 6, 7, 8]));
    let mut bytes = [0; 4];
    assert!(memory.read_bytes(0x403D_FFFC, &mut bytes));
    assert_eq!(bytes, [1, 2, 3, 4]);
    for address in [0x3C00_0000, 0x4000_0000, 0x6000_0000, u32::MAX, 0x3FCD_FFFD] {
        assert!(!memory.read_bytes(address, &mut bytes), "{address:#010x}");
    }
    assert_eq!(bytes, [1, 2, 3, 4]);
    assert!(memory.write_bytes(0x3FC8_0000, &[]));
}

#[test]
fn flash_is_seen_through_the_mmu_at_once() {
    let mut memory = Memory::new(Arc::from([]), 0x3_0000);
    memory.flash_modify(0x2_FFFE..0x3_0000, |bytes| {
        bytes.copy_from_slice(&[0xAA, 0xBB]);
    });
    memory.flash_modify(0..2, |bytes| bytes.copy_from_slice(&[0xCC, 0xDD]));
    memory.map(5, Some(2));
    memory.map(6, Some(0));
    // A misaligned word across two entries that map pages apart from each other.
    assert_eq!(memory.load(0x3C05_FFFE, Width::Word), Some(0xDDCC_BBAA));
    assert_eq!(memory.load(0x4205_FFFE, Width::Word), Some(0xDDCC_BBAA));
    memory.map(6, None);
    assert_eq!(memory.load(0x3C05_FFFE, Width::Word), None);
    assert_eq!(memory.load(0x3C05_FFFE, Width::Half), Some(0xBBAA));
    memory.map(7, Some(2));
    memory.flash_modify(0x2_FFFE..0x2_FFFF, |bytes| bytes[0] &= 0x0F);
    assert_eq!(memory.load(0x3C07_FFFE, Width::Half), Some(0xBB0A));
    assert_eq!(memory.load(0x3C05_FFFE, Width::Half), Some(0xBB0A));
}

#[test]
fn flash_contents_are_shared_until_changed() {
    let mut memory = Memory::new(Arc::from([]), 0x1_0000);
    let before = memory.flash_image();
    let mut other = Memory::with_flash(Arc::from([]), Arc::clone(&before));
    memory.flash_modify(0..1, |bytes| bytes[0] = 1);
    other.flash_modify(0..1, |bytes| bytes[0] = 2);
    let byte = |memory: &Memory| memory.flash_part(0..1)[0];
    assert_eq!((before[0], byte(&memory), byte(&other)), (0xFF, 1, 2));
}

#[test]
fn clones_share_flash_by_blocks_and_do_not_see_each_others_changes() {
    let contents: Vec<u8> = (0..0x3_8000u32).map(|at| (at / 7) as u8).collect();
    let mut first = Memory::with_flash(Arc::from([]), contents.clone().into());
    first.map(0, Some(1));
    // A range across two borders, from the first block into the third.
    first.flash_modify(0xFFFC..0x2_0004, |bytes| {
        assert_eq!(bytes, &contents[0xFFFC..0x2_0004]);
        bytes.fill(0x11);
    });
    let mut second = first.clone();
    second.flash_modify(0x1_0000..0x1_0004, |bytes| bytes.fill(0x22));
    first.flash_modify(0x3_7FFF..0x4_0000, |bytes| bytes.fill(0x33));

    let mut expected = contents;
    expected[0xFFFC..0x2_0004].fill(0x11);
    let (mut of_first, mut of_second) = (expected.clone(), expected);
    of_first[0x3_7FFF] = 0x33;
    of_second[0x1_0000..0x1_0004].fill(0x22);
    assert!(first.flash_image()[..] == of_first);
    assert!(second.flash_image()[..] == of_second);
    assert_eq!(first.flash_part(0x3_7FFE..usize::MAX)[..], of_first[0x3_7FFE..]);
    assert_eq!(first.load(0x3C00_0000, Width::Word), Some(0x1111_1111));
    assert_eq!(second.load(0x3C00_0000, Width::Word), Some(0x2222_2222));
}

#[test]
fn power_cycle_clears_ram_and_mmu_but_not_flash() {
    let mut memory = Memory::new(Arc::from([]), 0x1_0000);
    memory.store(DATA, Width::Word, 1);
    memory.store(0x5000_0000, Width::Word, 1);
    memory.map(0, Some(0));
    memory.flash_modify(0..1, |bytes| bytes[0] = 1);
    memory.power_cycle();
    assert_eq!(memory.load(DATA, Width::Word), Some(0));
    assert_eq!(memory.load(0x5000_0000, Width::Word), Some(0));
    assert_eq!(memory.load(0x3C00_0000, Width::Word), None);
    assert_eq!(memory.flash_part(0..1)[0], 1);
}

/// A loop of two rounds: the first executes an instruction, then overwrites it through the data bus.
#[test]
fn a_store_over_executed_code_takes_effect_at_once() {
    // a: addi a0, a0, 1; sw a1, 0(a2); jal zero, a
    let mut machine = Machine::new(&[ADDI_A0_1, SW, 0xFF9F_F06F]);
    machine.hart.set_register(11, ADDI_A0_16);
    machine.hart.set_register(12, CODE - 0x4038_0000 + 0x3FC8_0000);
    machine.run(3 + 1);
    assert_eq!(machine.a0(), 1 + 16);
}

#[test]
fn a_store_over_the_next_instruction_takes_effect_at_once() {
    let mut machine = Machine::new(&[NOP, SW, ADDI_A0_1]);
    machine.hart.set_register(12, DATA);
    machine.run(3);
    assert_eq!(machine.a0(), 1, "decoded once");
    machine.hart.set_pc(CODE);
    machine.hart.set_register(11, ADDI_A0_16);
    machine.hart.set_register(12, CODE + 8);
    machine.run(3);
    assert_eq!(machine.a0(), 1 + 16);
}

/// The store covers only the last byte of one instruction and the first byte of the next. It lies in another granule of
/// 256 bytes than the start of the first instruction.
#[test]
fn a_store_over_part_of_an_instruction_takes_effect() {
    for (start, offset) in [
        (0x4038_01FE, 3u32),
        (0x4038_01FC, 3),
        (0x4038_0FFE, 2),
        (0x4038_0FFE, 1),
        (0x4038_0FFE, 0),
    ] {
        // The second instruction is at start + 4; the immediates are in the last bytes.
        let mut machine = Machine::new(&[]);
        machine.put(start, &[ADDI_A0_1, ADDI_A0_1]);
        machine.hart.set_pc(start);
        machine.run(2);
        assert_eq!(machine.a0(), 2);
        let changed = start + offset;
        let byte = ADDI_A0_2.to_le_bytes()[offset as usize];
        machine.put(0x4038_2000, &[SH_1, JR_A1]);
        let next = machine.memory.load(changed + 1, Width::Byte).expect("RAM answers");
        machine.hart.set_register(12, changed - 1);
        machine.hart.set_register(11, next << 8 | u32::from(byte));
        machine.hart.set_pc(0x4038_2000);
        machine.run(1);
        machine.hart.set_pc(start);
        machine.hart.set_register(10, 0);
        machine.run(2);
        let first = if offset == 2 { 2 } else { 1 };
        assert_eq!(machine.a0(), first + 1, "{start:#010x} + {offset}");
        // This store changes the immediate in the last byte of the first instruction from 1 to 0x101.
        machine.hart.set_register(12, start + 2);
        machine.hart.set_register(11, 0x1010);
        machine.hart.set_pc(0x4038_2000);
        machine.run(1);
        machine.hart.set_pc(start);
        machine.hart.set_register(10, 0);
        machine.run(1);
        assert_eq!(machine.a0(), 0x100 + first, "{start:#010x}: last byte");
    }
}

#[test]
fn dma_over_decoded_code_takes_effect_at_once() {
    let mut machine = Machine::new(&[SW, NOP, NOP, NOP, ADDI_A0_1]);
    machine.hart.set_register(12, DATA);
    machine.run(5);
    assert_eq!(machine.a0(), 1);
    machine.hart.set_pc(CODE);
    machine.hart.set_register(11, ADDI_A0_16);
    machine.hart.set_register(12, DMA);
    machine.run(5);
    assert_eq!(machine.a0(), 1 + 16);
}

#[test]
fn changes_take_effect_even_if_they_are_too_many_to_list() {
    let code = [ADDI_A0_1; 256];
    let mut machine = Machine::new(&code);
    machine.run(256);
    for index in 0..256 {
        machine.put(CODE + 4 * index, &[ADDI_A0_2]);
    }
    machine.hart.set_pc(CODE);
    machine.hart.set_register(10, 0);
    machine.run(256);
    assert_eq!(machine.a0(), 512);
}

#[test]
fn code_in_flash_that_is_newly_mapped_is_executed() {
    let mut machine = Machine::new(&[]);
    for (page, code) in [(0, ADDI_A0_1), (1, ADDI_A0_16)] {
        let start = page * 0x1_0000;
        machine.memory.flash_modify(start..start + 12, |flash| {
            // A store, then twice the page's own instruction.
            flash[..4].copy_from_slice(&SW.to_le_bytes());
            flash[4..8].copy_from_slice(&code.to_le_bytes());
            flash[8..].copy_from_slice(&code.to_le_bytes());
        });
    }
    machine.memory.map(0, Some(0));
    machine.hart.set_pc(FLASH);
    machine.hart.set_register(12, DATA);
    machine.run(3);
    assert_eq!(machine.a0(), 2);
    // The store remaps the page that is executed.
    machine.hart.set_pc(FLASH);
    machine.hart.set_register(11, 1);
    machine.hart.set_register(12, REMAP);
    machine.run(3);
    assert_eq!(machine.a0(), 2 + 32);
    // With no page mapped, there is nothing to execute.
    machine.memory.map(0, None);
    machine.hart.set_pc(FLASH + 4);
    machine.run(1);
    assert_eq!(machine.trap(), [FLASH + 4, 1, FLASH + 4]);
}

#[test]
fn code_in_flash_that_is_newly_programmed_is_executed() {
    let mut machine = Machine::new(&[]);
    // An instruction across two MMU entries that map flash pages apart from each other.
    machine.memory.map(0, Some(2));
    machine.memory.map(1, Some(0));
    let put = |memory: &mut Memory, word: u32| {
        let bytes = word.to_le_bytes();
        memory.flash_modify(0x2_FFFE..0x3_0000, |flash| {
            flash.copy_from_slice(&bytes[..2]);
        });
        memory.flash_modify(0..2, |flash| flash.copy_from_slice(&bytes[2..]));
    };
    let mut total = 0;
    for (word, sum) in [(ADDI_A0_1, 1), (ADDI_A0_16, 16), (ADDI_A0_2, 2)] {
        put(&mut machine.memory, word);
        machine.hart.set_pc(FLASH + 0xFFFE);
        machine.run(1);
        total += sum;
        assert_eq!((machine.a0(), machine.hart.pc()), (total, FLASH + 0x1_0002));
    }
    machine.memory.map(1, None);
    machine.hart.set_pc(FLASH + 0xFFFE);
    machine.run(1);
    assert_eq!(machine.trap(), [FLASH + 0xFFFE, 1, FLASH + 0x1_0000]);
}

#[test]
fn code_goes_on_from_page_to_page() {
    let code = vec![ADDI_A0_1; 3000];
    let mut machine = Machine::new(&code);
    machine.run(3000);
    assert_eq!((machine.a0(), machine.hart.pc()), (3000, CODE + 12_000));
}

#[test]
fn clones_share_decoded_code_until_one_changes_it() {
    let mut first = Machine::new(&[ADDI_A0_1, ADDI_A0_1, ADDI_A0_1, NOP]);
    first.run(3);
    let mut second = first.clone();
    // One changes code that both have decoded, and the other decodes code that neither has.
    second.put(CODE + 4, &[ADDI_A0_16]);
    for machine in [&mut first, &mut second] {
        machine.hart.set_pc(CODE);
        machine.hart.set_register(10, 0);
    }
    first.run(4);
    second.run(3);
    assert_eq!((first.a0(), second.a0()), (3, 18));
}
