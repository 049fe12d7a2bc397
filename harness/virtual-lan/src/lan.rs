//! The handle of a network, which runs on a thread of its own from [`Lan::start`] until the handle is dropped.
//!
//! Enters: a configuration, frames of the board, faults. Leaves: frames for the board, events, a capture. Must not
//! know: what frames say.

use std::{fmt, sync::Arc, thread, time::Duration};

use tokio::sync::{mpsc, oneshot};

use crate::{
    clock::Clock,
    config::{LanConfig, LanError},
    crossings::Standstill,
    event::{LanEvent, What},
    fate::Fates,
    faults::{FaultError, Faults},
    gateway::{Gateway, Inputs},
    record::Record,
    sight::Sight,
};

/// A running network with one board on it. Dropping it stops the network and resets its connections.
pub struct Lan {
    port: FramePort,
    record: Arc<Record>,
    cut: mpsc::UnboundedSender<()>,
    /// Dropped to stop the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Takes the board's frames: the board's end of the wire.
#[derive(Clone)]
pub struct FramePort {
    frames: mpsc::Sender<Vec<u8>>,
    record: Arc<Record>,
}

impl Lan {
    /// Starts a network. `to_board` is called on the network's thread with each frame for the board (14-byte Ethernet
    /// header, padded to 60 bytes, no frame check sequence). It must return soon and must not drop the `Lan`.
    ///
    /// # Errors
    /// If the configuration contradicts itself or leads off this machine, or if the host refuses a thread.
    pub fn start(config: LanConfig, to_board: Box<dyn FnMut(Vec<u8>) + Send>) -> Result<Self, LanError> {
        config.check()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(LanError::Start)?;
        let clock = Clock::new(config.time);
        let record = Arc::new(Record::new(config.capture_limit, config.faults.clone(), clock));
        let (frames, from_board) = mpsc::channel(QUEUED_FRAMES);
        let (stop, stopped) = oneshot::channel();
        let (cut, cuts) = mpsc::unbounded_channel();
        let port = FramePort {
            frames,
            record: Arc::clone(&record),
        };
        let inputs = Inputs {
            frames: from_board,
            cuts,
            stopped,
        };
        let run = {
            let record = Arc::clone(&record);
            move || {
                let gateway = Gateway::run(config, inputs, to_board, record);
                runtime.block_on(gateway);
            }
        };
        let thread = thread::Builder::new()
            .name("virtual-lan".into())
            .spawn(run)
            .map_err(LanError::Start)?;
        Ok(Self {
            port,
            record,
            cut,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The board's end of the wire.
    pub fn port(&self) -> FramePort {
        self.port.clone()
    }

    /// What has crossed and how long the network rests; `None` while it is at work or has yet to take a frame of the
    /// board.
    pub fn settled(&self) -> Option<Standstill> {
        self.record.settled()
    }

    /// Lets time pass on a network with [`TimeSource::Driven`](crate::TimeSource::Driven); does nothing on any other.
    /// The network's thread does what is due then. Until it has, [`settled`](Self::settled) returns `None`.
    pub fn advance(&self, by: Duration) {
        self.record.clock().advance(by);
    }

    /// Puts these faults in force, in place of those before. Frames that are held back already still arrive at their
    /// time.
    ///
    /// # Errors
    /// If the faults contradict themselves. The faults before stay in force then.
    pub fn set_faults(&self, faults: Faults) -> Result<(), FaultError> {
        faults.check()?;
        let now = self.record.clock().now();
        *self.record.fates() = Fates::new(faults, now);
        Ok(())
    }

    /// Resets every connection towards the sockets of this machine, like a router that is switched off and on. The
    /// board learns of it when it sends something.
    pub fn cut_connections(&self) {
        // Sending fails only when the network's thread has ended, and its connections with it.
        let _stopped = self.cut.send(());
    }

    /// All events so far, oldest first.
    pub fn events(&self) -> Vec<LanEvent> {
        self.record.events()
    }

    /// Waits for an event for which `wanted` returns true, past events included. `None` if `limit` passes without one.
    pub fn wait_for(&self, limit: Duration, wanted: impl FnMut(&LanEvent) -> bool) -> Option<LanEvent> {
        self.record.wait_for(limit, wanted)
    }

    /// What the board has put on the wire since the last call, before any fault. It is complete as soon as the board has
    /// sent it: the network's thread need not have taken the frames.
    pub fn take_sights(&self) -> Vec<Sight> {
        self.record.take_sights()
    }

    /// The newest frames of both directions as a pcap file (link type Ethernet, times since the network's start).
    pub fn pcap(&self) -> Vec<u8> {
        self.record.pcap()
    }
}

impl FramePort {
    /// Puts a frame that leaves the board on the wire. Never blocks: if thousands of frames wait, the frame is lost and
    /// [`What::FrameLost`] is recorded. Once the network has ended, frames go nowhere.
    pub fn send(&self, frame: &[u8]) {
        self.record.sighted(frame);
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
            // The thread has reported its panic itself.
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

/// Frames of the board that may wait for the gateway. Enough for the windows of all connections at once: 64 times 64
/// KiB, in frames of full size.
const QUEUED_FRAMES: usize = 4096;
