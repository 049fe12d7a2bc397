//! The fast interpreter (`chain`) does the same as the plain one. Programs run on both and stop at the same random
//! times, and registers and memory must be the same each time.

#[path = "../benches/programs/mod.rs"]
mod programs;
#[path = "differential/random.rs"]
mod random;

mod isa_support;

use isa_support::{CODE, DATA, Machine, RAISE, REGISTER, YIELDING};
use programs::Function;
use random::Random;
use virtual_esp32c3::hart::{Exit, Interpreter};
use virtual_esp32c3::memory::SRAM_CODE;

/// Units of 16 bits in a random program.
const CODE_HALVES: usize = 6000;

#[test]
fn compiled_programs_run_the_same_from_stop_to_stop() {
    for (function, size) in [
        (Function::P256, 32),
        (Function::Sha256, 0x4000),
        (Function::Copy, 0x8000),
    ] {
        let mut random = Random(size as u64);
        let input = vec![0x5A; size];
        let [mut plain, mut fast] = [Interpreter::Plain, Interpreter::Fast]
            .map(|interpreter| programs::Machine::at(function, &input, interpreter));
        loop {
            let until = fast.now() + 1 + deadline(&mut random) * 16;
            let exits = [plain.run(until), fast.run(until)];
            assert_eq!(exits[0], exits[1]);
            assert_eq!(plain.state(), fast.state(), "{function:?}: time, pc, x1 to x31");
            if let Exit::Breakpoint(_) = exits[0] {
                break;
            }
        }
        assert!(fast.now() > 20_000);
        assert_eq!(plain.output(), fast.output());
    }
}

#[test]
fn random_programs_run_the_same_from_stop_to_stop() {
    let mut traps = 0;
    let mut longest = 0;
    for seed in 1..=40 {
        let mut random = Random(seed);
        let mut fast = machine(&mut random);
        let mut plain = fast.clone();
        plain.hart.set_interpreter(Interpreter::Plain);
        while fast.hart.now() < 60_000 {
            let before = fast.hart.now();
            let until = before + 1 + deadline(&mut random);
            let exits = [&mut plain, &mut fast].map(|machine| {
                let exit = machine.hart.run(&mut machine.memory, &mut machine.bus, until);
                // Each interrupt is served once.
                machine.bus.line = machine.bus.line.filter(|_| exit == Exit::Yield);
                exit
            });
            assert_eq!(exits[0], exits[1], "seed {seed}, from {before} to {until}");
            assert_eq!(state(&plain), state(&fast), "seed {seed}, from {before} to {until}");
            assert!(fast.hart.now() <= until, "seed {seed}: it ran beyond {until}");
            longest = longest.max(fast.hart.now() - before);
            if fast.hart.pc() == isa_support::VECTOR || exits[0] != Exit::Deadline || random.below(40) == 0 {
                traps += 1;
                let at = CODE + 2 * random.below(CODE_HALVES) as u32;
                let values: Vec<u32> = (0..31).map(|_| value(&mut random)).collect();
                for machine in [&mut plain, &mut fast] {
                    machine.hart.set_pc(at);
                    set_registers(machine, &values);
                }
            }
            // Changes code during the run, as a debugger or a DMA engine may.
            if random.below(20) == 0 {
                let at = CODE + 2 * random.below(CODE_HALVES) as u32;
                let halves = instruction(&mut random);
                for machine in [&mut plain, &mut fast] {
                    assert!(machine.memory.write_bytes(at, &halves));
                }
            }
        }
        assert!(sram(&plain) == sram(&fast), "seed {seed}: memory differs");
    }
    assert!(traps > 500 && longest > 100, "{traps} traps, {longest} in a row");
}

/// Instructions are joined from the second time on that they are executed. So every sequence that the fast interpreter
/// joins is put into loops.
#[test]
fn loops_of_every_joined_sequence_run_the_same_from_stop_to_stop() {
    const TURNS: u32 = 12;
    let sequences = joined();
    assert!(sequences.len() > 100, "{sequences:?}");
    let mut random = Random(7);
    let mut machines = [machine(&mut random), machine(&mut random)];
    machines[1] = machines[0].clone();
    machines[1].hart.set_interpreter(Interpreter::Plain);
    let mut finished = 0;
    for (round, sequence) in (0..10).flat_map(|round| sequences.iter().map(move |sequence| (round, sequence))) {
        // Some loops lie across the border of two pages.
        let start = CODE
            + if round % 3 == 0 {
                0xF00 - 2 * random.below(30) as u32
            } else {
                0
            };
        let code = looping(sequence, &mut random);
        let mut values: Vec<u32> = (0..31).map(|_| good_address(&mut random)).collect();
        values[COUNTER as usize - 1] = TURNS;
        for machine in &mut machines {
            assert!(machine.memory.write_bytes(start, &code));
            machine.hart.set_pc(start);
            set_registers(machine, &values);
        }
        let begin = machines[0].hart.now();
        let end = start + code.len() as u32 - 4;
        let mut until = begin;
        while until < begin + 2000 && ![end, isa_support::VECTOR].contains(&machines[0].hart.pc()) {
            let most = [2, 8, 100][random.below(3)];
            until = until.max(machines[0].hart.now()) + 1 + random.below(most) as u64;
            let exits = machines
                .each_mut()
                .map(|machine| machine.hart.run(&mut machine.memory, &mut machine.bus, until));
            assert_eq!(exits[0], exits[1], "{sequence:?}, round {round}, {code:02x?}");
            let [fast, plain] = machines.each_ref().map(state);
            assert_eq!(fast, plain, "{sequence:?}, round {round}, {code:02x?}");
            assert!(machines[0].hart.now() <= until, "{sequence:?}: it ran beyond {until}");
        }
        finished += u32::from(machines[0].hart.pc() == end && machines[0].hart.register(COUNTER as u8) == 0);
    }
    assert!(sram(&machines[0]) == sram(&machines[1]), "memory differs");
    let programs = 10 * sequences.len() as u32;
    assert!(finished > programs * 3 / 4, "{finished} of {programs} end");
}

/// The register that counts the rounds of a loop. Nothing else writes it.
const COUNTER: u32 = 5;
/// The register with an address for compressed loads and stores. Nothing writes it.
const SHORT_BASE: u32 = 9;

/// The sequences that the fast interpreter joins, by the names of its operations.
fn joined() -> Vec<Vec<&'static str>> {
    let source = include_str!("../src/hart/chain.rs");
    let (_, list) = source
        .split_once("    together:\n")
        .expect("chain.rs lists what is executed together");
    list.lines()
        .map_while(|line| line.trim().strip_prefix('[')?.strip_suffix(']'))
        .map(|sequence| sequence.split(' ').collect())
        .collect()
}

/// A loop with this sequence twice in it, among other instructions, and behind it a jump to itself.
fn looping(sequence: &[&str], random: &mut Random) -> Vec<u8> {
    const OTHERS: [&str; 10] = ["Add", "Lw", "SwS", "AddS", "Xor", "Srli", "Mul", "Sltu", "Addi", "OrS"];
    let mut body = Vec::new();
    for _ in 0..2 {
        for _ in 0..random.below(4) {
            body.extend(operation(OTHERS[random.below(OTHERS.len())], random));
        }
        for name in sequence {
            body.extend(operation(name, random));
        }
        // Skipped by a branch at the end of the sequence.
        body.extend(operation("Addi", random));
    }
    // addi x5, x5, -1; bne x5, x0, back
    body.extend((0xFFF0_0013 | COUNTER << 15 | COUNTER << 7).to_le_bytes());
    let back = (body.len() as u32).wrapping_neg();
    let offset = (back >> 12 & 1) << 31 | (back >> 5 & 63) << 25 | (back >> 1 & 15) << 8 | (back >> 11 & 1) << 7;
    body.extend((0x1063 | COUNTER << 15 | offset).to_le_bytes());
    body.extend(0x0000_006Fu32.to_le_bytes());
    body
}

/// An instruction that decodes to the operation of this name, with random operands.
fn operation(name: &str, random: &mut Random) -> Vec<u8> {
    let any = random.next() as u32;
    // Results go to x8 and x10 to x15; addresses are in x16 to x31 and x9.
    let rd = [8, 10, 11, 12, 13, 14, 15][random.below(7)];
    let (rs1, rs2) = (8 + (any >> 4 & 7), 8 + (any >> 8 & 7));
    let base = 16 + (any >> 12 & 15);
    let offset = any >> 16 & 0x7C;
    let shift = any >> 27;
    let r = |funct7: u32, funct3: u32| funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | 0x33;
    let i = |funct3: u32, imm: u32| imm << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | 0x13;
    let load = |funct3: u32| offset << 20 | base << 15 | funct3 << 12 | rd << 7 | 0x03;
    let branch = |funct3: u32| rs2 << 20 | rs1 << 15 | funct3 << 12 | 8 << 7 | 0x63;
    let ca = |bits: u32| 0x8C01 | bits << 5 | (rd - 8) << 7 | (rs2 - 8) << 2;
    let cb = |bits: u32| 0x8001 | bits << 10 | (rd - 8) << 7 | (any >> 16 & 31).max(1) << 2;
    // Names without an S at their end are those of uncompressed instructions.
    let word = match name {
        "Add" => r(0, 0),
        "Sub" => r(0x20, 0),
        "Sltu" => r(0, 3),
        "Xor" => r(0, 4),
        "Or" => r(0, 6),
        "And" => r(0, 7),
        "Mul" => r(1, 0),
        "Mulhu" => r(1, 3),
        "Addi" => i(0, any >> 20),
        "Xori" => i(4, any >> 20),
        "Slli" => i(1, shift),
        "Srli" => i(5, shift),
        "Lw" => load(2),
        "Lbu" => load(4),
        "Sw" => (offset >> 5) << 25 | rs2 << 20 | base << 15 | 2 << 12 | (offset & 31) << 7 | 0x23,
        "Bne" => branch(1),
        "Bltu" => branch(6),
        "AddS" if any & 1 == 0 => 0x8002 | rd << 7 | rs2 << 2,
        "AddS" => 0x9002 | rd << 7 | rs2 << 2,
        "SubS" => ca(0),
        "XorS" => ca(1),
        "OrS" => ca(2),
        "AndS" if any & 1 == 0 => ca(3),
        "AndS" => cb(2),
        "SrliS" => cb(0),
        "SraiS" => cb(1),
        "SlliS" => 0x0002 | rd << 7 | shift.max(1) << 2,
        "AddiS" => 0x0001 | rd << 7 | shift.max(1) << 2,
        "LiS" => 0x4001 | rd << 7 | shift << 2,
        "LwS" if any & 1 == 0 => 0x4000 | (SHORT_BASE - 8) << 7 | (rd - 8) << 2 | (any >> 16 & 7) << 10,
        "LwS" => 0x4002 | rd << 7 | (any >> 16 & 7) << 4,
        "SwS" if any & 1 == 0 => 0xC000 | (SHORT_BASE - 8) << 7 | (rs2 - 8) << 2 | (any >> 16 & 7) << 10,
        "SwS" => 0xC002 | rs2 << 2 | (any >> 16 & 15) << 9,
        _ => panic!("this test cannot encode {name}, which is joined"),
    };
    let length = if word & 3 == 3 { 4 } else { 2 };
    word.to_le_bytes()[..length].to_vec()
}

/// An address in RAM, mostly in SRAM on the data bus, and sometimes on the instruction bus or in RTC fast RAM.
fn good_address(random: &mut Random) -> u32 {
    let offset = 4 * random.below(64) as u32;
    match random.below(40) {
        0 => 0x5000_0400 + offset,
        1 => CODE + 0x1_0000 + offset,
        2 => DATA + offset + 1,
        _ => DATA + 0x8000 + offset,
    }
}

/// Instructions up to the next stop, mostly a few, and sometimes more than are chained.
fn deadline(random: &mut Random) -> u64 {
    let most = [3, 30, 300, 6000][random.below(4)];
    random.below(most) as u64
}

/// A machine with random code and data.
fn machine(random: &mut Random) -> Machine {
    let mut machine = Machine::new(&[]);
    let mut code = Vec::new();
    while code.len() < 2 * CODE_HALVES {
        code.extend(instruction(random));
    }
    assert!(machine.memory.write_bytes(CODE, &code));
    let flash: Vec<u8> = (0..0x4_0000).map(|_| random.next() as u8).collect();
    machine
        .memory
        .flash_modify(0..flash.len(), |bytes| bytes.copy_from_slice(&flash));
    machine.memory.map(0, Some(1));
    // The trap handler loops for ever, so that the test can see it.
    machine.put(isa_support::VECTOR, &[0x0000_006F; 32]);
    machine.hart.set_pc(CODE);
    let values: Vec<u32> = (0..31).map(|_| value(random)).collect();
    set_registers(&mut machine, &values);
    machine
}

fn set_registers(machine: &mut Machine, values: &[u32]) {
    for (number, &value) in (1..).zip(values) {
        machine.hart.set_register(number, value);
    }
}

/// A number that is mostly an address which answers, with room on either side, and rarely a random one.
fn value(random: &mut Random) -> u32 {
    let any = random.next() as u32;
    match random.below(16) {
        0 => any,
        // Registers to which a store yields, raises an interrupt, or does neither.
        1 => [REGISTER, YIELDING, RAISE][random.below(3)],
        // Flash, RTC fast RAM, the code itself, and the end of RAM.
        2 => 0x3C00_0400 + any % 0x800,
        3 => 0x5000_0400 + any % 0x800,
        4 => CODE - 0x10_0000 - 0x60_0000 + any % (2 * CODE_HALVES as u32),
        5 => CODE + any % (2 * CODE_HALVES as u32),
        6 => 0x3FCD_FFE0 + any % 0x20,
        7 => any % 64,
        _ => (DATA + 0x8000 + any % 0x1000) & !3,
    }
}

/// An instruction, little-endian, which is mostly one of those that often follow each other in compiled code.
fn instruction(random: &mut Random) -> Vec<u8> {
    let any = random.next() as u32;
    // Results go to x8 to x15 and addresses are in x16 to x31, so that base registers mostly keep their addresses.
    let rd = 8 + random.below(8) as u32;
    let near = |shift: u32| (any >> shift & 7) << if shift == 13 { 7 } else { 2 };
    let base = 16 + (any >> 20 & 15);
    let (rs1, rs2) = (8 + (any >> 4 & 7), 8 + (any >> 24 & 7));
    let r = |funct7: u32, funct3: u32| funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | 0x33;
    let i = |funct3: u32, imm: u32| imm << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | 0x13;
    let offset = any >> 9 & 0x7C;
    let ca = |bits: u32| 0x8C01 | bits << 5 | near(13) | near(16);
    let word = match random.below(34) {
        0..=3 => 0x9002 | rd << 7 | rs2 << 2,                          // c.add
        4..=6 => r(0, 3),                                              // sltu
        7 | 8 => offset << 20 | base << 15 | 2 << 12 | rd << 7 | 0x03, // lw
        9 | 10 => (offset >> 5) << 25 | rs2 << 20 | base << 15 | 2 << 12 | (offset & 31) << 7 | 0x23, // sw
        11 => 0x4002 | rd << 7 | (any >> 4 & 7) << 4,                  // c.lwsp
        12 => 0xC002 | rs2 << 2 | (any >> 9 & 15) << 9,                // c.swsp
        13 => r(1, 3),                                                 // mulhu
        14 => r(1, 0),                                                 // mul
        15 => r(0x20, 0),                                              // sub
        16 => r(0, 0),                                                 // add
        17 => i(5, any >> 27),                                         // srli
        18 => i(1, any >> 27),                                         // slli
        19 => r(0, 6),                                                 // or
        20 => r(0, 4),                                                 // xor
        21 => r(0, 7),                                                 // and
        22 => i([0, 4, 7, 6, 2, 3][random.below(6)], any >> 20),       // addi, xori, ...
        23 => ca(random.below(4) as u32),                              // c.sub, xor, or, and
        24 => 0x0002 | rd << 7 | (any >> 27) << 2,                     // c.slli
        25 => 0x8001 | (any >> 1 & 1) << 10 | near(13) | (any >> 27) << 2, // c.srli, c.srai
        26 => 0x0001 | rd << 7 | (any >> 27) << 2,                     // c.addi
        27 => 0x4001 | rd << 7 | (any >> 27) << 2,                     // c.li
        28 => offset << 20 | base << 15 | 4 << 12 | rd << 7 | 0x03,    // lbu
        29 => rs2 << 20 | base << 15 | (any >> 5 & 1) << 12 | 0x23,    // sb, sh
        30 => rs2 << 20 | rs1 << 15 | [0, 1, 4, 5, 6, 7][random.below(6)] << 12 | 16 << 7 | 0x63, // branch by 16
        31 => 0xC001 | (any & 1) << 13 | near(13) | 0x18,              // c.beqz, c.bnez by 6
        32 => [0x0080_006F, 0xFC1F_F06F, 0x0000_0017 | rd << 7][random.below(3)], // jal by 8 or -64, auipc
        _ => any,
    };
    let length = if word & 3 == 3 { 4 } else { 2 };
    word.to_le_bytes()[..length].to_vec()
}

fn state(machine: &Machine) -> Vec<u64> {
    let hart = &machine.hart;
    let csrs = [0x300, 0x341, 0x342, 0x343].map(|csr| u64::from(hart.csr(csr).expect("the hart has it")));
    let registers = (1..=31).map(|number| u64::from(hart.register(number)));
    [hart.now(), u64::from(hart.pc())]
        .into_iter()
        .chain(csrs)
        .chain(registers)
        .collect()
}

fn sram(machine: &Machine) -> Vec<u8> {
    let mut bytes = vec![0; 0x6_4000];
    assert!(machine.memory.read_bytes(SRAM_CODE, &mut bytes));
    bytes
}
