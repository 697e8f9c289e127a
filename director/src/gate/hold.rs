//! Everything held back that comes in by an interface: `bpf/hold.bpf.c`, loaded.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle};

use crate::bpf_link::{self, Hook};

#[allow(missing_docs, unreachable_pub, unused_imports, clippy::all)]
mod skel {
    include!(concat!(env!("OUT_DIR"), "/hold.skel.rs"));
}

/// Holds packets back for as long as it lives. A link of tc, so that no end of this process leaves it
/// there; a filter would stay.
#[derive(Debug)]
pub(super) struct Hold {
    variables: MapHandle,
    _link: OwnedFd,
}

impl Hold {
    /// # Errors
    /// Older than Linux 6.6.
    pub(super) fn on(ifindex: u32) -> io::Result<Self> {
        let mut storage = MaybeUninit::uninit();
        let open = skel::HoldSkelBuilder::default().open(&mut storage);
        let skel = open.and_then(OpenSkel::load).map_err(io::Error::other)?;
        let link = bpf_link::attach(skel.progs.hold.as_fd(), ifindex, Hook::TcxFront)?;
        Ok(Self {
            variables: MapHandle::try_from(&skel.maps.bss).map_err(io::Error::other)?,
            _link: link,
        })
    }

    /// How many packets it has held back.
    pub(super) fn held(&self) -> u64 {
        let value = self.variables.lookup(&[0; 4], MapFlags::ANY).ok().flatten();
        let word = value.as_ref().and_then(|value| value.first_chunk());
        word.map_or(0, |word| u64::from_ne_bytes(*word))
    }
}
