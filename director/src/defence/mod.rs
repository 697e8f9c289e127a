//! The levels of defence: what a director does when it is under attack, and how it comes to do it.
//!
//! ```text
//!  counters, pools, memory --> Signals --> Controller --> Level, drop rate   (control side, a few times a second)
//!                                                            |
//!  a packet of a handshake <-- Posture <-- Stance <----------'               (one atomic a service)
//! ```
//!
//! | level | what is done |
//! |---|---|
//! | 0 | nothing; goes to 1 by itself |
//! | 1 | handshakes are judged by the tables for attacks and live briefly; when that is not enough, new connections are dropped at a rate, before they reach a real server; goes back to 0 by itself |
//! | 2 | as 1, set by the user and never left by itself |
//!
//! Everything here gets the time and what was measured as arguments.

mod controller;
mod lottery;
mod orders;
mod shortage;
mod signals;
mod stance;

pub use controller::{Change, Controller, Grounds, Legacy, Level};
pub use lottery::Lottery;
pub use orders::{Orders, Strays, Tell};
pub use shortage::{Resource, Rung, Supplies};
pub use signals::{Left, Marks, Policy, Reason, Signal, Signals};
pub use stance::{Posture, Share, Stance};
