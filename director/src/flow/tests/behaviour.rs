//! What the table promises, one promise a test.

use nix::sys::resource::{UsageWho, getrusage};

use super::*;

#[test]
fn eviction_goes_by_class_then_by_the_nearest_expiry() {
    // Fewer entries than samples: all of them are looked at.
    let table = table(4, 4);
    let ladder = [
        (1, Class::Answered),
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
        for resident in [Class::Answered, Class::Established] {
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
fn a_small_half_open_pool_has_room_for_whoever_comes_next() {
    let table = Table::new(&Limits {
        connections: 4 << 20,
        half_open: 50,
        workers: 16,
    })
    .unwrap();
    for client in 0..2000 {
        let (inserted, _) = try_insert(&table, &tcp(client), 0, Class::HalfOpen, Tick(600));
        assert_eq!(inserted, Ok(()), "for {client}");
    }
    assert_eq!(table.half_open_len(), 50);
    assert_consistent(&table);
}

/// A table that is kept over a restart keeps its shards, but not its limits.
#[test]
fn a_half_open_pool_of_less_than_its_shards_has_room_for_whoever_comes_next() {
    let limits = limits(4 << 20, 50);
    let plan = super::super::plan::Plan::of_shards(&limits, 256);
    let table = Table::with(
        &limits,
        plan,
        super::super::place::Keyed::random(),
        None,
        Tick(0),
    )
    .unwrap();
    for client in 0..2000 {
        let (inserted, _) = try_insert(&table, &tcp(client), 0, Class::HalfOpen, Tick(600));
        assert_eq!(inserted, Ok(()), "for {client}");
    }
    assert_eq!(table.half_open_len(), 50);
    let mut held = 0;
    table.for_each(|_| held += 1);
    assert!((50..50 + 256).contains(&held), "{held}");
}

/// The shards are taken over one after the other: the first ones alone may fill the pool.
#[test]
fn a_table_of_less_than_its_shards_has_room_for_whoever_comes_next() {
    let limits = limits(50, 50);
    let plan = super::super::plan::Plan::of_shards(&limits, 256);
    let keyed = super::super::place::Keyed::random();
    let table = Table::with(&limits, plan, keyed, None, Tick(0)).unwrap();
    for client in 0..2000 {
        let (inserted, _) = try_insert(&table, &tcp(client), 0, Class::Established, Tick(600));
        assert_eq!(inserted, Ok(()), "for {client}");
    }
    let mut held = 0;
    table.for_each(|_| held += 1);
    assert!((50..50 + 256).contains(&held), "{held}");
    for client in 0..2000 {
        table.close(&tcp(client));
    }
    assert_eq!(table.len(), 0);
    assert_consistent(&table);
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
fn who_is_proved_leaves_the_half_open_pool_whatever_it_is_worth() {
    for class in [Class::Closing, Class::Established] {
        let table = table(8, 8);
        insert(&table, &tcp(1), Class::HalfOpen);
        assert_eq!(table.half_open_len(), 1);
        let proved = with(&table, &tcp(1), |shard, handle| {
            let handle = shard.prove(handle, class, &mut |_, _| {});
            handle.map(|handle| shard.entry(handle).class())
        });
        assert_eq!(proved, Ok(class));
        assert_eq!((table.half_open_len(), table.len()), (0, 1));
        assert_consistent(&table);
    }
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
        let mut forth = table.locate(Direction::Original, &original);
        table.prefetch(&forth);
        table.prefetch_entry(&mut forth);
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
                    _ = shard.prove(handle, Class::Established, &mut |_, _| balance -= 1);
                }
            }
        }
    }
    balance
}

/// `count` half-open connections, all of them with a SYN seen.
fn half_open(count: u16) -> Table {
    let table = table(100, usize::from(count));
    for client in 0..count {
        insert(&table, &tcp(client), Class::HalfOpen);
        with(&table, &tcp(client), |shard, handle| {
            let syn = crate::wire::tcp::Segment::default();
            shard.entry_mut(handle).tracked = Tracked::Tcp(crate::tcp::Tracking::opening(&syn));
        });
    }
    table
}

#[test]
fn thinning_takes_its_share_of_the_half_open_ones_only() {
    let table = half_open(3200);
    insert(&table, &tcp(5000), Class::Established);
    let mut gone = 0;
    for _ in 0..10 {
        table.thin(0, 320, &mut |entry, _| {
            assert_eq!(entry.class(), Class::HalfOpen);
            gone += 1;
        });
    }
    assert!((90..=110).contains(&gone), "{gone} of 3200");
    assert_eq!(table.half_open_len(), 3200 - gone);
    assert!(look_up(&table, &tcp(5000)).is_some());
    assert_consistent(&table);
}

#[test]
fn haste_shortens_lives_and_lengthens_none() {
    let table = half_open(2000);
    for client in 0..2000 {
        let expires = if client % 2 == 0 { 600 } else { 50 };
        with(&table, &tcp(client), |shard, handle| {
            shard.touch(handle, Tick(expires))
        });
    }
    table.hasten(|entry| (entry.client().port > 0).then_some(Tick(100)));
    let mut lives = [0; 2];
    table.for_each(|entry| match entry.expires() {
        Tick(100) => lives[0] += 1,
        Tick(50) => lives[1] += 1,
        other => panic!("{other:?}"),
    });
    assert_eq!(lives, [1000, 1000]);
    let mut gone = 0;
    while table.expire(0, Tick(110), 1000, &mut |_, _| gone += 1) {}
    assert_eq!((gone, table.len()), (2000, 0));
}

/// Page faults of this thread while `act` acts.
fn faults(act: impl FnOnce()) -> i64 {
    let so_far = || {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
        usage.minor_page_faults() + usage.major_page_faults()
    };
    let before = so_far();
    act();
    so_far() - before
}

#[test]
fn who_comes_next_finds_memory_at_hand() {
    let come = |table: &Table, class| {
        let clients = || (0..400).map(tcp);
        faults(|| clients().for_each(|client| drop(insert(table, &client, class))))
    };
    for class in [Class::HalfOpen, Class::Established] {
        // The first run of all brings the code of it into memory.
        let [first, bare, provided] = [(); 3].map(|()| table(100_000, 20_000));
        come(&first, class);
        if let Err(error) = provided.provide() {
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
            return eprintln!("SKIPPED: before Linux 5.14 memory cannot be provided");
        }
        let [bare, provided] = [bare, provided].map(|table| come(&table, class));
        assert!(
            bare > 4 * provided,
            "{class:?}: {bare} faults, {provided} with memory at hand"
        );
    }
}

#[test]
fn a_table_for_very_many_takes_little_memory_before_they_come() {
    let before = resident();
    let table = table(200_000_000, 250_000);
    if table.provide().is_ok() {
        assert!(resident() < before + (2 << 30));
    }
    drop(table);
}

/// Bytes of memory that this process has.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}
