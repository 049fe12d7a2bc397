//! What `pinrig virtual` prints.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;
use virtual_esp32c3::LogEntry;

use super::arguments::{MEGABYTE, Virtual};
use crate::command::output::print;
use crate::command::style::{DIM, TITLE};

/// The vendor and product by which probe-rs knows such a probe.
const BLACK_MAGIC_PROBE: &str = "1d50:6018";

/// What is told about the board at the start.
pub(super) struct Shown<'a> {
    pub(super) tty: &'a Path,
    pub(super) link: Option<&'a Path>,
    pub(super) rfc2217: Option<SocketAddr>,
    pub(super) debug: Option<SocketAddr>,
    pub(super) flash_size: usize,
    pub(super) seed: u64,
    pub(super) options: &'a Virtual,
}

pub(super) struct Screen {
    pub(super) json: bool,
}

impl Screen {
    pub(super) fn opening(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        let options = shown.options;
        if self.json {
            let mut line = json!({
                "event": "board",
                "tty": shown.tty,
                "mac": options.mac.to_string(),
                "revision": options.revision.to_string(),
                "flash_size": shown.flash_size,
                "seed": shown.seed,
            });
            if let Some(link) = shown.link {
                line["tty_link"] = json!(link);
            }
            if let Some(address) = shown.rfc2217 {
                line["rfc2217"] = json!(format!("rfc2217://{address}"));
            }
            if let Some(address) = shown.debug {
                line["debug"] = json!(format!("{BLACK_MAGIC_PROBE}:{address}"));
            }
            return print(&format!("{line}\n"));
        }
        let mut text = Vec::new();
        let title = format!("virtual ESP32-C3 v{}", options.revision);
        writeln!(
            text,
            "{TITLE}{title}{TITLE:#}, MAC {}, {} MB of flash",
            options.mac,
            shown.flash_size / MEGABYTE
        )?;
        writeln!(text, "{TITLE}tty{TITLE:#}      {}", shown.tty.display())?;
        if let Some(link) = shown.link {
            writeln!(text, "{TITLE}link{TITLE:#}     {}", link.display())?;
        }
        if let Some(address) = shown.rfc2217 {
            writeln!(text, "{TITLE}RFC 2217{TITLE:#} rfc2217://{address}")?;
        }
        if let Some(address) = shown.debug {
            writeln!(
                text,
                "{TITLE}debug{TITLE:#}    probe-rs run --chip esp32c3 --protocol jtag --probe {BLACK_MAGIC_PROBE}:{address} FIRMWARE.elf"
            )?;
        }
        writeln!(text, "{TITLE}seed{TITLE:#}     {}", shown.seed)?;
        if let Some(file) = &options.flash {
            writeln!(text, "{TITLE}flash{TITLE:#}    {}", file.display())?;
        }
        writeln!(
            text,
            "{DIM}`reset` and `download` (then Enter, or SIGUSR1 and SIGUSR2) restart it, `power-cut` switches it off at once{}; Ctrl-C ends it.{DIM:#}",
            if options.usb_jtag {
                ", `unplug` and `plug` move the cable"
            } else {
                ""
            }
        )?;
        print(&String::from_utf8_lossy(&text))
    }

    pub(super) fn hardware(&mut self, entry: &LogEntry) -> io::Result<()> {
        let LogEntry { microseconds, event } = entry;
        if self.json {
            let line = json!({"event": "hardware", "microseconds": microseconds, "what": event.to_string()});
            return print(&format!("{line}\n"));
        }
        print(&format!("{microseconds:>12} us  {event}\n"))
    }

    pub(super) fn unknown(&mut self, line: &str) -> io::Result<()> {
        let mut err = anstream::stderr().lock();
        writeln!(
            err,
            "`{line}` is not known: `reset` starts the board from flash, `download` for a flasher, `power-cut` switches it off at once; \
             with --usb-jtag, `unplug` and `plug` move the cable"
        )
    }
}
