//! Rules for udev: whether a system has one for a device, and the rules that a rig needs.
//!
//! What enters: a system's folders of rules, and USB devices by vendor and product. What leaves: the path of a file
//! with a rule, or the text of a new file. Nothing is written here. (udev(7); ModemManager's reference manual, "Common
//! udev tags".)

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Where rules lie. The administrator's come first.
const FOLDERS: [&str; 4] = [
    "etc/udev/rules.d",
    "run/udev/rules.d",
    "usr/local/lib/udev/rules.d",
    "usr/lib/udev/rules.d",
];

/// A kind of USB device, and what a board needs of it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Device {
    pub(super) vendor: u16,
    pub(super) product: u16,
    pub(super) need: Need,
}

/// What a board needs of a device.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Need {
    /// Its serial port.
    Port,
    /// The device itself, as a debug probe.
    Probe,
}

/// The first file of rules with a line that names both this vendor and `word`.
pub(super) fn rule_for(root: &Path, vendor: u16, word: &str) -> Option<PathBuf> {
    let vendor = format!("\"{vendor:04x}\"");
    let is_it = |line: &str| {
        let line = line.trim_start();
        !line.starts_with('#') && line.to_ascii_lowercase().contains(&vendor) && line.contains(word)
    };
    let files = FOLDERS.iter().flat_map(|folder| {
        let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "rules"));
        files.sort();
        files
    });
    // A rule may be continued on the next line.
    let has_it = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap_or_default().replace("\\\n", " ");
        text.lines().any(is_it)
    };
    files.into_iter().find(has_it)
}

/// The text of a file of rules that give these devices to the user at the machine and to the group of serial ports, and
/// that keep ModemManager away from ports. Each device comes with the names of the boards that need it.
pub(super) fn rules(devices: &BTreeMap<Device, Vec<String>>) -> String {
    let mut text = "# Ports and debug probes of the boards of a rig, written by pinrig. Save this file as\n\
                    # /etc/udev/rules.d/70-pinrig.rules: rules that set `uaccess` must come before 73. It takes effect with\n\
                    #   sudo udevadm control --reload && sudo udevadm trigger\n"
        .to_owned();
    for (Device { vendor, product, need }, names) in devices {
        let access = "MODE=\"0660\", GROUP=\"dialout\", TAG+=\"uaccess\"";
        let usb = "SUBSYSTEM==\"usb\", ENV{DEVTYPE}==\"usb_device\"";
        let is_it = |attribute| {
            format!("{attribute}{{idVendor}}==\"{vendor:04x}\", {attribute}{{idProduct}}==\"{product:04x}\"")
        };
        let (own, parents) = (is_it("ATTR"), is_it("ATTRS"));
        let (what, rule) = match need {
            Need::Port => (
                "port",
                format!("{usb}, {own}, ENV{{ID_MM_DEVICE_IGNORE}}=\"1\"\nSUBSYSTEM==\"tty\", {parents}, {access}"),
            ),
            Need::Probe => ("probe", format!("{usb}, {own}, {access}")),
        };
        write!(text, "\n# {what} of {}\n{rule}\n", names.join(", ")).expect("writing to a String cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_by_the_vendor_and_a_word_in_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("usr/lib/udev/rules.d");
        fs::create_dir_all(&folder).unwrap();
        let rules =
            "# ATTRS{idVendor}==\"10c4\", TAG+=\"uaccess\"\nATTRS{idVendor}==\"303A\", \\\n  TAG+=\"uaccess\"\n";
        fs::write(folder.join("60-some.rules"), rules).unwrap();
        fs::write(folder.join("README"), "ATTRS{idVendor}==\"1a86\", TAG+=\"uaccess\"\n").unwrap();
        assert_eq!(
            rule_for(root.path(), 0x303A, "uaccess"),
            Some(folder.join("60-some.rules"))
        );
        assert_eq!(rule_for(root.path(), 0x303A, "ID_MM_DEVICE_IGNORE"), None);
        assert_eq!(rule_for(root.path(), 0x10C4, "uaccess"), None, "it is a comment");
        assert_eq!(
            rule_for(root.path(), 0x1A86, "uaccess"),
            None,
            "its name does not end in .rules"
        );
    }

    #[test]
    fn the_rules_that_are_made_are_found() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/udev/rules.d");
        fs::create_dir_all(&folder).unwrap();
        let device = |vendor, product, need| Device { vendor, product, need };
        let devices = [
            (
                device(0x10C4, 0xEA60, Need::Port),
                vec!["devkit".to_owned(), "shelf".to_owned()],
            ),
            (device(0x303A, 0x1001, Need::Probe), vec!["xiao".to_owned()]),
        ];
        let text = super::rules(&devices.into());
        assert!(text.contains("# port of devkit, shelf\n"), "{text}");
        fs::write(folder.join("70-pinrig.rules"), &text).unwrap();
        for (vendor, word, is_there) in [
            (0x10C4, "ID_MM_DEVICE_IGNORE", true),
            (0x10C4, "uaccess", true),
            (0x303A, "uaccess", true),
            (0x303A, "ID_MM_DEVICE_IGNORE", false),
        ] {
            assert_eq!(
                rule_for(root.path(), vendor, word).is_some(),
                is_there,
                "{vendor:04x} {word}"
            );
        }
    }
}
