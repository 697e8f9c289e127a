//! Where the fragments of a datagram go.

use crate::flow::Direction;
use crate::service::{Method, RealId};
use crate::wire::Tuple;

/// How a first fragment was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) method: Method,
    /// What its tuple became.
    pub(super) to: Tuple,
    /// Who has it, when it has left no connection behind that says so.
    pub(super) real: Option<RealId>,
}

/// The way of a datagram that comes in fragments.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// Its tuple.
    pub(super) tuple: Tuple,
    /// What that becomes.
    pub(super) to: Tuple,
    pub(super) method: Method,
    /// Whose packets they are, and which way.
    pub(super) owner: Option<(RealId, Direction)>,
}
