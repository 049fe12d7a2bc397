//! Checks of a device's file: who may open it, and which programs use it.
//!
//! What enters: the root of a system, and a path below its `/dev`. What leaves: observations. No file is opened here.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::diagnosis::{Advice, Observation};
use super::udev;
use crate::rig::SerialPort;

/// Whether this user may open a device's file, and if not, what changes that.
pub(super) fn permission(root: &Path, file: &Path) -> Observation {
    let path = file.display();
    if access(file, Access::READ_OK | Access::WRITE_OK).is_ok() {
        return Observation::good(format!("{path} may be read and written"));
    }
    match fs::metadata(file).map(|metadata| (metadata.mode(), metadata.gid())) {
        Ok((mode, gid)) => {
            let group = group(root, gid);
            let mode = mode & 0o777;
            Observation::bad(
                format!("{path} belongs to group {group}, mode {mode:o}, and this user may not open it"),
                may_open(mode, &group),
            )
        }
        Err(error) => Observation::bad(format!("{path}: {error}"), "check that the board is still plugged in"),
    }
}

/// The name of a group, from `/etc/group`; its number if it has none.
fn group(root: &Path, gid: u32) -> String {
    let groups = fs::read_to_string(root.join("etc/group")).unwrap_or_default();
    let named = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| gid.to_string())
}

/// What lets a user open a port with this mode and group.
fn may_open(mode: u32, group: &str) -> Advice {
    const GROUP_READS_AND_WRITES: u32 = 0o060;
    if mode & GROUP_READS_AND_WRITES == GROUP_READS_AND_WRITES && group != "root" {
        let join = format!("join the group and log in again: sudo usermod --append --groups {group} $USER");
        return Advice::Do(join);
    }
    Advice::UdevRules("no group may open it; rules for udev change that".to_owned())
}

/// A process that has a file open.
struct Process {
    pid: u32,
    name: String,
}

/// The programs that have a port open, as far as this user may see them.
pub(super) fn holders(root: &Path, port: &Path) -> Vec<Observation> {
    let found = |process: Process| {
        let (port, name, pid) = (port.display(), &process.name, process.pid);
        Observation::bad(format!("{port} is open in {name} (process {pid})"), let_go(name))
    };
    processes_with(root, port).into_iter().map(found).collect()
}

fn processes_with(root: &Path, file: &Path) -> Vec<Process> {
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let has_it = |pid: &u32| {
        let files = fs::read_dir(process(root, *pid).join("fd")).into_iter().flatten();
        let open: Vec<PathBuf> = files.flatten().flat_map(|file| fs::read_link(file.path())).collect();
        // A process that has the other end of a pseudo terminal too is the board itself, in software.
        let is_the_board = file.starts_with("/dev/pts") && open.iter().any(|file| file.ends_with("ptmx"));
        open.contains(&file) && !is_the_board
    };
    let named = |pid| Process {
        pid,
        name: name_of(root, pid),
    };
    processes(root).filter(has_it).map(named).collect()
}

/// A program that is known to open ports of this kind by itself, unless it is told not to.
pub(super) fn meddler(root: &Path, port: &SerialPort) -> Option<Observation> {
    let usb = port.usb.as_ref()?;
    let name = processes(root)
        .map(|pid| name_of(root, pid))
        .find(|name| match name.as_str() {
            "ModemManager" => true,
            // It takes CH340 and CP210x bridges for Braille displays.
            "brltty" => matches!(usb.vendor, 0x1A86 | 0x10C4),
            _ => false,
        })?;
    let rule = udev::rule_for(root, usb.vendor, "ID_MM_DEVICE_IGNORE").filter(|_| name == "ModemManager");
    Some(match rule {
        Some(rule) => {
            let rule = rule.display();
            Observation::good(format!(
                "{name} runs on this machine, and leaves this device alone: {rule}"
            ))
        }
        None => Observation::doubtful(format!("{name} runs on this machine"), let_go(&name)),
    })
}

/// How a program is made to leave a port alone.
fn let_go(name: &str) -> Advice {
    match name {
        "ModemManager" => Advice::UdevRules(
            "it looks for modems at every new port; `systemctl disable --now ModemManager` ends that, and rules for \
             udev (ID_MM_DEVICE_IGNORE) keep it away from these ports"
                .to_owned(),
        ),
        "brltty" => "it takes the bridge for a Braille display; remove brltty if no user reads Braille".into(),
        "pinrig" => "another run of pinrig has it; wait until that ends".into(),
        _ => "close it; two programs at one port take each other's bytes away".into(),
    }
}

fn processes(root: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(root.join("proc")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn name_of(root: &Path, pid: u32) -> String {
    let name = fs::read_to_string(process(root, pid).join("comm")).unwrap_or_default();
    name.trim().to_owned()
}

fn process(root: &Path, pid: u32) -> PathBuf {
    root.join("proc").join(pid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_this_user_may_not_open_is_opened_by_its_group_or_by_a_rule() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/group"), "root:x:0:\ndialout:x:20:ann\n").unwrap();
        assert_eq!(group(root.path(), 20), "dialout");
        assert_eq!(group(root.path(), 4242), "4242");
        let Advice::Do(join) = may_open(0o660, "dialout") else {
            panic!("the group may open it")
        };
        assert!(join.contains("--groups dialout"), "{join}");
        for (mode, group) in [(0o600, "dialout"), (0o660, "root")] {
            let advice = may_open(mode, group);
            assert!(matches!(advice, Advice::UdevRules(_)), "{advice:?}");
        }
    }
}
