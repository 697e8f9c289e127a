//! Bare XDP redirects between the client's side and the real servers' side: what a gate can reach at most.

use anyhow::Result;
use libbpf_rs::{Link, MapCore, MapFlags, Object};

use crate::bpf::{self, Source};
use crate::floor;
use crate::generator::Pass;
use crate::namespace::Namespace;
use crate::packet::Mac;
use crate::topology::{CLIENT_SIDE, REAL_SIDE};

/// The first real server and the director, on their network.
const STATIONS: [Mac; 2] = [Mac::of_host(2, 1), Mac::of_host(2, 0xfe)];

/// In place until it is dropped.
pub struct Redirect {
    _link: Link,
    _pass: Pass,
    _object: Object,
}

impl Redirect {
    /// In the namespace of the director.
    ///
    /// # Errors
    /// When an interface has a program already.
    pub fn start(director: &Namespace) -> Result<Self> {
        let object = bpf::load(Source::Peers)?;
        let to = director.enter(|| Ok(floor::interface_index(REAL_SIDE)?))?;
        let first = 0u32.to_ne_bytes();
        bpf::map(&object, "macs")?.update(
            &first,
            &STATIONS.map(|mac| mac.0).concat(),
            MapFlags::ANY,
        )?;
        director.enter(|| {
            let exits = bpf::map(&object, "exits")?;
            Ok(exits.update(&first, &to.to_ne_bytes(), MapFlags::ANY)?)
        })?;
        let pass = Pass::new(director, REAL_SIDE)?;
        let link = director.enter(|| bpf::attach(&object, "redirect", CLIENT_SIDE))?;
        Ok(Self {
            _link: link,
            _pass: pass,
            _object: object,
        })
    }
}

/// Both ways, as the kernel's routes say; in place until it is dropped.
pub struct Routed {
    _links: [Link; 2],
    _object: Object,
}

impl Routed {
    /// In the namespace of the director, whose far ends take what is redirected.
    ///
    /// # Errors
    /// When an interface has a program already.
    pub fn start(director: &Namespace) -> Result<Self> {
        let object = bpf::load(Source::Peers)?;
        let attach = |interface| director.enter(|| bpf::attach(&object, "route", interface));
        Ok(Self {
            _links: [attach(CLIENT_SIDE)?, attach(REAL_SIDE)?],
            _object: object,
        })
    }
}
