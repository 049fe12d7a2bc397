//! The firmware's console language, as the harness speaks it.
//!
//! What enters: a [`Console`]. What leaves: answers, and every line in between. Each command carries a random tag that
//! its answer repeats: a hostile server controls the reply that the board prints, but cannot know the tag, so it cannot
//! imitate an answer. This module knows no scenario.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use crate::board::Console;
use crate::board::console::{ConsoleError, Line, NoLine};
use crate::deadline::Deadline;
use crate::language::{Fields, MachineLine};
use crate::rig::Dialect;

/// How often `hello` is repeated until it is answered: a lost boot line then costs nothing.
const HELLO_AGAIN: Duration = Duration::from_millis(500);

/// How the ROM's lines begin at each reset, and that which names the reset's cause.
const BANNER: [&str; 3] = ["ESP-ROM:", "Build:", "Saved PC:"];
const RESET: &str = "rst:0x";
/// After so many resets without a ready line, nobody believes in one: a bootloader may need two, for an update that it takes back.
const BOOT_LOOP: usize = 5;

/// The device at the other end of a console.
#[derive(Debug)]
pub struct Device {
    console: Console,
    /// The firmware's own language, if it does not speak pinrig's.
    dialect: Option<Dialect>,
}

/// What `hello` and the ready line say of the firmware.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Identity {
    /// Its name.
    pub firmware: String,
    /// Its version.
    pub version: String,
    /// The first 16 digits of the image's SHA-256.
    pub image: String,
    /// The kind of network that it was built for.
    pub board: String,
}

/// The machine-readable answer to one command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// It was done.
    Ok(Fields),
    /// It was refused and has changed nothing.
    Error(Fields),
}

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The firmware panicked or the chip reset under it.
    #[error("the firmware crashed during {during}: {evidence}")]
    Crashed {
        /// What was going on.
        during: String,
        /// The line that shows it.
        evidence: String,
    },
    /// It did not answer in time.
    #[error("{0}")]
    Silent(NoLine),
    /// It never came up.
    #[error("the firmware did not boot: {0}")]
    NotBooted(NoLine),
    /// It resets again and again before it comes up.
    #[error(
        "the firmware does not boot: the chip has reset {resets} times, the last time with `{evidence}`; before that it said `{said}`"
    )]
    BootLoop {
        /// How often.
        resets: usize,
        /// The ROM's line of the last reset.
        evidence: String,
        /// The last line before it that is not the ROM's banner.
        said: String,
    },
    /// The console is gone.
    #[error("{0}")]
    Console(NoLine),
    /// A command could not be sent.
    #[error(transparent)]
    Board(#[from] ConsoleError),
    /// The ready line lacks a field.
    #[error("the firmware's greeting lacks `{field}`: `{line}`; is this pinrig's firmware?")]
    Greeting {
        /// The field.
        field: &'static str,
        /// The line.
        line: String,
    },
}

impl Device {
    /// The device behind `console`.
    #[must_use]
    pub fn new(console: Console) -> Self {
        Self { console, dialect: None }
    }

    /// A device whose firmware has a console language of its own.
    #[must_use]
    pub fn speaking(console: Console, dialect: Option<Dialect>) -> Self {
        Self { console, dialect }
    }

    /// The console, for its capture.
    #[must_use]
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// Waits until the firmware says that it is ready, asking again and again; `seen` gets every line.
    ///
    /// # Errors
    /// When it does not come up before the deadline, or greets in another language.
    pub fn wait_ready(&mut self, deadline: &Deadline, mut seen: impl FnMut(&Line)) -> Result<Identity, DeviceError> {
        if let Some(dialect) = self.dialect.clone() {
            return self.wait_ready_in(&dialect, deadline, seen);
        }
        let (mut resets, mut said) = (0, String::new());
        loop {
            let again = deadline.at_most(HELLO_AGAIN);
            loop {
                match self.console.next_line(&again) {
                    Ok(line) => {
                        seen(&line);
                        // A board that babbles never leaves a pause.
                        if deadline.left().is_zero() {
                            return Err(DeviceError::NotBooted(self.console.expired(deadline)));
                        }
                        let Some(machine) = MachineLine::parse(&line.text) else {
                            if line.text.starts_with(RESET) {
                                resets += 1;
                            } else if !line.text.is_empty() && !BANNER.iter().any(|start| line.text.starts_with(start))
                            {
                                said.clone_from(&line.text);
                            }
                            if resets == BOOT_LOOP {
                                let evidence = line.text;
                                return Err(DeviceError::BootLoop { resets, evidence, said });
                            }
                            continue;
                        };
                        if machine.kind == "ready" || (machine.kind == "ok" && machine.words == ["hello"]) {
                            return identity(&machine, &line.text);
                        }
                    }
                    Err(error @ NoLine::Ended { .. }) => return Err(DeviceError::Console(error)),
                    Err(error) if deadline.left().is_zero() => return Err(DeviceError::NotBooted(error)),
                    Err(_) => break,
                }
            }
            // The line feed first ends whatever half line the firmware may hold.
            self.console.send("\n#h hello")?;
        }
    }

    /// Sends `command` and waits for its answer; `seen` gets every line before it, then the answer.
    ///
    /// # Errors
    /// When the firmware crashes or does not answer in time.
    pub fn command(
        &mut self,
        command: &str,
        deadline: &Deadline,
        mut seen: impl FnMut(Said<'_>),
    ) -> Result<Answer, DeviceError> {
        if let Some(dialect) = self.dialect.clone() {
            return self.command_in(&dialect, command, deadline, seen);
        }
        let tag = random_tag();
        self.console.send(&format!("#{tag} {command}"))?;
        let name = command.split(' ').next().unwrap_or_default();
        loop {
            let line = self.console.next_line(deadline).map_err(|error| match error {
                NoLine::Ended { .. } => DeviceError::Console(error),
                NoLine::Expired { .. } => DeviceError::Silent(error),
            })?;
            match MachineLine::parse(&line.text) {
                Some(machine) if machine.tag == tag => {
                    seen(Said::Answer(&line));
                    return Ok(if machine.kind == "ok" {
                        Answer::Ok(machine.fields)
                    } else {
                        Answer::Error(machine.fields)
                    });
                }
                // A reset shows as the ROM's banner or a second ready line; a panic speaks for itself.
                Some(machine) if machine.tag == "-" && matches!(machine.kind.as_str(), "panic" | "ready") => {
                    seen(Said::Line(&line));
                    return Err(DeviceError::Crashed {
                        during: format!("`{name}`"),
                        evidence: line.text,
                    });
                }
                _ if line.text.starts_with(RESET) => {
                    seen(Said::Line(&line));
                    return Err(DeviceError::Crashed {
                        during: format!("`{name}`"),
                        evidence: format!("the chip was reset: {}", line.text),
                    });
                }
                _ => seen(Said::Line(&line)),
            }
            if deadline.left().is_zero() {
                return Err(DeviceError::Silent(self.console.expired(deadline)));
            }
        }
    }

    fn wait_ready_in(
        &mut self,
        dialect: &Dialect,
        deadline: &Deadline,
        mut seen: impl FnMut(&Line),
    ) -> Result<Identity, DeviceError> {
        loop {
            let line = self.console.next_line(deadline).map_err(|error| match error {
                NoLine::Ended { .. } => DeviceError::Console(error),
                NoLine::Expired { .. } => DeviceError::NotBooted(error),
            })?;
            seen(&line);
            if line.text.contains(&dialect.ready) {
                return Ok(Identity::default());
            }
        }
    }

    /// A command in the firmware's own language. A setting has no answer there; what a run says is read by the dialect's patterns.
    fn command_in(
        &mut self,
        dialect: &Dialect,
        command: &str,
        deadline: &Deadline,
        mut seen: impl FnMut(Said<'_>),
    ) -> Result<Answer, DeviceError> {
        // `set timeout network 3000`: the name is all but the last word.
        let (name, value) = match command.strip_prefix("set ") {
            Some(setting) => setting.rsplit_once(' ').unwrap_or((setting, "")),
            None => (command, ""),
        };
        let Some(template) = dialect.send.get(name) else {
            let answer = if dialect.without.contains(name) {
                Answer::Ok(Fields::default())
            } else {
                let detail = format!("the dialect in rig.toml has nothing to send for `{name}`");
                Answer::Error(Fields(vec![
                    ("code".to_owned(), "no-such-word".to_owned()),
                    ("detail".to_owned(), detail),
                ]))
            };
            return Ok(answer);
        };
        self.console.send(&template.replace("{value}", value))?;
        if name != "run" {
            return Ok(Answer::Ok(Fields::default()));
        }
        let mut fields = BTreeMap::new();
        let mut take = |line: Option<&str>| {
            for pattern in dialect.expect.iter().filter(|pattern| pattern.matches(line)) {
                fields.extend(pattern.means.clone());
            }
        };
        take(None);
        loop {
            let line = self.console.next_line(deadline).map_err(|error| match error {
                NoLine::Ended { .. } => DeviceError::Console(error),
                NoLine::Expired { .. } => DeviceError::Silent(error),
            })?;
            take(Some(&line.text));
            seen(Said::Line(&line));
            if line.text.contains(&dialect.end) {
                return Ok(Answer::Ok(Fields(fields.into_iter().collect())));
            }
        }
    }

    /// Reads lines until none has come for `quiet`, or the deadline: what follows a crash.
    pub fn drain(&mut self, deadline: &Deadline, quiet: Duration, mut seen: impl FnMut(&Line)) {
        while let Ok(line) = self.console.next_line(&deadline.at_most(quiet)) {
            seen(&line);
        }
    }
}

/// A line that came while a command ran.
#[derive(Clone, Copy, Debug)]
pub enum Said<'a> {
    /// Part of the transcript.
    Line(&'a Line),
    /// The command's answer.
    Answer(&'a Line),
}

fn identity(machine: &MachineLine, line: &str) -> Result<Identity, DeviceError> {
    let field = |field: &'static str| {
        machine
            .fields
            .get(field)
            .map(str::to_owned)
            .ok_or_else(|| DeviceError::Greeting {
                field,
                line: line.to_owned(),
            })
    };
    Ok(Identity {
        firmware: field("firmware")?,
        version: field("version")?,
        image: field("image")?,
        board: field("board")?,
    })
}

/// Twelve hexadecimal digits from the standard library's per-process random keys.
fn random_tag() -> String {
    let mut tag = format!("{:016x}", RandomState::new().build_hasher().finish());
    tag.truncate(12);
    tag
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::path::Path;
    use std::thread;

    use serialport::TTYPort;

    use super::*;

    /// A device whose other end is `firmware`: gets each line, gives what to print; `TAG` stands for the line's tag.
    fn device(mut firmware: impl FnMut(&str) -> &'static str + Send + 'static) -> Device {
        let (board, port) = TTYPort::pair().unwrap();
        let console = Console::on(Path::new("/dev/pts/test"), port).unwrap();
        thread::spawn(move || {
            let mut writer = board.try_clone_native().unwrap();
            let mut reader = BufReader::new(board);
            let mut line = String::new();
            loop {
                match reader.read_line(&mut line) {
                    Ok(0) => return,
                    Ok(_) => {
                        let text = line.trim_end().to_owned();
                        line.clear();
                        let tag = text.strip_prefix('#').and_then(|t| t.split(' ').next()).unwrap_or("-");
                        let reply = firmware(&text).replace("TAG", tag);
                        writer.write_all(reply.as_bytes()).unwrap();
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {}
                    Err(_) => return,
                }
            }
        });
        Device::new(console)
    }

    fn soon() -> Deadline {
        Deadline::after("the test's answer", Duration::from_secs(10))
    }

    #[test]
    fn an_answer_needs_the_commands_own_tag() {
        let mut device =
            device(|_| "@- ok run outcome=success\r\n@1 ok run outcome=success\r\n@TAG ok run outcome=refused\r\n");
        let mut lines = Vec::new();
        let answer = device
            .command("run", &soon(), |said| {
                if let Said::Line(line) = said {
                    lines.push(line.text.clone());
                }
            })
            .unwrap();
        let Answer::Ok(fields) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(fields.get("outcome"), Some("refused"));
        assert_eq!(lines.len(), 2, "the imitations are part of the transcript: {lines:?}");
    }

    #[test]
    fn firmware_with_a_language_of_its_own_is_spoken_to_by_the_rigs_dialect() {
        const DIALECT: &str = r#"
            ready = "hello, type something"
            end = "bye"
            without = ["rule"]
            [send]
            host = "HOST={value}"
            "timeout network" = "WAIT {value}"
            run = "GO"
            [[expect]]
            means = { pin = "unchecked", outcome = "connection-failed" }
            [[expect]]
            line = "fine"
            means = { pin = "match", outcome = "success" }
        "#;
        let mut device = device(|line| match line {
            "HOST=api.github.com" | "WAIT 3000" => "",
            "GO" => "talking\r\nfine, thanks\r\nbye\r\n",
            _ => "what?\r\n",
        });
        device.dialect = Some(toml::from_str(DIALECT).unwrap());
        for setting in [
            "set host api.github.com",
            "set timeout network 3000",
            "set rule original",
        ] {
            let answer = device.command(setting, &soon(), |_| {}).unwrap();
            assert_eq!(answer, Answer::Ok(Fields::default()), "{setting}");
        }
        let unknown = device.command("set pin 00", &soon(), |_| {}).unwrap();
        assert!(
            matches!(&unknown, Answer::Error(fields) if fields.get("detail").is_some_and(|detail| detail.contains("`pin`"))),
            "{unknown:?}"
        );
        let mut lines = Vec::new();
        let result = device.command("run", &soon(), |said| {
            if let Said::Line(line) = said {
                lines.push(line.text.clone());
            }
        });
        let Answer::Ok(fields) = result.unwrap() else {
            panic!("no result")
        };
        assert_eq!(
            (fields.get("outcome"), fields.get("pin")),
            (Some("success"), Some("match"))
        );
        assert_eq!(lines, ["talking", "fine, thanks", "bye"]);
    }

    #[test]
    fn a_lost_ready_line_costs_nothing() {
        let mut device = device(|line| {
            if line.ends_with("hello") {
                "@TAG ok hello firmware=f version=1 image=00 board=virtual\r\n"
            } else {
                ""
            }
        });
        let identity = device.wait_ready(&soon(), |_| {}).unwrap();
        assert_eq!(identity.board, "virtual");
    }

    #[test]
    fn a_chip_that_resets_for_ever_is_not_waited_for() {
        let mut resets = 0;
        let mut device = device(move |_| {
            resets += 1;
            if resets <= BOOT_LOOP {
                "ESP-ROM:x\r\nrst:0x7 (TG0WDT_SYS_RST),boot:0xc (SPI_FAST_FLASH_BOOT)\r\ninvalid header: 0xffffffff\r\n"
            } else {
                ""
            }
        });
        let error = device.wait_ready(&soon(), |_| {}).unwrap_err();
        assert!(
            matches!(&error, DeviceError::BootLoop { said, .. } if said == "invalid header: 0xffffffff"),
            "{error}"
        );
    }

    #[test]
    fn a_panic_and_a_reset_are_crashes() {
        for evidence in [
            "@- panic message=\"x\"\r\n",
            "rst:0x7 (TG0WDT_SYS_RST),boot:0xc (SPI_FAST_FLASH_BOOT)\r\n",
        ] {
            let mut device = device(move |_| evidence);
            let error = device.command("run", &soon(), |_| {}).unwrap_err();
            assert!(matches!(error, DeviceError::Crashed { .. }), "{error}");
        }
    }
}
