//! Whether interfaces deliver what is redirected to them: `bpf/lanes.bpf.c`, loaded.

use std::fs;
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle, libbpf_sys};

use super::flows::{FlowMaps, Lane};
use super::memory::Array;
use crate::wire::Mac;

#[allow(missing_docs, unreachable_pub, unused_imports, clippy::all)]
mod skel {
    include!(concat!(env!("OUT_DIR"), "/lanes.skel.rs"));
}

/// `BPF_F_TEST_XDP_LIVE_FRAMES` (`include/uapi/linux/bpf.h`), since Linux 5.18.
const LIVE_FRAMES: u32 = 1 << 1;
/// The configuration test protocol of Ethernet: a frame of it to nobody means nothing to anybody.
const ETHERTYPE: [u8; 2] = [0x90, 0x00];
/// Without the checksum.
const SHORTEST_FRAME: usize = 60;

/// Watches the deliveries of all ports, for as long as it lives.
#[derive(Debug)]
pub struct Lanes {
    /// By port, as the gate reads them.
    states: Array<Lane>,
    probe: OwnedFd,
    /// The variables of the programs: `probing` alone.
    variables: MapHandle,
    _links: [libbpf_rs::Link; 2],
}

impl Lanes {
    /// # Errors
    /// A kernel without the tracepoints, or without its own types (`CONFIG_DEBUG_INFO_BTF`).
    pub(super) fn watch(maps: &FlowMaps) -> libbpf_rs::Result<Self> {
        let states = maps.map_lanes()?;
        let mut storage = MaybeUninit::uninit();
        let mut open = skel::LanesSkelBuilder::default().open(&mut storage)?;
        if let Some(data) = open.maps.rodata_data.as_deref_mut() {
            data.NAMESPACE = namespace()?;
            data.EXITS = maps.exits_id()?;
        }
        open.maps.bss_lanes.reuse_fd(maps.lanes_fd())?;
        open.maps.exits.reuse_fd(maps.exits_fd())?;
        let skel = open.load()?;
        Ok(Self {
            states,
            _links: [
                skel.progs.redirected.attach()?,
                skel.progs.refused.attach()?,
            ],
            probe: skel.progs.probe.as_fd().try_clone_to_owned()?,
            variables: MapHandle::try_from(&skel.maps.bss)?,
        })
    }

    /// What gate and director tell each other of a port.
    pub fn state(&self, port: usize) -> &Lane {
        &self.states[port]
    }

    /// Sends a frame through `port`, whose station is `mac`, to itself: no station takes it. Whether
    /// it got there is in the lane.
    ///
    /// # Errors
    /// A kernel without live frames.
    pub fn probe(&self, port: u32, mac: Mac) -> io::Result<()> {
        self.heed(true)?;
        let sent = self.send(port, mac);
        self.heed(false)?;
        sent
    }

    /// Whether what is sent is counted in the lanes, too, and not only what is lost.
    fn heed(&self, sent: bool) -> io::Result<()> {
        let value = u32::from(sent).to_ne_bytes();
        let told = self.variables.update(&[0; 4], &value, MapFlags::ANY);
        told.map_err(io::Error::other)
    }

    fn send(&self, port: u32, mac: Mac) -> io::Result<()> {
        let mut frame = [0; SHORTEST_FRAME];
        frame[..6].copy_from_slice(&mac.0);
        frame[6..12].copy_from_slice(&mac.0);
        frame[12..14].copy_from_slice(&ETHERTYPE);
        frame[14..18].copy_from_slice(&port.to_ne_bytes());
        // SAFETY: all zeroes is the documented default of libbpf's option structs.
        let mut options: libbpf_sys::bpf_test_run_opts = unsafe { zeroed() };
        options.sz = size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t;
        options.data_in = frame.as_ptr().cast();
        options.data_size_in = frame.len() as u32;
        options.repeat = 1;
        options.flags = LIVE_FRAMES;
        // SAFETY: an open descriptor, and options whose only pointer is to `frame`, which outlives
        // the call.
        let result =
            unsafe { libbpf_sys::bpf_prog_test_run_opts(self.probe.as_raw_fd(), &mut options) };
        match result {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(-error)),
        }
    }
}

/// The number of this process's network namespace.
fn namespace() -> io::Result<u32> {
    // Inode numbers of namespaces are of 32 bits.
    fs::metadata("/proc/self/ns/net").map(|file| file.ino() as u32)
}
