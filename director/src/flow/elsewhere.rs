//! Connections whose packets pass elsewhere: somebody else knows when the last one was, and has to
//! hear when they end.

use super::entry::Entry;
use crate::time::Tick;

/// Who sees the packets of connections that are [`Entry::is_cached`].
pub trait Elsewhere: Send + Sync {
    /// When a connection dies unless another packet comes.
    fn expires(&self, entry: &Entry) -> Tick;

    /// A connection is no more. The shard that it was in is locked.
    fn leave(&self, entry: &Entry);
}
