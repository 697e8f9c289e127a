//! Connections that the gate has forwarded until something changed: it is told of them again before
//! their next packets come, for which there may be no director any more.
//!
//! A way is told again as the worker would that got its next packet. Where that packet would not get
//! to a worker, or not any further, it is left as it is.

use std::ops::Range;
use std::time::Duration;

use super::Shared;
use super::bystander::Bystander;
use super::handover::is_settled;
use super::view::View;
use crate::fast::{Fast, Leg, Shape};
use crate::flow::{Cursor, Direction, Entry};
use crate::neighbour::Hop;
use crate::service::{Method, Real, Standing};
use crate::time::Tick;
use crate::wire::{Endpoint, Protocol, Tuple};

/// The way to the real server, and the way back if that leads through here.
pub(super) type Legs = [Option<(Shape, Leg)>; 2];

impl Shared {
    /// Tells the gate again of the connections from `cursor` on, for about as long as `patience`; they
    /// come in through the first `ports`. Returns where to go on; none at the end.
    pub fn renew_flows(
        &self,
        cursor: Cursor,
        ports: u16,
        now: Tick,
        patience: Duration,
    ) -> Option<Cursor> {
        let fast = self.fast.as_deref()?;
        let bystander = Bystander::of(self);
        let view = bystander.view(0, now);
        let renew = |entry: &Entry| view.renew(fast, entry, ports);
        self.table.browse(cursor, patience, renew)
    }
}

impl View<'_> {
    /// Tells the gate again of a connection, if there is something to tell.
    fn renew(&self, fast: &Fast, entry: &Entry, ports: u16) {
        if entry.is_cached() && is_settled(entry) && fast.is_outdated(entry) {
            let legs = self.legs(entry, 0..ports);
            for (shape, leg) in legs.iter().flatten().flatten() {
                fast.renew(shape, leg);
            }
        }
    }

    /// What the gate is to be told of the way to the real server and of the way back, of a connection whose
    /// client's packets come in through one of the `ports`; nothing when those do not get any further.
    pub(super) fn legs(&self, entry: &Entry, ports: Range<u16>) -> Option<Legs> {
        let real: &Real = self.pool.real(entry.real())?;
        if real.standing == Standing::Removed || !self.gets_to_a_worker(entry, real, ports) {
            return None;
        }
        let leg = |way| {
            let hop = self.way_on(entry, real, way)?;
            let (shape, longest) = self.shape(entry, real, &hop)?;
            let leg = Leg {
                way,
                hop,
                longest,
                real: real.id,
                found: self.moment,
            };
            Some((shape, leg))
        };
        let there = leg(Direction::Original)?;
        let back = (!entry.is_one_way()).then(|| leg(Direction::Reply));
        Some([Some(there), back.flatten()])
    }

    /// Whether the gate would hand its packets to a worker, whichever of the `ports` those of the
    /// client come in through.
    fn gets_to_a_worker(&self, entry: &Entry, real: &Real, mut ports: Range<u16>) -> bool {
        let (protocol, tuple) = (entry.protocol(), entry.original());
        let is_for_service = |port| self.pool.service_for(&tuple, port).is_some();
        let is_data = || protocol == Protocol::Tcp && self.pool.takes_data(tuple.dst);
        let answers = || {
            let end = Endpoint::new(real.endpoint.addr, entry.real_port());
            entry.is_one_way() || self.pool.answers(protocol, end)
        };
        (ports.all(is_for_service) || is_data()) && answers()
    }

    /// The next hop of a packet that goes one of its ways.
    fn way_on(&self, entry: &Entry, real: &Real, way: Direction) -> Option<Hop> {
        let to: Tuple = self.translated(entry, real, way);
        let dst = match (way, real.method) {
            (Direction::Original, Method::Bypass) => entry.vip().addr,
            _ => to.dst.addr,
        };
        let mut hop = self.ways.next_hop(dst, &to).ok()?;
        if let (Direction::Original, Method::Tun(tunnel)) = (way, real.method) {
            let inner = to.src.addr.version();
            hop.mtu = hop.mtu.min(self.path_to(dst, inner, tunnel.overhead(dst)));
        }
        Some(hop)
    }
}
