//! Where a packet of a known connection goes.

use crate::flow::Direction;
use crate::neighbour::Hop;
use crate::service::Real;
use crate::wire::{Transport, Tuple};

/// Whose packet it is, and where it goes.
pub(super) struct Onward<'a> {
    pub(super) packet: &'a Transport,
    pub(super) way: Direction,
    pub(super) real: &'a Real,
    /// What its tuple becomes.
    pub(super) to: Tuple,
    pub(super) hop: Hop,
}
