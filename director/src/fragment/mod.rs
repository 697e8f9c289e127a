//! Where the fragments of datagrams go. The first one alone has ports, and so chooses the way;
//! the others follow it. Nothing is put together.
//!
//! ```text
//!                 open                     follow
//!   (unknown) -----------> opening ------> going -------> complete: forgotten
//!       ^                    |   | refuse    | overlap
//!       '------ forget ------'   '--------> refused       each forgotten after 30 s
//! ```
//!
//! One table for all workers, since a NIC may put the fragments of one datagram into several
//! queues. It is of fixed size: eight places a bucket, picked by a keyed hash. Only a first
//! fragment that was let through takes a place, and of those that are there a random one gives
//! way; fragments without a first one take none.

mod coverage;

use std::hash::Hasher;

use parking_lot::Mutex;
use siphasher::sip::SipHasher13;

use crate::time::{Tick, Ticks};
use crate::wire::{Addr, Fragment, Span};
use coverage::{Coverage, Misfit};

/// Buckets of the table; with eight places each it has 8192.
const BUCKETS: usize = 1024;
const PLACES: usize = 8;

/// How long a datagram may take (`ipfrag_time`).
const LIFETIME: Ticks = Ticks::seconds(30);

/// What the fragments of one datagram share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    addrs: [Addr; 2],
    ident: u64,
}

/// A datagram's name in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    key: Key,
    bucket: usize,
}

/// What is known of the way of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way<W> {
    /// Nothing yet: its first fragment has not been seen, or is just being looked at.
    Unknown,
    /// It goes this way.
    Known(W),
    /// It goes no further.
    Refused,
}

/// Why a fragment may not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// What it holds has gone already, all or in part.
    Overlap,
    /// There are more pieces or gaps than can be remembered.
    NoRoom,
    /// Its datagram goes no further.
    Datagram,
}

#[derive(Clone, Copy, Debug)]
struct Datagram<W> {
    key: Key,
    until: Tick,
    way: Way<W>,
    coverage: Coverage,
}

type Bucket<W> = [Option<Datagram<W>>; PLACES];

/// The datagrams whose fragments are under way, and the ways `W` that they go.
pub struct Fragments<W> {
    buckets: Box<[Mutex<Bucket<W>>]>,
    keyed: SipHasher13,
}

impl<W: Copy> Default for Fragments<W> {
    fn default() -> Self {
        let [k0, k1] = rand::random();
        Self {
            buckets: (0..BUCKETS).map(|_| Mutex::new([None; PLACES])).collect(),
            keyed: SipHasher13::new_with_keys(k0, k1),
        }
    }
}

impl<W: Copy> Fragments<W> {
    /// The name of the datagram that `fragment` is of.
    pub fn name(&self, fragment: &Fragment) -> Name {
        let Fragment { addrs, ident, .. } = *fragment;
        let mut hasher = self.keyed;
        addrs.iter().for_each(|addr| hasher.write(addr.octets()));
        hasher.write_u64(ident);
        Name {
            key: Key { addrs, ident },
            bucket: hasher.finish() as usize % BUCKETS,
        }
    }

    /// The way of a datagram.
    pub fn way(&self, name: &Name, now: Tick) -> Way<W> {
        let mut bucket = self.buckets[name.bucket].lock();
        find(&mut bucket, name, now).map_or(Way::Unknown, |datagram| datagram.way)
    }

    /// Begins with a first fragment. Until its way is said ([`Fragments::follow`],
    /// [`Fragments::refuse`]) or it is given up ([`Fragments::forget`]) nobody else may.
    ///
    /// # Errors
    /// [`Refused::Overlap`] when the datagram has a first fragment.
    pub fn open(&self, name: &Name, now: Tick) -> Result<(), Refused> {
        let mut bucket = self.buckets[name.bucket].lock();
        if find(&mut bucket, name, now).is_some() {
            return Err(Refused::Overlap);
        }
        let place = yielding(&bucket, now);
        bucket[place] = Some(Datagram {
            key: name.key,
            until: now.after(LIFETIME),
            way: Way::Unknown,
            coverage: Coverage::default(),
        });
        Ok(())
    }

    /// Has the datagram go the way of its first fragment, which holds `first`.
    pub fn follow(&self, name: &Name, first: &Span, way: W, now: Tick) {
        self.change(name, now, |datagram| {
            datagram.way = match datagram.coverage.add(first) {
                Ok(_) => Way::Known(way),
                Err(_) => Way::Refused,
            };
        });
    }

    /// Has the datagram go no further.
    pub fn refuse(&self, name: &Name, now: Tick) {
        self.change(name, now, |datagram| datagram.way = Way::Refused);
    }

    /// Has the datagram begin again with its first fragment.
    pub fn forget(&self, name: &Name) {
        let mut bucket = self.buckets[name.bucket].lock();
        let its = |place: &&mut Option<_>| is_of(place, name);
        if let Some(place) = bucket.iter_mut().find(its) {
            *place = None;
        }
    }

    /// Takes note that the part `span` of a datagram goes on now. A complete datagram is
    /// forgotten.
    ///
    /// # Errors
    /// When it may not.
    pub fn pass(&self, name: &Name, span: &Span, now: Tick) -> Result<(), Refused> {
        let mut bucket = self.buckets[name.bucket].lock();
        let datagram = find(&mut bucket, name, now).ok_or(Refused::NoRoom)?;
        if matches!(datagram.way, Way::Refused) {
            return Err(Refused::Datagram);
        }
        let refused = match datagram.coverage.add(span) {
            Ok(false) => return Ok(()),
            Ok(true) => {
                drop(bucket);
                self.forget(name);
                return Ok(());
            }
            Err(Misfit::Duplicate) => return Err(Refused::Overlap),
            Err(Misfit::Overlap) => Refused::Overlap,
            Err(Misfit::Scattered) => Refused::NoRoom,
        };
        datagram.way = Way::Refused;
        Err(refused)
    }

    fn change(&self, name: &Name, now: Tick, change: impl FnOnce(&mut Datagram<W>)) {
        let mut bucket = self.buckets[name.bucket].lock();
        if let Some(datagram) = find(&mut bucket, name, now) {
            change(datagram);
        }
    }
}

fn is_of<W>(place: &Option<Datagram<W>>, name: &Name) -> bool {
    place
        .as_ref()
        .is_some_and(|datagram| datagram.key == name.key)
}

fn find<'b, W>(bucket: &'b mut Bucket<W>, name: &Name, now: Tick) -> Option<&'b mut Datagram<W>> {
    let its = |place: &&mut Option<Datagram<W>>| is_of(place, name);
    let datagram = bucket.iter_mut().find(its)?.as_mut();
    datagram.filter(|datagram| now < datagram.until)
}

/// The place that a newcomer takes: one that is free, else that of a datagram which goes no
/// further, else any.
fn yielding<W>(bucket: &Bucket<W>, now: Tick) -> usize {
    let is_free =
        |place: &Option<Datagram<W>>| place.as_ref().is_none_or(|datagram| now >= datagram.until);
    let is_refused = |place: &Option<Datagram<W>>| {
        place
            .as_ref()
            .is_some_and(|d| matches!(d.way, Way::Refused))
    };
    let free = bucket.iter().position(is_free);
    free.or_else(|| bucket.iter().position(is_refused))
        .unwrap_or_else(|| usize::from(rand::random::<u8>()) % PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Layout, Piece, Version};

    fn fragment(ident: u64) -> Fragment {
        Fragment {
            layout: Layout {
                version: Version::V4,
                network: 14,
                transport: 34,
                end: 50,
                piece: Piece::Later,
            },
            addrs: [Addr::v4([192, 0, 2, 1]), Addr::v4([192, 0, 2, 2])],
            ident,
            span: part(16, 32),
            tuple: None,
        }
    }

    fn part(start: u16, end: u16) -> Span {
        Span {
            start,
            end,
            is_last: false,
        }
    }

    const NOW: Tick = Tick(1000);

    #[test]
    fn the_first_fragment_shows_the_way() {
        let table = Fragments::default();
        let name = table.name(&fragment(1));
        assert_eq!(table.way(&name, NOW), Way::Unknown);
        table.open(&name, NOW).unwrap();
        assert_eq!(table.way(&name, NOW), Way::Unknown, "not chosen yet");
        assert_eq!(table.open(&name, NOW), Err(Refused::Overlap), "once");
        table.follow(&name, &part(0, 16), 'w', NOW);
        assert_eq!(table.way(&name, NOW), Way::Known('w'));
        assert_eq!(table.way(&table.name(&fragment(2)), NOW), Way::Unknown);
        assert_eq!(table.pass(&name, &part(16, 32), NOW), Ok(()));
        let last = Span {
            is_last: true,
            ..part(32, 40)
        };
        assert_eq!(table.pass(&name, &last, NOW), Ok(()));
        assert_eq!(table.way(&name, NOW), Way::Unknown, "complete: forgotten");
    }

    #[test]
    fn an_overlap_ends_the_datagram_and_a_duplicate_itself_alone() {
        let table = Fragments::default();
        let name = table.name(&fragment(1));
        table.open(&name, NOW).unwrap();
        table.follow(&name, &part(0, 16), 'w', NOW);
        assert_eq!(table.pass(&name, &part(0, 16), NOW), Err(Refused::Overlap));
        assert_eq!(table.way(&name, NOW), Way::Known('w'));
        assert_eq!(table.pass(&name, &part(8, 24), NOW), Err(Refused::Overlap));
        assert_eq!(table.way(&name, NOW), Way::Refused);
        assert_eq!(
            table.pass(&name, &part(16, 32), NOW),
            Err(Refused::Datagram)
        );
    }

    #[test]
    fn a_datagram_has_its_time() {
        let table = Fragments::default();
        let name = table.name(&fragment(1));
        table.open(&name, NOW).unwrap();
        table.refuse(&name, NOW);
        let Ticks(lifetime) = LIFETIME;
        let later = |ticks| Tick(NOW.0 + lifetime + ticks);
        assert_eq!(table.way(&name, Tick(later(0).0 - 1)), Way::Refused);
        assert_eq!(table.way(&name, later(0)), Way::Unknown);
        table.open(&name, later(0)).unwrap();
        table.forget(&name);
        table.open(&name, later(0)).unwrap();
        table.follow(&name, &part(0, 16), 'x', later(0));
        assert_eq!(table.way(&name, later(0)), Way::Known('x'));
    }

    #[test]
    fn a_flood_finds_a_bounded_table_and_takes_refused_ones_first() {
        let table = Fragments::default();
        for ident in 0..100_000 {
            let name = table.name(&fragment(ident));
            table.open(&name, NOW).unwrap();
            table.refuse(&name, NOW);
        }
        let name = table.name(&fragment(u64::MAX));
        table.open(&name, NOW).unwrap();
        table.follow(&name, &part(0, 16), 'w', NOW);
        for ident in 0..100_000 {
            let name = table.name(&fragment(1 << 40 | ident));
            table.open(&name, NOW).unwrap();
            table.refuse(&name, NOW);
        }
        assert_eq!(table.way(&name, NOW), Way::Known('w'));
    }
}
