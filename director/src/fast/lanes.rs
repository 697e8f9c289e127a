//! Whether the gate may send through an interface: it has to be known to deliver.
//!
//! ```text
//!            probe arrives                       a packet was refused (the gate stops at once)
//!   off  ------------------------->  on  -------------------------------------------------------.
//!    ^                                                                                           |
//!    `-------------------------------------------------------------------------------------------'
//! ```

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::{fmt, io};

use super::Fast;
use crate::gate::Lanes;
use crate::wire::Mac;

/// An interface as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Station {
    /// Its address, if it has one.
    pub mac: Option<Mac>,
    /// Whether it is up and has a carrier.
    pub up: bool,
}

/// Why packets that leave through an interface take the slow path; or that they do not have to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The gate sends through it.
    On,
    /// `fast_path = false`.
    Unwanted,
    /// The gate is not in the driver.
    Generic,
    /// It is down, or no Ethernet interface.
    Down,
    /// It cannot be the target of a redirect.
    NoExit,
    /// This kernel does not say whether redirected packets arrive.
    Unwatched(String),
    /// A probe did not leave.
    Silent,
    /// The driver has refused packets, with this error.
    Refused(i32),
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("on"),
            Self::Unwanted => f.write_str("fast_path = false"),
            Self::Generic => f.write_str("the gate is attached generically"),
            Self::Down => f.write_str("the interface is down"),
            Self::NoExit => f.write_str("it cannot be the target of a redirect"),
            Self::Unwatched(why) => f.write_str(why),
            Self::Silent => f.write_str("a probe did not leave the interface"),
            Self::Refused(code) if [-libc::ENXIO, -libc::EOPNOTSUPP].contains(code) => f.write_str(
                "it takes no redirected packets; on veth `ethtool -K DEV gro on` mends it, at the far end and with that up",
            ),
            Self::Refused(code) => {
                let error = io::Error::from_raw_os_error(-code);
                write!(f, "the driver refused redirected packets: {error}")
            }
        }
    }
}

impl Fast {
    /// Lets the gate know which interface a port is; until it is probed, nothing goes there.
    pub fn name_lane(&self, port: usize, ifindex: u32) {
        self.shared.lanes[port].ifindex.store(ifindex, Release);
    }

    /// Whether the gate may send through `port` at this moment.
    #[inline]
    pub fn delivers(&self, port: u16) -> bool {
        let lane = self.shared.lanes.get(usize::from(port));
        lane.is_some_and(|lane| lane.on.load(Relaxed) != 0)
    }

    /// Says whether what XDP sends back through `port` gets there, which is quicker than a redirect.
    pub fn set_direct(&self, port: usize, direct: bool) {
        let lane = &self.shared.lanes[port];
        lane.direct.store(direct.into(), Release);
    }

    /// Looks at a port: one that delivers goes on, one that does not is probed.
    pub fn look(&self, watch: &Lanes, port: usize, station: Station) -> Lane {
        let lane = &self.shared.lanes[port];
        let Some(mac) = station.mac.filter(|_| station.up) else {
            lane.on.store(0, Release);
            return Lane::Down;
        };
        if lane.on.load(Acquire) != 0 {
            return Lane::On;
        }
        lane.error.store(0, Relaxed);
        let before = lane.sent.load(Acquire);
        if let Err(error) = watch.probe(port as u32, mac) {
            return Lane::Unwatched(format!("this kernel does not send probes: {error}"));
        }
        if lane.sent.load(Acquire) != before {
            lane.on.store(1, Release);
            return Lane::On;
        }
        match lane.error.load(Relaxed) {
            0 => Lane::Silent,
            error => Lane::Refused(error),
        }
    }
}
