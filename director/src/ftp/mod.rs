//! FTP: what the ends of a control connection say of their data connections (RFC 959, RFC 2428),
//! and which ones are expected after that.
//!
//! A line is read only where it begins a segment and ends in it, as clients and servers send
//! them; any other is left alone, and its data connection does not come about.

mod expected;
mod line;
mod reply;
mod shift;

use std::ops::RangeInclusive;

pub use expected::{Expectations, Expected};
pub use line::{Command, command};
pub use reply::Offer;
pub use shift::{Shift, Shifts};

use crate::service::FTP_PORT;

/// The port that data connections come from which the server opens.
pub const DATA_PORT: u16 = data_port(FTP_PORT);

/// Ports of a VIP that clients open data connections to. Beyond those that Linux chooses
/// from by itself.
pub const DATA_PORTS: RangeInclusive<u16> = 61_000..=61_255;

/// The port that data connections come from which the server opens, where clients are told of
/// `control`.
pub const fn data_port(control: u16) -> u16 {
    control.wrapping_sub(1)
}

/// All ports of a VIP that data connections have whose control connections have this port.
pub fn data_ports(control: u16) -> impl Iterator<Item = u16> {
    DATA_PORTS.chain([data_port(control)])
}

/// The lowest port that a data connection may go to: none of them belongs to a service of the
/// system, which a forged line could name (RFC 2577 §3).
pub const LOWEST_PORT: u16 = 1024;
