//! Each instruction of RV32IMC by itself: its encoding as LLVM's assembler gives it, registers before and after, and
//! the next pc. Registers that are not listed must not change.

mod isa_support;

use isa_support::{CODE, DATA, Machine, VECTOR};
use virtual_esp32c3::bus::Width;
use virtual_esp32c3::hart::Exit;

/// Text, encoding, registers before and after, and offset of the next instruction.
type Case = (&'static str, u32, &'static [(u8, u32)], &'static [(u8, u32)], i32);
/// Text, encoding, registers before, and the two words at [`DATA`] after.
type StoreCase = (&'static str, u32, &'static [(u8, u32)], [u32; 2]);

/// The two words at [`DATA`] before.
const WORDS: [u32; 2] = [0xB3A2_9180, 0x7766_5544];

#[test]
fn register_register() {
    REGISTER_REGISTER.iter().for_each(check);
}

#[test]
fn multiply_divide() {
    MULTIPLY_DIVIDE.iter().for_each(check);
}

#[test]
fn register_immediate() {
    REGISTER_IMMEDIATE.iter().for_each(check);
}

#[test]
fn loads() {
    LOADS.iter().for_each(check);
}

#[test]
fn stores() {
    for (text, code, before, words) in STORES {
        let machine = execute(text, *code, before);
        let length = if code & 3 == 3 { 4 } else { 2 };
        assert_eq!(machine.hart.pc(), CODE + length, "pc after {text}");
        assert_eq!(&data(&machine), words, "memory after {text}");
    }
}

#[test]
fn branches_and_jumps() {
    BRANCHES.iter().for_each(check);
}

#[test]
fn compressed() {
    COMPRESSED.iter().for_each(check);
}

#[test]
fn instructions_outside_rv32imc_are_illegal() {
    for (text, code) in ILLEGAL {
        let machine = execute(text, *code, &[(10, DATA), (11, DATA)]);
        let word = if code & 3 == 3 { *code } else { code & 0xFFFF };
        assert_eq!(machine.trap(), [CODE, 2, word], "mepc, mcause, mtval after {text}");
        assert_eq!(machine.hart.pc(), VECTOR, "pc after {text}");
        assert_eq!(data(&machine), WORDS, "memory after {text}");
    }
}

/// Random words are executed or trap, and in either case the clock moves by one.
#[test]
fn no_encoding_stops_the_hart() {
    let mut word: u32 = 1;
    for _ in 0..200_000 {
        // xorshift32, as by Marsaglia
        word ^= word << 13;
        word ^= word >> 17;
        word ^= word << 5;
        let mut machine_word = word;
        if machine_word & 3 == 3 {
            // makes valid opcodes more frequent
            machine_word =
                machine_word & !0x7F | [0x03, 0x13, 0x23, 0x33, 0x63, 0x67, 0x6F, 0x73][word as usize >> 7 & 7];
        }
        MACHINE.with_borrow_mut(|machine| {
            machine.put(CODE, &[machine_word]);
            machine.hart.set_pc(CODE);
            machine.hart.set_register(11, word.rotate_left(9));
            let now = machine.hart.now();
            let exit = machine.run(1);
            assert!(
                matches!(exit, Exit::Deadline | Exit::Wfi | Exit::Yield),
                "{machine_word:#010x}: {exit:?}"
            );
            assert_eq!(machine.hart.now(), now + 1, "{machine_word:#010x}");
        });
    }
}

thread_local! {
    static MACHINE: std::cell::RefCell<Machine> = std::cell::RefCell::new(Machine::new(&[]));
}

fn check((text, code, before, after, next): &Case) {
    let machine = execute(text, *code, before);
    for number in 0..32 {
        let value = |registers: &[(u8, u32)]| {
            let found = registers.iter().find(|(register, _)| *register == number);
            found.map(|(_, value)| *value)
        };
        let expected = value(after).or(value(before)).unwrap_or(0);
        assert_eq!(
            machine.hart.register(number),
            expected,
            "x{number} after {text} with {before:x?}"
        );
    }
    assert_eq!(
        machine.hart.pc(),
        CODE.wrapping_add_signed(*next),
        "pc after {text} with {before:x?}"
    );
    assert_eq!(data(&machine), WORDS, "memory after {text}");
}

/// Executes one instruction.
fn execute(text: &str, code: u32, before: &[(u8, u32)]) -> Machine {
    let mut machine = Machine::new(&[code]);
    machine.put(DATA, &WORDS);
    for &(number, value) in before {
        machine.hart.set_register(number, value);
    }
    assert_eq!(machine.run(1), Exit::Deadline, "{text}");
    assert_eq!(machine.hart.now(), 1, "{text}");
    machine
}

fn data(machine: &Machine) -> [u32; 2] {
    [DATA, DATA + 4].map(|address| machine.memory.load(address, Width::Word).expect("RAM answers"))
}

const ILLEGAL: &[(&str, u32)] = &[
    ("all zeros", 0),
    ("all ones", 0xFFFF_FFFF),
    ("lr.w a0, (a1)", 0x1005_A52F),
    ("sc.w a0, a2, (a1)", 0x18C5_A52F),
    ("amoadd.w a0, a2, (a1)", 0x00C5_A52F),
    ("flw fa0, 0(a1)", 0x0005_A507),
    ("fsw fa0, 0(a1)", 0x00A5_A027),
    ("fadd.s fa0, fa0, fa0", 0x00A5_7553),
    ("ld a0, 0(a1)", 0x0005_B503),
    ("lwu a0, 0(a1)", 0x0005_E503),
    ("sd a0, 0(a1)", 0x00A5_B023),
    ("addiw a0, a1, 1", 0x0015_851B),
    ("addw a0, a1, a2", 0x00C5_853B),
    ("slli a0, a1, 32", 0x0205_9513),
    ("srli a0, a1, 32", 0x0205_D513),
    ("sh1add a0, a1, a2", 0x20C5_A533),
    ("beq with funct3 2", 0x0000_2063),
    ("jalr with funct3 1", 0x0005_1067),
    ("sret", 0x1020_0073),
    ("uret", 0x0020_0073),
    ("dret", 0x7B20_0073),
    ("sfence.vma", 0x1200_0073),
    ("c.addi4spn with immediate 0", 0x0008),
    ("c.fld fa0, 0(a1)", 0x2188),
    ("c.flw fa0, 0(a1)", 0x6188),
    ("c.fsw fa0, 0(a1)", 0xE188),
    ("c.addi16sp with immediate 0", 0x6101),
    ("c.lui with immediate 0", 0x6501),
    ("c.srli a0, 32", 0x9101),
    ("c.srai a0, 32", 0x9501),
    ("c.subw a0, a1", 0x9D0D),
    ("c.slli a0, 32", 0x1502),
    ("c.lwsp zero", 0x4002),
    ("c.jr zero", 0x8002),
    ("c.flwsp fa0, 0(sp)", 0x6502),
];

const REGISTER_REGISTER: &[Case] = &[
    ("add a0, a1, a2", 0x00C5_8533, &[(11, 1), (12, 2)], &[(10, 3)], 4),
    (
        "add a0, a1, a2",
        0x00C5_8533,
        &[(11, 0xFFFF_FFFF), (12, 1)],
        &[(10, 0)],
        4,
    ),
    (
        "add a0, a1, a2",
        0x00C5_8533,
        &[(11, 0x7FFF_FFFF), (12, 1)],
        &[(10, 0x8000_0000)],
        4,
    ),
    (
        "sub a0, a1, a2",
        0x40C5_8533,
        &[(11, 1), (12, 2)],
        &[(10, 0xFFFF_FFFF)],
        4,
    ),
    (
        "sub a0, a1, a2",
        0x40C5_8533,
        &[(11, 0x8000_0000), (12, 1)],
        &[(10, 0x7FFF_FFFF)],
        4,
    ),
    (
        "sll a0, a1, a2",
        0x00C5_9533,
        &[(11, 1), (12, 0x1F)],
        &[(10, 0x8000_0000)],
        4,
    ),
    ("sll a0, a1, a2", 0x00C5_9533, &[(11, 3), (12, 0x21)], &[(10, 6)], 4),
    (
        "slt a0, a1, a2",
        0x00C5_A533,
        &[(11, 0xFFFF_FFFF), (12, 0)],
        &[(10, 1)],
        4,
    ),
    (
        "slt a0, a1, a2",
        0x00C5_A533,
        &[(11, 0), (12, 0xFFFF_FFFF)],
        &[(10, 0)],
        4,
    ),
    ("slt a0, a1, a2", 0x00C5_A533, &[(11, 5), (12, 5)], &[(10, 0)], 4),
    (
        "slt a0, a1, a2",
        0x00C5_A533,
        &[(11, 0x8000_0000), (12, 0x7FFF_FFFF)],
        &[(10, 1)],
        4,
    ),
    (
        "sltu a0, a1, a2",
        0x00C5_B533,
        &[(11, 0xFFFF_FFFF), (12, 0)],
        &[(10, 0)],
        4,
    ),
    (
        "sltu a0, a1, a2",
        0x00C5_B533,
        &[(11, 0), (12, 0xFFFF_FFFF)],
        &[(10, 1)],
        4,
    ),
    ("sltu a0, a1, a2", 0x00C5_B533, &[(11, 5), (12, 5)], &[(10, 0)], 4),
    (
        "xor a0, a1, a2",
        0x00C5_C533,
        &[(11, 0xFF00_FF00), (12, 0x0FF0_0FF0)],
        &[(10, 0xF0F0_F0F0)],
        4,
    ),
    (
        "srl a0, a1, a2",
        0x00C5_D533,
        &[(11, 0x8000_0000), (12, 0x1F)],
        &[(10, 1)],
        4,
    ),
    (
        "srl a0, a1, a2",
        0x00C5_D533,
        &[(11, 0x8000_0000), (12, 0x24)],
        &[(10, 0x0800_0000)],
        4,
    ),
    (
        "sra a0, a1, a2",
        0x40C5_D533,
        &[(11, 0x8000_0000), (12, 0x1F)],
        &[(10, 0xFFFF_FFFF)],
        4,
    ),
    (
        "sra a0, a1, a2",
        0x40C5_D533,
        &[(11, 0x8000_0000), (12, 0x24)],
        &[(10, 0xF800_0000)],
        4,
    ),
    (
        "sra a0, a1, a2",
        0x40C5_D533,
        &[(11, 0x4000_0000), (12, 0x1E)],
        &[(10, 1)],
        4,
    ),
    (
        "or a0, a1, a2",
        0x00C5_E533,
        &[(11, 0xFF00_FF00), (12, 0x0FF0_0FF0)],
        &[(10, 0xFFF0_FFF0)],
        4,
    ),
    (
        "and a0, a1, a2",
        0x00C5_F533,
        &[(11, 0xFF00_FF00), (12, 0x0FF0_0FF0)],
        &[(10, 0x0F00_0F00)],
        4,
    ),
    ("add zero, a1, a2", 0x00C5_8033, &[(11, 1), (12, 2)], &[], 4),
    ("add a1, a1, a1", 0x00B5_85B3, &[(11, 0x15)], &[(11, 0x2A)], 4),
    ("sub t6, zero, s11", 0x41B0_0FB3, &[(27, 1)], &[(31, 0xFFFF_FFFF)], 4),
];

const MULTIPLY_DIVIDE: &[Case] = &[
    ("mul a0, a1, a2", 0x02C5_8533, &[(11, 7), (12, 6)], &[(10, 0x2A)], 4),
    (
        "mul a0, a1, a2",
        0x02C5_8533,
        &[(11, 0xFFFF_FFFF), (12, 0xFFFF_FFFF)],
        &[(10, 1)],
        4,
    ),
    (
        "mul a0, a1, a2",
        0x02C5_8533,
        &[(11, 0x0001_0000), (12, 0x0001_0000)],
        &[(10, 0)],
        4,
    ),
    (
        "mulh a0, a1, a2",
        0x02C5_9533,
        &[(11, 0xFFFF_FFFF), (12, 0xFFFF_FFFF)],
        &[(10, 0)],
        4,
    ),
    (
        "mulh a0, a1, a2",
        0x02C5_9533,
        &[(11, 0x8000_0000), (12, 0x8000_0000)],
        &[(10, 0x4000_0000)],
        4,
    ),
    (
        "mulh a0, a1, a2",
        0x02C5_9533,
        &[(11, 0x8000_0000), (12, 1)],
        &[(10, 0xFFFF_FFFF)],
        4,
    ),
    (
        "mulhsu a0, a1, a2",
        0x02C5_A533,
        &[(11, 0xFFFF_FFFF), (12, 0xFFFF_FFFF)],
        &[(10, 0xFFFF_FFFF)],
        4,
    ),
    (
        "mulhsu a0, a1, a2",
        0x02C5_A533,
        &[(11, 0x8000_0000), (12, 0xFFFF_FFFF)],
        &[(10, 0x8000_0000)],
        4,
    ),
    (
        "mulhsu a0, a1, a2",
        0x02C5_A533,
        &[(11, 1), (12, 0xFFFF_FFFF)],
        &[(10, 0)],
        4,
    ),
    (
        "mulhsu a0, a1, a2",
        0x02C5_A533,
        &[(11, 0x7FFF_FFFF), (12, 0xFFFF_FFFF)],
        &[(10, 0x7FFF_FFFE)],
        4,
    ),
    (
        "mulhu a0, a1, a2",
        0x02C5_B533,
        &[(11, 0xFFFF_FFFF), (12, 0xFFFF_FFFF)],
        &[(10, 0xFFFF_FFFE)],
        4,
    ),
    (
        "mulhu a0, a1, a2",
        0x02C5_B533,
        &[(11, 0x8000_0000), (12, 2)],
        &[(10, 1)],
        4,
    ),
    (
        "div a0, a1, a2",
        0x02C5_C533,
        &[(11, 0xFFFF_FFEC), (12, 3)],
        &[(10, 0xFFFF_FFFA)],
        4,
    ),
    (
        "div a0, a1, a2",
        0x02C5_C533,
        &[(11, 7), (12, 0)],
        &[(10, 0xFFFF_FFFF)],
        4,
    ),
    (
        "div a0, a1, a2",
        0x02C5_C533,
        &[(11, 0x8000_0000), (12, 0xFFFF_FFFF)],
        &[(10, 0x8000_0000)],
        4,
    ),
    (
        "div a0, a1, a2",
        0x02C5_C533,
        &[(11, 0x14), (12, 0xFFFF_FFFD)],
        &[(10, 0xFFFF_FFFA)],
        4,
    ),
    (
        "divu a0, a1, a2",
        0x02C5_D533,
        &[(11, 0xFFFF_FFEC), (12, 3)],
        &[(10, 0x5555_554E)],
        4,
    ),
    (
        "divu a0, a1, a2",
        0x02C5_D533,
        &[(11, 7), (12, 0)],
        &[(10, 0xFFFF_FFFF)],
        4,
    ),
    (
        "divu a0, a1, a2",
        0x02C5_D533,
        &[(11, 0x8000_0000), (12, 0xFFFF_FFFF)],
        &[(10, 0)],
        4,
    ),
    (
        "rem a0, a1, a2",
        0x02C5_E533,
        &[(11, 0xFFFF_FFEC), (12, 3)],
        &[(10, 0xFFFF_FFFE)],
        4,
    ),
    ("rem a0, a1, a2", 0x02C5_E533, &[(11, 7), (12, 0)], &[(10, 7)], 4),
    (
        "rem a0, a1, a2",
        0x02C5_E533,
        &[(11, 0x8000_0000), (12, 0xFFFF_FFFF)],
        &[(10, 0)],
        4,
    ),
    (
        "rem a0, a1, a2",
        0x02C5_E533,
        &[(11, 0x14), (12, 0xFFFF_FFFD)],
        &[(10, 2)],
        4,
    ),
    (
        "rem a0, a1, a2",
        0x02C5_E533,
        &[(11, 0xFFFF_FFF0), (12, 0)],
        &[(10, 0xFFFF_FFF0)],
        4,
    ),
    (
        "remu a0, a1, a2",
        0x02C5_F533,
        &[(11, 0xFFFF_FFEC), (12, 3)],
        &[(10, 2)],
        4,
    ),
    ("remu a0, a1, a2", 0x02C5_F533, &[(11, 7), (12, 0)], &[(10, 7)], 4),
    (
        "remu a0, a1, a2",
        0x02C5_F533,
        &[(11, 0x8000_0000), (12, 0xFFFF_FFFF)],
        &[(10, 0x8000_0000)],
        4,
    ),
];

const REGISTER_IMMEDIATE: &[Case] = &[
    ("addi a0, a1, 2047", 0x7FF5_8513, &[(11, 1)], &[(10, 0x800)], 4),
    ("addi a0, a1, -2048", 0x8005_8513, &[(11, 0)], &[(10, 0xFFFF_F800)], 4),
    ("slti a0, a1, 0", 0x0005_A513, &[(11, 0xFFFF_FFFF)], &[(10, 1)], 4),
    ("slti a0, a1, -1", 0xFFF5_A513, &[(11, 0)], &[(10, 0)], 4),
    ("slti a0, a1, -2047", 0x8015_A513, &[(11, 0xFFFF_F800)], &[(10, 1)], 4),
    ("sltiu a0, a1, 1", 0x0015_B513, &[(11, 0)], &[(10, 1)], 4),
    ("sltiu a0, a1, -1", 0xFFF5_B513, &[(11, 5)], &[(10, 1)], 4),
    ("sltiu a0, a1, -1", 0xFFF5_B513, &[(11, 0xFFFF_FFFF)], &[(10, 0)], 4),
    ("xori a0, a1, -1", 0xFFF5_C513, &[(11, 0xF0F)], &[(10, 0xFFFF_F0F0)], 4),
    ("ori a0, a1, -256", 0xF005_E513, &[(11, 0xF0F)], &[(10, 0xFFFF_FF0F)], 4),
    (
        "andi a0, a1, -256",
        0xF005_F513,
        &[(11, 0xFFFF_0F0F)],
        &[(10, 0xFFFF_0F00)],
        4,
    ),
    ("slli a0, a1, 31", 0x01F5_9513, &[(11, 1)], &[(10, 0x8000_0000)], 4),
    (
        "slli a0, a1, 4",
        0x0045_9513,
        &[(11, 0xFFFF_FFFF)],
        &[(10, 0xFFFF_FFF0)],
        4,
    ),
    ("srli a0, a1, 31", 0x01F5_D513, &[(11, 0x8000_0000)], &[(10, 1)], 4),
    (
        "srai a0, a1, 31",
        0x41F5_D513,
        &[(11, 0x8000_0000)],
        &[(10, 0xFFFF_FFFF)],
        4,
    ),
    (
        "srai a0, a1, 4",
        0x4045_D513,
        &[(11, 0x7000_0000)],
        &[(10, 0x0700_0000)],
        4,
    ),
    ("lui a0, 0xfffff", 0xFFFF_F537, &[], &[(10, 0xFFFF_F000)], 4),
    ("lui a0, 0x12345", 0x1234_5537, &[], &[(10, 0x1234_5000)], 4),
    ("auipc a0, 0", 0x517, &[], &[(10, 0x4038_0100)], 4),
    ("auipc a0, 0xfffff", 0xFFFF_F517, &[], &[(10, 0x4037_F100)], 4),
    ("addi a0, zero, -1", 0xFFF0_0513, &[], &[(10, 0xFFFF_FFFF)], 4),
    ("addi zero, zero, 0", 0x13, &[], &[], 4),
    ("addi zero, a1, 5", 0x0055_8013, &[(11, 5)], &[], 4),
    ("fence", 0x0FF0_000F, &[], &[], 4),
    ("fence.i", 0x100F, &[], &[], 4),
];

const LOADS: &[Case] = &[
    (
        "lb a0, 0(a1)",
        0x0005_8503,
        &[(11, 0x3FC8_1000)],
        &[(10, 0xFFFF_FF80)],
        4,
    ),
    ("lb a0, 4(a1)", 0x0045_8503, &[(11, 0x3FC8_1000)], &[(10, 0x44)], 4),
    (
        "lb a0, 3(a1)",
        0x0035_8503,
        &[(11, 0x3FC8_1000)],
        &[(10, 0xFFFF_FFB3)],
        4,
    ),
    ("lbu a0, 0(a1)", 0x0005_C503, &[(11, 0x3FC8_1000)], &[(10, 0x80)], 4),
    ("lbu a0, 7(a1)", 0x0075_C503, &[(11, 0x3FC8_1000)], &[(10, 0x77)], 4),
    (
        "lh a0, 0(a1)",
        0x0005_9503,
        &[(11, 0x3FC8_1000)],
        &[(10, 0xFFFF_9180)],
        4,
    ),
    (
        "lh a0, 2(a1)",
        0x0025_9503,
        &[(11, 0x3FC8_1000)],
        &[(10, 0xFFFF_B3A2)],
        4,
    ),
    ("lh a0, 4(a1)", 0x0045_9503, &[(11, 0x3FC8_1000)], &[(10, 0x5544)], 4),
    ("lhu a0, 2(a1)", 0x0025_D503, &[(11, 0x3FC8_1000)], &[(10, 0xB3A2)], 4),
    ("lhu a0, 6(a1)", 0x0065_D503, &[(11, 0x3FC8_1000)], &[(10, 0x7766)], 4),
    (
        "lw a0, 0(a1)",
        0x0005_A503,
        &[(11, 0x3FC8_1000)],
        &[(10, 0xB3A2_9180)],
        4,
    ),
    (
        "lw a0, 4(a1)",
        0x0045_A503,
        &[(11, 0x3FC8_1000)],
        &[(10, 0x7766_5544)],
        4,
    ),
    (
        "lh a0, 1(a1)",
        0x0015_9503,
        &[(11, 0x3FC8_1000)],
        &[(10, 0xFFFF_A291)],
        4,
    ),
    ("lhu a0, 3(a1)", 0x0035_D503, &[(11, 0x3FC8_1000)], &[(10, 0x44B3)], 4),
    (
        "lw a0, 1(a1)",
        0x0015_A503,
        &[(11, 0x3FC8_1000)],
        &[(10, 0x44B3_A291)],
        4,
    ),
    (
        "lw a0, 2(a1)",
        0x0025_A503,
        &[(11, 0x3FC8_1000)],
        &[(10, 0x5544_B3A2)],
        4,
    ),
    (
        "lw a0, 3(a1)",
        0x0035_A503,
        &[(11, 0x3FC8_1000)],
        &[(10, 0x6655_44B3)],
        4,
    ),
    (
        "lw a0, -4(a1)",
        0xFFC5_A503,
        &[(11, 0x3FC8_1008)],
        &[(10, 0x7766_5544)],
        4,
    ),
    (
        "lw a1, 0(a1)",
        0x0005_A583,
        &[(11, 0x3FC8_1000)],
        &[(11, 0xB3A2_9180)],
        4,
    ),
    ("lw zero, 0(a1)", 0x0005_A003, &[(11, 0x3FC8_1000)], &[], 4),
];

const BRANCHES: &[Case] = &[
    ("beq a1, a2, 64", 0x04C5_8063, &[(11, 1), (12, 1)], &[], 64),
    ("beq a1, a2, 64", 0x04C5_8063, &[(11, 1), (12, 2)], &[], 4),
    ("bne a1, a2, 64", 0x04C5_9063, &[(11, 1), (12, 1)], &[], 4),
    ("bne a1, a2, 64", 0x04C5_9063, &[(11, 1), (12, 2)], &[], 64),
    ("blt a1, a2, 64", 0x04C5_C063, &[(11, 0xFFFF_FFFF), (12, 0)], &[], 64),
    ("blt a1, a2, 64", 0x04C5_C063, &[(11, 0), (12, 0xFFFF_FFFF)], &[], 4),
    ("blt a1, a2, 64", 0x04C5_C063, &[(11, 3), (12, 3)], &[], 4),
    ("bge a1, a2, 64", 0x04C5_D063, &[(11, 0xFFFF_FFFF), (12, 0)], &[], 4),
    ("bge a1, a2, 64", 0x04C5_D063, &[(11, 0), (12, 0xFFFF_FFFF)], &[], 64),
    ("bge a1, a2, 64", 0x04C5_D063, &[(11, 3), (12, 3)], &[], 64),
    ("bltu a1, a2, 64", 0x04C5_E063, &[(11, 0xFFFF_FFFF), (12, 0)], &[], 4),
    ("bltu a1, a2, 64", 0x04C5_E063, &[(11, 0), (12, 0xFFFF_FFFF)], &[], 64),
    ("bltu a1, a2, 64", 0x04C5_E063, &[(11, 3), (12, 3)], &[], 4),
    ("bgeu a1, a2, 64", 0x04C5_F063, &[(11, 0xFFFF_FFFF), (12, 0)], &[], 64),
    ("bgeu a1, a2, 64", 0x04C5_F063, &[(11, 0), (12, 0xFFFF_FFFF)], &[], 4),
    ("bgeu a1, a2, 64", 0x04C5_F063, &[(11, 3), (12, 3)], &[], 64),
    ("beq zero, zero, -128", 0xF800_00E3, &[], &[], -128),
    ("beq zero, zero, 4094", 0x7E00_0FE3, &[], &[], 4094),
    ("beq zero, zero, -4096", 0x8000_0063, &[], &[], -4096),
    ("bne a1, a2, 2730", 0x2AC5_95E3, &[(11, 1)], &[], 2730),
    ("jal ra, 2048", 0x0010_00EF, &[], &[(1, 0x4038_0104)], 2048),
    ("jal zero, -2", 0xFFFF_F06F, &[], &[], -2),
    ("jal a0, 0x55554", 0x5545_556F, &[], &[(10, 0x4038_0104)], 0x0005_5554),
    ("jal a0, -0x55556", 0xAABA_A56F, &[], &[(10, 0x4038_0104)], -0x0005_5556),
    ("jal zero, -1048576", 0x8000_006F, &[], &[], -0x0010_0000),
    (
        "jalr a0, 8(a1)",
        0x0085_8567,
        &[(11, 0x4038_0200)],
        &[(10, 0x4038_0104)],
        264,
    ),
    (
        "jalr ra, -1(ra)",
        0xFFF0_80E7,
        &[(1, 0x4038_2101)],
        &[(1, 0x4038_0104)],
        0x2000,
    ),
    ("jalr zero, 3(a1)", 0x0035_8067, &[(11, 0x4038_0100)], &[], 2),
];

const COMPRESSED: &[Case] = &[
    (
        "c.addi4spn a0, sp, 4",
        0x48,
        &[(2, 0x3FC8_1000)],
        &[(10, 0x3FC8_1004)],
        2,
    ),
    (
        "c.addi4spn s0, sp, 1020",
        0x1FE0,
        &[(2, 0x3FC8_1000)],
        &[(8, 0x3FC8_13FC)],
        2,
    ),
    (
        "c.addi4spn a5, sp, 680",
        0x153C,
        &[(2, 0x3FC8_1000)],
        &[(15, 0x3FC8_12A8)],
        2,
    ),
    ("c.lw a0, 4(a1)", 0x41C8, &[(11, 0x3FC8_1000)], &[(10, 0x7766_5544)], 2),
    ("c.lw s1, 124(s0)", 0x5C64, &[(8, 0x3FC8_0F84)], &[(9, 0xB3A2_9180)], 2),
    ("c.lw a5, 64(a4)", 0x433C, &[(14, 0x3FC8_0FC0)], &[(15, 0xB3A2_9180)], 2),
    ("c.nop", 1, &[], &[], 2),
    ("c.addi a0, -1", 0x157D, &[(10, 0)], &[(10, 0xFFFF_FFFF)], 2),
    ("c.addi t6, 31", 0xFFD, &[(31, 1)], &[(31, 0x20)], 2),
    ("c.addi a0, -32", 0x1501, &[(10, 0)], &[(10, 0xFFFF_FFE0)], 2),
    ("c.jal 2046", 0x2FFD, &[], &[(1, 0x4038_0102)], 2046),
    ("c.jal -2048", 0x3001, &[], &[(1, 0x4038_0102)], -2048),
    ("c.jal 1364", 0x2B91, &[], &[(1, 0x4038_0102)], 1364),
    ("c.j 682", 0xA46D, &[], &[], 682),
    ("c.j -2", 0xBFFD, &[], &[], -2),
    ("c.j 0", 0xA001, &[], &[], 0),
    ("c.li a0, -32", 0x5501, &[], &[(10, 0xFFFF_FFE0)], 2),
    ("c.li s11, 31", 0x4DFD, &[], &[(27, 0x1F)], 2),
    (
        "c.addi16sp sp, -512",
        0x7101,
        &[(2, 0x3FC8_1000)],
        &[(2, 0x3FC8_0E00)],
        2,
    ),
    (
        "c.addi16sp sp, 496",
        0x617D,
        &[(2, 0x3FC8_1000)],
        &[(2, 0x3FC8_11F0)],
        2,
    ),
    (
        "c.addi16sp sp, 336",
        0x6171,
        &[(2, 0x3FC8_1000)],
        &[(2, 0x3FC8_1150)],
        2,
    ),
    ("c.addi16sp sp, 32", 0x6105, &[(2, 0x3FC8_1000)], &[(2, 0x3FC8_1020)], 2),
    ("c.lui a0, 0x1f", 0x657D, &[], &[(10, 0x0001_F000)], 2),
    ("c.lui a0, 0xfffe0", 0x7501, &[], &[(10, 0xFFFE_0000)], 2),
    ("c.srli a0, 31", 0x817D, &[(10, 0x8000_0000)], &[(10, 1)], 2),
    ("c.srai a0, 4", 0x8511, &[(10, 0x8000_0000)], &[(10, 0xF800_0000)], 2),
    ("c.andi a0, -2", 0x9979, &[(10, 0x77)], &[(10, 0x76)], 2),
    ("c.andi s1, 21", 0x88D5, &[(9, 0xFF)], &[(9, 0x15)], 2),
    ("c.sub a0, a1", 0x8D0D, &[(10, 5), (11, 7)], &[(10, 0xFFFF_FFFE)], 2),
    ("c.xor a0, a1", 0x8D2D, &[(10, 5), (11, 7)], &[(10, 2)], 2),
    ("c.or s0, s1", 0x8C45, &[(8, 5), (9, 0xA)], &[(8, 0xF)], 2),
    ("c.and a4, a5", 0x8F7D, &[(14, 0xD), (15, 7)], &[(14, 5)], 2),
    ("c.beqz a0, 254", 0xCD7D, &[(10, 0)], &[], 254),
    ("c.beqz a0, -256", 0xD101, &[(10, 0)], &[], -256),
    ("c.beqz a0, 170", 0xC54D, &[(10, 1)], &[], 2),
    ("c.bnez a0, 170", 0xE54D, &[(10, 1)], &[], 170),
    ("c.bnez s1, 84", 0xE8B1, &[(9, 1)], &[], 84),
    ("c.bnez a0, 84", 0xE931, &[(10, 0)], &[], 2),
    ("c.slli a0, 31", 0x57E, &[(10, 1)], &[(10, 0x8000_0000)], 2),
    ("c.slli t6, 5", 0xF96, &[(31, 1)], &[(31, 0x20)], 2),
    ("c.lwsp a0, 0(sp)", 0x4502, &[(2, 0x3FC8_1000)], &[(10, 0xB3A2_9180)], 2),
    (
        "c.lwsp t6, 252(sp)",
        0x5FFE,
        &[(2, 0x3FC8_0F04)],
        &[(31, 0xB3A2_9180)],
        2,
    ),
    (
        "c.lwsp ra, 168(sp)",
        0x50AA,
        &[(2, 0x3FC8_0F58)],
        &[(1, 0xB3A2_9180)],
        2,
    ),
    ("c.jr a0", 0x8502, &[(10, 0x4038_0140)], &[], 64),
    ("c.jr ra", 0x8082, &[(1, 0x4038_0141)], &[], 64),
    ("c.jalr a0", 0x9502, &[(10, 0x4038_0140)], &[(1, 0x4038_0102)], 64),
    ("c.jalr ra", 0x9082, &[(1, 0x4038_0140)], &[(1, 0x4038_0102)], 64),
    ("c.mv a0, t6", 0x857E, &[(31, 9)], &[(10, 9)], 2),
    ("c.add a0, t6", 0x957E, &[(10, 1), (31, 9)], &[(10, 0xA)], 2),
];

const STORES: &[StoreCase] = &[
    (
        "sb a0, 0(a1)",
        0x00A5_8023,
        &[(10, 0xCAFE_BABE), (11, 0x3FC8_1000)],
        [0xB3A2_91BE, 0x7766_5544],
    ),
    (
        "sb a0, 7(a1)",
        0x00A5_83A3,
        &[(10, 0xCAFE_BABE), (11, 0x3FC8_1000)],
        [0xB3A2_9180, 0xBE66_5544],
    ),
    (
        "sh a0, 2(a1)",
        0x00A5_9123,
        &[(10, 0xCAFE_BABE), (11, 0x3FC8_1000)],
        [0xBABE_9180, 0x7766_5544],
    ),
    (
        "sw a0, 4(a1)",
        0x00A5_A223,
        &[(10, 0xCAFE_BABE), (11, 0x3FC8_1000)],
        [0xB3A2_9180, 0xCAFE_BABE],
    ),
    (
        "sw a0, -2048(a1)",
        0x80A5_A023,
        &[(10, 0xCAFE_BABE), (11, 0x3FC8_1800)],
        [0xCAFE_BABE, 0x7766_5544],
    ),
    (
        "sw a0, 1365(a1)",
        0x54A5_AAA3,
        &[(10, 0xCAFE_BABE), (11, 0x3FC8_0AAB)],
        [0xCAFE_BABE, 0x7766_5544],
    ),
    (
        "sh a0, 3(a1)",
        0x00A5_91A3,
        &[(10, 0xCAFE_BABE), (11, 0x3FC8_1000)],
        [0xBEA2_9180, 0x7766_55BA],
    ),
    (
        "sw a0, 1(a1)",
        0x00A5_A0A3,
        &[(10, 0xCAFE_BABE), (11, 0x3FC8_1000)],
        [0xFEBA_BE80, 0x7766_55CA],
    ),
    (
        "c.sw a0, 4(a1)",
        0xC1C8,
        &[(10, 0xCAFE_BABE), (11, 0x3FC8_1000)],
        [0xB3A2_9180, 0xCAFE_BABE],
    ),
    (
        "c.sw s1, 120(s0)",
        0xDC24,
        &[(9, 0xCAFE_BABE), (8, 0x3FC8_0F88)],
        [0xCAFE_BABE, 0x7766_5544],
    ),
    (
        "c.sw s1, 68(a5)",
        0xC3E4,
        &[(9, 0xCAFE_BABE), (15, 0x3FC8_0FBC)],
        [0xCAFE_BABE, 0x7766_5544],
    ),
    (
        "c.swsp t6, 252(sp)",
        0xDFFE,
        &[(31, 0xCAFE_BABE), (2, 0x3FC8_0F04)],
        [0xCAFE_BABE, 0x7766_5544],
    ),
    (
        "c.swsp ra, 84(sp)",
        0xCA86,
        &[(1, 0xCAFE_BABE), (2, 0x3FC8_0FAC)],
        [0xCAFE_BABE, 0x7766_5544],
    ),
];
