//! The bench of virtual boards: any number of them, each on a network of its own.
//!
//! What enters: an image, then a [`Route`] for each board. What leaves: boards like any other. The image goes through
//! the mask ROM's loader once, into the flash of the first board; the others start with a copy of that flash.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use virtual_esp32c3::{BoardConfig, HardwareEvent, VirtualBoard};
use virtual_lan::{Join, Lan, LanConfig, What};

use super::flash::{self, FlashProgress, FlashReport};
use super::{Bench, Board, BoardError, BootMode, Console, LinkSettings, RecordedFile, Recorder, Reset, Route};
use crate::image::Image;

/// The name of the network, which is wired and has none; the transcript shows it.
const NETWORK: &str = "pinrig";
/// Where the scenario's name leads: an address of TEST-NET-1 (RFC 5737), beyond the gateway, as the real server is.
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

/// Boards in software.
#[derive(Default)]
pub struct VirtualBench {
    flashed: Mutex<Option<Arc<[u8]>>>,
}

impl fmt::Debug for VirtualBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualBench").finish_non_exhaustive()
    }
}

impl VirtualBench {
    /// A bench whose boards have empty flash.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Bench for VirtualBench {
    fn name(&self) -> String {
        "virtual ESP32-C3".to_owned()
    }

    fn prepare(&self, image: &Image, progress: &mut dyn FlashProgress) -> Result<FlashReport, BoardError> {
        let mut flashed = self.flashed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut config = BoardConfig::default();
        if let Some(contents) = flashed.take() {
            config.flash = contents;
        }
        let board = VirtualBoard::start(config, None).map_err(|error| BoardError::Virtual(error.to_string()))?;
        let mut lines = VirtualLines(Arc::new(board));
        lines.reset(BootMode::Download)?;
        let (report, _port) = flash::flash(lines.0.tty(), image, progress)?;
        *flashed = Some(lines.0.flash());
        Ok(report)
    }

    fn board(&self, route: &Route) -> Result<Board, BoardError> {
        let flash = self.flashed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let flash = flash.ok_or(BoardError::NotPrepared)?;
        let config = BoardConfig {
            flash,
            ..BoardConfig::default()
        };
        let network = LanConfig {
            names: vec![(route.host.clone(), SERVER)],
            joins: vec![Join {
                address: SERVER,
                port: route.port,
                target: route.server,
            }],
            ..LanConfig::default()
        };
        // Board and network each need the other's door: the network's is a slot that is filled when the board is there.
        let to_board = Arc::new(Mutex::new(None::<virtual_esp32c3::FrameSender>));
        let lan = Lan::start(network, {
            let to_board = Arc::clone(&to_board);
            Box::new(move |frame| {
                if let Some(board) = &*to_board.lock().unwrap_or_else(PoisonError::into_inner) {
                    board.send(frame);
                }
            })
        })
        .map_err(|error| BoardError::Network(error.to_string()))?;
        let port = lan.port();
        let board = VirtualBoard::start(config, Some(Box::new(move |frame: &[u8]| port.send(frame))))
            .map_err(|error| BoardError::Virtual(error.to_string()))?;
        *to_board.lock().unwrap_or_else(PoisonError::into_inner) = Some(board.ethernet());
        let board = Arc::new(board);
        Ok(Board {
            console: Console::open(board.tty())?,
            link: LinkSettings {
                network: NETWORK.to_owned(),
                connect_to: None,
            },
            reset: Box::new(VirtualLines(Arc::clone(&board))),
            recorder: Box::new(VirtualRecorder { board, lan }),
        })
    }
}

/// The reset and strapping lines of a virtual board.
struct VirtualLines(Arc<VirtualBoard>);

impl Reset for VirtualLines {
    fn reset(&mut self, mode: BootMode) -> Result<(), BoardError> {
        let gpio9 = mode == BootMode::Flash;
        self.0.set_lines(false, gpio9);
        self.0.set_lines(true, gpio9);
        Ok(())
    }
}

struct VirtualRecorder {
    board: Arc<VirtualBoard>,
    lan: Lan,
}

impl Recorder for VirtualRecorder {
    fn files(&self) -> Vec<RecordedFile> {
        let hardware = self.board.log().into_iter();
        let hardware = hardware.map(|entry| format!("{:>12} us {}", entry.microseconds, entry.event));
        let lines = |lines: Vec<String>| (lines.join("\n") + "\n").into_bytes();
        vec![
            RecordedFile {
                name: "network.pcap",
                contents: self.lan.pcap(),
            },
            RecordedFile {
                name: "network.log",
                contents: lines(self.lan.events().iter().map(ToString::to_string).collect()),
            },
            RecordedFile {
                name: "hardware.log",
                contents: lines(hardware.collect()),
            },
        ]
    }

    fn remarks(&self) -> Vec<String> {
        let strayed = self.lan.events().into_iter().filter_map(|event| match event.what {
            What::Unreachable { .. } => Some(format!("the device tried to reach something else: {event}")),
            _ => None,
        });
        let hardware = self.board.log().into_iter().filter_map(|entry| match entry.event {
            HardwareEvent::BusError { .. } | HardwareEvent::Stuck { .. } => {
                Some(format!("hardware, at {} us: {}", entry.microseconds, entry.event))
            }
            HardwareEvent::Reset(_) | HardwareEvent::Unmodelled { .. } => None,
        });
        strayed.chain(hardware).collect()
    }
}
