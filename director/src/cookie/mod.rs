//! Cookies: a SYN is answered without keeping anything, since all that there is to keep goes to the
//! client and comes back with its ACK.
//!
//! * `answer`: the SYN+ACK, where the gate does not make it.
//! * `format`: what a cookie says, as `bpf/cookie/format.h` has it.
//! * `hello`: what a SYN offers.
//! * `place`: where a tuple belongs in what gate and workers share.
//! * `recipe`: how the cookies of a service are made at this moment; gate and workers have the
//!   same.
//! * `reset`: clients that show by a RST that they are there, where nobody knows cookies.
//! * `rotation`: which keys are good, and which is next.
//! * `shared`, `turnover`: keys that other directors have too.
//! * `roll`: which tuples may have a connection, for the gate to see.

mod answer;
mod format;
mod hello;
mod place;
mod recipe;
mod reset;
mod roll;
mod rotation;
mod shared;
mod turnover;
mod words;

pub use format::{Key, Mac, Offer, Visitor};
pub use hello::{Hello, Timestamps};
pub use place::Places;
pub use recipe::{Abilities, Cookies, Minted, Proof, Recipe};
pub use reset::Resets;
pub use roll::Roll;
pub use rotation::{Rotation, Written};
pub use shared::{NoSecret, Secret, SharedKeys};
pub use turnover::Turnover;

/// The window that a SYN+ACK with a cookie advertises (`OUR_WINDOW` in `bpf/cookie/answer.h`).
pub const WINDOW: u16 = 64_240;

/// The scale that goes with it (`OUR_SCALE`).
pub const SCALE: u8 = 7;
