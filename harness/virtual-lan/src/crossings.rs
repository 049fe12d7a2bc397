//! What has crossed between the board's network and the sockets of this machine, and whether more is on its way.
//!
//! Enters: the gateway's report that it has nothing to do. Leaves: [`Crossings`], which a caller compares with the
//! count of the server behind the sockets. Must not know: what that server is.

use std::time::Duration;

/// Counts over all connections since the network's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Crossings {
    /// Connections made to sockets of this machine.
    pub connections: u64,
    /// Bytes written to them.
    pub to_host: u64,
    /// Bytes read from them.
    pub from_host: u64,
    /// Connections that the board has finished or reset, and whose socket was told so.
    pub ended_by_board: u64,
    /// Connections whose socket has finished or failed, as far as the gateway has seen.
    pub ended_by_host: u64,
}

impl Crossings {
    pub(crate) fn add(&mut self, other: Self) {
        self.connections += other.connections;
        self.to_host += other.to_host;
        self.from_host += other.from_host;
        self.ended_by_board += other.ended_by_board;
        self.ended_by_host += other.ended_by_host;
    }
}

/// A network at rest: it does nothing until the board sends a frame, a socket has something, or time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standstill {
    /// What has crossed so far.
    pub crossings: Crossings,
    /// How much time has to pass before the network does something by itself, such as delivering a frame that was held
    /// back or repeating one. `None`: time alone brings nothing.
    pub lasts: Option<Duration>,
}

/// A gateway that waits for frames, for sockets, or for a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) crossings: Crossings,
    /// Frames of the board that it has taken.
    pub(crate) frames: u64,
    /// When it goes on by itself, by the network's clock.
    pub(crate) alarm: Option<Duration>,
}

impl Standing {
    /// The network's rest at `now`, or `None` if the gateway has work. It has when it has yet to take one of the
    /// `frames` that the board has sent, or when an alarm is due.
    pub(crate) fn judge(&self, frames: u64, now: Duration) -> Option<Standstill> {
        let due = self.alarm.is_some_and(|alarm| alarm <= now);
        (!due && self.frames == frames).then(|| Standstill {
            crossings: self.crossings,
            lasts: self.alarm.map(|alarm| alarm - now),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_work_when_a_frame_waits_or_an_alarm_is_due() {
        let second = Duration::from_secs(1);
        let standing = Standing {
            crossings: Crossings::default(),
            frames: 3,
            alarm: Some(second),
        };
        let lasts = |frames, now| standing.judge(frames, now).map(|settled| settled.lasts);
        assert_eq!(lasts(3, Duration::ZERO), Some(Some(second)));
        assert_eq!(lasts(3, second / 4), Some(Some(second * 3 / 4)));
        assert_eq!(lasts(3, second), None, "the alarm is due");
        assert_eq!(lasts(3, second * 2), None, "the alarm is overdue");
        assert_eq!(lasts(4, Duration::ZERO), None, "a frame is under way");
        let idle = Standing {
            alarm: None,
            ..standing
        };
        assert_eq!(idle.judge(3, second).map(|settled| settled.lasts), Some(None));
    }
}
