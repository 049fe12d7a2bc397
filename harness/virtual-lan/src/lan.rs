//! The handle: a network runs on a thread of its own from [`Lan::start`] until the handle is dropped.

use std::{fmt, sync::Arc, thread, time::Duration};

use tokio::sync::{mpsc, oneshot};

use crate::{
    config::{LanConfig, LanError},
    event::{LanEvent, What},
    gateway::Gateway,
    record::Record,
    traffic::Traffic,
};

/// A running network with one board on it. Dropping it stops the network and resets its connections.
pub struct Lan {
    port: FramePort,
    record: Arc<Record>,
    /// Dropped to stop the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// The end of the wire at which the board's frames go in.
#[derive(Clone)]
pub struct FramePort {
    frames: mpsc::Sender<Vec<u8>>,
    record: Arc<Record>,
}

impl Lan {
    /// Starts a network. `to_board` is called on the network's thread with each frame for the board (14-byte Ethernet header,
    /// padded to 60 bytes, no frame check sequence); it must return soon and must not drop the `Lan`.
    ///
    /// # Errors
    /// When the configuration contradicts itself or leads off this machine, or when no thread can be had.
    pub fn start(config: LanConfig, to_board: Box<dyn FnMut(Vec<u8>) + Send>) -> Result<Self, LanError> {
        config.check()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let record = Arc::new(Record::new(config.capture_limit));
        let (frames, from_board) = mpsc::channel(QUEUED_FRAMES);
        let (stop, stopped) = oneshot::channel();
        let port = FramePort {
            frames,
            record: Arc::clone(&record),
        };
        let thread = thread::Builder::new().name("virtual-lan".into()).spawn({
            let record = Arc::clone(&record);
            move || runtime.block_on(Gateway::run(config, from_board, to_board, record, stopped))
        })?;
        Ok(Self {
            port,
            record,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The end of the wire for the board's frames.
    pub fn port(&self) -> FramePort {
        self.port.clone()
    }

    /// What has crossed so far, if that is all that will cross until the board sends a frame or a socket stirs: the network has
    /// taken every frame, and does nothing by itself for `at_least` this long.
    pub fn settled(&self, at_least: Duration) -> Option<Traffic> {
        self.record.settled(at_least)
    }

    /// All that has happened, oldest first.
    pub fn events(&self) -> Vec<LanEvent> {
        self.record.events()
    }

    /// The first event, past or future, that is `wanted`; nothing when `limit` passes without one.
    pub fn wait_for(&self, limit: Duration, wanted: impl FnMut(&LanEvent) -> bool) -> Option<LanEvent> {
        self.record.wait_for(limit, wanted)
    }

    /// The newest frames of both directions as a pcap file (link type Ethernet, times since the start of the network).
    pub fn pcap(&self) -> Vec<u8> {
        self.record.pcap()
    }
}

impl FramePort {
    /// Puts a frame that leaves the board on the wire. Never blocks: as on a real wire, a frame is lost (and
    /// [`What::FrameLost`] recorded) when thousands wait. Goes nowhere once the network is gone.
    pub fn send(&self, frame: &[u8]) {
        match self.frames.try_send(frame.to_vec()) {
            Ok(()) => self.record.frame_sent(),
            Err(mpsc::error::TrySendError::Full(_)) => self.record.event(What::FrameLost),
            Err(mpsc::error::TrySendError::Closed(_)) => {}
        }
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Lan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lan").finish_non_exhaustive()
    }
}

impl fmt::Debug for FramePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FramePort").finish_non_exhaustive()
    }
}

/// Room for the windows of all connections at once: 64 times 64 KiB in full frames, and some.
const QUEUED_FRAMES: usize = 4096;
