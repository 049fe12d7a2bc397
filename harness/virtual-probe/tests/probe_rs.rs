//! The real probe-rs at the virtual board: through the driver of this crate, and through its own driver for a Black Magic
//! Probe over TCP. Attach, halt, memory, registers, breakpoints, steps, reset, flash, and a stack with names and lines.

mod support;

use std::net::Ipv4Addr;
use std::time::Duration;

use probe_rs::flashing::{DownloadOptions, download_file_with_options, image_format};
use probe_rs::probe::list::Lister;
use probe_rs::probe::{DebugProbeSelector, Probe, WireProtocol};
use probe_rs::{Core, CoreStatus, HaltReason, MemoryInterface, Permissions, RegisterId, Session};
use support::{FIRMWARE, booted, erased};
use virtual_esp32c3::VirtualBoard;
use virtual_probe::BmpServer;
use virtual_probe::driver::{self, Offer};

const PATIENCE: Duration = Duration::from_secs(20);
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

/// What a debugger does first of all.
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
    core.write_core_reg(A0, 0x1234_5678u32).expect("a register is written");
    let value: u32 = core.read_core_reg(A0).expect("a register is read");
    assert_eq!(value, 0x1234_5678);
    assert_eq!(core.available_breakpoint_units().expect("a count"), 8);
}

#[test]
fn it_halts_reads_writes_and_resets() {
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
fn it_is_found_in_the_list_of_probes() {
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

#[test]
fn it_flashes_the_firmware_with_its_own_algorithm() {
    let board = booted(erased());
    let mut session = in_process(&board);
    flash(&mut session);
    assert_eq!(board.flash()[0], 0xE9, "an image is at the start of the flash");
    let mut console = support::Console::open(board.tty());
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
