//! The clients: programs that others wrote, each told to trust one certificate and to fetch one reply.
//!
//! What enters: a [`Task`]. What leaves: what the client said of it. A client verifies as strictly as it can be told
//! to. Its key share is one of secp256r1, since the rogue server has no other group.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::{Mutex, OnceLock};

use serde_json::{Value, json};

use crate::support;

/// Seconds after which a client that neither ends nor is ended by its server is killed, which fails its test.
const LIMIT: &str = "120";

/// A client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Client {
    OpenSsl,
    /// With OpenSSL, as most systems build it.
    Curl,
    GnuTls,
    Python,
    BearSsl,
}

impl Client {
    pub(crate) const ALL: [Self; 5] = [Self::OpenSsl, Self::Curl, Self::GnuTls, Self::Python, Self::BearSsl];

    /// What it cannot do, from which follows where it cannot take part.
    pub(crate) fn speaks_tls_1_3(self) -> bool {
        self != Self::BearSsl
    }

    /// Whether it can be told a date. The others take the machine's.
    pub(crate) fn takes_a_date(self) -> bool {
        matches!(self, Self::OpenSsl | Self::BearSsl)
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenSsl => "openssl",
            Self::Curl => "curl",
            Self::GnuTls => "gnutls",
            Self::Python => "python",
            Self::BearSsl => "bearssl",
        })
    }
}

/// What a client is to do.
pub(crate) struct Task<'a> {
    /// The port at 127.0.0.1.
    pub(crate) port: u16,
    /// The name or address that it asks for.
    pub(crate) host: &'a str,
    /// Whether the certificate must bear it. curl and gnutls-cli check it always.
    pub(crate) check_name: bool,
    /// The path of the request.
    pub(crate) path: &'a str,
    /// The one certificate to trust, as PEM. The same as DER lies beside it.
    pub(crate) trusted: &'a Path,
    /// The date in seconds since 1970; `None` where dates are not to be checked. Only openssl can leave that out.
    pub(crate) date: Option<i64>,
}

/// What a client said of its task.
#[derive(Debug)]
pub(crate) struct Said {
    /// Whether it calls its task done.
    pub(crate) success: bool,
    /// The reply, head and body, as far as it came.
    pub(crate) reply: Vec<u8>,
    /// Its words about what went wrong.
    pub(crate) words: String,
}

/// The clients that this machine has.
pub(crate) struct Installed {
    /// One process for all of Python's connections, from the first on: starting it takes longer than a connection.
    python: OnceLock<Mutex<Python>>,
    bearssl: Option<PathBuf>,
    others: Vec<Client>,
    /// An empty folder: curl would trust the certificates of the system's folder otherwise.
    nothing: tempfile::TempDir,
}

impl Installed {
    /// Looks for every client. One that is missing says so; with `PINRIG_REQUIRE_CLIENTS` set, that is a panic.
    pub(crate) fn find() -> Self {
        let runs = |program: &str, argument: &str, with: &str| {
            let said = Command::new(program)
                .arg(argument)
                .output()
                .map(|output| support::said(&output));
            let found = said.is_ok_and(|said| said.contains(with));
            if !found {
                support::skip(&format!("`{program}` is not installed, or is not built with {with}"));
            }
            found
        };
        let mut others = Vec::new();
        for (client, program, argument, with) in [
            (Client::OpenSsl, "openssl", "version", "OpenSSL"),
            (Client::Curl, "curl", "--version", "OpenSSL"),
            (Client::GnuTls, "gnutls-cli", "--version", "gnutls-cli"),
            (
                Client::Python,
                "python3",
                "-cimport ssl; print(ssl.OPENSSL_VERSION)",
                "OpenSSL",
            ),
        ] {
            if runs(program, argument, with) {
                others.push(client);
            }
        }
        Self {
            python: OnceLock::new(),
            bearssl: build_bearssl(),
            others,
            nothing: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn has(&self, client: Client) -> bool {
        match client {
            Client::BearSsl => self.bearssl.is_some(),
            other => self.others.contains(&other),
        }
    }

    /// Lets a client that is installed do its task, and waits for its end.
    pub(crate) fn exchange(&self, client: Client, task: &Task<'_>) -> Said {
        match client {
            Client::OpenSsl => task.with_openssl(),
            Client::Curl => task.with_curl(self.nothing.path()),
            Client::GnuTls => task.with_gnutls(),
            Client::Python => {
                let python = self.python.get_or_init(|| Mutex::new(Python::start()));
                python
                    .lock()
                    .expect("a panic has failed the tests already")
                    .exchange(task)
            }
            Client::BearSsl => task.with_bearssl(self.bearssl.as_deref().expect("the caller has asked `has`")),
        }
    }
}

impl Task<'_> {
    fn request(&self) -> String {
        let Self { path, host, .. } = self;
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\nConnection: close\r\n\r\n")
    }

    fn host_is_an_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    fn with_openssl(&self) -> Said {
        let mut command = limited("openssl");
        command
            .args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{}", self.port)])
            .args(["-groups", "P-256:X25519"])
            .args(["-verify_return_error", "-partial_chain", "-CAfile"])
            .arg(self.trusted);
        match self.host_is_an_address() {
            true => command.arg("-noservername"),
            false => command.args(["-servername", self.host]),
        };
        if self.check_name {
            let check = if self.host_is_an_address() {
                "-verify_ip"
            } else {
                "-verify_hostname"
            };
            command.args([check, self.host]);
        }
        match self.date {
            Some(date) => command.args(["-attime", &date.to_string()]),
            None => command.arg("-no_check_time"),
        };
        said(command, &self.request())
    }

    fn with_curl(&self, nothing: &Path) -> Said {
        let mut command = limited("curl");
        command
            .args([
                "--disable",
                "--silent",
                "--show-error",
                "--include",
                "--raw",
                "--http1.1",
                "--no-alpn",
            ])
            .args(["--curves", "P-256:X25519"])
            .args(["--user-agent", USER_AGENT, "--noproxy", "*"])
            .args(["--connect-to", &format!("::127.0.0.1:{}", self.port)])
            .arg("--capath")
            .arg(nothing)
            .arg("--cacert")
            .arg(self.trusted)
            .arg(format!("https://{}{}", self.host, self.path));
        said(command, "")
    }

    fn with_gnutls(&self) -> Said {
        let mut command = limited("gnutls-cli");
        // Where it finds a name to check, it checks it.
        command
            .args([
                "--priority",
                GNUTLS_PRIORITY,
                "--single-key-share",
                "--logfile",
                "/dev/stderr",
            ])
            .args([
                "--verify-hostname",
                self.host,
                "--port",
                &self.port.to_string(),
                "--x509cafile",
            ])
            .arg(self.trusted);
        match self.host_is_an_address() {
            true => command.arg("--disable-sni"),
            false => command.args(["--sni-hostname", self.host]),
        };
        command.arg("127.0.0.1");
        said(command, &self.request())
    }

    fn with_bearssl(&self, program: &Path) -> Said {
        let mut command = limited(program);
        command
            .arg(self.port.to_string())
            .arg(self.trusted.with_extension("der"))
            .arg(if self.check_name { self.host } else { "" })
            .arg(self.date.map_or("now".to_owned(), |date| date.to_string()))
            .arg(self.request());
        said(command, "")
    }
}

/// GitHub refuses a request without one.
const USER_AGENT: &str = "BuildFailureDetectorESP8266";

const GNUTLS_PRIORITY: &str = "NORMAL:-GROUP-ALL:+GROUP-SECP256R1:+GROUP-X25519";

/// A program that is killed when its time is over.
fn limited(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.arg(LIMIT).arg(program);
    command
}

/// Runs a client with the request on its standard input, which stays open: gnutls-cli waits for no reply behind its
/// end.
fn said(mut command: Command, request: &str) -> Said {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("`timeout` is a program of every system with coreutils");
    let mut input = child.stdin.take().expect("piped above");
    // A client that has refused does not read its input.
    let _ = input.write_all(request.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().expect("the child was started");
    drop(input);
    Said {
        success: status.success(),
        reply: stdout,
        words: format!("{status}: {}", support::text(&stderr).trim_end()),
    }
}

/// Compiles the client of BearSSL, which has none that can be told a date. `None` where that cannot be done here.
fn build_bearssl() -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("independent-bearssl");
    let source = support::root().join("tests/independent/bearssl.c");
    let changed = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    if changed(&program) > changed(&source) {
        return Some(program);
    }
    // Two test processes may build it at the same time.
    let own = program.with_extension(std::process::id().to_string());
    let built = Command::new("cc")
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&own)
        .arg(source)
        .arg("-lbearssl")
        .output();
    match built {
        Ok(output) if output.status.success() => {
            std::fs::rename(&own, &program).expect("both are in the same folder");
            Some(program)
        }
        Ok(output) => {
            support::skip(&format!(
                "BearSSL's client cannot be compiled: {}",
                support::text(&output.stderr)
            ));
            None
        }
        Err(_) => {
            support::skip("`cc` is not installed");
            None
        }
    }
}

/// A running `client.py`.
struct Python {
    child: Child,
    tasks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Python {
    fn start() -> Self {
        let mut child = Command::new("python3")
            .arg(support::root().join("tests/independent/client.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`Installed::find` has run it");
        let tasks = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("piped above"));
        Self { child, tasks, answers }
    }

    fn exchange(&mut self, task: &Task<'_>) -> Said {
        let line = json!({
            "port": task.port,
            "host": task.host,
            "check-name": task.check_name,
            "trusted": task.trusted,
            "request": task.request(),
        });
        let mut tasks = self.tasks.as_ref().expect("taken at the end only");
        writeln!(tasks, "{line}").expect("Python reads its tasks");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("Python answers each task");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let reply = answer["reply"].as_str();
        Said {
            success: reply.is_some(),
            // Python wrote each byte as the character of its number.
            reply: reply
                .unwrap_or_default()
                .chars()
                .map(|character| character as u8)
                .collect(),
            words: answer["error"].as_str().unwrap_or_default().to_owned(),
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.tasks = None;
        let _ = self.child.wait();
    }
}
