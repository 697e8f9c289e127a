//! What comes in.

use crate::time::Tick;
use crate::xsk::Frame;

/// A packet on the path.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) frame: Frame,
    /// The port that it came in on.
    pub(super) port: u16,
    /// When.
    pub(super) at: Tick,
}
