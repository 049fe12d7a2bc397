//! The network of a board that `pinrig virtual` runs.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use virtual_esp32c3::{FrameSender, FrameSink, VirtualBoard};
use virtual_lan::{Lan, LanConfig, LanError};

/// This machine, as the board's network has it.
const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

/// The network that the board is on.
pub(super) struct Network {
    lan: Lan,
    /// Board and network each need the other's door: the board's is filled in when it is there.
    to_board: Arc<Mutex<Option<FrameSender>>>,
}

impl Network {
    pub(super) fn start() -> Result<Self, LanError> {
        let to_board = Arc::new(Mutex::new(None::<FrameSender>));
        let lan = Lan::start(
            LanConfig {
                host: Some(HOST),
                ..LanConfig::default()
            },
            {
                let to_board = Arc::clone(&to_board);
                Box::new(move |frame| {
                    if let Some(board) = &*to_board.lock().unwrap_or_else(PoisonError::into_inner) {
                        board.send(frame);
                    }
                })
            },
        )?;
        Ok(Self { lan, to_board })
    }

    /// Takes the board's frames.
    pub(super) fn sink(&self) -> FrameSink {
        let port = self.lan.port();
        Box::new(move |frame| port.send(frame))
    }

    pub(super) fn connect(&self, board: &VirtualBoard) {
        *self.to_board.lock().unwrap_or_else(PoisonError::into_inner) = Some(board.ethernet());
    }
}
