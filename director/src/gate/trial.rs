//! A gate that is attached to nothing: packets are put through it one by one, to see or to time
//! what it makes of them.

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use libbpf_rs::libbpf_sys;

use super::carried::Carried;
use super::maps::Maps;
use super::program::{self, Instance};
use super::roll::RollPlan;
use super::{CookieCounts, Endpoints, Filters, GateCounters, GateError, XdpMode};
use crate::cookie::{Resets, Roll};
use crate::wire::Mac;
use crate::xsk;

/// What the gate says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An error of its own.
    Aborted,
    /// It goes no further.
    Drop,
    /// It is the kernel's.
    Pass,
    /// It goes back out of the interface that it came in by.
    Answer,
    /// It goes to a socket or another interface.
    Redirect,
}

/// The port that a trial's packets come in by, and the queue.
const PORT: usize = 0;
const QUEUE: u32 = 0;

/// The longest frame that is put out.
const LONGEST: usize = 4096;

/// A gate without interfaces.
#[derive(Debug)]
pub struct Trial {
    program: OwnedFd,
    maps: Maps,
    roll: Arc<Roll>,
    resets: Resets,
    /// Stands for a worker: what is the director's goes on to it, and no further.
    reader: Option<OwnedFd>,
}

impl Trial {
    /// Loads it. Until it is told more it passes everything.
    ///
    /// # Errors
    /// What the kernel refuses: most often, not root.
    pub fn new(connections: usize) -> Result<Self, GateError> {
        let plan = RollPlan::of(connections);
        let instance = Instance {
            port: PORT as u32,
            flows: 0,
            roll: &plan,
        };
        let maps = program::make_maps(0, &plan, &Carried::default())?;
        let program = program::load(instance, XdpMode::Native, &maps)?;
        let roll = Arc::new(maps.map_roll(&plan)?);
        let resets = maps.map_resets(&plan)?;
        maps.flows.answers_directly(PORT)?;
        let reader = xsk::unbound().map_err(|error| GateError::Load(error.to_string()))?;
        maps.connect(PORT, QUEUE, reader.as_fd())?;
        Ok(Self {
            program,
            maps,
            roll,
            resets,
            reader: Some(reader),
        })
    }

    /// From now on nobody reads what is the director's, as when that has ended.
    pub fn end_reader(&mut self) {
        self.reader = None;
    }

    /// The program itself, for another to call.
    pub fn program(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }

    /// Makes `mac` the Ethernet address of the interface.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_station(&self, mac: Mac) -> Result<(), GateError> {
        self.maps.set_station(PORT, mac)
    }

    /// What endpoints are to it.
    pub const fn endpoints(&self) -> &Endpoints {
        &self.maps.endpoints
    }

    /// As [`super::Gate::first_datagrams`].
    ///
    /// # Errors
    /// The kernel's.
    pub fn first_datagrams(&self, slot: u16) -> Result<u64, GateError> {
        self.maps.repeats.dropped(slot)
    }

    /// What it filters.
    pub const fn filters(&self) -> &Filters {
        &self.maps.filters
    }

    /// Who has a connection.
    pub fn roll(&self) -> &Roll {
        &self.roll
    }

    /// Who has shown by a RST that it is there.
    pub const fn resets(&self) -> &Resets {
        &self.resets
    }

    /// What has been counted.
    ///
    /// # Errors
    /// The kernel's.
    pub fn counters(&self) -> Result<GateCounters, GateError> {
        self.maps.counters(PORT)
    }

    /// What has been counted of a service with cookies.
    ///
    /// # Errors
    /// The kernel's.
    pub fn cookie_counts(&self, service: u16) -> Result<CookieCounts, GateError> {
        self.maps.cookies.counts(service)
    }

    /// Puts `frame` through: what becomes of it, and what it looks like then.
    ///
    /// # Errors
    /// The kernel's; a frame must have 14 bytes.
    pub fn put(&self, frame: &[u8]) -> io::Result<(Verdict, Vec<u8>)> {
        let mut out = vec![0; LONGEST];
        let run = self.run(frame, &mut out, 1)?;
        out.truncate(run.data_size_out as usize);
        let verdict = match run.retval {
            1 => Verdict::Drop,
            2 => Verdict::Pass,
            3 => Verdict::Answer,
            4 => Verdict::Redirect,
            _ => Verdict::Aborted,
        };
        Ok((verdict, out))
    }

    /// How long `frame` takes on the average of `times`. The gate must not change it.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn time(&self, frame: &[u8], times: u32) -> io::Result<Duration> {
        let run = self.run(frame, &mut vec![0; LONGEST], times)?;
        Ok(Duration::from_nanos(run.duration.into()))
    }

    fn run(
        &self,
        frame: &[u8],
        out: &mut [u8],
        times: u32,
    ) -> io::Result<libbpf_sys::bpf_test_run_opts> {
        // SAFETY: all zeroes is the documented default of libbpf's option structs.
        let mut options: libbpf_sys::bpf_test_run_opts = unsafe { zeroed() };
        options.sz = size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t;
        options.data_in = frame.as_ptr().cast();
        options.data_size_in = frame.len() as u32;
        options.data_out = out.as_mut_ptr().cast();
        options.data_size_out = out.len() as u32;
        options.repeat = times as i32;
        // SAFETY: an open program; both buffers outlive the call and have the lengths that are said.
        let done = unsafe {
            libbpf_sys::bpf_prog_test_run_opts(self.program.as_raw_fd(), &raw mut options)
        };
        match done {
            0 => Ok(options),
            error => Err(io::Error::from_raw_os_error(-error)),
        }
    }
}
