//! The ways that a worker's packets have gone last: where others have gone before, a packet needs no
//! look-up of its route. Real servers are few, so that nearly all packets to them find theirs here.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::lost::Lost;
use crate::neighbour::{Fib, Hop, NoHop};
use crate::pool::Pool;
use crate::service::{Service, ServiceKey};
use crate::wire::{Addr, Tuple};

/// How many are known at once, a power of two; an address has one place.
const PLACES: usize = 64;

/// The way to an address.
#[derive(Clone, Copy)]
struct Way {
    to: Addr,
    hop: Hop,
    /// Who speaks to it from here, once that has been asked for.
    source: Option<Addr>,
}

/// What is known, by these snapshots.
pub(super) struct Ways {
    pool: Arc<Pool>,
    fib: Arc<Fib>,
    places: [Cell<Option<Way>>; PLACES],
    /// Of services of which somebody could not be reached.
    lost: RefCell<FxHashMap<ServiceKey, Arc<Lost>>>,
}

impl Ways {
    pub(super) fn new(pool: &Arc<Pool>, fib: &Arc<Fib>) -> Self {
        Self {
            pool: Arc::clone(pool),
            fib: Arc::clone(fib),
            places: std::array::from_fn(|_| Cell::new(None)),
            lost: RefCell::default(),
        }
    }

    /// Forgets all of it when these are other snapshots. Those are held on to until then: what is
    /// still held has its address to itself.
    #[inline]
    pub(super) fn renew(&mut self, pool: &Arc<Pool>, fib: &Arc<Fib>) {
        if !Arc::ptr_eq(&self.pool, pool) || !Arc::ptr_eq(&self.fib, fib) {
            *self = Self::new(pool, fib);
        }
    }

    /// As [`Fib::next_hop`], for a packet of this tuple as it leaves.
    #[inline]
    pub(super) fn next_hop(&self, to: Addr, flow: &Tuple) -> Result<Hop, NoHop> {
        match self.known(to) {
            Some(way) => Ok(way.hop),
            None => self.look_up(to, flow),
        }
    }

    /// An address of the director's own, and no VIP, to speak from to `to` by way of `hop`.
    pub(super) fn source(&self, hop: &Hop, to: Addr) -> Option<Addr> {
        let known = self.known(to);
        if let Some(Way {
            source: Some(source),
            ..
        }) = known
        {
            return Some(source);
        }
        let is_vip = |addr| self.pool.is_vip(addr);
        let source = self.fib.source(hop.port, to, is_vip);
        if let Some(way) = known {
            self.place(to).set(Some(Way { source, ..way }));
        }
        source
    }

    /// The real servers of `service` that no way leads to.
    pub(super) fn lost(&self, service: &Service) -> Arc<Lost> {
        let mut known = self.lost.borrow_mut();
        let look = || Arc::new(Lost::of(service, &self.fib));
        Arc::clone(known.entry(service.key).or_insert_with(look))
    }

    #[inline]
    fn known(&self, to: Addr) -> Option<Way> {
        self.place(to).get().filter(|way| way.to == to)
    }

    /// Keeps the way that all flows to an address take.
    #[inline(never)]
    fn look_up(&self, to: Addr, flow: &Tuple) -> Result<Hop, NoHop> {
        let (hop, is_only) = self.fib.way(to, flow_of(flow));
        let hop = hop?;
        if is_only {
            let source = None;
            self.place(to).set(Some(Way { to, hop, source }));
        }
        Ok(hop)
    }

    #[inline]
    fn place(&self, to: Addr) -> &Cell<Option<Way>> {
        let words = to.words();
        let mixed = (words[2] ^ words[3]).wrapping_mul(0x9e37_79b1);
        &self.places[mixed as usize >> (u32::BITS - PLACES.ilog2())]
    }
}

/// What picks one of several next hops: a hash of the connection, so that this stays on one way, whoever
/// forwards it and whenever. All bits are even, and none is secret.
pub(super) fn flow_of(tuple: &Tuple) -> u64 {
    let ports = u64::from(tuple.src.port) << 16 | u64::from(tuple.dst.port);
    let ends = [tuple.src.addr, tuple.dst.addr];
    let words = ends.into_iter().flat_map(Addr::words).map(u64::from);
    even(words.fold(ports, |hash, word| {
        (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
    }))
}

/// Has each bit hang on all bits (the finalizer of SplitMix64: Steele, Lea and Flood, OOPSLA 2014).
const fn even(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

#[cfg(test)]
mod tests;
