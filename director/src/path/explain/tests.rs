//! What is said of a tuple that is known already.

use adminapi::model::Scheduler;
use adminapi::sysctl::{Sysctl, Sysctls, Value};

use super::*;
use crate::flow::{Class, Tracked};
use crate::neighbour::{Change, Form, Link, Neighbour, Placement, Prefix, Route, Tables, Target};
use crate::neighbour::{Fib, Table as Routes, Via};
use crate::path::{Shared, testing};
use crate::service::{Phase, Settings};
use crate::tcp::{State, Tracking};
use crate::time::Ticks;
use crate::wire::tcp::{Flags, Segment};
use crate::wire::{Addr, Endpoint};
use crate::{sctp, tcp};

const NOW: Tick = Tick(1000);

/// Everything lies behind one gateway.
fn routes() -> Fib {
    let (ifindex, gateway) = (2, Addr::v4([10, 0, 2, 254]));
    let (mac, pinned) = ([2; 6], false);
    let via = Via {
        ifindex,
        gateway: Some(gateway),
        weight: 1,
        mtu: 0,
    };
    let link = Link {
        ifindex,
        name: "eth0".into(),
        mac: Some([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        up: true,
        port: None,
    };
    let route = Route {
        prefix: Prefix::new(Addr::v4([0; 4]), 0),
        table: Routes::Main,
        metric: 0,
        form: Form::Group,
        target: Target::Forward(vec![via]),
    };
    let mut tables = Tables::new(&["eth0".to_owned()]);
    tables.apply(Change::Link(link));
    tables.apply(Change::Neighbour(
        ifindex,
        gateway,
        Neighbour { mac, pinned },
    ));
    tables.apply(Change::Route(route, Placement::Last));
    tables.snapshot()
}

fn tuple(protocol: Protocol) -> Tuple {
    Tuple {
        protocol,
        src: Endpoint::new(Addr::v4([10, 0, 1, 1]), 4000),
        dst: Endpoint::new(Addr::v4([10, 9, 9, 9]), 80),
    }
}

/// A service by weighted least connections, with two real servers. The one that it would choose of two
/// who have nothing to do has one connection, which is the client's.
fn scene(protocol: Protocol, tracked: Tracked) -> (Shared, Endpoint) {
    let tuple = tuple(protocol);
    let key = ServiceKey::at(protocol, tuple.dst);
    let [other, first] = [11, 12].map(|host| Endpoint::new(Addr::v4([10, 0, 2, host]), 80));
    let mut pool = Pool::new(1);
    pool.add_service(key, Scheduler::Wlc).unwrap();
    pool.add_real(&key, other, Settings::weight(1)).unwrap();
    pool.add_real(&key, first, Settings::weight(1)).unwrap();
    let real = Arc::clone(pool.service(&key).unwrap().reals.find(first).unwrap());
    let shared = testing::shared(pool, routes());
    let later = NOW.after(Ticks::seconds(60));
    let mut entry = Entry::new(&tuple, real.id, 80, Class::Closing, later);
    entry.tracked = tracked;
    real.enter(tracked.phase());
    let place = shared.table.locate(Direction::Original, &tuple);
    let taken = shared.table.take_in(entry, &place, None, &mut |_, _| ());
    taken.unwrap();
    (shared, first)
}

/// One that has come to this state after a handshake, unless that is its first one.
fn in_state(state: State) -> Tracked {
    let said = |flags, seq, ack| Segment {
        flags: Flags(flags),
        seq,
        ack,
        window: u16::MAX,
        ..Segment::default()
    };
    let mut tracking = Tracking::opening(&said(Flags::SYN, 7000, 0));
    if state != State::SynRecv {
        let answer = said(Flags::SYN | Flags::ACK, 9000, 7001);
        let last = said(Flags::ACK, 7001, 9001);
        for (way, said) in [(Direction::Reply, answer), (Direction::Original, last)] {
            let judged = tracking.judge(way, &said, tcp::PEACE.two_way);
            assert!(
                matches!(judged, tcp::Judgement::Accept { .. }),
                "{judged:?}"
            );
        }
        tracking.state = state;
    }
    Tracked::Tcp(tracking)
}

/// Whether a packet of the client leaves its connection behind. Either way it gets to the same real
/// server, which has nothing else to do.
fn leaves(shared: &Shared, protocol: Protocol, home: Endpoint) -> bool {
    let told = shared.explain(&Probe::opening(tuple(protocol)), 0, NOW);
    assert_eq!(told.refused, None);
    assert_eq!(told.real.map(|real| real.endpoint), Some(home));
    assert_eq!(told.connection.is_some(), told.left.is_none());
    assert!(told.hop.is_some());
    told.left.is_some()
}

#[test]
fn a_syn_after_the_end_of_a_connection_opens_the_next_one() {
    for (state, is_left) in [
        (tcp::State::TimeWait, true),
        (tcp::State::Close, true),
        (tcp::State::Established, false),
        (tcp::State::FinWait, false),
        (tcp::State::SynRecv, false),
    ] {
        let (shared, home) = scene(Protocol::Tcp, in_state(state));
        let told = leaves(&shared, Protocol::Tcp, home);
        assert_eq!(told, is_left, "{state:?}");
        let loads = shared.pool.load();
        let all = loads.reals().map(|real| real.load.connections());
        assert_eq!(all.sum::<u32>(), 1, "nothing has been taken off");
    }
}

#[test]
fn an_init_after_the_end_of_an_association_opens_the_next_one() {
    for (state, is_left) in [
        (sctp::State::Closed, true),
        (sctp::State::Established, false),
    ] {
        let mut tracking = sctp::Tracking::default();
        tracking.state = state;
        let tracked = Tracked::Sctp(tracking);
        let (shared, home) = scene(Protocol::Sctp, tracked);
        let told = leaves(&shared, Protocol::Sctp, home);
        assert_eq!(told, is_left, "{state:?}");
    }
}

#[test]
fn the_next_connection_stays_where_the_last_one_was_if_ports_are_not_to_be_used_again() {
    let (shared, home) = scene(Protocol::Tcp, in_state(State::TimeWait));
    let mut sysctls = Sysctls::default();
    let zero = Value::Number(0);
    sysctls.set(Sysctl::ConnReuseMode, &zero).unwrap();
    shared.sysctls.store(Arc::new(sysctls));
    assert!(!leaves(&shared, Protocol::Tcp, home));
}

/// One connection less is asked of a copy.
#[test]
fn a_real_server_is_relieved_in_thought_only() {
    let (shared, home) = scene(Protocol::Tcp, in_state(State::TimeWait));
    let pool = shared.pool.load();
    let service = pool.iter().next().unwrap();
    let real = service.reals.find(home).unwrap();
    let relieved = service.reals.relieved(real, Phase::Inactive);
    let inactive = |reals: &crate::service::Reals| reals.find(home).unwrap().inactive();
    assert_eq!((inactive(&relieved), inactive(&service.reals)), (0, 1));
}

#[test]
fn who_has_shown_a_cookie_waits_until_its_real_server_has_answered() {
    let syn = Segment {
        flags: Flags(Flags::SYN),
        ..Segment::default()
    };
    let mut tracking = Tracking::spliced(&syn, 77);
    let explained = |tracking| {
        let (shared, home) = scene(Protocol::Tcp, Tracked::Tcp(tracking));
        let told = shared.explain(&Probe::opening(tuple(Protocol::Tcp)), 0, NOW);
        assert_eq!(told.real.map(|real| real.endpoint), Some(home));
        assert!(told.connection.is_some() && told.left.is_none());
        told.refused
    };
    assert_eq!(explained(tracking), Some(Cause::NotYetOpen.into()));
    tracking.join(5);
    assert_eq!(explained(tracking), None);
}

#[test]
fn a_real_server_that_went_with_its_service_is_told_from_one_that_was_removed() {
    let (shared, home) = scene(Protocol::Tcp, in_state(State::Established));
    let tuple = tuple(Protocol::Tcp);
    let key = ServiceKey::at(tuple.protocol, tuple.dst);
    let refused = |pool: Pool| {
        shared.pool.store(Arc::new(pool));
        let told = shared.explain(&Probe::opening(tuple), 0, NOW);
        assert!(told.connection.is_some());
        told.refused
    };
    let mut pool = Pool::clone(&shared.pool.load());
    pool.remove_real(&key, home).unwrap();
    assert_eq!(refused(pool.clone()), Some(Cause::RealRemoved.into()));
    pool.remove_service(&key).unwrap();
    assert_eq!(refused(pool.clone()), Some(Cause::NoService.into()));
    pool.add_service(key, Scheduler::Wlc).unwrap();
    assert_eq!(refused(pool), Some(Cause::RealRemoved.into()));
}

mod becoming;
mod flags;
mod opening;
