//! Where the fragments of a datagram go.

use crate::flow::Direction;
use crate::service::{Method, RealId};
use crate::wire::Tuple;

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
