//! The table as its users see it. Here: a small world of clients, services and real servers.

mod behaviour;
mod elsewhere;
mod model;

use super::*;
use crate::service::RealId;
use crate::time::Tick;
use crate::wire::{Addr, Endpoint, Protocol, Tuple};

const VIPS: u8 = 3;
const REALS: u32 = 4;
/// The real server whose replies pass elsewhere.
const ONE_WAY_REAL: u32 = 3;

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
    let back =
        (real != ONE_WAY_REAL).then(|| table.locate(Direction::Reply, &reply(original, real)));
    let port = real_endpoint(real).port;
    let entry = Entry::new(original, RealId(real), port, class, expires);
    let mut gone = Vec::new();
    let inserted = table
        .lock(&forth)
        .insert(entry, &forth, back.as_ref(), &mut |dead, why| {
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

/// What the table holds under `original`: looked for in both directions, which must agree;
/// one whose replies pass elsewhere is not found by them.
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
    let found = table.lock(&back).find(&back, |entry| {
        entry.matches_reply(&tuple, rip, entry.client())
    });
    let expected = (real != ONE_WAY_REAL).then_some(handle);
    assert_eq!(found, expected, "the reply of {original:?}");
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
        shard.prove(handle, Class::Established, &mut |dead, _| {
            gone.push(dead.original());
        })
    })
    .unwrap();
    gone
}

fn assert_consistent(table: &Table) {
    let mut listed = 0;
    let mut slots = 0;
    let mut half_open = 0;
    table.for_each(|entry| {
        listed += 1;
        slots += if entry.is_one_way() { 1 } else { 2 };
        half_open += usize::from(entry.class() == Class::HalfOpen);
    });
    assert_eq!(listed, table.len());
    assert!(half_open <= table.half_open_len());
    assert_eq!(table.occupied_slots(), slots);
    assert!(table.half_open_len() <= table.half_open_capacity());
    assert!(table.len() - table.half_open_len() <= table.capacity());
}
