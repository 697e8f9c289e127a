//! Scripts of whole connections, and a simulation.

mod attack;
mod endpoint;
mod fragments;
mod script;
mod simulation;

use super::*;
use crate::tcp::NORMAL;

/// What has been learnt of the connection, apart from notes.
pub(super) fn moved(tracking: &Tracking) -> (State, Peer, Peer) {
    let (client, server) = tracking.load(Direction::Original);
    (tracking.state, client, server)
}
