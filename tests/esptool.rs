//! Espressif's own flasher against `pinrig virtual`: to esptool the virtual board is a board like any other.
//!
//! esptool is installed from PyPI into the target folder. Where that fails, its tests say so and end. With `PINRIG_REQUIRE_CLIENTS` set,
//! they fail.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

mod support;

use std::fs;
use std::io::{BufRead, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use espflash::flasher::{FlashData, FlashSettings};
use espflash::image_format::ImageFormat;
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::target::{Chip, XtalFrequency};
use support::process::Running;

const VERSION: &str = "5.6.0";
/// A boot takes a second, or longer on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

const STUB: &[&str] = &[];
const NO_STUB: &[&str] = &["--no-stub"];

/// How esptool reaches the board.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wire {
    /// At the tty, which has no reset lines.
    Tty,
    /// Over TCP, with reset lines: before each command into download mode, after it a start from flash.
    Rfc2217,
}

#[test]
fn it_identifies_the_chip_and_its_flash() {
    let Some(esptool) = installed() else { return };
    let board = Board::start(&[
        "--boot",
        "download",
        "--mac",
        "02:12:34:56:78:9a",
        "--flash-size",
        "8",
        "--rfc2217",
    ]);
    for loader in [NO_STUB, STUB] {
        let ask = |wire, command| board.esptool(esptool, wire, loader, &[command]);
        let chip = ask(Wire::Tty, "chip-id");
        assert!(chip.contains("ESP32-C3 (QFN32) (revision v0.3)"), "{loader:?}: {chip}");
        let flash = ask(Wire::Tty, "flash-id");
        assert!(flash.contains("Detected flash size: 8MB"), "{loader:?}: {flash}");
        let security = ask(Wire::Tty, "get-security-info");
        for line in [
            "Chip ID: 5",
            "Secure Boot: Disabled",
            "Flash Encryption: Disabled",
            "BLOCK_KEY5 - USER/EMPTY",
        ] {
            assert!(security.contains(line), "{loader:?}, {line}: {security}");
        }
        let mac = ask(Wire::Tty, "read-mac");
        assert!(mac.contains("02:12:34:56:78:9a"), "{loader:?}: {mac}");
    }
    // Over RFC 2217, pyserial takes a tenth of a second for each register, so that only two of the commands are tried.
    for command in ["read-mac", "get-security-info"] {
        let text = board.esptool(esptool, Wire::Rfc2217, NO_STUB, &[command]);
        assert!(text.contains("02:12:34:56:78:9a"), "{command}: {text}");
        assert!(text.contains("Hard resetting via RTS pin"), "{command}: {text}");
    }
}

#[test]
fn its_watchdog_reset_leads_out_of_the_loader_and_back_by_the_strapping() {
    let Some(esptool) = installed() else { return };
    let mut board = Board::start(&["--boot", "download", "--log"]);
    let tty = board.0.text("tty");
    let text = run_esptool(esptool, &tty, ["no-reset", "watchdog-reset"], STUB, &["read-mac"]);
    assert!(text.contains("watchdog"), "{text}");
    let mut seen = String::new();
    while !seen.contains("RtcWatchdogRtc") {
        assert_ne!(board.0.stdout.read_line(&mut seen).unwrap(), 0, "{seen}");
    }
    // The boot button is still held, so that it waits for a flasher again, as a real board does.
    run_esptool(esptool, &tty, ["no-reset", "no-reset"], STUB, &["read-mac"]);
}

#[test]
fn its_stub_writes_verifies_reads_and_erases() {
    writes_verifies_reads_and_erases(Wire::Tty, STUB);
}

#[test]
fn the_mask_rom_alone_writes_verifies_reads_and_erases() {
    writes_verifies_reads_and_erases(Wire::Tty, NO_STUB);
}

#[test]
fn over_rfc_2217_its_stub_writes_verifies_reads_and_erases() {
    writes_verifies_reads_and_erases(Wire::Rfc2217, STUB);
}

#[test]
fn over_rfc_2217_the_mask_rom_alone_writes_verifies_reads_and_erases() {
    writes_verifies_reads_and_erases(Wire::Rfc2217, NO_STUB);
}

fn writes_verifies_reads_and_erases(wire: Wire, loader: &[&str]) {
    const START: usize = 0x1_0000;
    const SECTOR: usize = 0x1000;
    const LENGTH: usize = 5 * SECTOR;
    let Some(esptool) = installed() else { return };
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("flash.bin");
    let link = folder.path().join("tty");
    let (first, second) = (folder.path().join("first.bin"), folder.path().join("second.bin"));
    let read = folder.path().join("read.bin");
    fs::write(&first, bytes(1, LENGTH)).unwrap();
    fs::write(&second, bytes(2, LENGTH)).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (kept_path, link_path) = (path(&kept), path(&link));
    let mut options = vec!["--flash", &kept_path, "--tty-link", &link_path];
    match wire {
        Wire::Tty => options.extend(["--boot", "download"]),
        Wire::Rfc2217 => options.push("--rfc2217"),
    }

    let board = Board::start(&options);
    assert_eq!(
        fs::read_link(&link).unwrap(),
        Path::new(&board.0.text("tty")),
        "the link leads to the tty"
    );
    let run = |command: &[&str]| board.esptool(esptool, wire, loader, command);
    let compressed = (&first, "--compress", "460800");
    let raw = (&second, "--no-compress", "921600");
    let writes = match (wire, loader) {
        (Wire::Tty, _) => vec![raw, compressed],
        // Over RFC 2217 a command takes twenty seconds, so that each loader writes in one way only.
        (Wire::Rfc2217, NO_STUB) => vec![raw],
        (Wire::Rfc2217, _) => vec![compressed],
    };
    for (file, option, baud) in &writes {
        let loader = [loader, &["--baud", baud]].concat();
        let written = board.esptool(esptool, wire, &loader, &["write-flash", option, "0x10000", &path(file)]);
        assert!(
            written.contains(&format!("Changing baud rate to {baud}...\nChanged.")),
            "{written}"
        );
        assert!(written.contains("Hash of data verified"), "{written}");
        let verified = run(&["verify-flash", "0x10000", &path(file)]);
        assert!(verified.contains("successful"), "{verified}");
        run(&["read-flash", "0x10000", "0x1200", &path(&read)]);
        let expected = fs::read(file).unwrap();
        assert!(
            fs::read(&read).unwrap() == expected[..0x1200],
            "{option}: what was read is not what was written"
        );
    }
    let (last, ..) = writes[writes.len() - 1];
    run(&["erase-region", "0x11000", "0x1000"]);
    let flash = board.stop(&kept);
    let mut expected = vec![0xFF; 4 << 20];
    expected[START..START + LENGTH].copy_from_slice(&fs::read(last).unwrap());
    expected[START + SECTOR..START + 2 * SECTOR].fill(0xFF);
    let differs = flash.iter().zip(&expected).position(|(is, should)| is != should);
    assert_eq!(
        (flash.len(), differs),
        (expected.len(), None),
        "the flash as it was kept"
    );
    assert!(!link.is_symlink(), "the link is left behind");

    // The mask ROM has no command that erases the whole flash.
    if loader == STUB {
        // The next board begins with the flash that the last one left.
        let board = Board::start(&options);
        board.esptool(esptool, wire, loader, &["erase-flash"]);
        let flash = board.stop(&kept);
        assert_eq!(
            flash.iter().position(|byte| *byte != 0xFF),
            None,
            "the first byte that is not erased"
        );
    }
}

#[test]
fn over_rfc_2217_it_resets_flashes_and_starts_the_firmware() {
    let Some(esptool) = installed() else { return };
    let folder = tempfile::tempdir().unwrap();
    // Its flash is erased and it starts from it, so that it restarts for ever.
    let mut board = Board::start(&["--rfc2217"]);
    let url = board.0.text("rfc2217");
    let elf = fs::read(support::fixtures().join("firmware/pinrig-esp32c3-virtual.elf")).unwrap();
    let mut arguments = vec!["write-flash".to_owned()];
    for (address, data) in parts(&elf) {
        let file = folder.path().join(format!("{address:x}.bin"));
        fs::write(&file, data).unwrap();
        arguments.extend([format!("{address:#x}"), file.to_str().unwrap().to_owned()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let written = board.esptool(esptool, Wire::Rfc2217, STUB, &arguments);
    assert_eq!(written.matches("Hash of data verified").count(), 3, "{written}");

    // A client that does not speak the protocol gets the bytes, too.
    let mut console = Console::connect(url.trim_start_matches("rfc2217://"));
    let answer = console.ask_until("\n#t hello\n", "@t ok hello ");
    assert!(answer.contains("firmware=pinrig-esp32c3"), "{answer}");
    board.0.say("reset");
    console.wait_for("rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)");
    console.wait_for("@- ready firmware=pinrig-esp32c3");
    drop(console);

    // `run` takes the board into download mode and leaves it with the firmware running.
    let ran = board.esptool(esptool, Wire::Rfc2217, NO_STUB, &["run"]);
    assert!(ran.contains("Hard resetting via RTS pin"), "{ran}");
    let mut console = Console::connect(url.trim_start_matches("rfc2217://"));
    let answer = console.ask_until("\n#r hello\n", "@r ok hello ");
    assert!(answer.contains("firmware=pinrig-esp32c3"), "{answer}");
}

/// A running `pinrig virtual`.
struct Board(Running);

impl Board {
    fn start(options: &[&str]) -> Self {
        Self(Running::start(&[&["virtual"], options].concat()))
    }

    /// Runs esptool, which must succeed, and gives what it printed.
    fn esptool(&self, esptool: &Path, wire: Wire, loader: &[&str], command: &[&str]) -> String {
        let (port, resets) = match wire {
            Wire::Tty => ("tty", ["no-reset", "no-reset"]),
            Wire::Rfc2217 => ("rfc2217", ["default-reset", "hard-reset"]),
        };
        run_esptool(esptool, &self.0.text(port), resets, loader, command)
    }

    /// Ends the board as a service manager does, and gives what it kept of its flash.
    fn stop(mut self, kept: &Path) -> Vec<u8> {
        assert!(self.0.end_by("TERM").success(), "it ends cleanly");
        fs::read(kept).unwrap()
    }
}

/// Runs esptool, which must succeed, and gives what it printed.
fn run_esptool(esptool: &Path, port: &str, resets: [&str; 2], loader: &[&str], command: &[&str]) -> String {
    let output = Command::new(esptool)
        .args([
            "--chip", "esp32c3", "--port", port, "--before", resets[0], "--after", resets[1],
        ])
        .args(loader)
        .args(command)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "esptool {loader:?} {command:?}:\n{}",
        support::said(&output)
    );
    support::text(&output.stdout)
}

/// The board's console over TCP.
struct Console {
    stream: TcpStream,
    text: String,
}

impl Console {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        Self {
            stream,
            text: String::new(),
        }
    }

    /// Sends `request` again and again, since the board may still be booting, until a line has `marker`; gives that line.
    fn ask_until(&mut self, request: &str, marker: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.stream.write_all(request.as_bytes()).unwrap();
            while self.receive() {
                if let Some(line) = self.text.lines().find(|line| line.contains(marker)) {
                    return line.to_owned();
                }
            }
            assert!(Instant::now() < deadline, "no answer in {PATIENCE:?}: {}", self.text);
        }
    }

    /// Waits until the console has shown `marker`, and drops everything up to it.
    fn wait_for(&mut self, marker: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.text.find(marker) {
                self.text.drain(..at + marker.len());
                return;
            }
            self.receive();
            assert!(
                Instant::now() < deadline,
                "no {marker:?} in {PATIENCE:?}: {}",
                self.text
            );
        }
    }

    /// Receives more of the console; false if nothing came within the read timeout.
    fn receive(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => panic!("the serial server hung up; the console showed: {}", self.text),
            Ok(length) => {
                self.text.push_str(&String::from_utf8_lossy(&bytes[..length]));
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Bootloader, partition table and application, as any flasher writes them.
fn parts(elf: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let data = FlashData::new(FlashSettings::default(), 0, None, Chip::Esp32c3, XtalFrequency::_40Mhz);
    let image = IdfBootloaderFormat::new(elf, &data, None, None, None, None).unwrap();
    let segments = ImageFormat::from(image).flash_segments();
    segments.iter().map(|part| (part.addr, part.data().to_vec())).collect()
}

/// Pseudo-random bytes, which do not compress.
fn bytes(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9);
    let mut next = || {
        // xorshift32 (Marsaglia, "Xorshift RNGs").
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

/// esptool in a virtual environment below the target folder, installed once.
fn installed() -> Option<&'static Path> {
    static ESPTOOL: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match ESPTOOL.get_or_init(install) {
        Ok(path) => Some(path),
        Err(reason) => {
            support::skip(reason);
            None
        }
    }
}

fn install() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("esptool-{VERSION}"));
    let esptool = folder.join("bin/esptool");
    let run = |program: &Path, arguments: &[&str]| -> Result<(), String> {
        let shown = format!("{} {}", program.display(), arguments.join(" "));
        let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("`{shown}` cannot be run: {error}"))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.trim_end().lines().next_back().unwrap_or_default();
        output
            .status
            .success()
            .then_some(())
            .ok_or_else(|| format!("`{shown}` failed: {last}"))
    };
    if run(&esptool, &["version"]).is_ok() {
        return Ok(esptool);
    }
    run(
        Path::new("python3"),
        &["-m", "venv", "--clear", &folder.to_string_lossy()],
    )?;
    let package = format!("esptool=={VERSION}");
    run(
        &folder.join("bin/pip"),
        &["install", "--quiet", "--disable-pip-version-check", &package],
    )?;
    run(&esptool, &["version"])?;
    Ok(esptool)
}
