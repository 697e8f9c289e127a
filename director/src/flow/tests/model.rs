//! Any list of operations, against a map.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::flow::place::Keyed;
use crate::flow::plan::Plan;
use crate::time::Ticks;

#[derive(Clone, Debug)]
enum Op {
    Insert(Tuple, u32, Class, u32),
    Establish(Tuple),
    Touch(Tuple, u32),
    Remove(Tuple),
    Expire(u32),
}

fn any_tuple() -> impl Strategy<Value = Tuple> {
    let protocol = prop::sample::select(&[Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
    (protocol, 0..40_u16, 0..VIPS).prop_map(|(protocol, client, vip)| tuple(protocol, client, vip))
}

fn any_class() -> impl Strategy<Value = Class> {
    prop_oneof![
        Just(Class::HalfOpen),
        Just(Class::Unverified),
        Just(Class::Closing),
        Just(Class::Answered),
        Just(Class::Established),
    ]
}

/// Spans up to minutes, hours and 31 days.
fn any_span() -> impl Strategy<Value = u32> {
    prop_oneof![0..2_000_u32, 0..100_000_u32, 0..=26_784_000_u32]
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (any_tuple(), 0..REALS, any_class(), any_span())
            .prop_map(|(tuple, real, class, span)| Op::Insert(tuple, real, class, span)),
        2 => any_tuple().prop_map(Op::Establish),
        2 => (any_tuple(), any_span()).prop_map(|(tuple, span)| Op::Touch(tuple, span)),
        2 => any_tuple().prop_map(Op::Remove),
        2 => any_span().prop_map(Op::Expire),
    ]
}

/// What a connection should be: its real server and when it dies.
type Model = HashMap<Tuple, (u32, Tick)>;

struct Pair {
    table: Table,
    model: Model,
    now: Tick,
}

impl Pair {
    fn apply(&mut self, op: Op) {
        match op {
            Op::Insert(tuple, real, class, span) => self.insert(tuple, real, class, span),
            Op::Establish(tuple) if self.model.contains_key(&tuple) => {
                for gone in establish(&self.table, &tuple) {
                    assert!(self.model.remove(&gone).is_some());
                }
                assert_eq!(
                    look_up(&self.table, &tuple).unwrap().class(),
                    Class::Established
                );
            }
            Op::Touch(tuple, span) => {
                if let Some((_, expires)) = self.model.get_mut(&tuple) {
                    *expires = self.now.after(Ticks(span));
                    with(&self.table, &tuple, |shard, handle| {
                        shard.touch(handle, *expires);
                    });
                }
            }
            Op::Remove(tuple) => {
                let closed = self.table.close(&tuple).map(|entry| entry.original());
                assert_eq!(closed, self.model.remove(&tuple).map(|_| tuple));
            }
            Op::Expire(span) => self.expire(span),
            Op::Establish(_) => {}
        }
    }

    fn insert(&mut self, tuple: Tuple, real: u32, class: Class, span: u32) {
        let expires = self.now.after(Ticks(span));
        let same_reply =
            |(old, &(its, _)): (&Tuple, &(u32, Tick))| reply(old, its) == reply(&tuple, real);
        let answered = real != ONE_WAY_REAL;
        let taken = answered && self.model.iter().any(same_reply);
        let known = self.model.contains_key(&tuple);
        let (inserted, gone) = try_insert(&self.table, &tuple, real, class, expires);
        for gone in gone {
            assert!(self.model.remove(&gone).is_some());
        }
        match inserted {
            Ok(()) => {
                assert!(!known && !taken);
                self.model.insert(tuple, (real, expires));
            }
            Err(Refused::Exists) => assert!(known),
            Err(Refused::ReplyTaken) => assert!(taken),
            Err(Refused::Full) => assert!(class < Class::Answered && !self.model.is_empty()),
        }
    }

    /// Goes on in time; in the end nothing is left that is dead for a second, and nothing was
    /// taken that lives.
    fn expire(&mut self, span: u32) {
        self.now = self.now.after(Ticks(span));
        for shard in 0..self.table.shards() {
            let mut gone = Vec::new();
            while self.table.expire(shard, self.now, 500, &mut |dead, why| {
                assert_eq!(why, Departed::Expired);
                gone.push(dead.original());
            }) {}
            for gone in gone {
                let (_, expires) = self.model.remove(&gone).unwrap();
                assert!(expires <= self.now, "{gone:?} died too early");
            }
        }
        for (tuple, (_, expires)) in &self.model {
            let late = expires.until(self.now);
            assert!(late < Ticks::seconds(1), "{tuple:?} should be dead");
        }
    }

    fn check(&self) {
        assert_consistent(&self.table);
        assert_eq!(self.table.len(), self.model.len());
        for (tuple, &(real, expires)) in &self.model {
            let entry = look_up(&self.table, tuple).unwrap();
            assert_eq!(entry.original(), *tuple);
            assert_eq!((entry.real().0, entry.expires()), (real, expires));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn any_list_of_operations_agrees_with_a_map(
        ops in prop::collection::vec(any_op(), 1..400),
        roomy in any::<bool>(),
    ) {
        let (connections, half_open) = if roomy { (1000, 1000) } else { (12, 4) };
        let mut pair = Pair {
            table: table(connections, half_open),
            model: Model::new(),
            now: Tick(0),
        };
        for op in ops {
            pair.apply(op);
        }
        pair.check();
    }

    /// An index that is too small for its slab, or shards that are too small for the limits:
    /// slots are passed on, entries evicted or refused, and none is lost.
    #[test]
    fn a_crowded_shard_loses_nothing(
        ops in prop::collection::vec(any_op(), 1..600),
        key in any::<[u64; 2]>(),
        crowded_index in any::<bool>(),
    ) {
        let plan = if crowded_index {
            Plan { shards: 2, main: 100, half_open: 100, buckets: 3 }
        } else {
            Plan { shards: 2, main: 5, half_open: 3, buckets: 40 }
        };
        let mut pair = Pair {
            table: Table::with(&limits(200, 200), plan, Keyed::with_key(key), None, Tick(0)).unwrap(),
            model: Model::new(),
            now: Tick(0),
        };
        for op in ops {
            pair.apply(op);
        }
        pair.check();
    }
}
