//! The health of real servers: checks, what they say together, and what follows.
//!
//! ```text
//!  probe      asks a real server: one kind of check a file
//!    |        `cadence` says when
//!  machine    so many in a row make an opinion           report   what its agent says
//!    |                                                      |     passive  what clients meet
//!    |                                                      |     strain   how full its listen queue is
//!  patient    state, reason, and what it leaves of the weight: `service::Fitness`
//! ```
//!
//! All but the probes are functions of what they are given; `control::health` brings the two
//! together and changes the pool. No packet waits for any of it.

mod cadence;
mod machine;
mod passive;
mod patient;
mod probe;
mod report;
mod rounds;
mod strain;

pub use patient::{Change, Chart, Finding, History, Patient, Words};
pub use probe::{Switchboard, Target};
pub use rounds::{Bed, Place, Regimen, Rounds};
pub use strain::{Filled, Strain, Turn};
