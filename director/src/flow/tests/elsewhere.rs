//! Connections whose packets pass elsewhere.

use std::sync::Arc;

use parking_lot::Mutex;

use super::*;

/// Somebody who has seen a packet of each connection, and notes who has ended.
struct Witness {
    deadline: Mutex<Tick>,
    ended: Mutex<Vec<Tuple>>,
}

impl Elsewhere for Witness {
    fn expires(&self, _: &Entry) -> Tick {
        *self.deadline.lock()
    }

    fn leave(&self, entry: &Entry) {
        self.ended.lock().push(entry.original());
    }
}

fn witness(deadline: Tick) -> Arc<Witness> {
    Arc::new(Witness {
        deadline: Mutex::new(deadline),
        ended: Mutex::default(),
    })
}

fn cache(table: &Table, tuple: &Tuple) {
    with(table, tuple, |shard, handle| {
        shard.entry_mut(handle).set_cached(true);
    });
}

#[test]
fn they_live_as_long_as_they_are_seen_there_and_their_end_is_told() {
    let witness = witness(Tick(900));
    let table = table(16, 16).seen_by(Some(witness.clone()));
    for client in [1, 2] {
        insert(&table, &tcp(client), Class::Established);
    }
    cache(&table, &tcp(1));
    let expire = |now| table.expire(0, Tick(now), 100, &mut |_, _| {});
    expire(700);
    assert!(look_up(&table, &tcp(2)).is_none());
    let seen = look_up(&table, &tcp(1)).unwrap();
    assert_eq!(
        (seen.expires(), table.expiry(&seen)),
        (Tick(900), Tick(900))
    );
    assert!(witness.ended.lock().is_empty());
    expire(910);
    assert!(look_up(&table, &tcp(1)).is_none());
    assert_eq!(*witness.ended.lock(), [tcp(1)]);
}

#[test]
fn who_is_busy_there_is_not_taken_for_idle_when_room_is_short() {
    let witness = witness(Tick(5000));
    let table = table(2, 16).seen_by(Some(witness.clone()));
    for (client, expires) in [(1, 600), (2, 900)] {
        let (inserted, _) = try_insert(&table, &tcp(client), 0, Class::Established, Tick(expires));
        inserted.unwrap();
    }
    cache(&table, &tcp(1));
    assert_eq!(insert(&table, &tcp(3), Class::Established), [tcp(2)]);
    assert_consistent(&table);
}
