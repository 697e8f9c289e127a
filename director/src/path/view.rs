//! What one batch sees: the snapshots of its moment. Everything that a step needs to know is
//! here, and nothing here changes while the batch is walked.

use std::cell::Cell;
use std::sync::Arc;

use adminapi::sysctl::{Sysctl, Sysctls};
use arc_swap::ArcSwap;

use super::course::{Course, Sent};
use super::errand::Errands;
use super::farewell::Farewells;
use super::openings::Opening;
use super::policy::Policy;
use super::refusal::Refusal;
use super::waiting::Waiting;
use super::ways::Ways;
use super::young::Young;
use crate::cookie::Resets;
use crate::defence::{Lottery, Orders};
use crate::door::Door;
use crate::drops::Cause;
use crate::fast::{Fast, Moment};
use crate::flow::{Entry, Table};
use crate::forward;
use crate::fragment::Fragments;
use crate::ftp::{Expectations, Shifts};
use crate::neighbour::{Fib, Hop, NoHop};
use crate::path_mtu::PathMtus;
use crate::pool::Pool;
use crate::returned::Returns;
use crate::service::Service;
use crate::stats::WorkerStats;
use crate::tcp::Timeouts;
use crate::templates::Templates;
use crate::time::Tick;
use crate::wire::{Addr, Layout, Tuple, Version, icmp};

/// The snapshots that a batch is walked with.
pub(super) struct View<'s> {
    pub(super) worker: usize,
    pub(super) now: Tick,
    /// Where the packets have come in.
    pub(super) port: u16,
    pub(super) fast: Option<&'s Fast>,
    /// Since when the snapshots hold, for what is told to the gate.
    pub(super) moment: Moment,
    pub(super) table: &'s Table,
    pub(super) templates: &'s Templates,
    pub(super) pool: &'s Pool,
    /// Where the next snapshot of `pool` comes from.
    pub(super) latest: &'s ArcSwap<Pool>,
    pub(super) fib: &'s Fib,
    /// What is known of it.
    pub(super) ways: &'s Ways,
    pub(super) timeouts: &'s Timeouts,
    pub(super) lottery: &'s Lottery,
    pub(super) door: Option<&'s Door>,
    pub(super) orders: &'s Orders,
    pub(super) farewells: &'s Farewells,
    pub(super) errands: &'s Errands,
    pub(super) openings: &'s Waiting<Opening>,
    pub(super) young: &'s Waiting<Young>,
    pub(super) policy: Policy,
    pub(super) path_mtus: &'s PathMtus,
    pub(super) returns: &'s Returns,
    pub(super) stats: &'s WorkerStats,
    /// The ways of fragmented datagrams.
    pub(super) fragments: &'s Fragments<Course>,
    /// How the last first fragment was sent.
    pub(super) sent: &'s Cell<Option<Sent>>,
    pub(super) sysctls: &'s Sysctls,
    pub(super) expectations: &'s Expectations,
    pub(super) shifts: &'s Shifts,
    pub(super) resets: &'s Resets,
    /// The next identification of a tunnelled datagram.
    pub(super) ident: &'s Cell<u16>,
}

impl<'s> View<'s> {
    /// The service that a packet from a client is for.
    pub(super) fn service_of(&self, tuple: &Tuple) -> Option<&'s Arc<Service>> {
        self.pool.service_for(tuple, self.port)
    }

    /// The next hop of a packet that will go to `to`, if it may go: it needs a next hop whose MTU it
    /// fits, unless it may be fragmented, and a hop left to live.
    pub(super) fn exit(
        &self,
        frame: &[u8],
        layout: &Layout,
        to: Addr,
        flow: &Tuple,
    ) -> Result<Hop, Refusal<'static>> {
        let hop = self.onward(frame, layout, to, flow)?;
        fitting(frame, layout, hop, 0)
    }

    /// The next hop of a packet that will go to `to` in an outer datagram, by which it gets
    /// `overhead` bytes longer.
    pub(super) fn exit_wrapped(
        &self,
        frame: &[u8],
        layout: &Layout,
        to: Addr,
        flow: &Tuple,
        overhead: u16,
    ) -> Result<Hop, Refusal<'static>> {
        let mut hop = self.onward(frame, layout, to, flow)?;
        hop.mtu = hop.mtu.min(self.path_to(to, layout.version, overhead));
        match layout.version == Version::V4 && !self.keeps_df() {
            true => Ok(hop),
            false => fitting(frame, layout, hop, overhead),
        }
    }

    /// The longest outer datagram to `to` that may be sent around one of `inner`. Every path takes
    /// IPv6 of 1,280 bytes, and nobody believes less; a router that takes less cuts what is around it
    /// (RFC 4213 §3.2.2).
    pub(super) fn path_to(&self, to: Addr, inner: Version, overhead: u16) -> u32 {
        let path = self.path_mtus.to(to, self.now);
        match inner == Version::V6 && to.is_v4() {
            true => path.max(icmp::least_mtu(inner) + u32::from(overhead)),
            false => path,
        }
    }

    /// Whether what may not be fragmented is not in a tunnel either (`pmtu_disc`).
    pub(super) fn keeps_df(&self) -> bool {
        self.sysctls.is_on(Sysctl::PmtuDisc)
    }

    #[inline]
    fn onward(
        &self,
        frame: &[u8],
        layout: &Layout,
        to: Addr,
        flow: &Tuple,
    ) -> Result<Hop, Refusal<'static>> {
        let hop = self.ways.next_hop(to, flow);
        // What has arrived needs no hop more.
        match forward::has_hop_left(frame, layout) || hop == Err(NoHop::Local) {
            true => Ok(hop?),
            false => Err(Cause::TtlExceeded.into()),
        }
    }
}

/// `hop`, if a packet that gets `overhead` bytes longer fits it or may be fragmented.
#[inline]
fn fitting(
    frame: &[u8],
    layout: &Layout,
    hop: Hop,
    overhead: u16,
) -> Result<Hop, Refusal<'static>> {
    let length = u32::from(layout.datagram_len()) + u32::from(overhead);
    match length > hop.mtu && !forward::may_be_cut(frame, layout) {
        true => Err(Refusal {
            mtu: hop.mtu.saturating_sub(overhead.into()),
            ..Cause::TooBig.into()
        }),
        false => Ok(hop),
    }
}

/// Takes a connection that has left the table off its real server, and off the template that
/// controlled it. Another worker may have opened it with a later snapshot, whose real servers
/// `pool` does not know yet: the `latest` one does.
pub(crate) fn leave(pool: &Pool, latest: &ArcSwap<Pool>, templates: &Templates, entry: &Entry) {
    match pool.real(entry.real()) {
        Some(real) => real.load.leave(entry.tracked.phase()),
        None => leave_newcomer(&latest.load(), entry),
    }
    if entry.controlled_by().is_some() {
        templates.release(pool, entry);
    }
    if entry.local_port != 0 {
        latest.load().speakers().leave(entry);
    }
    pool.strike(entry);
}

#[cold]
fn leave_newcomer(pool: &Pool, entry: &Entry) {
    if let Some(real) = pool.real(entry.real()) {
        real.load.leave(entry.tracked.phase());
    }
}

#[cfg(test)]
mod tests {
    use adminapi::model::Scheduler;

    use super::*;
    use crate::flow::Class;
    use crate::service::{Phase, ServiceKey, Settings};
    use crate::wire::{Endpoint, Protocol};

    #[test]
    fn a_connection_that_a_later_snapshot_has_opened_is_taken_off_by_an_earlier_one() {
        let endpoint = |host, port| Endpoint::new(Addr::v4([10, 0, 0, host]), port);
        let tuple = Tuple {
            protocol: Protocol::Udp,
            src: endpoint(1, 40_000),
            dst: endpoint(9, 80),
        };
        let key = ServiceKey::at(tuple.protocol, tuple.dst);
        let mut earlier = Pool::new(1);
        earlier.add_service(key, Scheduler::Rr).unwrap();
        let mut later = earlier.clone();
        later
            .add_real(&key, endpoint(2, 80), Settings::weight(1))
            .unwrap();
        let real = Arc::clone(later.reals().next().unwrap());
        real.enter(Phase::Inactive);
        let entry = Entry::new(&tuple, real.id, 80, Class::Unverified, Tick(9));
        let latest = Arc::new(ArcSwap::from_pointee(later));
        let templates = Templates::new(1, 1, Arc::clone(&latest)).unwrap();
        leave(&earlier, &latest, &templates, &entry);
        assert_eq!(real.load.connections(), 0);
    }
}
