//! What becomes of a packet of a known connection.

use crate::forward::{Speech, Word};
use crate::neighbour::Hop;
use crate::service::Method;
use crate::wire::Tuple;

/// What is to be done with a packet once the table is unlocked again.
pub(super) enum Plan {
    /// Make its tuple this if it is translated, and send it in this way.
    Send(Tuple, Method, Hop),
    /// The same, and make it say this.
    Say(Tuple, Method, Hop, Speech),
    /// Send a word of the director's own in its place.
    Instead(Word, Hop),
    /// It opens a connection of its own.
    Fresh,
}
