//! The serial ports of this machine, and how the port of a board is found among them.
//!
//! What enters: `/sys/class/tty` and `/dev/serial/by-id`. What leaves: [`SerialPort`]s with what the USB device says of
//! itself. No port is opened here, since opening a port can reset a board that another program uses.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::entry::Port;
use super::values::Mac;

/// A serial port at which something is plugged in.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SerialPort {
    /// The device file: `/dev/ttyUSB0`.
    pub path: PathBuf,
    /// The name of its link in `/dev/serial/by-id`.
    pub by_id: Option<String>,
    /// What the USB device says of itself; a port of another kind has none.
    pub usb: Option<UsbDevice>,
}

/// What a USB device says of itself, as the kernel shows it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct UsbDevice {
    /// `idVendor`.
    pub vendor: u16,
    /// `idProduct`.
    pub product: u16,
    /// `serial`, if the device has one.
    pub serial: Option<String>,
    /// `product`: the device's name, for people.
    pub name: Option<String>,
}

/// What stays the same while a board is unplugged and comes back under another name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity(String);

impl Identity {
    /// Its text: `usb-7C:DF:A1:00:00:01`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Identity {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Why the port of a board is not found.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The folder of the ports cannot be read.
    #[error("cannot read {path}: {cause}", path = .path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It is not plugged in.
    #[error("no port has {wanted}; {}", seen(.ports))]
    Missing {
        /// What was looked for.
        wanted: Port,
        /// The ports that there are.
        ports: Vec<SerialPort>,
    },
    /// Several ports fit.
    #[error("several ports have {wanted}: {}; name one by its link in /dev/serial/by-id", names(.ports))]
    Ambiguous {
        /// What was looked for.
        wanted: Port,
        /// The candidates.
        ports: Vec<SerialPort>,
    },
}

/// The system's serial ports.
#[derive(Clone, Debug)]
pub struct Ports {
    root: PathBuf,
}

impl Default for Ports {
    /// The ports of this machine.
    fn default() -> Self {
        Self::below("/")
    }
}

impl Ports {
    /// The ports of a system whose `/sys` and `/dev` lie below `root`.
    #[must_use]
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The ports of USB devices, sorted by path.
    ///
    /// # Errors
    /// When `/sys/class/tty` is there and cannot be read.
    pub fn list(&self) -> Result<Vec<SerialPort>, PortError> {
        let folder = self.root.join("sys/class/tty");
        let failed = |cause| PortError::List {
            path: folder.clone(),
            cause,
        };
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let links = self.links();
        let mut ports = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            // A port of another kind; or the device has been unplugged since the folder was read.
            let Some(usb) = usb_device(&entry.path().join("device")) else {
                continue;
            };
            let name = entry.file_name();
            let by_id = links
                .iter()
                .find(|(target, _)| *target == name)
                .map(|(_, link)| link.clone());
            ports.push(SerialPort {
                path: self.root.join("dev").join(&name),
                by_id,
                usb: Some(usb),
            });
        }
        ports.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(ports)
    }

    /// All USB devices, whether they have ports or not, each with its device file: `/dev/bus/usb/001/004`.
    #[must_use]
    pub fn usb_devices(&self) -> Vec<(PathBuf, UsbDevice)> {
        let folders = fs::read_dir(self.root.join("sys/bus/usb/devices"))
            .into_iter()
            .flatten();
        let devices = folders.flatten().filter_map(|entry| {
            let folder = entry.path();
            let number = |name| attribute(&folder, name)?.parse::<u16>().ok();
            let file = format!("dev/bus/usb/{:03}/{:03}", number("busnum")?, number("devnum")?);
            Some((self.root.join(file), UsbDevice::at(&folder)?))
        });
        devices.collect()
    }

    /// The port that is `wanted`.
    ///
    /// # Errors
    /// When it is not there, or several ports fit.
    pub fn find(&self, wanted: &Port) -> Result<SerialPort, PortError> {
        let ports = self.list()?;
        let is_it = |port: &SerialPort| match wanted {
            Port::ById(link) => port.by_id.as_deref() == Some(link.as_str()),
            Port::UsbSerial(number) => port.serial() == Some(number.as_str()),
            Port::Mac(mac) => port.serial().and_then(|serial| serial.parse::<Mac>().ok()) == Some(*mac),
            Port::Path(path) => port.path == *path || fs::canonicalize(path).is_ok_and(|path| path == port.path),
        };
        let mut found: Vec<SerialPort> = ports.iter().filter(|port| is_it(port)).cloned().collect();
        match (found.len(), wanted) {
            (1, _) => Ok(found.remove(0)),
            // A port that is not a USB device's: a pseudo terminal, or a UART of this machine.
            (0, Port::Path(path)) if path.exists() => Ok(SerialPort {
                path: path.clone(),
                by_id: None,
                usb: None,
            }),
            (0, _) => Err(PortError::Missing {
                wanted: wanted.clone(),
                ports,
            }),
            _ => Err(PortError::Ambiguous {
                wanted: wanted.clone(),
                ports: found,
            }),
        }
    }

    /// The links in `/dev/serial/by-id`: each device's name, and the link's name.
    fn links(&self) -> Vec<(std::ffi::OsString, String)> {
        let Ok(entries) = fs::read_dir(self.root.join("dev/serial/by-id")) else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| {
                let target = fs::read_link(entry.path()).ok()?;
                Some((target.file_name()?.to_owned(), entry.file_name().into_string().ok()?))
            })
            .collect()
    }
}

impl SerialPort {
    /// The USB device's serial number.
    #[must_use]
    pub fn serial(&self) -> Option<&str> {
        self.usb.as_ref()?.serial.as_deref()
    }

    /// Its identity, made of the serial number; without one, of the link's name; without either, of the path.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity(match (self.serial(), &self.by_id) {
            (Some(serial), _) => format!("usb-{serial}"),
            (None, Some(link)) => format!("id-{link}"),
            (None, None) => format!("path-{}", self.path.display()),
        })
    }

    /// The name of its bridge or chip, for people: `CP210x`.
    #[must_use]
    pub fn kind(&self) -> &str {
        let Some(usb) = &self.usb else {
            return "not a USB device";
        };
        match (usb.vendor, usb.product) {
            (0x303A, 0x1001) => "Espressif USB serial/JTAG",
            (0x303A, _) => "Espressif",
            (0x10C4, 0xEA60) => "CP210x",
            (0x1A86, 0x7523 | 0x7522) => "CH340",
            (0x1A86, 0x55D3 | 0x55D4) => "CH9102",
            (0x0403, _) => "FTDI",
            _ => usb.name.as_deref().unwrap_or("USB device"),
        }
    }
}

impl fmt::Display for SerialPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.path.display(), self.kind())?;
        if let Some(serial) = self.serial() {
            write!(f, ", serial number {serial}")?;
        }
        f.write_str(")")
    }
}

/// The USB device above a tty's `device` link. The folder of an interface lies between the two, and with some bridges
/// that of a port.
fn usb_device(device: &Path) -> Option<UsbDevice> {
    let device = fs::canonicalize(device).ok()?;
    let folder = device.ancestors().find(|folder| folder.join("idVendor").is_file())?;
    UsbDevice::at(folder)
}

impl UsbDevice {
    /// The device with this folder in `/sys`.
    fn at(folder: &Path) -> Option<Self> {
        let number = |name| u16::from_str_radix(&attribute(folder, name)?, 16).ok();
        Some(Self {
            vendor: number("idVendor")?,
            product: number("idProduct")?,
            serial: attribute(folder, "serial"),
            name: attribute(folder, "product"),
        })
    }
}

/// The text of a device's file in `/sys`; none if the file is missing or empty.
fn attribute(folder: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(folder.join(name)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn seen(ports: &[SerialPort]) -> String {
    if ports.is_empty() {
        return "no USB serial port is plugged in".to_owned();
    }
    format!("there are {}", names(ports))
}

fn names(ports: &[SerialPort]) -> String {
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A system as the kernel shows it: an ESP32-C3 at its own USB port, and two CP210x bridges, one of them without a
    /// serial number.
    fn system() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for (device, interface, name, files) in [
            (
                "sys/devices/usb1/1-1",
                "1-1:1.0",
                "ttyACM0",
                [
                    ("idVendor", "303a"),
                    ("idProduct", "1001"),
                    ("serial", "7C:DF:A1:00:00:01"),
                    ("product", "USB JTAG"),
                ],
            ),
            (
                "sys/devices/usb1/1-2",
                "1-2:1.0/ttyUSB0",
                "ttyUSB0",
                [
                    ("idVendor", "10c4"),
                    ("idProduct", "ea60"),
                    ("serial", "0001"),
                    ("product", "CP2102N"),
                ],
            ),
            (
                "sys/devices/usb1/1-3",
                "1-3:1.0/ttyUSB1",
                "ttyUSB1",
                [
                    ("idVendor", "10c4"),
                    ("idProduct", "ea60"),
                    ("serial", ""),
                    ("product", "CP2102N"),
                ],
            ),
        ] {
            let device = at(device);
            fs::create_dir_all(device.join(interface)).unwrap();
            for (file, contents) in files {
                fs::write(device.join(file), format!("{contents}\n")).unwrap();
            }
            let class = at("sys/class/tty").join(name);
            fs::create_dir_all(&class).unwrap();
            symlink(device.join(interface), class.join("device")).unwrap();
        }
        // A console of the machine, which has no USB device above it.
        fs::create_dir_all(at("sys/class/tty/tty0")).unwrap();
        fs::create_dir_all(at("dev/serial/by-id")).unwrap();
        symlink("../../ttyUSB1", at("dev/serial/by-id/usb-Silicon_Labs-if00-port0")).unwrap();
        root
    }

    fn usb_serial(number: &str) -> Port {
        Port::UsbSerial(number.parse().unwrap())
    }

    #[test]
    fn a_board_is_found_by_what_it_says_of_itself() {
        let root = system();
        let ports = Ports::below(root.path());
        let path = |port: &Port| {
            ports
                .find(port)
                .map(|port| port.path.strip_prefix(root.path()).unwrap().to_owned())
        };
        for (port, wanted) in [
            (Port::Mac("7cdfa1000001".parse().unwrap()), "dev/ttyACM0"),
            (Port::Mac("7c-df-a1-00-00-01".parse().unwrap()), "dev/ttyACM0"),
            (usb_serial("0001"), "dev/ttyUSB0"),
            (
                Port::ById("usb-Silicon_Labs-if00-port0".parse().unwrap()),
                "dev/ttyUSB1",
            ),
        ] {
            assert_eq!(path(&port).unwrap(), Path::new(wanted), "{port}");
        }
        let missing = path(&usb_serial("0002")).unwrap_err().to_string();
        assert!(
            missing.contains("0002") && missing.contains("ttyUSB0 (CP210x, serial number 0001)"),
            "{missing}"
        );
        assert_eq!(ports.list().unwrap().len(), 3);
    }

    #[test]
    fn two_boards_with_one_serial_number_are_not_told_apart_by_it() {
        let root = system();
        fs::write(root.path().join("sys/devices/usb1/1-3/serial"), "0001\n").unwrap();
        let error = Ports::below(root.path()).find(&usb_serial("0001")).unwrap_err();
        assert!(
            matches!(&error, PortError::Ambiguous { ports, .. } if ports.len() == 2),
            "{error}"
        );
    }

    #[test]
    fn an_identity_outlives_a_change_of_name() {
        let root = system();
        let ports = Ports::below(root.path()).list().unwrap();
        let identities: Vec<Identity> = ports.iter().map(SerialPort::identity).collect();
        assert_eq!(
            identities,
            ["usb-7C:DF:A1:00:00:01", "usb-0001", "id-usb-Silicon_Labs-if00-port0"].map(Identity::from)
        );
    }

    #[test]
    fn a_machine_without_ports_has_an_empty_list() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Ports::below(root.path()).list().unwrap(), []);
        let error = Ports::below(root.path())
            .find(&usb_serial("1"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no USB serial port"), "{error}");
    }
}
