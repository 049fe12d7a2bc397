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

    /// How much time has to pass before something may come to the board that is not an answer to it: a byte, a frame or
    /// a reset. [`Duration::MAX`] means that time alone brings nothing, `None` that something may come at any moment.
    /// `said` is how many bytes the board has written to its tty so far. Called often, so it must be quick.
    fn quiet_for(&self, said: u64) -> Option<Duration>;
}
