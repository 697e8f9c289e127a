//! SCTP as a director sees it: states, state tables as data, and verification tags.
//!
//! A packet is read once by [`crate::wire`]; [`Tracking::judge`] then says what it means for its
//! association: whether its tag can be the sender's (RFC 9260 §8.5), and which state follows its
//! [`Event`].

mod event;
mod state;
mod table;
mod tracking;

pub use event::{Event, Packet};
pub use state::State;
pub use table::{NORMAL, ONE_WAY, StateTable};
pub use tracking::{Invalid, Judgement, Tracking};
