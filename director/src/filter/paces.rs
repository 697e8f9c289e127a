//! Limits of the connections that are opened in a second. The workers hold them, since only they know
//! what opens one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::bucket::{Buckets, Name, Tokens};
use super::{Accused, Limit, MOST_ACCUSED, Pace, Per, Sharer};
use crate::region::Geography;
use crate::time::since_boot;
use crate::wire::Tuple;

/// A limit that holds.
#[derive(Debug)]
struct Held {
    /// Its number among all limits.
    number: usize,
    limit: Limit,
    pace: Pace,
    /// Packets over it.
    over: AtomicU64,
}

impl Held {
    fn of((number, limit): (usize, Limit)) -> Self {
        Self {
            number,
            pace: limit.pace(),
            limit,
            over: AtomicU64::new(0),
        }
    }

    fn concerns(&self, tuple: &Tuple, geography: &Geography) -> bool {
        let Limit { scope, region, .. } = &self.limit;
        let is_there = || region.meets(geography.regions_of(tuple.src.addr));
        scope.concerns(tuple) && (region.is_none() || is_there())
    }

    /// Whose tokens `tuple` takes.
    fn name(&self, tuple: &Tuple) -> Name {
        Name {
            limit: self.number as u8,
            sharer: self.limit.scope.sharer(tuple),
        }
    }
}

#[derive(Debug)]
struct Holding {
    limits: Vec<Held>,
    buckets: Buckets,
    /// Sources that were over a limit too often.
    accused: Mutex<Vec<Accused>>,
}

impl Holding {
    fn new(limits: Vec<Held>) -> Self {
        Self {
            limits,
            buckets: Buckets::new(),
            accused: Mutex::default(),
        }
    }

    fn held(&self, number: usize) -> Option<&Held> {
        self.limits.iter().find(|held| held.number == number)
    }

    fn concerning<'h>(
        &'h self,
        tuple: &Tuple,
        geography: &Geography,
    ) -> impl Iterator<Item = &'h Held> {
        let all = self.limits.iter();
        all.filter(|held| held.concerns(tuple, geography))
    }

    /// A limit of which `tuple` has no token left.
    fn used_up(&self, tuple: &Tuple, geography: &Geography, now: u64) -> Option<&Held> {
        let buckets = &self.buckets;
        let is_empty = |held: &&Held| buckets.is_empty(&held.name(tuple), &held.pace, now);
        self.concerning(tuple, geography).find(is_empty)
    }

    /// Takes a token from all that concern `tuple`, or else from none. Only when two workers take the
    /// last one at once others may lose one.
    fn take(&self, tuple: &Tuple, geography: &Geography, now: u64) -> Result<(), Per> {
        let buckets = &self.buckets;
        let gives_none = |held: &&Held| !buckets.take(&held.name(tuple), &held.pace, now);
        match self
            .used_up(tuple, geography, now)
            .or_else(|| self.concerning(tuple, geography).find(gives_none))
        {
            Some(held) => {
                self.refuse(held, tuple, now);
                Err(held.limit.scope.per)
            }
            None => Ok(()),
        }
    }

    fn refuse(&self, held: &Held, tuple: &Tuple, now: u64) {
        held.over.fetch_add(1, Relaxed);
        if !self.buckets.accuse(&held.name(tuple), &held.pace, now) {
            return;
        }
        let mut accused = self.accused.lock();
        // When there is no room, it is heard of the next time.
        if accused.len() < MOST_ACCUSED {
            accused.push(Accused {
                limit: held.number,
                source: held.limit.source(tuple.src.addr).addr,
            });
        }
    }
}

/// What a sharer has left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// The number of the limit among all.
    pub limit: usize,
    /// Who shares it.
    pub sharer: Sharer,
    /// What there is; nanoseconds since the machine was booted.
    pub tokens: Tokens,
}

fn now() -> u64 {
    since_boot().as_nanos() as u64
}

/// The limits of connections in a second, and what of them is used up.
#[derive(Debug, Default)]
pub struct Paces(ArcSwapOption<Holding>);

impl Paces {
    /// Makes the limits these, with their numbers. They begin with full buckets, and nothing counted.
    pub fn set(&self, limits: impl Iterator<Item = (usize, Limit)>) {
        let limits: Vec<_> = limits.map(Held::of).collect();
        let holding = (!limits.is_empty()).then(|| Arc::new(Holding::new(limits)));
        self.0.store(holding);
    }

    /// Takes a token for the connection that `tuple` opens, or says what has none left.
    ///
    /// # Errors
    /// What shares the limit that refuses it.
    #[inline]
    pub fn take(&self, tuple: &Tuple, geography: &Geography) -> Result<(), Per> {
        match &*self.0.load() {
            Some(holding) => holding.take(tuple, geography, now()),
            None => Ok(()),
        }
    }

    /// The limit that would refuse the connection that `tuple` opens: its number, and what shares it.
    pub fn used_up(&self, tuple: &Tuple, geography: &Geography) -> Option<(usize, Per)> {
        let holding = self.0.load();
        let holding = holding.as_ref()?;
        let held = holding.used_up(tuple, geography, now())?;
        Some((held.number, held.limit.scope.per))
    }

    /// Packets over the limit of this number.
    pub fn over(&self, number: usize) -> u64 {
        let holding = self.0.load();
        let found = holding.as_ref().and_then(|holding| holding.held(number));
        found.map_or(0, |held| held.over.load(Relaxed))
    }

    /// What sharers have left who do not have all: so many of them, those with the least.
    pub fn left(&self, most: usize) -> Vec<Left> {
        self.left_at(most, now())
    }

    fn left_at(&self, most: usize, now: u64) -> Vec<Left> {
        let holding = self.0.load();
        let Some(holding) = &*holding else {
            return Vec::new();
        };
        let taken = holding.buckets.taken_from(now).into_iter();
        let known = taken.filter_map(|(name, tokens)| {
            let limit = usize::from(name.limit);
            let left = tokens.left(&holding.held(limit)?.pace, now);
            let sharer = name.sharer;
            Some((
                left,
                Left {
                    limit,
                    sharer,
                    tokens,
                },
            ))
        });
        let mut all: Vec<_> = known.collect();
        all.sort_by_key(|(left, _)| *left);
        all.truncate(most);
        all.into_iter().map(|(_, left)| left).collect()
    }

    /// Gives sharers what they had left of the limits before, which are the same.
    pub fn go_on(&self, left: impl IntoIterator<Item = Left>) {
        self.go_on_at(left, now());
    }

    fn go_on_at(&self, left: impl IntoIterator<Item = Left>, now: u64) {
        let holding = self.0.load();
        let Some(holding) = &*holding else {
            return;
        };
        for Left {
            limit,
            sharer,
            tokens,
        } in left
        {
            let Some(held) = holding.held(limit) else {
                continue;
            };
            let Pace { share, ahead, .. } = held.pace;
            let name = Name {
                limit: held.number as u8,
                sharer,
            };
            let full = tokens.full.min(now + ahead + share);
            holding.buckets.go_on(&name, Tokens { full, ..tokens }, now);
        }
    }

    /// Sources that were over a limit too often since this was asked last.
    pub fn accused(&self) -> Vec<Accused> {
        let holding = self.0.load();
        let accused = holding.as_ref().map(|holding| &holding.accused);
        accused.map_or_else(Vec::new, |accused| std::mem::take(&mut *accused.lock()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::testing::POLICY;
    use crate::filter::{BanPolicy, Of, Scope};
    use crate::region::Regions;
    use crate::wire::{Addr, Endpoint, Protocol};

    fn tuple(client: [u8; 4], port: u16) -> Tuple {
        Tuple {
            protocol: Protocol::Udp,
            src: Endpoint::new(Addr::v4(client), port),
            dst: Endpoint::new(Addr::v4([192, 0, 2, 1]), 53),
        }
    }

    /// A connection a second, and so many at once.
    fn limit(per: Per, burst: u32) -> Limit {
        Limit {
            of: Of::Connections,
            rate: 1,
            burst,
            scope: Scope {
                per,
                bits_v4: 24,
                bits_v6: 64,
                service: None,
            },
            region: Regions::default(),
            ban: None,
        }
    }

    fn paces(limits: &[Limit]) -> Paces {
        let paces = Paces::default();
        paces.set(limits.iter().copied().enumerate());
        paces
    }

    /// Who gets how many of ten at one moment.
    fn given(paces: &Paces, client: [u8; 4]) -> usize {
        let holding = paces.0.load();
        let holding = holding.as_ref().unwrap();
        let take = |port: &u16| {
            let taken = holding.take(&tuple(client, *port), &Geography::default(), 5);
            taken.is_ok()
        };
        (0..10).filter(take).count()
    }

    #[test]
    fn each_source_has_a_bucket_and_each_service() {
        let sources = paces(&[limit(Per::Source, 3)]);
        assert_eq!(given(&sources, [10, 0, 0, 1]), 3);
        assert_eq!(given(&sources, [10, 0, 0, 2]), 0, "it is of that network");
        assert_eq!(given(&sources, [10, 0, 1, 1]), 3);
        assert_eq!((sources.over(0), sources.over(1)), (24, 0));
        let services = paces(&[limit(Per::Service, 3)]);
        assert_eq!(given(&services, [10, 0, 0, 1]), 3);
        assert_eq!(given(&services, [10, 0, 1, 1]), 0);
        assert_eq!(
            paces(&[]).take(&tuple([10, 0, 0, 1], 1), &Geography::default()),
            Ok(())
        );
    }

    #[test]
    fn what_one_limit_refuses_takes_nothing_from_another() {
        for order in [[Per::Source, Per::Service], [Per::Service, Per::Source]] {
            let limits = order.map(|per| match per {
                Per::Source => limit(per, 2),
                Per::Service => limit(per, 5),
            });
            let paces = paces(&limits);
            assert_eq!(given(&paces, [10, 0, 0, 1]), 2, "{order:?}");
            assert_eq!(given(&paces, [10, 0, 1, 1]), 2, "{order:?}");
            assert_eq!(given(&paces, [10, 0, 2, 1]), 1, "{order:?}");
        }
    }

    #[test]
    fn the_next_one_goes_on_with_what_is_left() {
        let limits = [limit(Per::Service, 5), limit(Per::Source, 3)];
        let former = paces(&limits);
        assert_eq!(given(&former, [10, 0, 0, 1]), 3);
        assert_eq!(given(&former, [10, 0, 1, 1]), 2);
        let left = former.left_at(2, 5);
        assert_eq!(left.len(), 2, "two at most, of three");
        let who = left.iter().map(|left| (left.limit, left.sharer));
        let addr = Addr::v4([10, 0, 0, 0]);
        let service = tuple([0; 4], 0);
        let least = [
            (0, Sharer::Service(service.protocol, service.dst)),
            (1, Sharer::Source(addr)),
        ];
        assert!(who.clone().all(|one| least.contains(&one)), "{left:?}");
        assert_eq!(
            former.left_at(9, 10_000_000_000),
            [],
            "all are full by then"
        );
        let next = paces(&limits);
        next.go_on_at(former.left_at(9, 5), 5);
        for client in [[10, 0, 0, 1], [10, 0, 1, 1], [10, 0, 2, 1]] {
            assert_eq!(given(&next, client), 0);
        }
        let ordered = |paces: &Paces| {
            let mut all = paces.left_at(9, 5);
            all.sort_by_key(|left| (left.limit, left.tokens.full));
            all
        };
        assert_eq!(ordered(&next), ordered(&former));
    }

    #[test]
    fn what_no_taking_could_have_left_ends_as_what_could() {
        let next = paces(&[limit(Per::Source, 3)]);
        let tokens = Tokens {
            full: u64::MAX,
            ..Tokens::default()
        };
        let left = |limit| Left {
            limit,
            sharer: Sharer::Source(Addr::v4([10, 0, 0, 0])),
            tokens,
        };
        next.go_on_at([left(0), left(7)], 5);
        let now = next.left_at(9, 5);
        assert_eq!(now.len(), 1, "there is no limit 7");
        assert_eq!(now[0].tokens.full, 5 + 3_000_000_000);
    }

    #[test]
    fn who_is_over_it_too_often_is_accused_once_for_each_time() {
        let ban = BanPolicy { over: 4, ..POLICY };
        let limits = [
            limit(Per::Service, 1000),
            Limit {
                ban: Some(ban),
                ..limit(Per::Source, 2)
            },
        ];
        let paces = paces(&limits);
        given(&paces, [10, 0, 0, 7]);
        let accused = Accused {
            limit: 1,
            source: Addr::v4([10, 0, 0, 0]),
        };
        assert_eq!(paces.accused(), [accused, accused]);
        assert_eq!(paces.accused(), []);
    }
}
