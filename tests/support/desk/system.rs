//! A system's `/sys` and `/dev` in a folder, in which a USB board comes and goes under changing names; and a hub that switches its power.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Desk;

/// A folder with `sys` and `dev`, for one board whose USB serial number is [`System::SERIAL`].
pub(crate) struct System(tempfile::TempDir);

impl System {
    pub(crate) const SERIAL: &str = "7C:DF:A1:00:00:01";

    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Starts the board and plugs it in under this name, such as `ttyACM0`. What it had in its flash when it was put away is there again.
    pub(crate) fn plug_in_board(&self, name: &str) -> Desk {
        let flash = self.path("flash.bin");
        let desk = Desk::with(&["--network", "--flash", flash.to_str().unwrap()]);
        self.plug_in(name, &desk);
        desk
    }

    /// Plugs this board in under this name.
    pub(crate) fn plug_in(&self, name: &str, desk: &Desk) {
        let interface = self.interface(name);
        let class = self.path("sys/class/tty").join(name);
        fs::create_dir_all(&class).unwrap();
        symlink(interface, class.join("device")).unwrap();
        fs::create_dir_all(self.path("dev")).unwrap();
        symlink(&desk.tty, self.path("dev").join(name)).unwrap();
        // Its way to reset reads this.
        fs::write(self.path("pid"), desk.pid().to_string()).unwrap();
    }

    pub(crate) fn unplug(&self, name: &str) {
        fs::remove_dir_all(self.path("sys/class/tty").join(name)).unwrap();
        fs::remove_file(self.path("dev").join(name)).unwrap();
    }

    /// The board's entry in the inventory.
    pub(crate) fn entry(&self) -> String {
        let pid = self.path("pid");
        let pid = pid.display();
        self.entry_with(&format!(
            "case {{mode}} in flash) kill -USR1 $(cat {pid});; download) kill -USR2 $(cat {pid});; esac"
        ))
    }

    /// The board's entry, with a shell command that resets it.
    pub(crate) fn entry_with(&self, reset: &str) -> String {
        format!(
            r#"
            [[board]]
            name = "xiao"
            chip = "esp32c3"
            port.mac = "{}"
            reset = [{{ command = ["sh", "-c", {reset:?}] }}]
            server-address = "203.0.113.2"
            "#,
            Self::SERIAL
        )
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    /// Makes a USB device below `/sys/devices`, and gives the folder of its interface.
    fn interface(&self, device: &str) -> PathBuf {
        let device = self.path("sys/devices/usb1").join(device);
        fs::create_dir_all(device.join("interface")).unwrap();
        for (file, contents) in [("idVendor", "303a"), ("idProduct", "1001"), ("serial", Self::SERIAL)] {
            fs::write(device.join(file), contents).unwrap();
        }
        device.join("interface")
    }
}

/// A hub that switches the power of a virtual board. What was flashed stays; the board starts again, and its port has another name.
pub(crate) struct Hub<'a> {
    system: &'a System,
    /// The shell command that switches the power off and on.
    pub(crate) script: String,
}

impl<'a> Hub<'a> {
    /// Writes the script, and switches the power on.
    pub(crate) fn new(system: &'a System) -> Self {
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
            # The voltage of some supplies falls slowly, so that they are off for some seconds.
            [ $count != 3 ] || sleep 4
            rm -f tty
            {program} virtual --network --flash flash.bin --boot $1 --tty-link tty </dev/null >/dev/null 2>&1 &
            echo $! > pid
            until [ -e tty ]; do sleep 0.02; done
            # Some bridges are enumerated only after the firmware has said all that it says by itself.
            [ $count != 4 ] || grep -q -m 1 ready < tty
            mkdir -p sys/class/tty/ttyACM$count dev
            ln -s {interface} sys/class/tty/ttyACM$count/device
            ln -s $PWD/tty dev/ttyACM$count
            "#,
            folder = system.root().display(),
            interface = system.interface("board").display(),
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

    /// How often it was switched on.
    pub(crate) fn switched(&self) -> u32 {
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
