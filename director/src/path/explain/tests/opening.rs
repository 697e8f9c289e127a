//! What is said of a tuple that opens a connection, held against what then becomes of it.

use super::*;
use crate::filter::{Crowd, Crowds, Limit, Of, Per, Scope};
use crate::path::bystander::Bystander;
use crate::path::explain::probe;
use crate::region::Regions;
use crate::service::{Handling, Persistence, RealId};
use crate::templates::Templates;

/// A client of the service at `10.9.9.<vip>`.
pub(super) fn client(port: u16, vip: u8) -> Tuple {
    Tuple {
        protocol: Protocol::Tcp,
        src: Endpoint::new(Addr::v4([10, 0, 1, 1]), port),
        dst: Endpoint::new(Addr::v4([10, 9, 9, vip]), 80),
    }
}

pub(super) fn rip(host: u8) -> Endpoint {
    Endpoint::new(Addr::v4([10, 0, 2, host]), 8080)
}

/// Services at `10.9.9.9` and `10.9.9.10` that ask the real servers of these hosts in their order.
pub(super) fn pool(hosts: &[u8]) -> Pool {
    let mut pool = Pool::new(1);
    for vip in [9, 10] {
        let key = ServiceKey::at(Protocol::Tcp, client(0, vip).dst);
        pool.add_service(key, Scheduler::Fo).unwrap();
        for (weight, &host) in (1..10).rev().zip(hosts) {
            pool.add_real(&key, rip(host), Settings::weight(weight))
                .unwrap();
        }
    }
    pool
}

/// A real server, or the reason why none.
type Fate = Result<Endpoint, DropReason>;

fn told(shared: &Shared, tuple: &Tuple) -> Fate {
    told_of(shared, &Probe::opening(*tuple))
}

pub(super) fn told_of(shared: &Shared, probe: &Probe<'_>) -> Fate {
    let told = shared.explain(probe, 0, NOW);
    assert!(told.connection.is_none());
    match told.refused {
        Some(reason) => Err(reason),
        None => Ok(told.real.unwrap().endpoint),
    }
}

/// Has a packet forwarded.
fn send(shared: &Shared, tuple: &Tuple) -> Result<(), DropReason> {
    send_of(shared, &Probe::opening(*tuple))
}

pub(super) fn send_of(shared: &Shared, probe: &Probe<'_>) -> Result<(), DropReason> {
    let bystander = Bystander::of(shared);
    let view = bystander.view(0, NOW);
    let mut frame = probe::frame(probe);
    let Reading::Packet { packet, way, place } = view.read(&frame) else {
        panic!("no packet");
    };
    let sent = view.packet(&mut frame, &packet, way, &place);
    sent.map(drop).map_err(|refusal| refusal.reason)
}

/// Has a connection opened.
fn opened(shared: &Shared, tuple: &Tuple) -> Fate {
    opened_by(shared, &Probe::opening(*tuple))
}

pub(super) fn opened_by(shared: &Shared, probe: &Probe<'_>) -> Fate {
    send_of(shared, probe)?;
    let entry = entry(shared, &probe.tuple).expect("a connection");
    Ok(shared.pool.load().real(entry.real()).unwrap().endpoint)
}

fn entry(shared: &Shared, tuple: &Tuple) -> Option<Entry> {
    let place = shared.table.locate(Direction::Original, tuple);
    let shard = shared.table.lock(&place);
    let found = shard.find(&place, |entry| entry.matches_original(tuple));
    found.map(|handle| *shard.entry(handle))
}

/// What is said of a connection, which is what becomes of it.
fn fate(shared: &Shared, tuple: &Tuple) -> Fate {
    let told = told(shared, tuple);
    assert_eq!(told, opened(shared, tuple));
    told
}

#[test]
fn a_real_server_that_could_not_tell_connections_apart_is_passed_over() {
    let taken = Err(Cause::TupleTaken.into());
    for (hosts, other) in [(&[1][..], taken), (&[1, 2], Ok(rip(2)))] {
        let shared = testing::shared(pool(hosts), routes());
        assert_eq!(fate(&shared, &client(7000, 9)), Ok(rip(1)));
        assert_eq!(fate(&shared, &client(7000, 10)), other);
        assert_eq!(fate(&shared, &client(7001, 10)), Ok(rip(1)));
    }
}

#[test]
fn a_client_of_whom_nothing_can_be_remembered_is_refused() {
    let mut pool = pool(&[1]);
    let [first, second] = [9, 10].map(|vip| client(7000, vip));
    for tuple in [first, second] {
        let key = ServiceKey::at(Protocol::Tcp, tuple.dst);
        let mut handling = pool.service(&key).unwrap().handling;
        handling.persistence = Some(Persistence {
            timeout: Ticks::seconds(100),
            prefix: 128,
            engine: None,
        });
        pool.set_handling(&key, handling).unwrap();
    }
    let mut shared = testing::shared(pool, routes());
    shared.templates = Templates::new(1, 1, Arc::clone(&shared.pool)).unwrap();
    assert_eq!(fate(&shared, &first), Ok(rip(1)));
    let pool = shared.pool.load_full();
    let connection = entry(&shared, &first).unwrap();
    shared.templates.assure(&pool, &connection);
    assert_eq!(fate(&shared, &second), Err(Cause::TemplatesFull.into()));
    assert_eq!(fate(&shared, &client(7001, 9)), Ok(rip(1)));
    assert_eq!(shared.templates.len(), 1);
}

#[test]
fn who_may_open_none_is_told_so_whether_or_not_there_is_a_real_server() {
    for (hosts, without) in [(&[][..], Err(Cause::NoReal.into())), (&[1], Ok(rip(1)))] {
        let shared = testing::shared(pool(hosts), routes());
        assert_eq!(told(&shared, &client(7000, 9)), without);
        let another = client(6999, 9);
        let later = NOW.after(Ticks::seconds(60));
        let another = Entry::new(&another, RealId(0), 80, Class::Established, later);
        let place = shared
            .table
            .locate(Direction::Original, &another.original());
        let taken = shared.table.take_in(another, &place, None, &mut |_, _| ());
        taken.unwrap();
        let limit = |per| Crowd {
            most: 1,
            scope: Scope {
                per,
                bits_v4: 32,
                bits_v6: 128,
                service: None,
            },
        };
        for (per, cause) in [
            (Per::Source, Cause::SourceConnections),
            (Per::Service, Cause::ServiceConnections),
        ] {
            let crowds = Crowds::of(shared.table.locator());
            crowds.set(vec![limit(per)], &shared.table);
            let pool = Pool::clone(&shared.pool.load()).counting(Arc::new(crowds));
            shared.pool.store(Arc::new(pool));
            assert_eq!(fate(&shared, &client(7000, 9)), Err(cause.into()));
        }
    }
}

/// What leaves no connection behind takes nothing of such a limit.
#[test]
fn who_opens_connections_too_fast_is_refused() {
    let mut pool = pool(&[1]);
    let datagram = |port| Tuple {
        protocol: Protocol::Udp,
        ..client(port, 9)
    };
    let key = ServiceKey::at(Protocol::Udp, datagram(0).dst);
    pool.add_service(key, Scheduler::Fo).unwrap();
    pool.add_real(&key, rip(1), Settings::weight(1)).unwrap();
    let handling = Handling {
        one_packet: true,
        ..Handling::default()
    };
    pool.set_handling(&key, handling).unwrap();
    for (per, refused) in [
        (Per::Source, Cause::SourceLimit),
        (Per::Service, Cause::ServiceLimit),
    ] {
        let shared = testing::shared(pool.clone(), routes());
        let limit = Limit {
            of: Of::Connections,
            rate: 1,
            burst: 2,
            scope: Scope {
                per,
                bits_v4: 32,
                bits_v6: 128,
                service: None,
            },
            region: Regions::default(),
            ban: None,
        };
        shared.pool.load().paces().set(std::iter::once((0, limit)));
        for port in 0..10 {
            send(&shared, &datagram(port)).unwrap();
        }
        assert_eq!(fate(&shared, &client(7000, 9)), Ok(rip(1)));
        assert_eq!(fate(&shared, &client(7001, 9)), Ok(rip(1)));
        for _ in 0..3 {
            assert_eq!(told(&shared, &client(7002, 9)), Err(refused.into()));
        }
        assert_eq!(told(&shared, &datagram(7002)), Ok(rip(1)));
        assert_eq!(shared.pool.load().paces().over(0), 0, "nothing is counted");
        assert_eq!(send(&shared, &client(7002, 9)), Err(refused.into()));
        assert_eq!(
            send(&shared, &client(7001, 9)),
            Ok(()),
            "the same once more"
        );
        assert_eq!(shared.pool.load().paces().over(0), 1);
    }
}

#[test]
fn a_full_table_is_told_of() {
    let shared = testing::shared(pool(&[1]), routes());
    let mut ports = 7000..;
    let last = loop {
        let tuple = client(ports.next().unwrap(), 9);
        if fate(&shared, &tuple).is_err() {
            break tuple;
        }
        let place = shared.table.locate(Direction::Original, &tuple);
        let mut shard = shared.table.lock(&place);
        let is_it = |entry: &Entry| entry.matches_original(&tuple);
        let handle = shard.find(&place, is_it).unwrap();
        shard.set_class(handle, Class::Established);
    };
    assert_eq!(told(&shared, &last), Err(Cause::TableFull.into()));
}
