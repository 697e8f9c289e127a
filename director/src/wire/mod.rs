//! Wire formats: one protocol a file, each a checked view over bytes that came from the
//! network. Nothing here allocates, panics or reads past a slice, whatever the bytes are.
//!
//! A view is a header of fixed size borrowed as an array, so that its bounds are checked once,
//! when it is taken; [`parse`] strings the views together into one reading of a frame.

mod addr;
mod bytes;
pub mod checksum;
pub mod crc32c;
pub mod ethernet;
mod fragment;
mod frame;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
mod layout;
mod malformed;
mod net;
mod options;
#[cfg(test)]
pub(crate) mod sample;
pub mod sctp;
pub mod tcp;
#[cfg(test)]
mod tests;
pub mod udp;
mod view;

pub use addr::{Addr, Endpoint, Protocol, Tuple, Version};
pub use ethernet::Mac;
pub use fragment::{Fragment, Span, fragment};
pub use frame::{Packet, Transport, destination, is_intact, parse};
pub use icmp::{IcmpError, Quote};
pub use ipv6::Piece;
pub use layout::Layout;
pub use malformed::Malformed;
pub use net::Net;
pub use options::Options;
