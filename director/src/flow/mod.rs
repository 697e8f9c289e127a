//! The connection table: one entry a connection, found from both directions by a keyed hash,
//! within a fixed budget.
//!
//! ```text
//!  tuple --SipHash--> Place: shard (by client), hash, two buckets
//!                        |
//!  Table  [ Shard | Shard | ... ]        a lock each
//!             |- Index   two slots a connection: original and reply
//!             |- Slab    entries: half-open pool | main pool
//!             `- Wheel   who may be dead in which second
//! ```
//!
//! A worker goes through a batch in stages, so that no packet waits for memory alone:
//! [`Table::locate`] and [`Table::prefetch`] for all, [`Table::prefetch_entry`] for all, then
//! [`Table::lock`] and [`Shard::find`] one by one.
//!
//! When room is short the lowest [`Class`] goes first. Handshakes that are not complete have a
//! pool of their own, so that a flood of them displaces only its like.

mod elsewhere;
mod entry;
pub(crate) mod floor;
mod gauge;
mod index;
mod kept;
mod leaving;
mod place;
mod plan;
mod refused;
mod shard;
mod slab;
mod table;
#[cfg(test)]
mod tests;
mod tracked;
mod victim;
mod wheel;

pub use elsewhere::Elsewhere;
pub use entry::{Class, Entry};
pub(crate) use kept::data_from;
pub use kept::{Found, Reader, Shape, layout};
pub use place::{Locator, Lot, Place};
pub use plan::Limits;
pub use refused::{Departed, Refused};
pub use shard::{Handle, Shard};
pub use table::{Cursor, Table};
pub use tracked::Tracked;

pub use crate::direction::Direction;
