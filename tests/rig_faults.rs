//! What can go wrong with boards at ports, one thing at a time: each ends with a verdict that says whose fault it is, and the next
//! scenario runs. The boards are virtual, behind their ttys; what is no ESP32-C3 at all is a pseudo terminal of this process.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

#[path = "support/desk.rs"]
mod desk;
mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use desk::{Cable, Desk, System};
use object::{Object, ObjectSection};
use pinrig::bench::{Bench, SerialBench};
use pinrig::board::console::{BAUD, open_port};
use pinrig::board::{BoardError, Claim, ClaimError, Claimed, LeftOut, Take};
use pinrig::deadline::Deadline;
use pinrig::image::Image;
use pinrig::outcome::{Event, Outcome};
use pinrig::rig::{self, Images, Inventory, Kind, Locks, Port, Ports};
use pinrig::run::{Limits, Runner};
use pinrig::scenario::{self, Scenario};
use pinrig::transcript::DeviceLine;
use pinrig::verdict::{Blame, Failure, Verdict};
use serialport::{SerialPort, TTYPort};

#[test]
fn unplugged_while_it_is_flashed() {
    let (good, bad) = (Desk::new(), Desk::new());
    let rig = Rig::new(&[
        bad.entry("bad", &bad.reset("USR1", "USR2")),
        good.entry("good", &good.reset("USR1", "USR2")),
    ]);
    let bench = rig.bench();
    let plug = Mutex::new(Some(bad));
    let report = bench.prepare(&rig.image, &|step| {
        if step.board == "bad" && step.done > 0 {
            drop(plug.lock().unwrap().take());
        }
    });
    assert_eq!(report.unwrap().written, 3, "the other board has its image");
    let left_out = bench.left_out();
    let [LeftOut { board, why }] = &left_out[..] else {
        panic!("{left_out:?}")
    };
    assert!(board == "bad" && why.contains("bit/s"), "{board}: {why}");
    assert_eq!(blame(&rig.run(&bench, "pin/matches")), None);
}

#[test]
fn unplugged_while_it_boots() {
    let (desk, other) = (Desk::new(), Desk::new());
    let rig = Rig::new(&[
        desk.entry("desk", &desk.reset("USR1", "USR2")),
        other.entry("other", &other.reset("USR1", "USR2")),
    ]);
    let bench = rig.flashed_bench();
    let plug = Mutex::new(Some(desk));
    let outcome = rig.run_watched(&bench, "pin/matches", |event| {
        if let Event::Boot(..) = event {
            drop(plug.lock().unwrap().take());
        }
    });
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Rig, "{failure:?}");
    assert!(failure.findings[0].contains("was the board unplugged?"), "{failure:?}");
    // It cannot be opened any more: whoever meets it next finds that out, and the other board goes on.
    let next: Vec<_> = (0..2).map(|_| blame(&rig.run(&bench, "pin/matches"))).collect();
    assert!(next.contains(&None), "{next:?}");
    assert_eq!(bench.left_out().len(), 1, "{:?}", bench.left_out());
}

/// A chip that loses its power takes its USB port with it: what it says when it is back tells what has happened.
#[test]
fn away_while_it_runs_and_back_under_another_name() {
    let flash = tempfile::NamedTempFile::new().unwrap();
    fs::remove_file(flash.path()).unwrap();
    let options = ["--network", "--flash", flash.path().to_str().unwrap()];
    let system = System::new();
    let desk = Desk::with(&options);
    system.plug_in("ttyACM0", &desk);
    let rig = Rig::on(&system, &[system.entry()]);
    let bench = rig.flashed_bench();
    let (plug, again) = (Mutex::new(Some(desk)), Mutex::new(None));
    // Its server never answers: the device waits for fifteen seconds.
    let outcome = rig.run_watched(&bench, "network/stall-in-place-of-the-reply", |event| {
        if let Event::Device(_, DeviceLine::Said(line)) = event
            && line == "request sent"
            && let Some(desk) = plug.lock().unwrap().take()
        {
            system.unplug("ttyACM0");
            desk.put_away();
            let desk = Desk::with(&options);
            system.plug_in("ttyACM1", &desk);
            *again.lock().unwrap() = Some(desk);
        }
    });
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Crash, "{failure:?}");
    assert!(failure.findings[0].contains("the chip was reset"), "{failure:?}");
    assert_eq!(blame(&rig.run(&bench, "pin/matches")), None);
}

#[test]
fn plugged_in_again_under_another_name() {
    let flash = tempfile::NamedTempFile::new().unwrap();
    fs::remove_file(flash.path()).unwrap();
    let options = ["--network", "--flash", flash.path().to_str().unwrap()];
    let system = System::new();
    let desk = Desk::with(&options);
    system.plug_in("ttyACM0", &desk);
    let rig = Rig::on(&system, &[system.entry()]);
    let bench = rig.flashed_bench();
    assert_eq!(blame(&rig.run(&bench, "pin/matches")), None);
    desk.put_away();
    let desk = Desk::with(&options);
    system.unplug("ttyACM0");
    system.plug_in("ttyACM1", &desk);
    let outcome = rig.run(&bench, "pin/one-bit-off");
    assert_eq!(blame(&outcome), None, "{:?}", outcome.verdict);
    // While it is away, that is what is said.
    system.unplug("ttyACM1");
    let outcome = rig.run(&bench, "pin/matches");
    assert_eq!(blame(&outcome), Some(Blame::Rig));
    assert!(failure(&outcome).findings[0].contains("no port has"), "{outcome:?}");
}

/// A hub takes the power of board and port alike: what the ROM says first is lost before the port is back, under another name.
#[test]
fn a_board_whose_power_a_hub_switches() {
    let system = System::new();
    let hub = Hub::new(&system);
    let rig = Rig::on(&system, &[system.entry_with(&hub.script)]);
    let bench = rig.bench();
    let report = bench.prepare(&rig.image, &|_| {}).unwrap();
    assert_eq!(report.written, 3);
    for _ in 0..2 {
        let outcome = rig.run(&bench, "pin/matches");
        assert_eq!(blame(&outcome), None, "{:?}", outcome.verdict);
    }
    assert_eq!(bench.left_out(), []);
    let switched = hub.switched();
    assert!(
        switched >= 4,
        "on, into the loader, and off and on for each of two scenarios: {switched}"
    );
}

#[test]
fn a_chip_that_resets_again_and_again() {
    let desk = Desk::new();
    // Nothing is ever written into its flash, which is erased.
    let rig = Rig::new(&[desk
        .entry("desk", &desk.reset("USR1", "USR2"))
        .replace("[[board]]", "[[board]]\nflasher.command = [\"true\"]")]);
    let outcome = rig.run(&rig.flashed_bench(), "pin/matches");
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Crash, "{failure:?}");
    assert!(
        failure.findings[0].contains("the chip has reset 5 times")
            && failure.findings[0].contains("invalid header: 0xffffff"),
        "{failure:?}"
    );
    is_well(&desk);
}

#[test]
fn firmware_that_panics() {
    let desk = Desk::new();
    let cable = Cable::to(&desk);
    let rig = Rig::at(&cable, &desk);
    let bench = rig.flashed_bench();
    cable.swap("run", "test panic");
    let outcome = rig.run(&bench, "pin/matches");
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Crash, "{failure:?}");
    assert!(failure.findings[0].contains("asked for by the command"), "{failure:#?}");
    // The function that serves commands is among the callers, by name, file and line; it was compiled elsewhere, under another path.
    let served = failure.findings.iter().any(|finding| {
        finding.contains("called from 0x42")
            && finding.contains("pinrig_app::shell::Shell<")
            && finding.contains(" at /pinrig/firmware/app/src/shell.rs:")
    });
    assert!(served, "{failure:#?}");
    let snapshot = outcome.transcript.snapshot();
    assert!(!snapshot.contains("called from"), "{snapshot}");
    cable.swap_nothing();
    assert_eq!(blame(&rig.run(&bench, "pin/matches")), None);
}

#[test]
fn firmware_that_hangs() {
    let desk = Desk::new();
    let cable = Cable::to(&desk);
    let rig = Rig::at(&cable, &desk);
    let bench = rig.flashed_bench();
    cable.swap("run", "test hang");
    // Before the firmware's own watchdog notices.
    let soon = Duration::from_millis(500);
    let outcome = rig.run_within(&bench, "pin/matches", soon, |_| {});
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Hang, "{failure:?}");
    assert!(failure.findings[0].contains("the result of `run`"), "{failure:#?}");
    cable.swap_nothing();
    assert_eq!(blame(&rig.run(&bench, "pin/matches")), None);
}

#[test]
fn a_board_that_says_nothing() {
    let (_far, port) = TTYPort::pair().unwrap();
    let rig = Rig::new(&[at(&port)]);
    drop(port);
    let bench = rig.flashed_bench();
    let outcome = rig.run(&bench, "pin/matches");
    assert_eq!(blame(&outcome), Some(Blame::Rig), "{outcome:?}");
    assert!(
        failure(&outcome).findings[0].contains("timed out after 3 s waiting for the board's first line"),
        "{outcome:?}"
    );
    let again = rig.run(&bench, "pin/matches");
    assert!(failure(&again).findings[0].contains("no board is left"), "{again:?}");
}

#[test]
fn a_board_that_babbles_at_full_rate() {
    let (mut far, port) = TTYPort::pair().unwrap();
    let rig = Rig::new(&[at(&port)]);
    drop(port);
    let bench = rig.flashed_bench();
    let over = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            far.set_timeout(Duration::from_millis(20)).unwrap();
            let noise: Vec<u8> = (0..=255).chain(*b"\n\x00\xff@- rea \n").cycle().take(4096).collect();
            while !over.load(Ordering::Relaxed) {
                // Nobody may be listening yet.
                let _lost = far.write(&noise);
                pause(AT_3_MBAUD);
            }
        });
        let outcome = rig.run(&bench, "pin/matches");
        over.store(true, Ordering::Relaxed);
        outcome
    });
    let failure = failure(&outcome);
    assert!(
        matches!(failure.blame, Blame::Hang | Blame::Rig),
        "not the firmware's behaviour: {failure:?}"
    );
    let kept = fs::metadata(outcome.bundle.unwrap().join("console.raw")).unwrap();
    assert!(kept.len() > 4096, "what it said is kept: {} bytes", kept.len());
}

#[test]
fn another_chip_than_the_inventory_says() {
    let desk = Desk::new();
    let entry = desk.entry("desk", &desk.reset("USR1", "USR2"));
    let rig = Rig::new(&[entry.replace("esp32c3", "esp32c6")]);
    let error = rig.bench().prepare(&rig.image, &|_| {}).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, BoardError::Flash { .. }), "{message}");
    assert!(message.contains("esp32c6") && message.contains("esp32c3"), "{message}");
    is_well(&desk);
}

#[test]
fn an_image_for_another_chip() {
    let desk = Desk::new();
    let mut rig = Rig::new(&[desk.entry("desk", &desk.reset("USR1", "USR2"))]);
    let mut elf = rig.image.elf().unwrap().to_vec();
    // In the ELF's header: where the sections' headers begin. In each of them: the section's address (gABI, chapter 4).
    let word = |elf: &[u8], at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap());
    let file = object::File::parse(&*elf).unwrap();
    let descriptor = file.section_by_name(".flash.appdesc").unwrap();
    let (index, address) = (descriptor.index().0, descriptor.address());
    let at = word(&elf, 0x20) as usize + index * 40 + 12;
    assert_eq!(u64::from(word(&elf, at)), address);
    // No flash is there.
    elf[at..at + 4].copy_from_slice(&0x4038_0000_u32.to_le_bytes());
    let path = rig.folder.path().join("other.elf");
    fs::write(&path, elf).unwrap();
    rig.image = Image::load(&path).unwrap();
    let error = rig.bench().prepare(&rig.image, &|_| {}).unwrap_err().to_string();
    assert!(error.contains("other.elf is not an image for the esp32c3"), "{error}");
    is_well(&desk);
}

#[test]
fn another_image_than_the_one_that_is_meant() {
    let desk = Desk::new();
    let entry = desk.entry("desk", &desk.reset("USR1", "USR2"));
    let mut rig = Rig::new(std::slice::from_ref(&entry));
    let meant = rig.image.clone();
    rig.image = Image::load(&support::fixtures().join("firmware/pinrig-esp32c3-virtual-unguarded.elf")).unwrap();
    drop(rig.flashed_bench());
    // The flasher says that it did its work, and it did not.
    let mut rig = Rig::new(&[entry.replace("[[board]]", "[[board]]\nflasher.command = [\"true\"]")]);
    rig.image = meant;
    let outcome = rig.run(&rig.flashed_bench(), "pin/matches");
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Rig, "{failure:?}");
    assert!(failure.findings[0].contains("flash it again"), "{failure:?}");
    is_well(&desk);
}

/// What a vendor's tool makes for another chip is for that tool; the loader must not be asked to find code in it.
#[test]
fn an_image_that_only_another_tool_can_flash() {
    let desk = Desk::new();
    let entry = desk.entry("desk", &desk.reset("USR1", "USR2"));
    let mut rig = Rig::new(std::slice::from_ref(&entry));
    let (image, copy) = (rig.folder.path().join("sketch.bin"), rig.folder.path().join("copy.bin"));
    fs::write(&image, [&[0xE9, 1][..], &[0; 62]].concat()).unwrap();
    rig.image = Image::load(&image).unwrap();
    let error = rig.bench().prepare(&rig.image, &|_| {}).unwrap_err().to_string();
    assert!(error.contains("sketch.bin is a flash image"), "{error}");

    let flasher = format!("[[board]]\nflasher.command = [\"cp\", \"{{image}}\", {copy:?}]");
    let mut other = Rig::new(&[entry.replace("[[board]]", &flasher)]);
    other.image = rig.image.clone();
    drop(other.flashed_bench());
    assert_eq!(fs::read(&copy).unwrap(), fs::read(&image).unwrap());
}

#[test]
fn flash_that_does_not_hold_what_is_written() {
    let desk = Desk::with(&["--network", "--worn-sector", "0x12000"]);
    let rig = Rig::new(&[desk.entry("desk", &desk.reset("USR1", "USR2"))]);
    let error = rig.bench().prepare(&rig.image, &|_| {}).unwrap_err();
    assert!(matches!(error, BoardError::Flash { .. }), "{error}");
    let message = error.to_string().to_lowercase();
    // It was tried at every speed.
    assert!(
        message.contains("verif") && message.contains("921600 bit/s") && message.contains("115200 bit/s"),
        "{message}"
    );
}

/// At the first two speeds the loader's packets arrive damaged; the third is slow enough.
#[test]
fn a_cable_that_is_too_poor_for_the_usual_speeds() {
    let desk = Desk::with(&["--network", "--cable-limit", "115200"]);
    let rig = Rig::new(&[desk.entry("desk", &desk.reset("USR1", "USR2"))]);
    let bench = rig.bench();
    let report = bench.prepare(&rig.image, &|_| {}).unwrap();
    assert_eq!(report.written, 3);
    let [remark] = &report.remarks[..] else {
        panic!("{report:?}")
    };
    assert!(
        remark.starts_with("desk took its image by command at 115200 bit/s, after command, 921600 bit/s: ")
            && remark.contains("460800 bit/s: "),
        "{remark}"
    );
    assert_eq!(blame(&rig.run(&bench, "pin/matches")), None);
}

/// A pseudo terminal carries everything at any speed, and tells which was asked for.
#[test]
fn a_console_of_another_speed() {
    let (_far, port) = TTYPort::pair().unwrap();
    let rig = Rig::new(&[at(&port).replace("[[board]]", "[[board]]\nbaud = 460800")]);
    drop(port);
    let bench = rig.bench();
    let console = bench.boards()[0].console().unwrap();
    assert_eq!(console.handle().port().unwrap().baud_rate().unwrap(), 460_800);
}

#[test]
fn a_port_that_another_program_holds() {
    let desk = Desk::new();
    let rig = Rig::new(&[desk.entry("desk", &desk.reset("USR1", "USR2"))]);
    let bench = rig.flashed_bench();
    let terminal = open_port(Path::new(&desk.tty), BAUD).unwrap();
    let outcome = rig.run(&bench, "pin/matches");
    assert_eq!(blame(&outcome), Some(Blame::Rig), "{outcome:?}");
    let finding = &failure(&outcome).findings[0];
    assert!(finding.contains("no other program holds it"), "{finding}");
    drop(terminal);
    let again = rig.flashed_bench_after(bench);
    assert_eq!(blame(&rig.run(&again, "pin/matches")), None);
}

#[test]
fn a_network_that_refuses_the_board() {
    // It is on no network at all.
    let desk = Desk::with(&[]);
    let rig = Rig::new(&[desk.entry("desk", &desk.reset("USR1", "USR2"))]);
    let outcome = rig.run(&rig.flashed_bench(), "pin/matches");
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Network, "{failure:?}");
    assert!(
        failure
            .findings
            .iter()
            .any(|finding| finding.contains("did not join `lab`")),
        "{failure:?}"
    );
}

#[test]
fn a_server_that_the_board_cannot_reach() {
    let desk = Desk::new();
    let entry = desk.entry("desk", &desk.reset("USR1", "USR2"));
    // Nobody is there.
    let rig = Rig::new(&[entry.replace("203.0.113.2", "203.0.113.77")]);
    let outcome = rig.run(&rig.flashed_bench(), "pin/matches");
    let failure = failure(&outcome);
    assert_eq!(failure.blame, Blame::Network, "{failure:?}");
    assert!(
        failure
            .findings
            .iter()
            .any(|finding| finding.contains("203.0.113.77") && finding.contains("server-address")),
        "{failure:?}"
    );
    is_well(&desk);
}

#[test]
fn a_password_that_is_missing_keeps_the_board_out() {
    let desk = Desk::new();
    let entry = desk.entry("desk", "\"classic\"");
    let rig = Rig::new(&[entry.replace("TEST_PASSWORD", "PINRIG_TEST_NO_SUCH_VARIABLE")]);
    let error = rig.claim().unwrap_err().to_string();
    assert!(error.contains("PINRIG_TEST_NO_SUCH_VARIABLE"), "{error}");
    is_well(&desk);
}

/// What 4096 bytes take.
const AT_3_MBAUD: Duration = Duration::from_micros(13_653);

#[expect(
    clippy::disallowed_methods,
    reason = "a line has a speed, and a pseudo terminal has none"
)]
fn pause(time: Duration) {
    thread::sleep(time);
}

/// The board itself has taken no harm: with an entry that is right it does its work.
fn is_well(desk: &Desk) {
    let rig = Rig::new(&[desk.entry("desk", &desk.reset("USR1", "USR2"))]);
    let bench = rig.flashed_bench();
    assert_eq!(blame(&rig.run(&bench, "pin/matches")), None);
}

/// An inventory, locks and evidence in a folder of their own, used by this process. Whatever goes wrong with its boards, it leaves no
/// lock, no open port and no file behind.
struct Rig {
    inventory: Inventory,
    ports: Ports,
    image: Image,
    folder: tempfile::TempDir,
    /// Its port is this process's own, which keeps it open.
    cable: bool,
}

impl Drop for Rig {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert_eq!(self.left_behind(), [""; 0]);
        }
    }
}

impl Rig {
    fn new(entries: &[String]) -> Self {
        Self::with_ports(Ports::default(), entries)
    }

    fn on(system: &System, entries: &[String]) -> Self {
        Self::with_ports(Ports::below(system.root()), entries)
    }

    fn with_ports(ports: Ports, entries: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("password"), desk::PASSWORD).unwrap();
        let path = folder.path().join("rig.toml");
        let text = entries
            .concat()
            .replace("password.env = \"TEST_PASSWORD\"", "password.file = \"password\"");
        fs::write(&path, text).unwrap();
        Self {
            inventory: Inventory::load(&path).unwrap(),
            ports,
            image: Image::load(&support::firmware()).unwrap(),
            folder,
            cable: false,
        }
    }

    /// A board at the other end of a cable.
    fn at(cable: &Cable, desk: &Desk) -> Self {
        let entry = desk.entry("desk", &desk.reset("USR1", "USR2"));
        let mut rig = Self::new(&[entry.replace(&desk.tty, &cable.tty)]);
        rig.cable = true;
        rig
    }

    fn claim(&self) -> Result<Claimed, ClaimError> {
        let entries: Vec<_> = self.inventory.boards.iter().collect();
        let known = rig::Rig {
            inventory: Some(self.inventory.clone()),
            ports: self.ports.clone(),
            locks: Locks::in_folder(self.folder.path().join("locks")),
        };
        let claim = Claim {
            entries: &entries,
            take: Take::All,
            images: Images::Own,
        };
        let now = Deadline::after("a free board", Duration::ZERO);
        claim.hold(&known, &now, |_| {})
    }

    fn bench(&self) -> SerialBench {
        SerialBench::new(self.claim().unwrap())
    }

    fn flashed_bench(&self) -> SerialBench {
        let bench = self.bench();
        bench.prepare(&self.image, &|_| {}).unwrap();
        bench
    }

    fn left_behind(&self) -> Vec<String> {
        let mut left = Vec::new();
        let locks = Locks::in_folder(self.folder.path().join("locks"));
        for entry in fs::read_dir(self.folder.path().join("locks"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let identity = entry.path().file_stem().unwrap().to_str().unwrap().to_owned();
            left.extend(
                locks
                    .holder(&identity.as_str().into())
                    .map(|holder| format!("{identity}: held by {holder}")),
            );
        }
        let open: Vec<PathBuf> = fs::read_dir("/proc/self/fd")
            .into_iter()
            .flatten()
            .flatten()
            .flat_map(|file| fs::read_link(file.path()))
            .collect();
        for board in &self.inventory.boards {
            if let Kind::Serial(serial) = &board.kind
                && let Port::Path(tty) = &serial.port
                && open.contains(tty)
                && !self.cable
            {
                left.push(format!("{}: open", tty.display()));
            }
        }
        let known = [
            "copy.bin",
            "locks",
            "other.elf",
            "out",
            "password",
            "rig.toml",
            "sketch.bin",
        ];
        let files = fs::read_dir(self.folder.path()).unwrap().flatten();
        let names = files.map(|file| file.file_name().to_str().unwrap().to_owned());
        left.extend(names.filter(|name| !known.contains(&name.as_str())));
        left
    }

    /// A new one, once the boards of `before` are free.
    fn flashed_bench_after(&self, before: SerialBench) -> SerialBench {
        drop(before);
        self.flashed_bench()
    }

    fn run(&self, bench: &SerialBench, name: &str) -> Outcome {
        self.run_watched(bench, name, |_| {})
    }

    fn run_watched(&self, bench: &SerialBench, name: &str, observer: impl Fn(Event<'_>) + Sync) -> Outcome {
        self.run_within(bench, name, Limits::default().run, observer)
    }

    fn run_within(
        &self,
        bench: &SerialBench,
        name: &str,
        run: Duration,
        observer: impl Fn(Event<'_>) + Sync,
    ) -> Outcome {
        let mut scenario = scenario(name);
        // What cannot succeed need not be waited for as long as on a real network.
        for run in &mut scenario.runs {
            run.device.timeouts.network = 3000;
            run.device.timeouts.connect = 2000;
        }
        let runner = Runner {
            bench,
            image: &self.image,
            limits: Limits {
                boot: Duration::from_secs(6),
                run,
                ..Limits::default()
            },
            out: &self.folder.path().join("out"),
            keep: false,
            observer: &observer,
        };
        // The evidence is read before the folder goes.
        runner.run(&scenario)
    }
}

/// A hub with a virtual board at it, whose power it switches: what was flashed stays, all else is new, and so is the port's name.
struct Hub<'a> {
    system: &'a System,
    script: String,
}

impl<'a> Hub<'a> {
    fn new(system: &'a System) -> Self {
        let script = format!(
            r#"
            cd {folder}
            count=$(($(cat switched 2>/dev/null || echo 0) + 1))
            echo $count > switched
            rm -rf sys/class/tty dev
            if [ -f pid ]; then
                kill -INT $(cat pid)
                tail -s 0.02 --pid=$(cat pid) -f /dev/null
            fi
            # Some supplies fall slowly, and whoever switches them waits for that.
            [ $count != 3 ] || sleep 4
            rm -f tty
            {program} virtual --network --flash flash.bin --boot $1 --tty-link tty </dev/null >/dev/null 2>&1 &
            echo $! > pid
            until [ -e tty ]; do sleep 0.02; done
            # Some bridges are enumerated when the firmware has said all that it says by itself.
            [ $count != 4 ] || grep -q -m 1 ready < tty
            mkdir -p sys/class/tty/ttyACM$count dev
            ln -s {interface} sys/class/tty/ttyACM$count/device
            ln -s $PWD/tty dev/ttyACM$count
            "#,
            folder = system.root().display(),
            interface = system.device("board").display(),
            program = env!("CARGO_BIN_EXE_pinrig"),
        );
        fs::write(system.path("hub.sh"), script).unwrap();
        let script = format!("sh {} {{mode}}", system.path("hub.sh").display());
        let hub = Self { system, script };
        let on = Command::new("sh")
            .args(["-c", &hub.script.replace("{mode}", "flash")])
            .status();
        assert!(on.unwrap().success());
        hub
    }

    fn switched(&self) -> u32 {
        fs::read_to_string(self.system.path("switched"))
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }
}

impl Drop for Hub<'_> {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.system.path("pid")).unwrap_or_default();
        // It may have ended by itself.
        let _ended = Command::new("kill").arg(pid.trim()).status();
    }
}

/// An entry for something at a pseudo terminal that takes no reset and no image.
fn at(port: &TTYPort) -> String {
    format!(
        r#"
        [[board]]
        name = "thing"
        chip = "esp32c3"
        port.path = "{}"
        flasher.command = ["true"]
        reset = [{{ command = ["true"] }}]
        server-address = "127.0.0.1"
        "#,
        port.name().unwrap()
    )
}

fn scenario(name: &str) -> Scenario {
    let all = scenario::load_all(&support::fixtures()).unwrap();
    all.into_iter().find(|scenario| scenario.name == name).unwrap()
}

fn failure(outcome: &Outcome) -> &Failure {
    match &outcome.verdict {
        Verdict::Passed => panic!("{} passed", outcome.scenario.name),
        Verdict::Failed(failure) => failure,
    }
}

fn blame(outcome: &Outcome) -> Option<Blame> {
    match &outcome.verdict {
        Verdict::Passed => None,
        Verdict::Failed(failure) => Some(failure.blame),
    }
}
