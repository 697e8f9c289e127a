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

use crate::gate::{Gate, Lanes, XdpMode};
use crate::neighbour::FarEnds;
use crate::wire::Mac;

/// An interface as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Station {
    /// Its address, if it has one.
    pub mac: Option<Mac>,
    /// Whether it is up and has a carrier.
    pub up: bool,
}

/// Why the gate does not send through an interface; or that it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The gate sends through it.
    On,
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

/// The ways out of the gate, by port.
#[derive(Debug)]
pub struct Exits {
    /// Whether packets arrive, or why nobody can tell.
    lanes: Result<Lanes, String>,
    states: Vec<Lane>,
    /// None when the kernel cannot be asked.
    far_ends: Option<FarEnds>,
}

impl Exits {
    /// Opens those of all ports that have one: of each its index as an interface, and how the gate is
    /// attached there. Until one is probed, nothing goes there.
    pub fn open(gate: &Gate, ports: impl Iterator<Item = (u32, XdpMode)>) -> Self {
        let lanes = gate.watch_lanes().map_err(|error| error.to_string());
        let open = |(port, (ifindex, mode)): (usize, (u32, XdpMode))| {
            if mode == XdpMode::Generic {
                return Lane::Generic;
            }
            if gate.open_exit(port, ifindex).is_err() {
                return Lane::NoExit;
            }
            match &lanes {
                Ok(lanes) => {
                    lanes.state(port).ifindex.store(ifindex, Release);
                    Lane::Silent
                }
                Err(why) => Lane::Unwatched(why.clone()),
            }
        };
        Self {
            states: ports.enumerate().map(open).collect(),
            far_ends: FarEnds::open().ok(),
            lanes,
        }
    }

    /// What was last found of a port.
    pub fn lane(&self, port: usize) -> &Lane {
        &self.states[port]
    }

    /// Looks at a port anew; what is found if that has changed.
    pub fn look(&mut self, port: usize, station: Station) -> Option<&Lane> {
        let Ok(lanes) = &self.lanes else {
            return None;
        };
        let state = self.states.get_mut(port)?;
        if matches!(state, Lane::Generic | Lane::NoExit) {
            return None;
        }
        let now = probed(lanes, port, station);
        let is_other = now != *state;
        *state = now;
        is_other.then_some(state)
    }

    /// Has the gate answer by what XDP sends back, which is quicker than a redirect, through a veth that
    /// is known to deliver it. A device always does.
    pub fn choose_way(&self, port: usize, ifindex: u32) {
        let runs_program = |all: &FarEnds| all.runs_program(ifindex).ok().flatten();
        let runs = self.far_ends.as_ref().and_then(runs_program);
        if let (Ok(lanes), Some(runs)) = (&self.lanes, runs) {
            let direct = runs && self.states[port] == Lane::On;
            lanes.state(port).direct.store(direct.into(), Release);
        }
    }
}

/// Looks at a port: one that delivers goes on, one that does not is probed.
fn probed(lanes: &Lanes, port: usize, station: Station) -> Lane {
    let lane = lanes.state(port);
    let Some(mac) = station.mac.filter(|_| station.up) else {
        lane.on.store(0, Release);
        return Lane::Down;
    };
    if lane.on.load(Acquire) != 0 {
        return Lane::On;
    }
    lane.error.store(0, Relaxed);
    let before = lane.sent.load(Acquire);
    if let Err(error) = lanes.probe(port as u32, mac) {
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
