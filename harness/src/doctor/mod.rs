//! What keeps the boards of a rig from being used, and what to do about it.
//!
//! What enters: the inventory, and a system as it shows itself in `/sys`, `/dev`, `/proc` and `/etc`. What leaves:
//! [`Diagnosis`] values, in the order in which they should be dealt with. Nothing is changed here, and no port is
//! opened, since that can reset a board that another program uses.

mod diagnosis;
mod udev;
mod machine;
mod ports;
mod probes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use diagnosis::{Advice, Check, Diagnosis, Health, Observation};

use crate::image::Image;
use crate::rig::{Entry, Inventory, Kind, Locks, Ports, SerialEntry, UsbDevice, WifiNetwork};
use udev::{Device, Need};

/// The fewest characters of a WPA2 password (IEEE 802.11, "passphrase").
const SHORTEST_PASSWORD: usize = 8;

/// The system that is looked at.
#[derive(Clone, Debug)]
pub struct System {
    root: PathBuf,
    locks: Locks,
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

    fn ports(&self) -> Ports {
        Ports::below(&self.root)
    }

    /// Looks at the machine, and at each board of the inventory.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this machine's clock is one of the things that are looked at"
    )]
    pub fn examine(&self, inventory: Option<&Inventory>) -> Vec<Diagnosis> {
        let plugged = self.ports().list().unwrap_or_default().len();
        let machine = [
            (Check::Inventory, machine::inventory(inventory, plugged)),
            (Check::Clock, machine::clock(SystemTime::now())),
        ];
        let machine = machine.map(|(check, observation)| Diagnosis::of_machine(check, observation));
        let boards = inventory.into_iter().flat_map(|inventory| &inventory.boards);
        machine
            .into_iter()
            .chain(boards.flat_map(|entry| self.board(entry)))
            .collect()
    }

    fn board(&self, entry: &Entry) -> Vec<Diagnosis> {
        let mut observations = match &entry.kind {
            Kind::Process(process) => {
                let started = format!("it is started as `{}`", process.command);
                vec![(Check::Process, Observation::good(started))]
            }
            Kind::Serial(serial) => self.serial_board(serial),
        };
        if let Some(wifi) = &entry.network {
            observations.push((Check::Network, network(wifi)));
        }
        if let Some(address) = entry.server_address {
            observations.push((Check::ServerAddress, machine::server_address(address)));
        }
        observations
            .into_iter()
            .map(|(check, observation)| Diagnosis::of_board(entry.name.as_str(), check, observation))
            .collect()
    }

    fn serial_board(&self, entry: &SerialEntry) -> Vec<(Check, Observation)> {
        let mut observations = Vec::new();
        match self.ports().find(&entry.port) {
            Err(error) => observations.push((
                Check::Port,
                Observation::bad(
                    error.to_string(),
                    "plug the board in with a cable that carries data; `dmesg` shows what the kernel makes of it",
                ),
            )),
            Ok(port) => {
                observations.push((Check::Port, Observation::good(port.to_string())));
                observations.push((Check::Permission, ports::permission(&self.root, &port.path)));
                let holders = ports::holders(&self.root, &port.path).into_iter();
                observations.extend(holders.map(|holder| (Check::Holder, holder)));
                if let Some(holder) = self.locks.holder(&port.identity()) {
                    let held = Observation::doubtful(
                        format!("held by {holder}"),
                        "wait until the process ends, or end it; its lock ends with it",
                    );
                    observations.push((Check::Lock, held));
                }
                let meddler = ports::meddler(&self.root, &port);
                observations.extend(meddler.map(|meddler| (Check::Meddler, meddler)));
            }
        }
        if let Some(selector) = &entry.probe {
            observations.push((Check::Probe, probes::probe(&self.root, selector, entry)));
        }
        if let Some(path) = &entry.firmware {
            observations.push((Check::Firmware, firmware(path)));
        }
        observations
    }

    /// The rules by which udev gives this user the ports and probes of the inventory that are plugged in; without an
    /// inventory, every port that is plugged in. They are the text of a file. None where nothing is plugged in.
    #[must_use]
    pub fn udev_rules(&self, inventory: Option<&Inventory>) -> Option<String> {
        let ports = self.ports();
        let mut devices = BTreeMap::<Device, Vec<String>>::new();
        let mut add = |usb: &UsbDevice, need, name: &str| {
            let device = Device {
                vendor: usb.vendor,
                product: usb.product,
                need,
            };
            devices.entry(device).or_default().push(name.to_owned());
        };
        match inventory {
            None => {
                for port in ports.list().unwrap_or_default() {
                    port.usb.iter().for_each(|usb| add(usb, Need::Port, port.kind()));
                }
            }
            Some(inventory) => {
                for entry in &inventory.boards {
                    let Kind::Serial(serial) = &entry.kind else {
                        continue;
                    };
                    let name = entry.name.as_str();
                    let port = ports.find(&serial.port).ok().and_then(|port| port.usb);
                    port.iter().for_each(|usb| add(usb, Need::Port, name));
                    let probe = serial.probe.as_ref();
                    let probe = probe.and_then(|probe| probes::usb_probe(&self.root, probe));
                    probe.iter().for_each(|(_, usb)| add(usb, Need::Probe, name));
                }
            }
        }
        (!devices.is_empty()).then(|| udev::rules(&devices))
    }
}

/// Whether a board's own image can be used.
fn firmware(path: &Path) -> Observation {
    match Image::load(path) {
        Ok(image) => Observation::good(format!("{} is image {}", path.display(), image.identity())),
        Err(error) => Observation::bad(
            error.to_string(),
            "build it, or leave `firmware` out for the image of the run",
        ),
    }
}

/// Whether the password of a network is where the inventory says.
fn network(network: &WifiNetwork) -> Observation {
    let ssid = &network.ssid;
    match network.credentials().map(|credentials| credentials.password) {
        Ok(Some(password)) if password.0.len() < SHORTEST_PASSWORD => Observation::bad(
            format!("the password of network `{ssid}` has fewer than {SHORTEST_PASSWORD} characters"),
            "write the network's password where the inventory says that it is; WPA2 has no shorter ones",
        ),
        Ok(Some(_)) => Observation::good(format!("network `{ssid}`, with a password")),
        Ok(None) => Observation::good(format!("network `{ssid}`, open")),
        Err(error) => Observation::bad(error.to_string(), "put it there, and keep it out of the inventory"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::board::probe;

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
        write("rig.toml", RIG);
        write("password", "correct horse\n");
        let inventory = Inventory::load(&at("rig.toml")).unwrap();
        let system = System::below(root.path(), Locks::in_folder(at("locks")));
        (root, system, inventory)
    }

    const RIG: &str = r#"
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
    "#;

    fn find<'a>(diagnoses: &'a [Diagnosis], board: &str, check: Check) -> Option<&'a Observation> {
        diagnoses
            .iter()
            .find(|diagnosis| diagnosis.board.as_deref() == Some(board) && diagnosis.check == check)
            .map(|diagnosis| &diagnosis.observation)
    }

    fn health(diagnoses: &[Diagnosis], board: &str, check: Check) -> Option<Health> {
        find(diagnoses, board, check).map(|observation| observation.health)
    }

    #[test]
    fn each_observation_that_is_not_good_says_what_to_do() {
        let (_root, system, inventory) = system();
        let diagnoses = system.examine(Some(&inventory));
        let holder = find(&diagnoses, "here", Check::Holder).unwrap();
        assert_eq!(holder.health, Health::Bad);
        assert!(holder.found.contains("ModemManager (process 4711)"), "{holder:?}");
        let Some(Advice::UdevRules(why)) = &holder.advice else {
            panic!("{holder:?}")
        };
        assert!(why.contains("ID_MM_DEVICE_IGNORE"), "{holder:?}");
        assert_eq!(health(&diagnoses, "here", Check::Port), Some(Health::Good));
        assert_eq!(health(&diagnoses, "here", Check::Permission), Some(Health::Good));
        assert_eq!(health(&diagnoses, "here", Check::Meddler), Some(Health::Doubtful));
        assert_eq!(health(&diagnoses, "here", Check::Network), Some(Health::Good));
        let all = format!("{diagnoses:?}");
        assert!(!all.contains("correct horse"), "a password is never printed");
        // TEST-NET-3 (RFC 5737) belongs to no machine.
        assert_eq!(health(&diagnoses, "here", Check::ServerAddress), Some(Health::Doubtful));
        assert_eq!(health(&diagnoses, "gone", Check::Port), Some(Health::Bad));
        assert_eq!(health(&diagnoses, "gone", Check::Permission), None);
        assert_eq!(health(&diagnoses, "here", Check::Firmware), None);
        let firmware = find(&diagnoses, "gone", Check::Firmware).unwrap();
        assert_eq!(firmware.health, Health::Bad);
        assert!(firmware.found.contains("not-built.elf"), "{firmware:?}");
        assert_eq!(health(&diagnoses, "gone", Check::ServerAddress), Some(Health::Good));
        let observations = || diagnoses.iter().map(|diagnosis| &diagnosis.observation);
        assert!(observations().all(|observation| observation.health == Health::Good || observation.advice.is_some()));
    }

    #[test]
    fn rules_for_udev_cover_what_is_plugged_in_and_are_heeded_when_they_are_installed() {
        let (root, system, inventory) = system();
        let before = system.examine(Some(&inventory));
        assert_eq!(health(&before, "here", Check::Meddler), Some(Health::Doubtful));
        let rules = system.udev_rules(Some(&inventory)).unwrap();
        assert!(rules.contains("# port of here\n") && !rules.contains("gone"), "{rules}");
        assert!(system.udev_rules(None).unwrap().contains("# port of CP210x\n"));
        let folder = root.path().join("etc/udev/rules.d");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("70-pinrig.rules"), rules).unwrap();
        let empty = tempfile::tempdir().unwrap();
        let none = System::below(empty.path(), Locks::in_folder(empty.path())).udev_rules(Some(&inventory));
        assert_eq!(none, None, "the vendor of a device is known while it is plugged in");
        let after = system.examine(Some(&inventory));
        let meddler = find(&after, "here", Check::Meddler).unwrap();
        assert_eq!(meddler.health, Health::Good);
        assert!(meddler.found.contains("70-pinrig.rules"), "{meddler:?}");
    }

    #[test]
    fn a_probe_is_a_usb_device_that_this_user_may_open() {
        let (root, system, _) = system();
        let with_probe = RIG.replacen("chip =", "probe = \"303a:1001:7C:DF:A1:00:00:01\"\nchip =", 1);
        let inventory = Inventory::parse(&root.path().join("rig.toml"), &with_probe).unwrap();
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
        let rules = system.udev_rules(Some(&inventory)).unwrap();
        assert!(rules.contains("# probe of here\n"), "{rules}");
        let health = || health(&system.examine(Some(&inventory)), "here", Check::Probe);
        // A file that is not there cannot be opened. A build without probe-rs could not use it anyway.
        let (missing, there) = if probe::BUILT_IN {
            (Health::Bad, Health::Good)
        } else {
            (Health::Doubtful, Health::Doubtful)
        };
        assert_eq!(health(), Some(missing));
        let file = root.path().join("dev/bus/usb/001/004");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        assert_eq!(health(), Some(there));
    }

    #[test]
    fn a_free_port_has_no_holder_and_a_held_board_has_a_lock() {
        let (root, system, inventory) = system();
        fs::remove_dir_all(root.path().join("proc")).unwrap();
        let here = crate::rig::Candidate {
            board: "here".parse().unwrap(),
            identity: "usb-0001".into(),
        };
        let lock = system.locks.take(&here).unwrap();
        let diagnoses = system.examine(Some(&inventory));
        assert_eq!(health(&diagnoses, "here", Check::Holder), None);
        assert_eq!(health(&diagnoses, "here", Check::Meddler), None);
        assert_eq!(health(&diagnoses, "here", Check::Lock), Some(Health::Doubtful));
        drop(lock);
        assert_eq!(health(&system.examine(Some(&inventory)), "here", Check::Lock), None);
    }

    #[test]
    fn a_password_that_is_missing_or_too_short_is_bad() {
        let (root, system, inventory) = system();
        fs::write(root.path().join("password"), "short\n").unwrap();
        let diagnoses = system.examine(Some(&inventory));
        assert_eq!(health(&diagnoses, "here", Check::Network), Some(Health::Bad));
        fs::remove_file(root.path().join("password")).unwrap();
        let diagnoses = system.examine(Some(&inventory));
        let network = find(&diagnoses, "here", Check::Network).unwrap();
        assert!(network.found.contains("password"), "{network:?}");
    }

    #[test]
    fn a_machine_with_boards_and_no_inventory_is_told_so() {
        let (_root, system, _) = system();
        let diagnoses = system.examine(None);
        assert_eq!(diagnoses[0].observation.health, Health::Doubtful, "{diagnoses:?}");
        let empty = tempfile::tempdir().unwrap();
        let none = System::below(empty.path(), Locks::in_folder(empty.path())).examine(None);
        assert_eq!(none[0].observation.health, Health::Good);
    }
}
