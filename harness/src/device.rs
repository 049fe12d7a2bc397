//! The device at the other end of a console: commands in, answers out.
//!
//! What enters: a [`Console`]. What leaves: answers, and every line in between. Each command carries a random tag that its
//! answer repeats. A hostile server controls the reply that the board prints, but it does not know the tag, so it cannot
//! imitate an answer. This module does not know scenarios.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use crate::board::Console;
use crate::board::console::{ConsoleError, Line, NoLine};
use crate::deadline::Deadline;
use crate::evidence::ReplyMark;
use crate::language::{Fields, MachineLine};
use crate::rig::Dialect;

/// The pause after which `hello` is sent again, in case the ready line was lost.
const HELLO_AGAIN: Duration = Duration::from_millis(500);

/// The beginnings of the lines that the ROM prints at each reset.
const BANNER: [&str; 3] = ["ESP-ROM:", "Build:", "Saved PC:"];
/// The beginning of the ROM's line that names the cause of a reset.
const RESET: &str = "rst:0x";
/// The number of resets without a ready line that counts as a boot loop. A bootloader may need two, for an update that it
/// rolls back.
const BOOT_LOOP: usize = 5;

/// The device at the other end of a console.
#[derive(Debug)]
pub struct Device {
    console: Console,
    /// The firmware's own language, if it does not speak pinrig's.
    dialect: Option<Dialect>,
}

/// What `hello` and the ready line say about the firmware.
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
    #[error(transparent)]
    Silent(NoLine),
    /// It never came up.
    #[error("the firmware did not boot: {0}")]
    NotBooted(NoLine),
    /// The chip resets again and again before the firmware is ready.
    #[error(
        "the firmware does not boot: the chip has reset {resets} times, the last time with `{evidence}`; its last line before \
         that was `{said}`"
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
    #[error(transparent)]
    Console(NoLine),
    /// A command could not be sent.
    #[error(transparent)]
    Board(#[from] ConsoleError),
    /// The ready line lacks a field.
    #[error("the firmware's ready line lacks `{field}`: `{line}`; is this pinrig's firmware?")]
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

    /// Whether the firmware marks where the server's text begins and ends.
    #[must_use]
    pub fn marks_replies(&self) -> bool {
        self.dialect.is_none()
    }

    /// Whether its firmware has a console language of its own, with no command but those of a run.
    #[must_use]
    pub fn has_dialect(&self) -> bool {
        self.dialect.is_some()
    }

    /// The console, for its capture.
    #[must_use]
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// Waits until the firmware says that it is ready, and asks it again while it does not; `seen` gets every line.
    ///
    /// # Errors
    /// When it is not ready before the deadline, or its ready line is not one that pinrig knows.
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
                        // A board that prints without a pause never lets the wait above expire.
                        if deadline.left().is_zero() {
                            return Err(DeviceError::NotBooted(self.console.expired(deadline)));
                        }
                        let Some(machine) = MachineLine::parse(&line.text) else {
                            if line.text.starts_with(RESET) {
                                resets += 1;
                            } else if let Some(at) = line.text.find(BANNER[0]) {
                                // A watchdog may reset the chip in the middle of a line, which the banner then ends. A
                                // whole line says more than its beginning.
                                if said.is_empty() {
                                    line.text[..at].clone_into(&mut said);
                                }
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
            // The line feed in front ends a half line that the firmware may hold.
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
        // The server's text stands between two lines with the tag. Until the second of them nothing is the device's word,
        // whatever it looks like.
        let mut in_reply = false;
        let mut suspicion: Option<Suspicion> = None;
        loop {
            let line = self.console.next_line(deadline).map_err(|error| match error {
                NoLine::Ended { .. } => DeviceError::Console(error),
                NoLine::Expired { .. } => DeviceError::Silent(error),
            })?;
            let machine = MachineLine::parse(&line.text);
            match &machine {
                Some(machine) if machine.tag == tag && machine.kind == "reply" => {
                    in_reply = machine.words == ["begin"];
                    seen(Said::Mark(if in_reply { ReplyMark::Begin } else { ReplyMark::End }));
                }
                Some(machine) if machine.tag == tag => {
                    seen(Said::Answer(&line));
                    let answer = if machine.kind == "ok" {
                        Answer::Ok(machine.fields.clone())
                    } else {
                        Answer::Error(machine.fields.clone())
                    };
                    if let Some(suspicion) = suspicion {
                        self.pass_over_answer(&suspicion.tag, deadline)?;
                    }
                    return Ok(answer);
                }
                Some(machine) if suspicion.as_ref().is_some_and(|suspicion| machine.tag == suspicion.tag) => {
                    let evidence = suspicion.map(|suspicion| suspicion.line).unwrap_or_default();
                    return Err(crashed(name, evidence));
                }
                _ if in_reply => {
                    if suspicion.is_none() && crash_evidence(&line, machine.as_ref()).is_some() {
                        suspicion = Some(self.ask_whether_it_runs(&line)?);
                    }
                    seen(Said::Reply(&line));
                }
                _ => {
                    seen(Said::Line(&line));
                    if let Some(evidence) = crash_evidence(&line, machine.as_ref()) {
                        return Err(crashed(name, evidence));
                    }
                }
            }
            if deadline.left().is_zero() {
                return Err(DeviceError::Silent(self.console.expired(deadline)));
            }
        }
    }

    /// Within the server's text a line may look like a crash, and a device may really crash. Firmware that still runs the
    /// command answers this `hello` after it; firmware that has started again answers it alone, and with a tag that the server
    /// cannot know.
    fn ask_whether_it_runs(&mut self, line: &Line) -> Result<Suspicion, DeviceError> {
        let tag = random_tag();
        self.console.send(&format!("\n#{tag} hello"))?;
        Ok(Suspicion {
            tag,
            line: line.text.clone(),
        })
    }

    /// Reads up to the answer with this tag, which says nothing new.
    fn pass_over_answer(&mut self, tag: &str, deadline: &Deadline) -> Result<(), DeviceError> {
        loop {
            let line = self.console.next_line(deadline).map_err(DeviceError::Silent)?;
            if MachineLine::parse(&line.text).is_some_and(|machine| machine.tag == tag) {
                return Ok(());
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

    /// A command in the firmware's own language. A setting has no answer there; the lines of a run are read by the dialect's
    /// patterns.
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
                let detail = format!("the dialect in rig.toml does not say what to send for `{name}`");
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

/// A line that looked like a crash within the server's text, and the tag of the question that settles it.
struct Suspicion {
    tag: String,
    line: String,
}

/// What shows in a line that the chip was reset or the firmware panicked: a panic speaks for itself, a reset shows as the
/// ROM's line or as a second ready line.
fn crash_evidence(line: &Line, machine: Option<&MachineLine>) -> Option<String> {
    match machine {
        Some(machine) if machine.tag == "-" && matches!(machine.kind.as_str(), "panic" | "ready") => {
            Some(line.text.clone())
        }
        _ if line.text.starts_with(RESET) => Some(format!("the chip was reset: {}", line.text)),
        _ => None,
    }
}

fn crashed(command: &str, evidence: String) -> DeviceError {
    DeviceError::Crashed {
        during: format!("`{command}`"),
        evidence,
    }
}

/// A line that came while a command ran.
#[derive(Clone, Copy, Debug)]
pub enum Said<'a> {
    /// The device's own words for people.
    Line(&'a Line),
    /// The server's text begins or ends.
    Mark(ReplyMark),
    /// The server's text, which the device printed.
    Reply(&'a Line),
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
    fn a_dialect_translates_commands_and_reads_the_result() {
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
    fn a_lost_ready_line_is_asked_for() {
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
    fn a_boot_loop_ends_the_wait() {
        let mut resets = 0;
        let mut device = device(move |_| {
            resets += 1;
            if resets <= BOOT_LOOP {
                "ESP-ROM:x\r\nrst:0x7 (TG0WDT_SYS_RST),boot:0xc (SPI_FAST_FLASH_BOOT)\r\ninvalid header: 0xffffffff\r\ninvalid hESP-ROM:x\r\n"
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

    /// All that a hostile body can contain, between the marks.
    const HOSTILE: &str = "ESP-ROM:esp32c3-api1-20210207\r\nrst:0x7 (TG0WDT_SYS_RST),boot:0xc (SPI_FAST_FLASH_BOOT)\r\n\
        @- panic message=\"x\"\r\n@- ready firmware=f version=1 image=00 board=virtual\r\n@- reply end\r\n\
        certificate matches\r\nIP address:\r\n";

    #[test]
    fn what_a_reply_contains_is_never_the_devices_word() {
        let mut device = device(|line| {
            if line.ends_with("run") {
                let said = format!(
                    "reply was:\r\n@TAG reply begin\r\n{HOSTILE}@TAG reply end\r\nclosing connection\r\n@TAG ok run outcome=success\r\n"
                );
                said.leak()
            } else {
                "@TAG ok hello firmware=f version=1 image=00 board=virtual\r\n"
            }
        });
        let (mut own, mut reply) = (Vec::new(), Vec::new());
        let answer = device.command("run", &soon(), |said| match said {
            Said::Line(line) => own.push(line.text.clone()),
            Said::Reply(line) => reply.push(line.text.clone()),
            Said::Answer(_) | Said::Mark(_) => {}
        });
        assert!(matches!(answer.unwrap(), Answer::Ok(_)));
        assert_eq!(own, ["reply was:", "closing connection"]);
        assert_eq!(reply, HOSTILE.lines().collect::<Vec<_>>());
        // The answer to the question that settled it has been read: the next command is not confused by it.
        let mut lines = Vec::new();
        let again = device.command("hello", &soon(), |said| lines.push(format!("{said:?}")));
        assert!(matches!(again.unwrap(), Answer::Ok(_)));
        assert_eq!(lines.len(), 1, "{lines:?}");
    }

    #[test]
    fn a_crash_in_the_middle_of_a_reply_is_found() {
        let mut device = device(|line| {
            if line.ends_with("run") {
                "@TAG reply begin\r\n{\r\nrst:0x7 (TG0WDT_SYS_RST),boot:0xc (SPI_FAST_FLASH_BOOT)\r\n"
            } else if line.ends_with("hello") {
                "@TAG ok hello firmware=f version=1 image=00 board=virtual\r\n"
            } else {
                ""
            }
        });
        let error = device.command("run", &soon(), |_| {}).unwrap_err();
        assert!(
            matches!(&error, DeviceError::Crashed { evidence, .. } if evidence.starts_with("rst:0x7")),
            "{error}"
        );
    }

    #[test]
    fn each_command_has_a_tag_of_its_own() {
        let tags: std::collections::BTreeSet<String> = (0..100).map(|_| random_tag()).collect();
        assert_eq!(tags.len(), 100);
        assert!(tags.iter().all(|tag| tag.len() == 12), "{tags:?}");
    }

    #[test]
    fn a_panic_and_a_reset_are_crashes() {
        for evidence in [
            "@- panic message=\"x\"\r\n",
            "rst:0x7 (TG0WDT_SYS_RST),boot:0xc (SPI_FAST_FLASH_BOOT)\r\n",
            "@- ready firmware=f version=1 image=00 board=virtual\r\n",
        ] {
            let mut device = device(move |_| evidence);
            let error = device.command("run", &soon(), |_| {}).unwrap_err();
            assert!(matches!(error, DeviceError::Crashed { .. }), "{error}");
        }
    }
}
