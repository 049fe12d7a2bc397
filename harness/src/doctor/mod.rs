//! What keeps the boards of a rig from being used, and what to do about it.
//!
//! What enters: the inventory, and the system as it shows itself in `/sys`, `/dev`, `/proc` and `/etc`. What leaves: [`Finding`]s, in the
//! order in which they should be dealt with. Nothing is changed and no port is opened, since that can reset a board that somebody uses.

mod udev;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{Access, access};
use serde::Serialize;

use crate::board::probe::{self, ProbeError};
use crate::image::Image;
use crate::rig::{
    Entry, Flasher, Inventory, Kind, Locks, PasswordError, Ports, ProbeSelector, Secret, SerialEntry, SerialPort,
    UsbDevice, WifiNetwork,
};
use udev::Need;

/// No clock that is right shows a time before this: 2026-01-01, in seconds since 1970.
const NOT_BEFORE: u64 = 1_767_225_600;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Good,
    /// It may go wrong.
    Doubtful,
    /// It will not work.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// The board that it is about; none: the machine.
    pub board: Option<String>,
    /// What was looked at: `port`, `permission`, `holder`, ...
    pub check: &'static str,
    /// How bad it is.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// The system that is looked at.
#[derive(Clone, Debug)]
pub struct System {
    root: PathBuf,
    locks: Locks,
}

/// A process that has a port open.
struct Process {
    pid: u32,
    name: String,
}

impl Default for System {
    /// This machine.
    fn default() -> Self {
        Self::below("/", Locks::default())
    }
}

impl System {
    /// A system whose `/sys`, `/dev`, `/proc` and `/etc` lie below `root`.
    #[must_use]
    pub fn below(root: impl Into<PathBuf>, locks: Locks) -> Self {
        Self {
            root: root.into(),
            locks,
        }
    }

    /// Looks at the machine, and at each board of the inventory.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this machine's clock is one of the things that are looked at"
    )]
    pub fn examine(&self, inventory: Option<&Inventory>) -> Vec<Finding> {
        let mut findings = vec![self.inventory(inventory), clock(SystemTime::now())];
        let Some(inventory) = inventory else {
            return findings;
        };
        for entry in &inventory.boards {
            findings.extend(self.board(entry));
        }
        findings
    }

    fn inventory(&self, inventory: Option<&Inventory>) -> Finding {
        let plugged = Ports::below(&self.root).list().unwrap_or_default();
        match inventory {
            Some(inventory) => Finding {
                board: None,
                check: "inventory",
                health: Health::Good,
                found: format!("{}: {} boards", inventory.path.display(), inventory.boards.len()),
                advice: None,
            },
            None if plugged.is_empty() => Finding {
                board: None,
                check: "inventory",
                health: Health::Good,
                found: "no rig.toml, and no USB serial port: the virtual board is used".to_owned(),
                advice: None,
            },
            None => Finding {
                board: None,
                check: "inventory",
                health: Health::Doubtful,
                found: format!("no rig.toml, but {} USB serial ports are plugged in", plugged.len()),
                advice: Some(
                    "write a rig.toml that names them: `pinrig boards` shows what each says of itself".to_owned(),
                ),
            },
        }
    }

    fn board(&self, entry: &Entry) -> Vec<Finding> {
        let finding = |check, health, found: String, advice: Option<String>| Finding {
            board: Some(entry.name.to_string()),
            check,
            health,
            found,
            advice,
        };
        let mut findings = Vec::new();
        let serial = match &entry.kind {
            Kind::Serial(serial) => Some(serial),
            Kind::Process(process) => {
                let started = format!("it is started as `{}`", process.command);
                findings.push(finding("process", Health::Good, started, None));
                None
            }
        };
        match serial.map(|serial| Ports::below(&self.root).find(&serial.port)) {
            None => {}
            Some(Err(error)) => findings.push(finding(
                "port",
                Health::Bad,
                error.to_string(),
                Some(
                    "plug the board in with a cable that carries data; `dmesg` tells what the kernel makes of it"
                        .to_owned(),
                ),
            )),
            Some(Ok(port)) => {
                findings.push(finding("port", Health::Good, port.to_string(), None));
                let (health, found, advice) = self.permission(&port.path);
                findings.push(finding("permission", health, found, advice));
                for process in self.holders(&port.path) {
                    let found = format!(
                        "{} is open in {} (process {})",
                        port.path.display(),
                        process.name,
                        process.pid
                    );
                    findings.push(finding("holder", Health::Bad, found, Some(let_go(&process.name))));
                }
                if let Some(holder) = self.locks.holder(&port.identity()) {
                    findings.push(finding(
                        "lock",
                        Health::Doubtful,
                        format!("held by {holder}"),
                        Some("wait until it ends, or end it: the lock goes with the process".to_owned()),
                    ));
                }
                if let Some((health, found, advice)) = self.meddler(&port) {
                    findings.push(finding("meddler", health, found, advice));
                }
            }
        }
        if let Some(serial) = serial
            && let Some(selector) = &serial.probe
        {
            let (health, found, advice) = self.probe(selector, serial);
            findings.push(finding("probe", health, found, advice));
        }
        if let Some(path) = serial.and_then(|serial| serial.firmware.as_ref()) {
            findings.push(match Image::load(path) {
                Ok(image) => {
                    let found = format!("{} is image {}", path.display(), image.identity());
                    finding("firmware", Health::Good, found, None)
                }
                Err(error) => finding("firmware", Health::Bad, error.to_string(), Some(BUILD_IT.to_owned())),
            });
        }
        if let Some(network) = &entry.network {
            let (health, found, advice) = match password(network) {
                Ok(Some(password)) if password.0.len() < 8 => (
                    Health::Bad,
                    format!("the password of network `{}` has fewer than 8 characters", network.ssid),
                    Some("WPA2 has none so short: look where the inventory says that it is".to_owned()),
                ),
                Ok(Some(_)) => (
                    Health::Good,
                    format!("network `{}`, with a password", network.ssid),
                    None,
                ),
                Ok(None) => (Health::Good, format!("network `{}`, open", network.ssid), None),
                Err(error) => (
                    Health::Bad,
                    error.to_string(),
                    Some("put it there, and keep it out of the inventory".to_owned()),
                ),
            };
            findings.push(finding("network", health, found, advice));
        }
        if let Some(address) = entry.server_address {
            let (health, found, advice) = server_address(address);
            findings.push(finding("server-address", health, found, advice));
        }
        findings
    }

    /// The rules by which udev gives this user the ports and probes of the inventory that are plugged in; without an inventory, of every
    /// port that is: the text of a file. None where nothing is plugged in.
    #[must_use]
    pub fn udev_rules(&self, inventory: Option<&Inventory>) -> Option<String> {
        let ports = Ports::below(&self.root);
        let mut devices = BTreeMap::<_, Vec<String>>::new();
        let mut needs = |usb: &UsbDevice, need, name: &str| {
            devices
                .entry((usb.vendor, usb.product, need))
                .or_default()
                .push(name.to_owned());
        };
        match inventory {
            None => {
                for port in ports.list().unwrap_or_default() {
                    port.usb.iter().for_each(|usb| needs(usb, Need::Port, port.kind()));
                }
            }
            Some(inventory) => {
                for entry in &inventory.boards {
                    let Kind::Serial(serial) = &entry.kind else {
                        continue;
                    };
                    let name = entry.name.as_str();
                    let port = ports.find(&serial.port).ok().and_then(|port| port.usb);
                    port.iter().for_each(|usb| needs(usb, Need::Port, name));
                    let probe = serial.probe.as_ref().and_then(|probe| self.usb_probe(probe));
                    probe.iter().for_each(|(_, usb)| needs(usb, Need::Probe, name));
                }
            }
        }
        (!devices.is_empty()).then(|| udev::rules(&devices))
    }

    /// Whether this user may use a debug probe.
    fn probe(&self, selector: &ProbeSelector, entry: &SerialEntry) -> (Health, String, Option<String>) {
        if !probe::BUILT_IN {
            let needed = matches!(entry.flasher, Flasher::ProbeRs(_));
            return (
                if needed { Health::Bad } else { Health::Doubtful },
                format!("probe {selector}: {}", ProbeError::NotBuiltIn),
                Some(
                    "without it nothing is flashed or reset by a probe, and firmware that hangs is not looked at"
                        .to_owned(),
                ),
            );
        }
        if selector.is_over_tcp() {
            return (Health::Good, format!("probe {selector} is reached over TCP"), None);
        }
        match self.usb_probe(selector) {
            Some((file, _)) => self.permission(&file),
            None => (
                Health::Bad,
                format!("no USB device is the probe {selector}"),
                Some(
                    "plug it in, and compare with what `lsusb -v` or `probe-rs list` show: VID:PID, or VID:PID:SERIAL"
                        .to_owned(),
                ),
            ),
        }
    }

    /// The USB device that a selector of probe-rs means.
    fn usb_probe(&self, selector: &ProbeSelector) -> Option<(PathBuf, UsbDevice)> {
        let mut devices = Ports::below(&self.root).usb_devices().into_iter();
        devices.find(|(_, usb)| {
            let is_it = (usb.vendor, usb.product) == (selector.vendor, selector.product);
            is_it && (selector.serial.is_none() || usb.serial == selector.serial)
        })
    }

    /// Whether this user may open a device's file, and if not, how that can be had.
    fn permission(&self, file: &Path) -> (Health, String, Option<String>) {
        let path = file.display();
        if access(file, Access::READ_OK | Access::WRITE_OK).is_ok() {
            return (Health::Good, format!("{path} may be read and written"), None);
        }
        let owner = fs::metadata(file).map(|metadata| (metadata.mode(), metadata.gid()));
        let (found, advice) = match owner {
            Ok((mode, gid)) => {
                let group = self.group(gid);
                (
                    format!(
                        "{path} belongs to group {group}, mode {:o}, and this user may not open it",
                        mode & 0o777
                    ),
                    may_open(mode, &group),
                )
            }
            Err(error) => (
                format!("{path}: {error}"),
                "look whether the board is still plugged in".to_owned(),
            ),
        };
        (Health::Bad, found, Some(advice))
    }

    /// The name of a group, from `/etc/group`; its number where it has none.
    fn group(&self, gid: u32) -> String {
        let groups = fs::read_to_string(self.root.join("etc/group")).unwrap_or_default();
        let named = groups.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
        });
        named.unwrap_or_else(|| gid.to_string())
    }

    /// The processes that have a file open, as far as this user may see them.
    fn holders(&self, path: &Path) -> Vec<Process> {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        self.processes()
            .filter(|pid| {
                let files = fs::read_dir(self.process(*pid).join("fd")).into_iter().flatten();
                let open: Vec<PathBuf> = files.flatten().flat_map(|file| fs::read_link(file.path())).collect();
                // What has the other end of a pseudo terminal too is the board itself, in software.
                let is_the_board = path.starts_with("/dev/pts") && open.iter().any(|file| file.ends_with("ptmx"));
                open.contains(&path) && !is_the_board
            })
            .map(|pid| Process {
                pid,
                name: self.name_of(pid),
            })
            .collect()
    }

    /// A program that is known to open ports of this kind by itself, unless it is told not to.
    fn meddler(&self, port: &SerialPort) -> Option<(Health, String, Option<String>)> {
        let usb = port.usb.as_ref()?;
        let name = self
            .processes()
            .map(|pid| self.name_of(pid))
            .find(|name| match name.as_str() {
                "ModemManager" => true,
                // It takes CH340 and CP210x bridges for Braille displays.
                "brltty" => matches!(usb.vendor, 0x1A86 | 0x10C4),
                _ => false,
            })?;
        let told = udev::rule_for(&self.root, usb.vendor, "ID_MM_DEVICE_IGNORE").filter(|_| name == "ModemManager");
        Some(match told {
            Some(rule) => {
                let found = format!(
                    "{name} runs on this machine, and leaves this device alone: {}",
                    rule.display()
                );
                (Health::Good, found, None)
            }
            None => (
                Health::Doubtful,
                format!("{name} runs on this machine"),
                Some(let_go(&name)),
            ),
        })
    }

    fn processes(&self) -> impl Iterator<Item = u32> {
        let entries = fs::read_dir(self.root.join("proc")).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
    }

    fn name_of(&self, pid: u32) -> String {
        let name = fs::read_to_string(self.process(pid).join("comm")).unwrap_or_default();
        name.trim().to_owned()
    }

    fn process(&self, pid: u32) -> PathBuf {
        self.root.join("proc").join(pid.to_string())
    }
}

const BUILD_IT: &str = "build it, or leave `firmware` out for the image of the run";

/// What gives a user a port with this mode and group.
fn may_open(mode: u32, group: &str) -> String {
    const GROUP_READS_AND_WRITES: u32 = 0o060;
    if mode & GROUP_READS_AND_WRITES == GROUP_READS_AND_WRITES && group != "root" {
        return format!("join the group and log in anew: sudo usermod --append --groups {group} $USER");
    }
    "no group may open it: `pinrig doctor --udev-rules` prints a file of rules that change that, and where it belongs"
        .to_owned()
}

fn password(network: &WifiNetwork) -> Result<Option<Secret>, PasswordError> {
    Ok(network.credentials()?.password)
}

/// How a program is made to leave a port alone.
fn let_go(name: &str) -> String {
    match name {
        "ModemManager" => {
            "it looks for modems at every new port: `pinrig doctor --udev-rules` prints a file of rules that keep it away \
             (ID_MM_DEVICE_IGNORE); `systemctl disable --now ModemManager` does too"
        }
        "brltty" => "it takes the bridge for a Braille display: remove the package brltty where nobody reads Braille",
        "pinrig" => "another run of pinrig has it: wait until it ends",
        _ => "close it: two programs at one port take each other's bytes away",
    }
    .to_owned()
}

fn clock(now: SystemTime) -> Finding {
    let right = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO) >= Duration::from_secs(NOT_BEFORE);
    Finding {
        board: None,
        check: "clock",
        health: if right { Health::Good } else { Health::Bad },
        found: if right {
            "this machine's clock shows a time that can be right".to_owned()
        } else {
            "this machine's clock shows a time before 2026".to_owned()
        },
        advice: (!right).then(|| {
            "set it, for example by `timedatectl set-ntp true`: evidence with a wrong date misleads".to_owned()
        }),
    }
}

/// Whether a server can stand at an address.
fn server_address(address: IpAddr) -> (Health, String, Option<String>) {
    match UdpSocket::bind((address, 0)) {
        Ok(_) => (Health::Good, format!("{address} is an address of this machine"), None),
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => (
            // A port may be forwarded, or the board's network be a simulated one.
            Health::Doubtful,
            format!("{address} is no address of this machine"),
            Some("`ip address` lists them; without server-address the one on the way to the board is taken".to_owned()),
        ),
        Err(error) => (Health::Bad, format!("{address}: {error}"), None),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A system with one CP210x bridge, which ModemManager has open, and an inventory of two boards.
    fn system() -> (tempfile::TempDir, System, Inventory) {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        let write = |path: &str, text: &str| {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::write(at(path), text).unwrap();
        };
        write("sys/devices/usb1/1-2/idVendor", "10c4\n");
        write("sys/devices/usb1/1-2/idProduct", "ea60\n");
        write("sys/devices/usb1/1-2/serial", "0001\n");
        fs::create_dir_all(at("sys/devices/usb1/1-2/1-2:1.0")).unwrap();
        fs::create_dir_all(at("sys/class/tty/ttyUSB0")).unwrap();
        symlink(at("sys/devices/usb1/1-2/1-2:1.0"), at("sys/class/tty/ttyUSB0/device")).unwrap();
        write("dev/ttyUSB0", "");
        write("proc/4711/comm", "ModemManager\n");
        fs::create_dir_all(at("proc/4711/fd")).unwrap();
        symlink(at("dev/ttyUSB0").canonicalize().unwrap(), at("proc/4711/fd/7")).unwrap();
        write("etc/group", "root:x:0:\ndialout:x:20:ann\n");
        write(
            "rig.toml",
            r#"
            [[board]]
            name = "here"
            chip = "esp32c3"
            port.usb-serial = "0001"
            network = { ssid = "lab", password.file = "password" }
            server-address = "203.0.113.77"

            [[board]]
            name = "gone"
            chip = "esp32c3"
            port.usb-serial = "0002"
            firmware = "not-built.elf"
            server-address = "127.0.0.1"
            "#,
        );
        write("password", "correct horse\n");
        let inventory = Inventory::load(&at("rig.toml")).unwrap();
        let system = System::below(root.path(), Locks::in_folder(at("locks")));
        (root, system, inventory)
    }

    fn find<'a>(findings: &'a [Finding], board: &str, check: &str) -> Option<&'a Finding> {
        findings
            .iter()
            .find(|finding| finding.board.as_deref() == Some(board) && finding.check == check)
    }

    #[test]
    fn each_finding_says_what_to_do() {
        let (_root, system, inventory) = system();
        let findings = system.examine(Some(&inventory));
        let holder = find(&findings, "here", "holder").unwrap();
        assert_eq!(holder.health, Health::Bad);
        assert!(holder.found.contains("ModemManager (process 4711)"), "{holder:?}");
        assert!(
            holder.advice.as_ref().unwrap().contains("ID_MM_DEVICE_IGNORE"),
            "{holder:?}"
        );
        assert_eq!(find(&findings, "here", "port").unwrap().health, Health::Good);
        assert_eq!(find(&findings, "here", "permission").unwrap().health, Health::Good);
        assert_eq!(find(&findings, "here", "meddler").unwrap().health, Health::Doubtful);
        let network = find(&findings, "here", "network").unwrap();
        assert_eq!(network.health, Health::Good);
        let all = format!("{findings:?}");
        assert!(!all.contains("correct horse"), "a password is never printed");
        let address = find(&findings, "here", "server-address").unwrap();
        assert_eq!(address.health, Health::Doubtful, "TEST-NET-3 is nobody's: {address:?}");
        assert_eq!(find(&findings, "gone", "port").unwrap().health, Health::Bad);
        assert_eq!(find(&findings, "gone", "permission"), None);
        assert_eq!(find(&findings, "here", "firmware"), None);
        let firmware = find(&findings, "gone", "firmware").unwrap();
        assert_eq!(firmware.health, Health::Bad);
        assert!(firmware.found.contains("not-built.elf"), "{firmware:?}");
        assert_eq!(find(&findings, "gone", "server-address").unwrap().health, Health::Good);
        assert!(
            findings
                .iter()
                .all(|finding| finding.health == Health::Good || finding.advice.is_some())
        );
    }

    #[test]
    fn rules_for_udev_are_those_of_what_is_plugged_in_and_are_heeded_when_they_are_there() {
        let (root, system, inventory) = system();
        assert_eq!(
            find(&system.examine(Some(&inventory)), "here", "meddler")
                .unwrap()
                .health,
            Health::Doubtful
        );
        let rules = system.udev_rules(Some(&inventory)).unwrap();
        assert!(rules.contains("# port of here\n") && !rules.contains("gone"), "{rules}");
        assert!(system.udev_rules(None).unwrap().contains("# port of CP210x\n"));
        let folder = root.path().join("etc/udev/rules.d");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("70-pinrig.rules"), rules).unwrap();
        let empty = tempfile::tempdir().unwrap();
        let none = System::below(empty.path(), Locks::in_folder(empty.path())).udev_rules(Some(&inventory));
        assert_eq!(none, None, "a vendor is known when something is plugged in");
        let findings = system.examine(Some(&inventory));
        let meddler = find(&findings, "here", "meddler").unwrap();
        assert_eq!(meddler.health, Health::Good);
        assert!(meddler.found.contains("70-pinrig.rules"), "{meddler:?}");
    }

    #[test]
    fn a_probe_is_a_usb_device_that_may_be_opened() {
        let (root, system, mut inventory) = system();
        let selector: ProbeSelector = "303a:1001:7C:DF:A1:00:00:01".parse().unwrap();
        let Kind::Serial(serial) = &mut inventory.boards[0].kind else {
            panic!("it is a chip")
        };
        serial.probe = Some(selector.clone());
        assert_eq!(system.usb_probe(&selector), None);
        let device = root.path().join("sys/bus/usb/devices/1-1");
        fs::create_dir_all(&device).unwrap();
        for (file, text) in [
            ("idVendor", "303a"),
            ("idProduct", "1001"),
            ("serial", "7C:DF:A1:00:00:01"),
            ("busnum", "1"),
            ("devnum", "4"),
        ] {
            fs::write(device.join(file), format!("{text}\n")).unwrap();
        }
        let file = root.path().join("dev/bus/usb/001/004");
        assert_eq!(system.usb_probe(&selector).map(|(path, _)| path), Some(file.clone()));
        assert_eq!(system.usb_probe(&"303a:1001:7C:DF:A1:00:00:02".parse().unwrap()), None);
        assert!(system.usb_probe(&"303a:1001".parse().unwrap()).is_some());
        assert!(
            system
                .udev_rules(Some(&inventory))
                .unwrap()
                .contains("# probe of here\n")
        );
        // A file that is not there cannot be opened; what is said depends on whether this build could use it at all.
        let finding = |system: &System| {
            find(&system.examine(Some(&inventory)), "here", "probe")
                .unwrap()
                .clone()
        };
        let without = if probe::BUILT_IN { Health::Bad } else { Health::Doubtful };
        assert_eq!(finding(&system).health, without);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        let with = if probe::BUILT_IN {
            Health::Good
        } else {
            Health::Doubtful
        };
        assert_eq!(finding(&system).health, with);
    }

    #[test]
    fn a_free_port_has_no_holder_and_a_held_board_a_lock() {
        let (root, system, inventory) = system();
        fs::remove_dir_all(root.path().join("proc")).unwrap();
        let here = crate::rig::Candidate {
            board: "here".parse().unwrap(),
            identity: "usb-0001".into(),
        };
        let lock = system.locks.take(&here).unwrap();
        let findings = system.examine(Some(&inventory));
        assert_eq!(find(&findings, "here", "holder"), None);
        assert_eq!(find(&findings, "here", "meddler"), None);
        assert_eq!(find(&findings, "here", "lock").unwrap().health, Health::Doubtful);
        drop(lock);
        assert_eq!(find(&system.examine(Some(&inventory)), "here", "lock"), None);
    }

    #[test]
    fn a_password_that_is_missing_or_cannot_be_one_is_told() {
        let (root, system, inventory) = system();
        fs::write(root.path().join("password"), "short\n").unwrap();
        let findings = system.examine(Some(&inventory));
        assert_eq!(find(&findings, "here", "network").unwrap().health, Health::Bad);
        fs::remove_file(root.path().join("password")).unwrap();
        let findings = system.examine(Some(&inventory));
        assert!(
            find(&findings, "here", "network").unwrap().found.contains("password"),
            "{findings:?}"
        );
    }

    #[test]
    fn a_port_that_may_not_be_opened_is_had_by_its_group_or_by_a_rule() {
        let (_root, system, _) = system();
        assert_eq!(system.group(20), "dialout");
        assert_eq!(system.group(4242), "4242");
        assert!(may_open(0o660, "dialout").contains("--groups dialout"));
        assert!(may_open(0o600, "dialout").contains("udev"));
        assert!(may_open(0o660, "root").contains("udev"));
    }

    #[test]
    fn a_machine_with_boards_and_no_inventory_is_told_of_it_and_a_wrong_clock() {
        let (_root, system, _) = system();
        let findings = system.examine(None);
        assert_eq!(findings[0].health, Health::Doubtful, "{findings:?}");
        let empty = tempfile::tempdir().unwrap();
        let none = System::below(empty.path(), Locks::in_folder(empty.path())).examine(None);
        assert_eq!(none[0].health, Health::Good);
        assert_eq!(
            clock(SystemTime::UNIX_EPOCH + Duration::from_secs(60)).health,
            Health::Bad
        );
    }
}
