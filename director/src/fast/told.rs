//! What the gate is told of a way that packets of a flow go, and until when that holds.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::Fast;
use super::bounds::raise;
use super::hops::Hops;
use super::shape::Shape;
use crate::direction::Direction;
use crate::flow::Entry;
use crate::gate::flows::{Flow, REALS, Way};
use crate::neighbour::Hop;
use crate::service::RealId;

/// What has been in force when a worker began to look: what it finds holds for no later moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment(u32);

impl Moment {
    #[cfg(test)]
    pub(crate) const fn of(version: u32) -> Self {
        Self(version)
    }
}

/// One way of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Leg {
    /// Which.
    pub way: Direction,
    /// Where its packets go.
    pub hop: Hop,
    /// Length of the longest one that may go there, bytes.
    pub longest: u32,
    /// The real server.
    pub real: RealId,
    /// When all that was found.
    pub found: Moment,
}

impl Fast {
    /// To be asked before the snapshots are read by which a flow is entered.
    #[inline]
    pub fn moment(&self) -> Moment {
        Moment(self.version.load(Acquire))
    }

    /// Has the gate forward the packets of a connection that go one way. It is cached from then on.
    /// Before the beginning it is told only how far one has come that a former director has entered.
    pub fn enter(&self, entry: &mut Entry, shape: &Shape, leg: &Leg) {
        if !self.begun.load(Acquire) {
            if entry.is_cached() {
                self.raise(entry);
            }
            return;
        }
        if leg.real.0 as usize >= REALS {
            return;
        }
        if let Some(flow) = self.place_of(entry, shape) {
            raise(flow, entry);
            self.point(flow, leg);
        }
    }

    /// Tells the gate again where packets go that it has forwarded before, unless something else
    /// becomes of them by now. The shard of their connection is locked.
    pub fn renew(&self, shape: &Shape, leg: &Leg) {
        let place = self.place(&shape.original());
        let Some((_, place)) = place.filter(|(_, place)| shape.is_of(place)) else {
            return;
        };
        let was_told = place.flow.ways[leg.way as usize].hop.load(Relaxed) != 0;
        if was_told && (leg.real.0 as usize) < REALS {
            self.point(place.flow, leg);
        }
    }

    /// Leaves what comes from a connection's client to the filters, and to the director behind them, which
    /// may enter it again. The shard of the connection is locked.
    pub fn withhold(&self, entry: &Entry) {
        if let Some(flow) = self.flow_of(entry) {
            flow.ways[Direction::Original as usize]
                .hop
                .store(0, Release);
        }
    }

    /// Whether the gate forwards by itself the packets of a connection that go this way.
    pub fn forwards(&self, entry: &Entry, way: Direction) -> bool {
        self.flow_of(entry).is_some_and(|flow| {
            let way = &flow.ways[way as usize];
            way.hop.load(Acquire) != 0 && self.holds(flow, way)
        })
    }

    /// Whether the gate leaves packets of a connection to the director that it has forwarded before.
    pub fn is_outdated(&self, entry: &Entry) -> bool {
        let Some(flow) = self.flow_of(entry) else {
            return false;
        };
        let mut told = flow.ways.iter().filter(|way| way.hop.load(Relaxed) != 0);
        told.any(|way| !self.holds(flow, way))
    }

    /// Has each flow of these real servers looked at anew.
    pub fn renew_reals(&self, reals: &[RealId]) {
        if reals.is_empty() {
            return;
        }
        self.version.fetch_add(1, AcqRel);
        for real in reals {
            if let Some(real) = self.shared.reals.get(real.0 as usize) {
                real.era.fetch_add(1, Release);
            }
        }
    }

    /// The same of each flow whose next hop is `outdated`.
    pub fn renew_hops(&self, outdated: impl Fn(&Hop) -> bool) {
        self.version.fetch_add(1, AcqRel);
        self.hops.renew(&self.shared.hops, outdated, self.now());
    }

    /// Whether what the gate has been told of one way of a flow is in force still.
    fn holds(&self, flow: &Flow, way: &Way) -> bool {
        let real = self.shared.reals.get(flow.real.load(Relaxed) as usize);
        real.is_some_and(|real| real.era.load(Relaxed) == way.era.load(Relaxed))
            && Hops::holds(&self.shared.hops, way.hop.load(Relaxed))
    }

    /// Tells one way of a flow where its packets go, unless that may have changed meanwhile.
    fn point(&self, flow: &Flow, leg: &Leg) {
        let Some(hop) = self.hops.number(&self.shared.hops, &leg.hop, self.now()) else {
            return;
        };
        let era = self.shared.reals[leg.real.0 as usize].era.load(Acquire);
        if self.moment() != leg.found {
            return;
        }
        let way = &flow.ways[leg.way as usize];
        let longest = leg.longest.min(u16::MAX.into()) as u16;
        way.longest.store(longest, Relaxed);
        flow.real.store(leg.real.0 as u16, Relaxed);
        way.era.store(era, Relaxed);
        way.hop.store(hop, Release);
    }
}
