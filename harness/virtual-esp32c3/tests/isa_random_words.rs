//! The hart executes random words with random values in its registers. No program makes the host panic, and its results
//! do not depend on how often [`Hart::run`](virtual_esp32c3::hart::Hart::run) returns in between.

#[path = "differential/random.rs"]
mod random;

use std::collections::BTreeSet;
use std::sync::Arc;

use random::Random;
use virtual_esp32c3::bus::{AccessFault, AfterStore, Bus, Width};
use virtual_esp32c3::hart::{AtEbreak, Exit, Hart};
use virtual_esp32c3::memory::{FLASH_CODE, FLASH_DATA, FLASH_WINDOW, MMU_PAGE, Memory, ROM, RTC, SRAM_CODE, SRAM_DATA};

const EPISODES: usize = 4000;
/// Steps of an episode: instructions, traps and skipped time.
const STEPS: u64 = 250;
const SRAM_BYTES: usize = 0x6_4000;
const FLASH_BYTES: usize = 4 * MMU_PAGE;

#[test]
fn random_words_do_not_depend_on_how_they_are_run() {
    for seed in 1..=2 {
        let whole = play(seed, STEPS);
        let every = BTreeSet::from(["breakpoint", "deadline", "double trap", "wfi", "yield"]);
        assert_eq!(whole.exits, every, "seed {seed}: some kinds of exit have not happened");
        let single = play(seed, 1);
        let traps = BTreeSet::from([1, 2, 3, 5, 7, 8, 11]);
        assert!(single.causes.is_superset(&traps), "seed {seed}: {:?}", single.causes);
        assert!(
            single.causes.iter().any(|cause| cause >> 31 == 1),
            "seed {seed}: no interrupt"
        );

        for (episode, (whole, single)) in whole.states.iter().zip(&single.states).enumerate() {
            assert_eq!(
                whole, single,
                "seed {seed}, episode {episode}: time, pc, mepc, mcause, mtval, mstatus, x1 to x31 at once; step by step"
            );
        }
        assert!(whole.sram == single.sram, "seed {seed}: memory differs");
    }
}

/// The result of all episodes.
struct Outcome {
    /// Time, pc, some CSRs and the registers after each episode.
    states: Vec<Vec<u64>>,
    sram: Vec<u8>,
    exits: BTreeSet<&'static str>,
    /// Values of mcause after each slice.
    causes: BTreeSet<u32>,
}

/// Runs all episodes, at most `slice` steps at a time.
fn play(seed: u64, slice: u64) -> Outcome {
    let mut random = Random(seed);
    let rom: Vec<u8> = words(&mut random, 0x6_0000);
    let flash: Vec<u8> = words(&mut random, FLASH_BYTES);
    let mut memory = Memory::with_flash(rom.into(), Arc::from(flash));
    let mut sram = words(&mut random, SRAM_BYTES);
    assert!(memory.write_bytes(SRAM_CODE, &sram));
    assert!(memory.write_bytes(RTC, &words(&mut random, 0x2000)));
    let mut bus = AnyBus {
        random: Random(!seed),
        line: None,
    };
    let mut hart = Hart::new(SRAM_CODE);
    let mut outcome = Outcome {
        states: Vec::new(),
        sram: Vec::new(),
        exits: BTreeSet::new(),
        causes: BTreeSet::new(),
    };
    for _ in 0..EPISODES {
        if random.below(8) == 0 {
            hart.reset();
        }
        hart.set_at_ebreak([AtEbreak::Stop, AtEbreak::Trap][random.below(2)]);
        assert!(hart.set_csr(0x305, address(&mut random)), "mtvec");
        for number in 1..=31 {
            hart.set_register(number, address(&mut random));
        }
        hart.set_pc(address(&mut random));
        memory.map(random.below(4), Some(random.below(4) as u16));

        let end = hart.now() + STEPS;
        while hart.now() < end {
            let exit = hart.run(&mut memory, &mut bus, end.min(hart.now() + slice));
            outcome.causes.insert(hart.csr(0x342).expect("mcause"));
            outcome.exits.insert(match exit {
                Exit::Deadline => "deadline",
                Exit::Yield => "yield",
                Exit::Wfi => {
                    hart.advance(1 + random.next() % 20);
                    bus.line = Some(1 + random.below(31) as u8);
                    "wfi"
                }
                Exit::Breakpoint(pc) => {
                    hart.set_pc(pc.wrapping_add(2));
                    "breakpoint"
                }
                Exit::Trigger => unreachable!("no debugger has set one"),
                Exit::DoubleTrap => {
                    hart.set_pc(address(&mut random));
                    hart.advance(1);
                    "double trap"
                }
            });
        }

        let csrs = [0x341, 0x342, 0x343, 0x300].map(|csr| hart.csr(csr).expect("the hart has it"));
        assert_eq!(hart.register(0), 0);
        let registers = (1..=31).map(|number| u64::from(hart.register(number)));
        let state = [hart.now(), u64::from(hart.pc())];
        let state = state.into_iter().chain(csrs.map(u64::from)).chain(registers);
        outcome.states.push(state.collect());
    }
    assert!(memory.read_bytes(SRAM_CODE, &mut sram));
    outcome.sram = sram;
    outcome
}

/// A bus on which random things happen: registers have random values, accesses fault, DMA writes into code, mappings
/// and flash contents change, and interrupts come.
struct AnyBus {
    random: Random,
    line: Option<u8>,
}

impl Bus for AnyBus {
    fn load(&mut self, memory: &mut Memory, _: u64, address: u32, width: Width) -> Result<u32, AccessFault> {
        assert!(address.is_multiple_of(width.bytes()), "{address:08x}");
        match self.random.below(8) {
            0 => return Err(AccessFault),
            1 => self.transfer(memory),
            _ => {}
        }
        Ok(self.random.next() as u32)
    }

    fn store(
        &mut self,
        memory: &mut Memory,
        _: u64,
        address: u32,
        width: Width,
        _: u32,
    ) -> Result<AfterStore, AccessFault> {
        assert!(address.is_multiple_of(width.bytes()), "{address:08x}");
        match self.random.below(8) {
            0 => return Err(AccessFault),
            1 => self.transfer(memory),
            2 => {
                let page = self.random.below(6) as u16;
                memory.map(self.random.below(6), (page < 5).then_some(page));
            }
            3 => {
                let at = self.random.below(FLASH_BYTES - 4);
                let value = word(&mut self.random).to_le_bytes();
                memory.flash_modify(at..at + 4, |bytes| bytes.copy_from_slice(&value));
            }
            4 => {
                let line = 1 + self.random.below(60) as u8;
                self.line = (line < 32).then_some(line);
                return Ok(AfterStore::Yield);
            }
            _ => {}
        }
        Ok(AfterStore::Continue)
    }

    fn interrupt(&self) -> Option<u8> {
        self.line
    }

    fn gpio_csr_read(&mut self, _: u64, _: u16) -> u32 {
        self.random.next() as u32
    }

    fn gpio_csr_write(&mut self, _: u64, _: u16, _: u32) {}
}

impl AnyBus {
    fn transfer(&mut self, memory: &mut Memory) {
        let at = SRAM_CODE + self.random.below(SRAM_BYTES - 4) as u32;
        assert!(memory.write_bytes(at, &word(&mut self.random).to_le_bytes()));
    }
}

fn words(random: &mut Random, size: usize) -> Vec<u8> {
    (0..size / 4).flat_map(|_| word(random).to_le_bytes()).collect()
}

/// A word of code, which is valid more often than a random word.
fn word(random: &mut Random) -> u32 {
    const OPCODES: [u32; 9] = [0x37, 0x17, 0x63, 0x67, 0x03, 0x23, 0x13, 0x33, 0x0F];
    const PRIVILEGED: [u32; 4] = [0x0000_0073, 0x0010_0073, 0x3020_0073, 0x1050_0073];
    const CSRS: [u32; 12] = [
        0x300, 0x305, 0x340, 0x341, 0x342, 0x7A0, 0x7A1, 0x7A2, 0x7A5, 0x7E0, 0x7E2, 0x803,
    ];
    let any = random.next() as u32;
    match random.below(8) {
        0 => PRIVILEGED[random.below(PRIVILEGED.len())],
        1 => CSRS[random.below(CSRS.len())] << 20 | any & 0xF_FF80 | 0x73,
        2..=5 => any & !0x7F | OPCODES[random.below(OPCODES.len())],
        _ => any,
    }
}

/// A number that is mostly an address of some memory or register, sometimes at its end.
fn address(random: &mut Random) -> u32 {
    const WINDOWS: [(u32, usize); 8] = [
        (SRAM_CODE, SRAM_BYTES),
        (SRAM_CODE, SRAM_BYTES),
        (SRAM_DATA, SRAM_BYTES - 0x4000),
        (ROM, 0x6_0000),
        (RTC, 0x2000),
        (FLASH_CODE, FLASH_BYTES),
        (FLASH_DATA, FLASH_BYTES),
        (0x6000_0000, 0x1000),
    ];
    const EDGES: [u32; 3] = [0, FLASH_CODE + FLASH_WINDOW, FLASH_DATA + FLASH_WINDOW];
    let (base, size) = WINDOWS[random.below(WINDOWS.len())];
    match random.below(16) {
        0 => random.next() as u32,
        1 => EDGES[random.below(EDGES.len())].wrapping_sub(random.below(5) as u32),
        2 => base.wrapping_add(size as u32).wrapping_sub(random.below(5) as u32),
        _ => base + random.below(size) as u32,
    }
}
