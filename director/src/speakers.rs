//! The addresses that the director itself speaks from to the real servers of FullNAT, and the
//! ports that it has there.
//!
//! A port belongs to the shard of the table that its number modulo their count says: an answer,
//! which does not name the client, is found by it. A connection looks for a free port among those
//! of its own shard, so nothing is locked and nothing is kept that the table does not know; a
//! port is free again when its connection leaves. The same port serves once for each endpoint of
//! a real server.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::flow::{Entry, Lot};
use crate::wire::{Addr, Endpoint};

/// Ports that are tried before a connection is given up, or takes that of a lesser one.
const TRIES: u32 = 32;

/// One of the addresses.
#[derive(Clone, Debug)]
struct Speaker {
    addr: Addr,
    /// Whether new connections may have it.
    listed: bool,
    /// Connections that have it.
    used: Arc<AtomicU32>,
}

/// An address and a port to speak from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice {
    /// The number of the address, which a connection remembers.
    pub id: u16,
    /// Address and port.
    pub endpoint: Endpoint,
}

/// All of them. The place of an address is its number: it stays where it is as long as a
/// connection remembers it.
#[derive(Clone, Debug)]
pub struct Speakers {
    places: Vec<Option<Speaker>>,
    ports: RangeInclusive<u16>,
}

impl Default for Speakers {
    fn default() -> Self {
        Self::new(Self::PORTS)
    }
}

impl Speakers {
    /// The ports unless the configuration says otherwise.
    pub const PORTS: RangeInclusive<u16> = 1024..=u16::MAX;
    /// Addresses of a family at most.
    pub const MOST: usize = 256;

    /// None yet.
    pub const fn new(ports: RangeInclusive<u16>) -> Self {
        Self {
            places: Vec::new(),
            ports,
        }
    }

    /// The ports of each address.
    pub const fn ports(&self) -> &RangeInclusive<u16> {
        &self.ports
    }

    /// The listed ones, with the connections that each has.
    pub fn listed(&self) -> impl Iterator<Item = (Addr, u32)> + '_ {
        let all = self.places.iter().flatten();
        all.filter(|speaker| speaker.listed)
            .map(|speaker| (speaker.addr, speaker.used.load(Relaxed)))
    }

    /// Connections that an endpoint of a real server can have, by the family of its address.
    pub fn capacity(&self, is_v4: bool) -> u64 {
        let ports = self.ports.len() as u64;
        self.of_family(is_v4).count() as u64 * ports
    }

    /// Makes `addrs` the listed ones. An address that is listed no more keeps its place until
    /// [`Speakers::reap`].
    pub fn list(&mut self, addrs: &[Addr]) {
        for speaker in self.places.iter_mut().flatten() {
            speaker.listed = addrs.contains(&speaker.addr);
        }
        for &addr in addrs {
            if !self.has(addr) {
                self.add(addr);
            }
        }
    }

    /// The numbers of all addresses.
    pub fn numbers(&self) -> impl Iterator<Item = (u16, Addr)> + '_ {
        let places = (0..).zip(&self.places);
        places.filter_map(|(id, place)| Some((id, place.as_ref()?.addr)))
    }

    /// Gives an address that is not listed the number that it had with another process.
    pub fn remember(&mut self, id: u16, addr: Addr) {
        let id = usize::from(id);
        if self.places.len() <= id {
            self.places.resize(id + 1, None);
        }
        if self.places[id].is_none() && !self.has(addr) {
            self.places[id] = Some(Speaker {
                addr,
                listed: false,
                used: Arc::default(),
            });
        }
    }

    fn add(&mut self, addr: Addr) {
        let speaker = Some(Speaker {
            addr,
            listed: true,
            used: Arc::default(),
        });
        match self.places.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = speaker,
            None => self.places.push(speaker),
        }
    }

    /// Forgets addresses that are listed no more and have no connections; true when there were
    /// any. To be called only when no worker can hold a snapshot in which they were listed.
    pub fn reap(&mut self) -> bool {
        let mut any = false;
        for place in &mut self.places {
            let gone = |speaker: &Speaker| !speaker.listed && speaker.used.load(Relaxed) == 0;
            if place.as_ref().is_some_and(gone) {
                *place = None;
                any = true;
            }
        }
        any
    }

    /// Whether there is an address that is listed no more.
    pub fn has_unlisted(&self) -> bool {
        self.places.iter().flatten().any(|speaker| !speaker.listed)
    }

    /// Whether the director speaks from this address.
    #[inline]
    pub fn has(&self, addr: Addr) -> bool {
        self.places.iter().flatten().any(|s| s.addr == addr)
    }

    /// Whom a real server talks to: the client, or the director in the client's stead.
    #[inline]
    pub fn peer(&self, entry: &Entry) -> Endpoint {
        match entry.local_port {
            0 => entry.client(),
            port => Endpoint::new(self.address(entry.local_id), port),
        }
    }

    #[inline(never)]
    fn address(&self, id: u16) -> Addr {
        let speaker = self.places.get(usize::from(id)).and_then(Option::as_ref);
        speaker.map_or(Addr::default(), |speaker| speaker.addr)
    }

    /// What a connection of `lot` may speak from, the best first: a bounded number of voices in
    /// an order that nobody outside can guess, the same whenever the client comes from the same
    /// port, so that a real server in TIME_WAIT meets the client that it knows.
    pub fn candidates(&self, is_v4: bool, lot: Lot) -> impl Iterator<Item = Voice> + '_ {
        let ports = Ports::of(&self.ports, lot);
        let addrs = self.of_family(is_v4).count() as u32;
        lot.order(addrs * ports.count, TRIES).filter_map(move |n| {
            let (id, addr) = self.of_family(is_v4).nth((n % addrs) as usize)?;
            Some(Voice {
                id,
                endpoint: Endpoint::new(addr, ports.at(n / addrs)),
            })
        })
    }

    fn of_family(&self, is_v4: bool) -> impl Iterator<Item = (u16, Addr)> + '_ {
        let places = (0..).zip(&self.places);
        let speakers = places.filter_map(|(id, place)| Some((id, place.as_ref()?)));
        speakers
            .filter(move |(_, speaker)| speaker.listed && speaker.addr.is_v4() == is_v4)
            .map(|(id, speaker)| (id, speaker.addr))
    }

    /// A connection has come.
    pub fn enter(&self, entry: &Entry) {
        if let Some(used) = self.used(entry) {
            used.fetch_add(1, Relaxed);
        }
    }

    /// A connection has gone.
    #[inline]
    pub fn leave(&self, entry: &Entry) {
        if let Some(used) = self.used(entry) {
            used.fetch_sub(1, Relaxed);
        }
    }

    #[inline]
    fn used(&self, entry: &Entry) -> Option<&AtomicU32> {
        if entry.local_port == 0 {
            return None;
        }
        let place = self.places.get(usize::from(entry.local_id))?;
        place.as_ref().map(|speaker| &*speaker.used)
    }
}

/// The ports of one shard.
#[derive(Clone, Copy, Debug)]
struct Ports {
    first: u16,
    step: u32,
    count: u32,
}

impl Ports {
    fn of(all: &RangeInclusive<u16>, lot: Lot) -> Self {
        let (start, end) = (u32::from(*all.start()), u32::from(*all.end()));
        let step = lot.shards;
        let first = start + (lot.shard + step - start % step) % step;
        Self {
            first: first as u16,
            step,
            count: match first > end {
                true => 0,
                false => (end - first) / step + 1,
            },
        }
    }

    const fn at(self, n: u32) -> u16 {
        self.first + (n * self.step) as u16
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn addr(n: u8) -> Addr {
        Addr::from(std::net::IpAddr::from([192, 0, 2, n]))
    }

    fn lot(seed: u32, shard: u32, shards: u32) -> Lot {
        Lot {
            seed,
            shard,
            shards,
        }
    }

    #[test]
    fn the_shards_share_all_ports_among_them() {
        for shards in [1, 2, 16, 256] {
            for ports in [Speakers::PORTS, 1024..=2047, 40_001..=50_003] {
                let mut seen = HashSet::new();
                for shard in 0..shards {
                    let mine = Ports::of(&ports, lot(0, shard, shards));
                    for port in (0..mine.count).map(|n| mine.at(n)) {
                        assert_eq!(u32::from(port) % shards, shard);
                        assert!(ports.contains(&port) && seen.insert(port));
                    }
                }
                assert_eq!(seen.len(), ports.len());
            }
        }
    }

    #[test]
    fn candidates_are_few_of_the_family_and_repeat_for_the_same_client() {
        let mut speakers = Speakers::default();
        speakers.list(&[
            addr(1),
            addr(2),
            "2001:db8::1".parse::<std::net::IpAddr>().unwrap().into(),
        ]);
        let ask = |seed| -> Vec<_> { speakers.candidates(true, lot(seed, 3, 16)).collect() };
        let first = ask(12345);
        assert_eq!(first.len(), TRIES as usize);
        assert!(
            first
                .iter()
                .all(|v| v.endpoint.addr.is_v4() && v.endpoint.port % 16 == 3)
        );
        assert!(
            [0, 1]
                .iter()
                .all(|id| first.iter().any(|voice| voice.id == *id))
        );
        assert_eq!(first, ask(12345));
        assert_ne!(first, ask(54321));
    }

    #[test]
    fn a_small_range_is_tried_in_full() {
        let mut speakers = Speakers::new(1024..=1055);
        speakers.list(&[addr(1), addr(2)]);
        let all: HashSet<_> = speakers
            .candidates(true, lot(77, 1, 4))
            .map(|voice| voice.endpoint)
            .collect();
        assert_eq!(all.len(), 16);
        assert_eq!(speakers.capacity(true), 64);
        assert_eq!(speakers.capacity(false), 0);
        assert_eq!(speakers.candidates(false, lot(77, 1, 4)).count(), 0);
    }

    #[test]
    fn an_address_keeps_its_number_as_long_as_it_is_used() {
        let mut speakers = Speakers::default();
        speakers.list(&[addr(1), addr(2)]);
        let mut entry = Entry::default();
        (entry.local_id, entry.local_port) = (0, 5000);
        speakers.enter(&entry);
        speakers.list(&[addr(2), addr(3)]);
        assert!(!speakers.reap() && speakers.has_unlisted());
        assert_eq!(speakers.peer(&entry), Endpoint::new(addr(1), 5000));
        assert!(
            speakers
                .candidates(true, lot(1, 0, 1))
                .all(|voice| voice.id != 0)
        );
        speakers.leave(&entry);
        assert!(speakers.reap() && !speakers.has_unlisted());
        assert!(!speakers.has(addr(1)));
        speakers.list(&[addr(2), addr(3), addr(4)]);
        let listed: Vec<_> = speakers.listed().collect();
        assert_eq!(listed, [(addr(4), 0), (addr(2), 0), (addr(3), 0)]);
    }
}
