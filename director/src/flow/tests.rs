//! The table as its users see it, against a model.

use std::collections::HashMap;

use proptest::prelude::*;

use super::place::Keyed;
use super::table::Plan;
use super::*;
use crate::service::RealId;
use crate::time::{Tick, Ticks};
use crate::wire::{Addr, Endpoint, Protocol, Tuple};

const VIPS: u8 = 3;
const REALS: u32 = 3;

fn endpoint(net: u8, host: u16, port: u16) -> Endpoint {
    let [high, low] = host.to_be_bytes();
    Endpoint::new(Addr::v4([10, net, high, low]), port)
}

fn tuple(protocol: Protocol, client: u16, vip: u8) -> Tuple {
    Tuple {
        protocol,
        src: endpoint(1, client, 40_000),
        dst: endpoint(2, u16::from(vip), 80),
    }
}

fn tcp(client: u16) -> Tuple {
    tuple(Protocol::Tcp, client, 0)
}

fn real_endpoint(real: u32) -> Endpoint {
    endpoint(3, real as u16, 8080)
}

fn reply(original: &Tuple, real: u32) -> Tuple {
    Tuple {
        protocol: original.protocol,
        src: real_endpoint(real),
        dst: original.src,
    }
}

fn limits(connections: usize, half_open: usize) -> Limits {
    Limits {
        connections,
        half_open,
        workers: 1,
    }
}

fn table(connections: usize, half_open: usize) -> Table {
    Table::new(&limits(connections, half_open)).unwrap()
}

/// Inserts, and returns who had to go.
fn try_insert(
    table: &Table,
    original: &Tuple,
    real: u32,
    class: Class,
    expires: Tick,
) -> (Result<(), Refused>, Vec<Tuple>) {
    let forth = table.locate(Direction::Original, original);
    let back = table.locate(Direction::Reply, &reply(original, real));
    let port = real_endpoint(real).port;
    let entry = Entry::new(original, RealId(real), port, class, expires);
    let mut gone = Vec::new();
    let inserted = table
        .lock(&forth)
        .insert(entry, &forth, &back, &mut |dead, why| {
            assert_eq!(why, Departed::Evicted);
            gone.push(dead.original());
        });
    (inserted.map(|_| ()), gone)
}

fn insert(table: &Table, original: &Tuple, class: Class) -> Vec<Tuple> {
    let (inserted, gone) = try_insert(table, original, 0, class, Tick(600));
    inserted.unwrap();
    gone
}

/// What the table holds under `original`: looked for in both directions, which must agree.
fn look_up(table: &Table, original: &Tuple) -> Option<Entry> {
    let forth = table.locate(Direction::Original, original);
    let shard = table.lock(&forth);
    let handle = shard.find(&forth, |entry| entry.matches_original(original))?;
    let entry = *shard.entry(handle);
    drop(shard);
    let real = entry.real().0;
    let tuple = reply(original, real);
    let back = table.locate(Direction::Reply, &tuple);
    let rip = real_endpoint(real).addr;
    let found = table
        .lock(&back)
        .find(&back, |entry| entry.matches_reply(&tuple, rip));
    assert_eq!(found, Some(handle), "the reply of {original:?}");
    Some(entry)
}

/// Runs `act` on the connection `original`, which must be there.
fn with<R>(table: &Table, original: &Tuple, act: impl FnOnce(&mut Shard<'_>, Handle) -> R) -> R {
    let place = table.locate(Direction::Original, original);
    let mut shard = table.lock(&place);
    let handle = shard
        .find(&place, |entry| entry.matches_original(original))
        .unwrap();
    act(&mut shard, handle)
}

fn establish(table: &Table, original: &Tuple) -> Vec<Tuple> {
    let mut gone = Vec::new();
    with(table, original, |shard, handle| {
        shard.establish(handle, &mut |dead, _| gone.push(dead.original()))
    })
    .unwrap();
    gone
}

fn assert_consistent(table: &Table) {
    let mut listed = 0;
    let mut half_open = 0;
    table.for_each(|entry| {
        listed += 1;
        half_open += usize::from(entry.class() == Class::HalfOpen);
    });
    assert_eq!(listed, table.len());
    assert!(half_open <= table.half_open_len());
    assert_eq!(table.occupied_slots(), 2 * listed);
    assert!(table.half_open_len() <= table.half_open_capacity());
    assert!(table.len() - table.half_open_len() <= table.capacity());
}

#[derive(Clone, Debug)]
enum Op {
    Insert(Tuple, u32, Class, u32),
    Establish(Tuple),
    Touch(Tuple, u32),
    Remove(Tuple),
    Expire(u32),
}

fn any_tuple() -> impl Strategy<Value = Tuple> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    (protocol, 0..40_u16, 0..VIPS).prop_map(|(protocol, client, vip)| tuple(protocol, client, vip))
}

fn any_class() -> impl Strategy<Value = Class> {
    prop_oneof![
        Just(Class::HalfOpen),
        Just(Class::Unverified),
        Just(Class::Closing),
        Just(Class::Idle),
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
        let taken = self.model.iter().any(same_reply);
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
            Err(Refused::Full) => assert!(class < Class::Idle && !self.model.is_empty()),
        }
    }

    /// Goes on in time; in the end nothing is left that is dead for a second, and nothing was
    /// taken that lives.
    fn expire(&mut self, span: u32) {
        self.now = self.now.after(Ticks(span));
        for shard in 0..self.table.shards() {
            let mut gone = Vec::new();
            while self.table.expire(shard, self.now, 7, &mut |dead, why| {
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

    /// An index that is too small for its slab: slots are passed on, entries evicted or refused,
    /// and none is lost.
    #[test]
    fn a_crowded_index_loses_nothing(
        ops in prop::collection::vec(any_op(), 1..600),
        key in any::<[u64; 2]>(),
    ) {
        let plan = Plan { shards: 2, main: 100, half_open: 100, buckets: 3 };
        let mut pair = Pair {
            table: Table::with(&limits(200, 200), plan, Keyed::with_key(key)).unwrap(),
            model: Model::new(),
            now: Tick(0),
        };
        for op in ops {
            pair.apply(op);
        }
        pair.check();
    }
}

#[test]
fn eviction_goes_by_class_then_by_the_nearest_expiry() {
    // Fewer entries than samples: all of them are looked at.
    let table = table(4, 4);
    let ladder = [
        (1, Class::Idle),
        (2, Class::Closing),
        (3, Class::Unverified),
        (4, Class::Established),
    ];
    for (client, class) in ladder {
        assert_eq!(insert(&table, &tcp(client), class), []);
    }
    let newcomers = [(11, 3), (12, 2), (13, 1)];
    for (newcomer, victim) in newcomers {
        let gone = insert(&table, &tcp(newcomer), Class::Established);
        assert_eq!(gone, [tcp(victim)], "for {newcomer}");
    }
    with(&table, &tcp(12), |shard, handle| {
        shard.touch(handle, Tick(500));
    });
    assert_eq!(insert(&table, &tcp(14), Class::Established), [tcp(12)]);
    assert_consistent(&table);
}

#[test]
fn nothing_unverified_pushes_out_what_is_established_or_idle() {
    for class in [Class::Unverified, Class::Closing] {
        for resident in [Class::Idle, Class::Established] {
            let table = table(3, 3);
            (0..3).for_each(|client| _ = insert(&table, &tcp(client), resident));
            let (inserted, gone) = try_insert(&table, &tcp(9), 0, class, Tick(600));
            assert_eq!((inserted, gone), (Err(Refused::Full), vec![]));
            assert_eq!(table.len(), 3);
            assert_consistent(&table);
        }
    }
}

#[test]
fn a_half_open_flood_displaces_only_its_like() {
    let table = Table::new(&Limits {
        connections: 2000,
        half_open: 100,
        workers: 4,
    })
    .unwrap();
    for client in 0..500 {
        insert(&table, &tcp(client), Class::Established);
    }
    let mut displaced = 0;
    for client in 1000..20_000 {
        let gone = insert(&table, &tcp(client), Class::HalfOpen);
        displaced += gone.len();
        assert!(
            gone.iter()
                .all(|tuple| tuple.src.addr >= tcp(1000).src.addr)
        );
        assert!(table.half_open_len() <= 100);
    }
    assert_eq!(displaced, 19_000 - 100);
    assert!((0..500).all(|client| look_up(&table, &tcp(client)).is_some()));
    assert_consistent(&table);
}

#[test]
fn an_established_handshake_leaves_the_half_open_pool() {
    let table = table(2, 1);
    insert(&table, &tcp(1), Class::HalfOpen);
    with(&table, &tcp(1), |shard, handle| {
        let entry = shard.entry_mut(handle);
        entry.packets = 7;
        entry.local_port = 4242;
    });
    assert_eq!(establish(&table, &tcp(1)), []);
    assert_eq!((table.len(), table.half_open_len()), (1, 0));
    let entry = look_up(&table, &tcp(1)).unwrap();
    assert_eq!((entry.packets, entry.local_port), (7, 4242));
    assert_eq!(insert(&table, &tcp(2), Class::HalfOpen), []);
    assert_eq!(establish(&table, &tcp(1)), [], "again");
    assert_consistent(&table);
}

#[test]
fn establishing_in_a_full_table_evicts_the_least_worthy() {
    let table = table(2, 2);
    insert(&table, &tcp(1), Class::Established);
    insert(&table, &tcp(2), Class::Closing);
    insert(&table, &tcp(3), Class::HalfOpen);
    assert_eq!(establish(&table, &tcp(3)), [tcp(2)]);
    assert_eq!((table.len(), table.half_open_len()), (2, 0));
    assert!(look_up(&table, &tcp(3)).is_some());
    assert_consistent(&table);
}

#[test]
fn a_table_over_many_shards_holds_its_limit_and_not_one_more() {
    let connections = 70_000;
    let table = Table::new(&Limits {
        connections,
        half_open: 0,
        workers: 8,
    })
    .unwrap();
    assert!(table.shards() > 1);
    let client = |n: u32| {
        let mut tuple = tcp((n >> 8) as u16);
        tuple.src.port = 1000 + (n & 0xff) as u16;
        tuple
    };
    for n in 0..connections as u32 {
        assert_eq!(insert(&table, &client(n), Class::Established), [], "{n}");
    }
    assert_eq!(table.len(), connections);
    for n in connections as u32..80_000 {
        assert_eq!(insert(&table, &client(n), Class::Established).len(), 1);
        assert_eq!(table.len(), connections);
    }
    assert_consistent(&table);
    assert!(
        table.footprint() <= 140 * connections,
        "{}",
        table.footprint()
    );
}

#[test]
fn without_a_half_open_pool_handshakes_are_refused() {
    let table = table(4, 0);
    let (inserted, _) = try_insert(&table, &tcp(1), 0, Class::HalfOpen, Tick(600));
    assert_eq!(inserted, Err(Refused::Full));
    assert!(table.is_empty());
}

#[test]
fn two_virtual_services_cannot_share_a_reply() {
    let table = table(8, 8);
    let class = Class::Unverified;
    let [a, b] = [0, 1].map(|vip| tuple(Protocol::Udp, 1, vip));
    insert(&table, &a, class);
    let again = |tuple, real| try_insert(&table, tuple, real, class, Tick(600)).0;
    assert_eq!(again(&a, 1), Err(Refused::Exists));
    assert_eq!(again(&b, 0), Err(Refused::ReplyTaken));
    assert_eq!(again(&b, 1), Ok(()));
    let tcp = Tuple {
        protocol: Protocol::Tcp,
        ..b
    };
    assert_eq!(again(&tcp, 0), Ok(()), "another protocol");
    assert_consistent(&table);
}

#[test]
fn a_shorter_life_counts_at_once_and_a_longer_one_in_time() {
    let table = table(8, 8);
    let day = Tick(864_000);
    let longer = |shard: &mut Shard<'_>, handle| shard.touch(handle, day);
    insert(&table, &tcp(1), Class::Established);
    insert(&table, &tcp(2), Class::Established);
    with(&table, &tcp(1), longer);
    with(&table, &tcp(2), longer);
    with(&table, &tcp(2), |shard, handle| {
        shard.touch(handle, Tick(100))
    });
    let mut gone = Vec::new();
    for now in [99, 100, 700, 863_999, 864_000] {
        while table.expire(0, Tick(now), 100, &mut |dead, _| {
            gone.push((now, dead.original()));
        }) {}
    }
    assert_eq!(gone, [(100, tcp(2)), (864_000, tcp(1))]);
    assert!(!table.expire(99, day, 100, &mut |_, _| ()), "no such shard");
}

#[test]
fn expiry_does_no_more_than_its_budget() {
    let table = table(1000, 0);
    (0..1000).for_each(|client| _ = insert(&table, &tcp(client), Class::Established));
    let mut dead = 0;
    let mut calls = 0;
    loop {
        let before = dead;
        let more = table.expire(0, Tick(700), 10, &mut |_, _| dead += 1);
        calls += 1;
        assert!(dead - before <= 10);
        if !more {
            break;
        }
    }
    assert_eq!(dead, 1000);
    assert!(calls >= 100);
}

#[test]
fn a_listing_shows_each_connection_once() {
    let table = Table::new(&Limits {
        connections: 40_000,
        half_open: 1000,
        workers: 4,
    })
    .unwrap();
    for client in 0..3000 {
        let class = if client % 3 == 0 {
            Class::HalfOpen
        } else {
            Class::Established
        };
        if insert(&table, &tcp(client), class).is_empty() && client % 5 == 0 {
            table.close(&tcp(client)).unwrap();
        }
    }
    let mut listed = Vec::new();
    table.for_each(|entry| listed.push(entry.original().src));
    assert_eq!(listed.len(), table.len());
    listed.sort();
    listed.dedup();
    assert_eq!(listed.len(), table.len());
}

/// Threads that share the clients insert, establish, touch, close and expire; what each counts
/// in and out has to add up.
#[test]
fn workers_that_share_a_table_agree() {
    let table = Table::new(&Limits {
        connections: 400,
        half_open: 50,
        workers: 2,
    })
    .unwrap();
    let shared = &table;
    let balance: i64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| scope.spawn(move || churn(shared, worker)))
            .collect();
        let balances = workers.into_iter().map(|worker| worker.join().unwrap());
        balances.sum()
    });
    assert_eq!(balance, table.len() as i64);
    assert_consistent(&table);
}

/// Connections that came minus connections that went.
fn churn(table: &Table, seed: u32) -> i64 {
    let mut balance = 0;
    let mut x = seed + 1;
    for round in 0..20_000_u32 {
        x = x.wrapping_mul(0x915f_77f5).wrapping_add(0x6a09_e667);
        let original = tuple(
            Protocol::Tcp,
            (x >> 16) as u16 % 700,
            (x >> 12) as u8 % VIPS,
        );
        let forth = table.locate(Direction::Original, &original);
        table.prefetch(&forth);
        table.prefetch_entry(&forth);
        match x >> 9 & 7 {
            0..4 => {
                let real = x >> 5 & 1;
                let class = [Class::HalfOpen, Class::Established][x as usize >> 4 & 1];
                let (inserted, gone) = try_insert(table, &original, real, class, Tick(round));
                balance += i64::from(inserted.is_ok()) - gone.len() as i64;
            }
            4 => balance -= i64::from(table.close(&original).is_some()),
            5 => {
                let shard = round as usize % table.shards();
                table.expire(shard, Tick(round), 50, &mut |_, _| balance -= 1);
            }
            _ => {
                let mut shard = table.lock(&forth);
                if let Some(handle) = shard.find(&forth, |e| e.matches_original(&original)) {
                    shard.touch(handle, Tick(round + 500));
                    _ = shard.establish(handle, &mut |_, _| balance -= 1);
                }
            }
        }
    }
    balance
}
