//! The bench of virtual boards: any number of them, each on a network of its own.
//!
//! What enters: an image, then a [`Route`] for each board. What leaves: boards like any other. The image goes through
//! the mask ROM's loader once, into the flash of the first board, which then boots once. The others are copies of it as
//! it was when its firmware was ready. The console of a copy begins with what the first board said, so that the boot is
//! seen there too.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use espflash::connection::ResetBeforeOperation;
use espflash::target::Chip;
use virtual_esp32c3::{BoardConfig, HardwareEvent, Outlook, Snapshot, Strapping, Surroundings, VirtualBoard};
use virtual_lan::{Faults, FramePort, Join, Lan, LanConfig, Sent, Sight, TimeSource, What};

use super::{Bench, Route, Seat};
use crate::board::console::{BAUD, ConsoleHandle, open_port};
use crate::board::debug_module::DebugModule;
use crate::board::flash::{self, FlashProgress, FlashReport, Loader, PATIENCE, Remedy};
use crate::board::{
    Board, BoardError, BootMode, Console, DisturbableNetwork, LinkSettings, NetworkWitness, Recorder, Reset,
};
use crate::deadline::Deadline;
use crate::evidence::{NetworkEvidence, RecordedFile};
use crate::image::Image;
use crate::language::READY;
use crate::rig::VIRTUAL;
use pinrig_server::{Settled, Traffic};

/// Where the scenario's name leads: an address of TEST-NET-1 (RFC 5737), beyond the gateway, as the real server is.
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
/// How long the first board may take to boot. If it takes longer, each board boots by itself, and its scenario judges
/// what it sees.
const BOOT: Duration = Duration::from_secs(10);

/// Boards in software.
#[derive(Default)]
pub struct VirtualBench {
    start: Start,
    prepared: Mutex<Option<Prepared>>,
}

/// How the boards of a [`VirtualBench`] come to be running.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Start {
    /// As copies of one board that has booted.
    #[default]
    Forked,
    /// Each boots by itself.
    Cold,
}

/// What the boards start from.
#[derive(Clone)]
struct Prepared {
    flash: Arc<[u8]>,
    booted: Option<Arc<Booted>>,
}

/// A board whose firmware is ready, and what it sent until then.
struct Booted {
    snapshot: Snapshot,
    console: Vec<u8>,
    frames: Vec<Vec<u8>>,
}

impl fmt::Debug for VirtualBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualBench")
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

impl VirtualBench {
    /// A bench whose boards have empty flash.
    #[must_use]
    pub fn new(start: Start) -> Self {
        Self {
            start,
            prepared: Mutex::default(),
        }
    }
}

/// Boots a board from `flash`; `None` if it does not come to its ready line.
fn boot(flash: Arc<[u8]>) -> Result<Option<Booted>, BoardError> {
    let frames = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&frames);
    let board = start(
        flash,
        0,
        Box::new(move |frame| {
            sink.lock().unwrap_or_else(PoisonError::into_inner).push(frame.to_vec());
        }),
    )?;
    let mut console = Console::open(board.tty(), BAUD)?;
    board.power_cycle(Strapping::Flash);
    let deadline = Deadline::after("the ready line of the board that the others are copies of", BOOT);
    while let Ok(line) = console.next_line(&deadline) {
        if line.text.starts_with(READY) {
            let snapshot = board.snapshot().map_err(BoardError::VirtualBoardStopped)?;
            let console = console.chunks().into_iter().flat_map(|chunk| chunk.bytes).collect();
            let frames = std::mem::take(&mut *frames.lock().unwrap_or_else(PoisonError::into_inner));
            return Ok(Some(Booted {
                snapshot,
                console,
                frames,
            }));
        }
    }
    Ok(None)
}

fn start(flash: Arc<[u8]>, seed: u64, to_network: virtual_esp32c3::FrameSink) -> Result<VirtualBoard, BoardError> {
    let config = BoardConfig {
        flash,
        seed,
        ..BoardConfig::default()
    };
    VirtualBoard::start(config, Some(to_network)).map_err(BoardError::VirtualBoard)
}

impl Bench for VirtualBench {
    fn name(&self) -> String {
        "virtual ESP32-C3".to_owned()
    }

    fn prepare(&self, image: &Image, progress: FlashProgress<'_>) -> Result<FlashReport, BoardError> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let mut config = BoardConfig::default();
        if let Some(earlier) = prepared.take() {
            config.flash = earlier.flash;
        }
        let board = VirtualBoard::start(config, None).map_err(BoardError::VirtualBoard)?;
        let report = self.flash(&board, image, progress)?;
        let flash = board.flash().map_err(BoardError::VirtualBoardStopped)?;
        drop(board);
        let booted = match self.start {
            Start::Forked => boot(Arc::clone(&flash))?.map(Arc::new),
            Start::Cold => None,
        };
        *prepared = Some(Prepared { flash, booted });
        Ok(report)
    }

    fn seat(&self) -> Result<Box<dyn Seat + '_>, BoardError> {
        Ok(Box::new(VirtualSeat(self)))
    }
}

/// A virtual board that is to be started. There is no limit to their number.
struct VirtualSeat<'a>(&'a VirtualBench);

impl Seat for VirtualSeat<'_> {
    fn server_address(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    fn board(self: Box<Self>, route: &Route) -> Result<Board, BoardError> {
        self.0.board(route)
    }
}

impl VirtualBench {
    /// Flashes a board. Its loader answers for sure, but on a busy machine perhaps not in time.
    fn flash(
        &self,
        board: &VirtualBoard,
        image: &Image,
        progress: FlashProgress<'_>,
    ) -> Result<FlashReport, BoardError> {
        let loader = Loader {
            chip: Chip::Esp32c3,
            before: ResetBeforeOperation::NoReset,
            // A pseudo terminal carries bytes as fast as the host does, whatever its speed.
            baud: BAUD,
        };
        let mut attempts = 0;
        loop {
            attempts += 1;
            board.power_cycle(Strapping::Download);
            let port = open_port(board.tty(), BAUD)?;
            match flash::flash(&self.name(), port, image, loader, progress) {
                Ok((report, _port)) => return Ok(report),
                Err(error) if error.remedy() != Remedy::None && attempts < PATIENCE => {}
                Err(error) => {
                    return Err(BoardError::Flash {
                        tty: board.tty().to_owned(),
                        cause: error.into(),
                    });
                }
            }
        }
    }

    /// A board with the prepared image on a network of its own.
    ///
    /// # Errors
    /// When no image has been prepared, or this machine gives no tty or no thread.
    pub fn board(&self, route: &Route) -> Result<Board, BoardError> {
        let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Prepared { flash, booted } = prepared.ok_or(BoardError::NotPrepared)?;
        let network = LanConfig {
            names: route.hosts.iter().map(|host| (host.clone(), SERVER)).collect(),
            joins: vec![Join {
                address: SERVER,
                port: route.port,
                target: route.server,
            }],
            time: TimeSource::Driven,
            ..LanConfig::default()
        };
        let gateway = network.gateway;
        // Board and network each need the other. The network gets a slot, which is filled when the board is there.
        let to_board = Arc::new(Mutex::new(None::<virtual_esp32c3::FrameSender>));
        let lan = Lan::start(network, {
            let to_board = Arc::clone(&to_board);
            Box::new(move |frame| {
                if let Some(board) = &*to_board.lock().unwrap_or_else(PoisonError::into_inner) {
                    board.send(frame);
                }
            })
        })
        .map_err(BoardError::VirtualNetwork)?;
        let port = lan.port();
        let board = start(flash, route.seed, Box::new(move |frame| port.send(frame)))?;
        *to_board.lock().unwrap_or_else(PoisonError::into_inner) = Some(board.ethernet());
        let board = Arc::new(board);
        let lan = Arc::new(lan);
        let patience = Arc::new(AtomicBool::new(false));
        let calming = Arc::new(AtomicBool::new(false));
        let console = Console::open(board.tty(), BAUD)?;
        board.skip_idle_time(Box::new(World {
            patience: Arc::clone(&patience),
            console: console.handle(),
            calming: Arc::clone(&calming),
            lan: Arc::clone(&lan),
            server: route.settled.clone(),
        }));
        Ok(Board {
            name: VIRTUAL.to_owned(),
            image: None,
            dialect: None,
            debugger: Some(Box::new(DebugModule(board.debug_port()))),
            console,
            link: LinkSettings::of(None, None),
            network: Some(Box::new(VirtualNetwork {
                lan: Arc::clone(&lan),
                calming,
            })),
            witness: Some(Box::new(VirtualWitness {
                lan: Arc::clone(&lan),
                server: SocketAddrV4::new(SERVER, route.port),
                gateway,
                asked_for_address: AtomicBool::new(false),
            })),
            patience,
            reset: Box::new(VirtualLines {
                board: Arc::clone(&board),
                booted: booted.map(|booted| (booted, lan.port())),
                seed: route.seed,
            }),
            recorder: Box::new(VirtualRecorder {
                board,
                lan,
                seed: route.seed,
            }),
        })
    }
}

/// Network and server: what is around a virtual board.
struct World {
    /// Set while the harness says nothing to the board before the board has spoken.
    patience: Arc<AtomicBool>,
    /// Tells whether the board has spoken: then the harness may have a new command for it.
    console: ConsoleHandle,
    /// Set while a bad network is being calmed: the harness says nothing to the board meanwhile.
    calming: Arc<AtomicBool>,
    lan: Arc<Lan>,
    server: Settled,
}

impl Surroundings for World {
    fn advance(&self, by: Duration) {
        self.lan.advance(by);
    }

    /// Quiet, if nothing is under way between the board and its server, until the network's next alarm. The network is asked before the server: what the server has sent, the
    /// network has then taken, or not yet counted.
    fn outlook(&self, said: u64) -> Outlook {
        let patient = self.patience.load(Ordering::SeqCst) && self.console.waits_for_more_than(said);
        if !patient && !self.calming.load(Ordering::SeqCst) {
            return Outlook::Open;
        }
        let quiet = || {
            let before = self.lan.settled()?;
            let server = self.server.traffic()?;
            let quiet = traffic(before.crossings).agrees_with(&server) && self.lan.settled() == Some(before);
            quiet.then(|| before.lasts.unwrap_or(Duration::MAX))
        };
        quiet().map_or(Outlook::UnderWay, Outlook::Quiet)
    }
}

/// The network as scenarios disturb it.
struct VirtualNetwork {
    lan: Arc<Lan>,
    calming: Arc<AtomicBool>,
}

impl VirtualNetwork {
    /// Connections that have not ended.
    fn open(&self) -> usize {
        let count = |wanted: fn(&What) -> bool| self.lan.events().iter().filter(|event| wanted(&event.what)).count();
        let opened = count(|what| matches!(what, What::Opened { .. }));
        opened.saturating_sub(count(|what| matches!(what, What::Closed { .. })))
    }
}

impl DisturbableNetwork for VirtualNetwork {
    fn disturb(&self, faults: &Faults) -> Result<(), BoardError> {
        self.lan.set_faults(faults.clone()).map_err(BoardError::Faults)
    }

    fn calm(&self) {
        /// How long the end of a connection may be under way between threads.
        const UNDER_WAY: Duration = Duration::from_millis(20);
        const LIMIT: Duration = Duration::from_millis(500);
        self.lan
            .set_faults(Faults::default())
            .expect("having no faults is never a contradiction");
        // Lost frames are repeated now, in the board's time. Connections whose end no side will repeat are cut.
        self.calming.store(true, Ordering::SeqCst);
        let limit = Deadline::after("the connections of a bad network to end", LIMIT);
        let mut still = None;
        while self.open() > 0 && !limit.has_expired() {
            let settled = self.lan.settled();
            if settled.is_some_and(|settled| settled.lasts.is_none()) && settled == still {
                break;
            }
            still = settled;
            let ends = |event: &virtual_lan::LanEvent| matches!(event.what, What::Closed { .. });
            let before = self.lan.events().iter().filter(|event| ends(event)).count();
            let mut seen = 0;
            self.lan.wait_for(UNDER_WAY, |event| {
                seen += usize::from(ends(event));
                seen > before
            });
        }
        self.lan.cut_connections();
        self.calming.store(false, Ordering::SeqCst);
    }
}

/// What a virtual board sends, as its network sees it.
struct VirtualWitness {
    lan: Arc<Lan>,
    server: SocketAddrV4,
    gateway: Ipv4Addr,
    asked_for_address: AtomicBool,
}

/// DHCPDISCOVER (RFC 2132 section 9.6).
const DISCOVER: u8 = 1;

impl NetworkWitness for VirtualWitness {
    fn sent(&self) -> NetworkEvidence {
        let sent = self.lan.take_sights();
        let asks = |sight: &Sight| matches!(sight.sent, Sent::Dhcp { kind: DISCOVER, .. });
        let asked = sent.iter().any(asks);
        NetworkEvidence {
            server: self.server,
            gateway: self.gateway,
            asked_for_address: self.asked_for_address.fetch_or(asked, Ordering::SeqCst) || asked,
            sent,
        }
    }
}

fn traffic(lan: virtual_lan::Crossings) -> Traffic {
    Traffic {
        connections: lan.connections,
        to_server: lan.to_host,
        to_client: lan.from_host,
        client_ended: lan.ended_by_board,
        server_ended: lan.ended_by_host,
    }
}

/// The reset and strapping lines of a virtual board.
struct VirtualLines {
    board: Arc<VirtualBoard>,
    /// What stands for the first boot, and where the frames of that boot go.
    booted: Option<(Arc<Booted>, FramePort)>,
    /// Where the copy's own random numbers start.
    seed: u64,
}

impl Reset for VirtualLines {
    fn reset(&mut self, mode: BootMode) -> Result<(), BoardError> {
        match (mode, self.booted.take()) {
            (BootMode::Flash, Some((booted, network))) => {
                for frame in &booted.frames {
                    network.send(frame);
                }
                let snapshot = booted.snapshot.with_seed(self.seed);
                self.board.restore(&snapshot, booted.console.clone());
            }
            (BootMode::Flash, None) => self.board.power_cycle(Strapping::Flash),
            (BootMode::Download, _) => self.board.power_cycle(Strapping::Download),
        }
        Ok(())
    }
}

struct VirtualRecorder {
    board: Arc<VirtualBoard>,
    lan: Arc<Lan>,
    seed: u64,
}

impl Recorder for VirtualRecorder {
    fn files(&self) -> Vec<RecordedFile> {
        let hardware = self.board.log().into_iter();
        let hardware = hardware.map(|entry| format!("{:>12} us {}", entry.microseconds, entry.event));
        let hardware = [format!("random numbers from the seed {}", self.seed)]
            .into_iter()
            .chain(hardware);
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

    fn skipped(&self) -> Duration {
        self.board.stats().skipped
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
            _ => None,
        });
        strayed.chain(hardware).collect()
    }
}
