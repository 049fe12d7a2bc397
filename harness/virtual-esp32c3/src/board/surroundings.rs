//! What is around a board: where its frames go, and what lives by its clock.

use std::time::Duration;

/// Receives each frame that leaves the board, without its check sequence. Called in the board's thread, so it must
/// return soon.
pub type FrameSink = Box<dyn FnMut(&[u8]) + Send>;

/// The network and the programs around a board that may skip its idle time. They live by the board's clock.
pub trait Surroundings: Send {
    /// The board's clock has moved on by `by` since the last call. Called in the board's thread, about every
    /// millisecond of the board's time.
    fn advance(&self, by: Duration);

    /// What is going on around the board. `said` is how many bytes the board has written to its tty so far. Called
    /// often, so it must be quick.
    fn outlook(&self, said: u64) -> Outlook;
}

/// What a board may expect of its [`Surroundings`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outlook {
    /// Something may come at any moment, from outside this machine or from a person. Time passes as the host's does.
    Open,
    /// Something is on its way between threads of this machine. How long that takes says how busy the machine is, and
    /// not how fast a network is, so the board's clock stands still meanwhile.
    UnderWay,
    /// This time has to pass before a byte, a frame or a reset may come that is not an answer to the board. With
    /// [`Duration::MAX`], time alone brings nothing.
    Quiet(Duration),
}
