//! The real probe-rs at the virtual board, through the driver of this crate and through its own driver for a Black
//! Magic Probe over TCP. It attaches, halts, steps, resets and flashes, sets breakpoints, reads memory and registers,
//! and unwinds a stack.

mod support;

use std::net::Ipv4Addr;
use std::time::Duration;

use probe_rs::flashing::{DownloadOptions, download_file_with_options, image_format};
use probe_rs::probe::list::Lister;
use probe_rs::probe::{DebugProbeSelector, Probe, WireProtocol};
use probe_rs::{BreakpointCause, Core, CoreStatus, HaltReason, MemoryInterface, Permissions, RegisterId, Session};
use probe_rs_debug::{DebugInfo, DebugRegisters, StackFrame, exception_handler_for_core};
use support::{Console, FIRMWARE, PROGRAM, PROGRAM_SOURCE, booted, erased, flash_contents, symbol};
use typed_path::TypedPathBuf;
use virtual_esp32c3::VirtualBoard;
use virtual_probe::BmpServer;
use virtual_probe::driver::{self, Offer};

const PATIENCE: Duration = Duration::from_secs(20);
const PC: RegisterId = RegisterId(0x7B1);
const A0: RegisterId = RegisterId(0x100A);

fn session(mut probe: Probe) -> Session {
    probe_rs_espressif::register_plugin();
    probe.select_protocol(WireProtocol::Jtag).expect("JTAG");
    probe
        .attach("esp32c3", Permissions::default())
        .expect("probe-rs attaches")
}

fn in_process(board: &VirtualBoard) -> Session {
    session(driver::probe(board.debug_port()))
}

fn selector(server: &BmpServer) -> DebugProbeSelector {
    format!("1d50:6018:{}", server.address())
        .parse()
        .expect("a selector as on the command line")
}

/// What a debugger does first: halts the hart, and reads and writes memory and registers.
fn look_around(core: &mut Core<'_>) {
    core.halt(PATIENCE).expect("it halts");
    assert_eq!(
        core.status().expect("a status"),
        CoreStatus::Halted(HaltReason::Request)
    );
    assert_eq!(core.read_word_32(0x4000_1000).expect("the ROM is read"), 0x1B31_506F);
    let words: Vec<u32> = (0..256).map(|n| n * 0x0101_0101).collect();
    core.write_32(0x3FCB_0000, &words).expect("RAM is written");
    let mut back = vec![0; 256];
    core.read_32(0x3FCB_0000, &mut back).expect("RAM is read");
    assert_eq!(back, words);
    core.write_word_8(0x3FCB_0001, 0xAA).expect("a byte is written");
    assert_eq!(core.read_word_16(0x3FCB_0000).expect("a half is read"), 0xAA00);
    // A wrong address is an error, after which the next access works.
    core.read_word_32(0x7000_0000).expect_err("nothing is there");
    core.write_word_32(0x4000_0000, 1).expect_err("the ROM is not written");
    assert_eq!(core.read_word_32(0x3FCB_0004).expect("RAM is read"), 0x0101_0101);
    core.write_core_reg(A0, 0x1234_5678u32).expect("a register is written");
    let value: u32 = core.read_core_reg(A0).expect("a register is read");
    assert_eq!(value, 0x1234_5678);
    assert_eq!(core.available_breakpoint_units().expect("a count"), 8);
}

#[test]
fn probe_rs_halts_reads_writes_and_resets() {
    let board = booted(erased());
    let mut session = in_process(&board);
    let mut core = session.core(0).expect("a core");
    look_around(&mut core);
    let information = core.reset_and_halt(PATIENCE).expect("it resets");
    assert_eq!(information.pc, 0x4000_0000);
    let next = core.step().expect("it steps");
    assert_ne!(next.pc, 0x4000_0000);
    core.run().expect("it runs");
    assert_eq!(core.status().expect("a status"), CoreStatus::Running);
}

#[test]
fn a_board_on_offer_is_in_the_list_of_probes() {
    let board = booted(erased());
    let offer = Offer::new("bench-7", board.debug_port()).expect("the name is free");
    let taken = Offer::new("bench-7", board.debug_port()).expect_err("the name is taken");
    assert!(taken.to_string().contains("bench-7"), "{taken}");
    let lister = Lister::new();
    let listed = lister.list(Some(&offer.selector()));
    assert_eq!(listed.len(), 1, "{listed:?}");
    let mut session = session(listed[0].open().expect("it opens"));
    let mut core = session.core(0).expect("a core");
    core.halt(PATIENCE).expect("it halts");
    drop(offer);
    assert!(
        lister
            .open("1209:0001:bench-7".parse::<DebugProbeSelector>().expect("a selector"))
            .is_err()
    );
}

/// Puts the program into RAM and stops where it counts.
fn halted_in_program(session: &mut Session) -> DebugInfo {
    let format = image_format("elf").expect("probe-rs knows ELF");
    let options = DownloadOptions::default();
    download_file_with_options(session, PROGRAM, format.create_loader(None), options).expect("it is loaded");
    let information = DebugInfo::from_file(PROGRAM).expect("the program's DWARF");
    let path = TypedPathBuf::from_unix("stack/src/main.rs");
    let line = line_of("count = black_box(count | 1)");
    let breakpoint = information
        .get_breakpoint_location(path.to_path(), line, None)
        .expect("an instruction at the line");
    let mut core = session.core(0).expect("a core");
    core.halt(PATIENCE).expect("it halts");
    core.write_core_reg(PC, symbol(PROGRAM, "_start") as u32)
        .expect("pc is set");
    core.set_hw_breakpoint(breakpoint.address).expect("a breakpoint");
    core.run().expect("it runs");
    core.wait_for_core_halted(PATIENCE).expect("it comes to the line");
    let status = core.status().expect("a status");
    assert_eq!(
        status,
        CoreStatus::Halted(HaltReason::Breakpoint(BreakpointCause::Hardware))
    );
    let pc: u32 = core.read_core_reg(PC).expect("pc");
    assert_eq!(u64::from(pc), breakpoint.address);
    information
}

/// The number of the line with this text in the program's source.
fn line_of(text: &str) -> u64 {
    let at = PROGRAM_SOURCE.lines().position(|line| line.contains(text));
    at.expect("the source has it") as u64 + 1
}

fn describe(frame: &StackFrame) -> String {
    let location = frame.source_location.as_ref().expect("a place in the source");
    let path = location.path.to_path().display().to_string();
    format!("{} {path}:{}", frame.function_name, location.line.expect("a line"))
}

#[test]
fn a_breakpoint_at_a_line_halts_and_the_stack_has_functions_files_and_lines() {
    let board = booted(erased());
    let mut session = in_process(&board);
    let information = halted_in_program(&mut session);
    let mut core = session.core(0).expect("a core");
    let registers = DebugRegisters::from_core(&mut core);
    let handler = exception_handler_for_core(core.core_type());
    let set = core.instruction_set().ok();
    let frames = information
        .unwind(&mut core, registers, handler.as_ref(), set, 16)
        .expect("the stack unwinds");
    // Behind them is the assembly that called them, which has no lines.
    let functions = frames.iter().filter(|frame| !frame.is_inlined);
    let stack: Vec<String> = functions.take(3).map(describe).collect();
    let expected = [
        ("innermost", "count = black_box(count | 1)"),
        ("between", "black_box(innermost("),
        ("outermost", "black_box(between("),
    ]
    .map(|(function, text)| format!("{function} stack/src/main.rs:{}", line_of(text)));
    assert_eq!(stack, expected);
    // It starts at 40, and each call has added one.
    let count: u32 = core.read_core_reg(A0).expect("a register is read");
    assert_eq!(count, 42);
    core.step().expect("it steps off the breakpoint");
    let count: u32 = core.read_core_reg(A0).expect("a register is read");
    assert_eq!(count, 43);
    // A software breakpoint (c.ebreak) of two bytes in RAM, at an address that is not a word's.
    let at = symbol(PROGRAM, "outermost") + 2;
    assert_ne!(at % 4, 0);
    core.clear_all_hw_breakpoints().expect("they are cleared");
    core.write_word_16(at, 0x9002).expect("code in RAM is written");
    core.write_core_reg(PC, symbol(PROGRAM, "_start") as u32)
        .expect("pc is set");
    core.run().expect("it runs");
    core.wait_for_core_halted(PATIENCE).expect("it comes to the ebreak");
    let status = core.status().expect("a status");
    assert_eq!(
        status,
        CoreStatus::Halted(HaltReason::Breakpoint(BreakpointCause::Software))
    );
}

#[test]
fn a_breakpoint_in_flash_is_hit_after_the_boot_and_the_firmware_goes_on() {
    let board = booted(flash_contents());
    let mut console = Console::open(board.tty());
    let mut session = in_process(&board);
    let mut core = session.core(0).expect("a core");
    core.reset_and_halt(PATIENCE).expect("it resets");
    let main = symbol(FIRMWARE, "main");
    core.set_hw_breakpoint(main).expect("a breakpoint");
    core.run().expect("it runs");
    core.wait_for_core_halted(PATIENCE).expect("it comes to main");
    let pc: u32 = core.read_core_reg(PC).expect("pc");
    assert_eq!(u64::from(pc), main);
    let mut code = [0; 16];
    core.read_8(main, &mut code)
        .expect("code in flash is read through the program buffer");
    assert!(contains(&std::fs::read(FIRMWARE).expect("the firmware"), &code));
    core.clear_all_hw_breakpoints().expect("it is cleared");
    core.run().expect("it runs on");
    console.wait_for("@- ready ", PATIENCE);
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn probe_rs_flashes_the_firmware_with_its_own_algorithm() {
    let board = booted(erased());
    let mut session = in_process(&board);
    flash(&mut session);
    assert_eq!(
        board.flash().expect("the flash")[0],
        0xE9,
        "an image is at the start of the flash"
    );
    let mut console = Console::open(board.tty());
    let mut core = session.core(0).expect("a core");
    core.reset().expect("it resets");
    console.wait_for("@- ready ", PATIENCE);
}

fn flash(session: &mut Session) {
    let format = image_format("idf").expect("the chip's image format");
    let mut options = DownloadOptions::default();
    options.verify = true;
    download_file_with_options(session, FIRMWARE, format.create_loader(None), options)
        .expect("probe-rs flashes and verifies");
}

#[test]
fn an_unmodified_probe_rs_debugs_over_tcp_as_with_a_black_magic_probe() {
    let board = booted(erased());
    let server = BmpServer::start(&board, (Ipv4Addr::LOCALHOST, 0).into()).expect("a server");
    let probe = Lister::new().open(selector(&server)).expect("the probe opens");
    let mut session = session(probe);
    let mut core = session.core(0).expect("a core");
    look_around(&mut core);
    let information = core.reset_and_halt(PATIENCE).expect("it resets");
    assert_eq!(information.pc, 0x4000_0000);
    core.set_hw_breakpoint(information.pc + 4).ok();
    core.step().expect("it steps");
}
