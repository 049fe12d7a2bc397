//! Checks of debug probes.
//!
//! What enters: a probe's selector, and the USB devices of a system. What leaves: whether this user and this build can
//! use the probe.

use std::path::{Path, PathBuf};

use super::diagnosis::Observation;
use super::ports::permission;
use crate::board::probe::{self, ProbeError};
use crate::rig::{Flasher, Ports, ProbeSelector, SerialEntry, UsbDevice};

/// Whether the debug probe of a board can be used.
pub(super) fn probe(root: &Path, selector: &ProbeSelector, entry: &SerialEntry) -> Observation {
    if !probe::BUILT_IN {
        let found = format!("probe {selector}: {}", ProbeError::NotBuiltIn);
        let without = "without it no probe flashes or resets a board, and firmware that hangs is not looked at";
        return if matches!(entry.flasher, Flasher::ProbeRs(_)) {
            Observation::bad(found, without)
        } else {
            Observation::doubtful(found, without)
        };
    }
    if selector.is_over_tcp() {
        return Observation::good(format!("probe {selector} is reached over TCP"));
    }
    match usb_probe(root, selector) {
        Some((file, _)) => permission(root, &file),
        None => Observation::bad(
            format!("no USB device is the probe {selector}"),
            "plug it in, and compare `probe` with what `lsusb -v` or `probe-rs list` show",
        ),
    }
}

/// The USB device that is a probe, with its device file.
pub(super) fn usb_probe(root: &Path, selector: &ProbeSelector) -> Option<(PathBuf, UsbDevice)> {
    let mut devices = Ports::below(root).usb_devices().into_iter();
    devices.find(|(_, usb)| {
        let same_kind = (usb.vendor, usb.product) == (selector.vendor, selector.product);
        same_kind && (selector.serial.is_none() || usb.serial == selector.serial)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_probe_is_found_by_its_numbers_and_its_serial_number() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("sys/bus/usb/devices/1-1");
        let found = |selector: &str| usb_probe(root.path(), &selector.parse().unwrap()).map(|(path, _)| path);
        assert_eq!(found("303a:1001:7C:DF:A1:00:00:01"), None);
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
        assert_eq!(found("303a:1001:7C:DF:A1:00:00:01"), Some(file.clone()));
        assert_eq!(found("303a:1001:7C:DF:A1:00:00:02"), None);
        assert_eq!(found("303a:1001"), Some(file));
    }
}
