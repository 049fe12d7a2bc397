//! Compares the hart with an independent implementation: the same bytes run here and under `qemu-riscv32`. After each
//! block of instructions every register and every byte of scratch memory must be the same.
//!
//! Without QEMU the tests print that and pass, or fail if `PINRIG_REQUIRE_CLIENTS` is set. To repeat one program or to
//! try more of them, set `PINRIG_ISA_SEED=<first seed> PINRIG_ISA_PROGRAMS=<count>`.
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod differential;
mod isa_support;

use std::fmt::Write as _;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use differential::{Block, CODE, DATA, Program, RECORD, RECORD_REGISTERS, RECORD_SIZE, elf};
use isa_support::{MCAUSE, MEPC, MTVEC, Machine};
use virtual_esp32c3::hart::Exit;

#[test]
fn operands_at_the_corners() {
    if installed() {
        compare("corners", &Program::of_corners());
    }
}

#[test]
fn random_programs() {
    if !installed() {
        return;
    }
    let setting = |name: &str, default: u64| match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    };
    let first = setting("PINRIG_ISA_SEED", 1);
    for seed in first..first + setting("PINRIG_ISA_PROGRAMS", 24) {
        compare(&format!("PINRIG_ISA_SEED={seed}"), &Program::of_seed(seed));
    }
}

/// Runs a program on both, and reports the first block after which they differ.
fn compare(name: &str, program: &Program) {
    let (ours, our_end) = on_the_hart(program);
    let (theirs, their_end) = on_qemu(name, program);
    let record = |output: &[u8], index: usize| output.chunks_exact(RECORD_SIZE).nth(index).map(<[u8]>::to_vec);
    for (index, block) in program.blocks.iter().enumerate() {
        let (our, their) = (record(&ours, index), record(&theirs, index));
        assert!(
            our.is_some() && our == their,
            "{name}, block {index}: the hart and QEMU disagree. The hart's program ended with: {our_end}; QEMU's with: \
             {their_end}\n{}",
            report(program, block, our.as_deref(), their.as_deref())
        );
    }
    assert_eq!(our_end, "exit", "{name}: the hart after the last block");
    assert_eq!(their_end, "exit", "{name}: QEMU after the last block");
}

/// Runs the program on the hart, and returns what it writes and how it ends. The system calls are executed here. There
/// is no memory at the trap vector, so that a trap stops the hart.
fn on_the_hart(program: &Program) -> (Vec<u8>, String) {
    const WRITE: u32 = 64;
    const EXIT: u32 = 93;
    const ECALL_FROM_MACHINE: u32 = 11;
    let mut machine = Machine::new(&[]);
    assert!(machine.memory.write_bytes(CODE, &program.code));
    assert!(machine.memory.write_bytes(DATA, &program.data));
    assert!(machine.hart.set_csr(MTVEC, 0));
    machine.hart.set_pc(CODE);
    let mut output = Vec::new();
    loop {
        let exit = machine.run(10_000);
        let [pc, cause] = [MEPC, MCAUSE].map(|csr| machine.hart.csr(csr).expect("the hart has it"));
        if (exit, cause) != (Exit::DoubleTrap, ECALL_FROM_MACHINE) {
            let now = machine.hart.pc();
            return (output, format!("{exit:?} at {now:08x}, mcause={cause}, mepc={pc:08x}"));
        }
        let [number, address, size] = [17, 11, 12].map(|number| machine.hart.register(number));
        match number {
            EXIT => return (output, "exit".into()),
            WRITE => {
                let mut bytes = vec![0; size as usize];
                assert!(machine.memory.read_bytes(address, &mut bytes), "{address:08x}, {size}");
                output.extend(bytes);
            }
            _ => return (output, format!("system call {number} at {pc:08x}")),
        }
        machine.hart.set_pc(pc + 4);
    }
}

/// Runs the program under QEMU, and returns what it writes and how it ends.
fn on_qemu(name: &str, program: &Program) -> (Vec<u8>, String) {
    const DEADLINE: &str = "60";
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let file = std::env::temp_dir().join(format!("isa-differential-{}-{name}", std::process::id()));
    let mut written = std::fs::File::create_new(&file).expect("a writable folder without this file");
    let contents = elf::executable((CODE, &program.code), (DATA, &program.data));
    written.write_all(&contents).expect("room on the disk");
    // QEMU cannot run a file that is open for writing.
    drop(written);
    // QEMU refuses a file that is not executable, though it only reads it.
    std::fs::set_permissions(&file, Permissions::from_mode(0o700)).expect("it is ours");
    let output = Command::new("timeout").args([DEADLINE, QEMU]).arg(&file).output();
    std::fs::remove_file(&file).expect("it has just been written");
    let output = output.expect("`timeout` of coreutils runs");
    let end = match output.status.code() {
        Some(0) => "exit".into(),
        Some(124) => format!("deadline of {DEADLINE} s"),
        _ => format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()),
    };
    (output.stdout, end)
}

const QEMU: &str = "qemu-riscv32";

fn installed() -> bool {
    if Command::new(QEMU).arg("--version").output().is_ok() {
        return true;
    }
    assert!(
        std::env::var_os("PINRIG_REQUIRE_CLIENTS").is_none(),
        "`{QEMU}` is not installed, and PINRIG_REQUIRE_CLIENTS is set (Debian: qemu-user)"
    );
    eprintln!("skipped: `{QEMU}` is not installed (Debian: qemu-user)");
    false
}

/// A text with the block's instructions, its registers before and after, and the memory that differs.
fn report(program: &Program, block: &Block, our: Option<&[u8]>, their: Option<&[u8]>) -> String {
    let mut text = String::from("instructions:\n");
    for &at in &block.listing {
        let half = |at: usize| u16::from_le_bytes([program.code[at], program.code[at + 1]]);
        let address = CODE as usize + at;
        let _ = match half(at) {
            low if low & 3 == 3 => writeln!(text, "  {address:08x}: {:04x}{low:04x}", half(at + 2)),
            low => writeln!(text, "  {address:08x}: {low:04x}"),
        };
    }
    let word = |record: Option<&[u8]>, at: usize| match record.map(|record| &record[at..at + 4]) {
        Some(bytes) => format!("{:08x}", u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
        None => "(none)".into(),
    };
    text += "registers: before, hart, QEMU\n";
    for (before, number) in block.registers.iter().zip(1..) {
        let at = RECORD_REGISTERS + 4 * number;
        let (ours, theirs) = (word(our, at), word(their, at));
        let mark = if ours == theirs { "" } else { "  <--" };
        let _ = writeln!(text, "  x{number:<2} {before:08x} {ours} {theirs}{mark}");
    }
    text += "memory that differs: hart, QEMU\n";
    for at in (0..RECORD_REGISTERS).step_by(4) {
        let (ours, theirs) = (word(our, at), word(their, at));
        if ours != theirs && our.is_some() && their.is_some() {
            let _ = writeln!(text, "  {:08x}: {ours} {theirs}", RECORD as usize + at);
        }
    }
    text
}
