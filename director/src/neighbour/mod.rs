//! Next hops: which interface a packet leaves through, and the Ethernet addresses it gets.
//!
//! The packet path writes the Ethernet header itself, so the director mirrors what the kernel
//! knows: routes, neighbours, links and addresses, followed live over rtnetlink.
//!
//! ```text
//!  kernel --rtnetlink--> follow --Change--> table --snapshot--> fib <--next_hop-- workers
//!     ^                                                                              |
//!     `---RTM_NEWNEIGH, NTF_USE--- ask <-----------------Unresolved------------------'
//! ```
//!
//! * `fib`: the snapshot, and the answer for one packet.
//! * `table`: the mutable side, changed one [`Change`] at a time.
//! * `siblings`: which IPv6 routes of one metric stand together.
//! * `decode`: rtnetlink messages as [`Change`]s.
//! * `dump`: reads all that the kernel knows.
//! * `events`: hears of changes.
//! * `follow`: the task that takes changes in and publishes.
//! * `ports`: which links the director drives.
//! * `outdated`: what has changed from one snapshot to another.
//! * `far_end`: what runs at the other end of a veth.
//! * `ask`: makes the kernel resolve neighbours, and keeps those in use fresh.

mod ask;
mod candidate;
mod decode;
mod dump;
mod events;
mod far_end;
mod fib;
mod follow;
mod lpm;
mod outdated;
mod ports;
mod siblings;
mod slots;
mod table;
mod world;

pub use ask::Asker;
pub use candidate::{Form, Placement, Table};
pub use far_end::FarEnds;
pub use fib::{Ask, Fib, Hop, Link, Mac, Neighbour, NoHop};
pub use follow::Neighbourhood;
pub use lpm::Prefix;
pub use outdated::Outdated;
pub use slots::{Target, Via};
pub use table::{Change, Route, Tables};

#[cfg(test)]
mod tests;
