//! What a pool promises about changes.

use adminapi::model;

use super::*;
use crate::ftp;
use crate::service::{Choice, Drain, Handling, Method, Newcomer, Phase, Settings, Standing};
use crate::time::Tick;
use crate::wire::Protocol;

const NO_FLAGS: model::SchedulerFlags = model::SchedulerFlags::NONE;

fn endpoint(host: u8, port: u16) -> Endpoint {
    Endpoint::new(Addr::v4([10, 0, 2, host]), port)
}

fn vip(port: u16) -> Endpoint {
    Endpoint::new(Addr::v4([10, 9, 9, 9]), port)
}

fn key(port: u16) -> ServiceKey {
    ServiceKey::at(Protocol::Tcp, vip(port))
}

fn pool(reals: u8) -> Pool {
    let mut pool = Pool::new(1);
    pool.add_service(key(80), model::Scheduler::Rr).unwrap();
    for host in 1..=reals {
        pool.add_real(&key(80), endpoint(host, 8080), Settings::weight(1))
            .unwrap();
    }
    pool
}

fn hosts(pool: &Pool) -> Vec<u8> {
    let reals = &pool.service(&key(80)).unwrap().reals;
    reals
        .iter()
        .map(|real| real.endpoint.addr.octets()[15])
        .collect()
}

#[test]
fn what_is_there_cannot_be_added_and_what_is_not_cannot_be_changed() {
    let mut pool = pool(1);
    let (there, missing) = (endpoint(1, 8080), endpoint(9, 8080));
    assert_eq!(
        pool.add_service(key(80), model::Scheduler::Lc),
        Err(PoolError::ServiceExists)
    );
    assert_eq!(
        pool.add_real(&key(80), there, Settings::weight(1)),
        Err(PoolError::RealExists)
    );
    assert_eq!(
        pool.add_real(&key(81), there, Settings::weight(1)),
        Err(PoolError::NoService)
    );
    assert_eq!(
        pool.set_real(&key(80), missing, Settings::weight(1)),
        Err(PoolError::NoReal)
    );
    assert_eq!(pool.remove_real(&key(80), missing), Err(PoolError::NoReal));
    assert_eq!(
        pool.set_scheduler(&key(81), model::Scheduler::Lc, NO_FLAGS),
        Err(PoolError::NoService)
    );
    assert_eq!(pool.remove_service(&key(81)), Err(PoolError::NoService));
    assert_eq!(hosts(&pool), [1]);
}

#[test]
fn the_real_server_added_last_stands_first() {
    let mut pool = pool(3);
    assert_eq!(hosts(&pool), [3, 2, 1]);
    pool.remove_real(&key(80), endpoint(2, 8080)).unwrap();
    pool.add_real(&key(80), endpoint(2, 8080), Settings::weight(1))
        .unwrap();
    assert_eq!(hosts(&pool), [2, 3, 1]);
}

#[test]
fn a_snapshot_does_not_see_later_changes() {
    let before = pool(2);
    let mut after = before.clone();
    after.remove_service(&key(80)).unwrap();
    assert_eq!(hosts(&before), [2, 1]);
    assert!(before.real(RealId(0)).unwrap().standing == Standing::Listed);
    assert!(after.service(&key(80)).is_none() && !after.has_vip(vip(80).addr));
}

#[test]
fn a_change_of_weight_keeps_connections_and_counters() {
    let mut pool = pool(1);
    pool.real(RealId(0)).unwrap().load.enter(Phase::Active);
    pool.set_real(&key(80), endpoint(1, 8080), Settings::weight(7))
        .unwrap();
    let real = pool.real(RealId(0)).unwrap();
    assert_eq!((real.weight, real.active()), (7, 1));
    assert!(Arc::ptr_eq(
        real,
        pool.service(&key(80)).unwrap().reals.get(0).unwrap()
    ));
}

#[test]
fn a_removed_real_server_gets_its_connections_back() {
    let mut pool = pool(1);
    let (id, there) = (RealId(0), endpoint(1, 8080));
    pool.real(id).unwrap().load.enter(Phase::Inactive);
    pool.remove_real(&key(80), there).unwrap();
    assert!(pool.real(id).unwrap().standing == Standing::Removed && pool.has_unlisted());
    assert!(
        pool.answers(Protocol::Tcp, there) && pool.present(Protocol::Tcp, there).next().is_none()
    );
    assert!(pool.reap().is_empty(), "it has a connection");

    pool.add_real(&key(80), there, Settings::weight(3)).unwrap();
    let real = pool.real(id).unwrap();
    assert!(
        real.standing == Standing::Listed
            && real.inactive() == 1
            && real.weight == 3
            && !pool.has_unlisted()
    );
}

#[test]
fn a_removed_service_that_comes_again_counts_from_zero() {
    let mut pool = pool(1);
    let there = endpoint(1, 8080);
    pool.real(RealId(0)).unwrap().load.enter(Phase::Active);
    pool.service(&key(80))
        .unwrap()
        .traffic
        .of(0)
        .connections
        .add(5);
    pool.remove_service(&key(80)).unwrap();
    pool.add_service(key(80), model::Scheduler::Wlc).unwrap();
    pool.add_real(&key(80), there, Settings::weight(1)).unwrap();
    let (real, service) = (
        pool.real(RealId(0)).unwrap(),
        pool.service(&key(80)).unwrap(),
    );
    assert_eq!(service.traffic.sum().connections, 0);
    assert!(Arc::ptr_eq(&real.service_traffic, &service.traffic));
}

#[test]
fn nothing_of_the_dead_is_left_behind() {
    let mut pool = pool(3);
    pool.remove_service(&key(80)).unwrap();
    assert_eq!(pool.reap().len(), 3);
    assert!(!pool.has_unlisted() && pool.rips().is_empty());
    assert!(!pool.answers(Protocol::Tcp, endpoint(1, 8080)));
    assert_eq!(pool.reals().count(), 0);
}

/// Whoever sees the snapshot of before must not take the newcomer's connections for those of the
/// real server that had the slot.
#[test]
fn a_slot_is_used_again_when_no_snapshot_shows_who_had_it() {
    let mut pool = pool(1);
    let mut slots = Vec::new();
    for host in 1..5 {
        pool.remove_real(&key(80), endpoint(host, 8080)).unwrap();
        let seen = pool.clone();
        pool.reap();
        pool.add_real(&key(80), endpoint(host + 1, 8080), Settings::weight(1))
            .unwrap();
        let id = pool.service(&key(80)).unwrap().reals.get(0).unwrap().id;
        assert!(seen.real(id).is_none(), "{id:?} is somebody's");
        slots.push(id.0);
    }
    assert_eq!(slots, [1, 0, 1, 0]);
}

#[test]
fn an_endpoint_is_real_as_long_as_one_service_has_it() {
    let mut pool = pool(1);
    pool.add_service(key(81), model::Scheduler::Rr).unwrap();
    pool.add_real(&key(81), endpoint(1, 8080), Settings::weight(1))
        .unwrap();
    pool.remove_service(&key(80)).unwrap();
    assert_eq!(pool.reap().len(), 1);
    assert!(
        pool.answers(Protocol::Tcp, endpoint(1, 8080)) && pool.address_answers(endpoint(1, 0).addr)
    );
    pool.remove_service(&key(81)).unwrap();
    pool.reap();
    assert!(
        !pool.answers(Protocol::Tcp, endpoint(1, 8080))
            && !pool.address_answers(endpoint(1, 0).addr)
    );
}

/// The host that a client would be given.
fn chosen(pool: &Pool) -> Option<u8> {
    let service = pool.service(&key(80)).unwrap();
    let tuple = crate::wire::Tuple {
        protocol: Protocol::Tcp,
        src: endpoint(200, 40_000),
        dst: vip(80),
    };
    let newcomer = Newcomer {
        tuple: &tuple,
        now: crate::time::Tick(0),
        flags: service.flags,
        choice: Choice::All,
    };
    let real = service.scheduler.pick(&service.reals, &newcomer)?;
    Some(real.endpoint.addr.octets()[15])
}

#[test]
fn schedulers_know_the_list_once_a_pool_is_settled() {
    for algorithm in model::Scheduler::ALL {
        let mut pool = pool(0);
        pool.set_scheduler(&key(80), algorithm, NO_FLAGS).unwrap();
        assert_eq!(chosen(&pool), None);
        for host in [1, 2] {
            pool.add_real(&key(80), endpoint(host, 8080), Settings::weight(1))
                .unwrap();
        }
        pool.settle();
        assert!(chosen(&pool).is_some(), "{}", algorithm.name());
        let before = pool.clone();
        pool.remove_real(&key(80), endpoint(1, 8080)).unwrap();
        pool.set_real(&key(80), endpoint(2, 8080), Settings::weight(5))
            .unwrap();
        pool.settle();
        assert_eq!(chosen(&pool), Some(2), "{}", algorithm.name());
        assert!(chosen(&before).is_some(), "the snapshot before goes on");
    }
}

#[test]
fn another_scheduler_knows_the_list_at_once() {
    let mut pool = pool(3);
    pool.settle();
    for algorithm in model::Scheduler::ALL {
        pool.set_scheduler(&key(80), algorithm, NO_FLAGS).unwrap();
        assert!(chosen(&pool).is_some(), "{}", algorithm.name());
    }
}

#[test]
fn other_flags_leave_the_scheduler_where_it_is() {
    let mut pool = pool(3);
    pool.settle();
    assert_eq!([chosen(&pool), chosen(&pool)], [Some(3), Some(2)]);
    let flags = NO_FLAGS.with(model::SchedulerFlag::Port);
    pool.set_scheduler(&key(80), model::Scheduler::Rr, flags)
        .unwrap();
    assert_eq!(pool.service(&key(80)).unwrap().flags, flags);
    assert_eq!(chosen(&pool), Some(1));
}

const DR: Settings = Settings {
    method: Method::Dr,
    ..Settings::weight(1)
};

#[test]
fn only_who_is_reached_by_nat_answers_through_the_director() {
    let mut pool = pool(1);
    let there = endpoint(1, 8080);
    pool.set_real(&key(80), there, DR).unwrap();
    // The connections of before go on, and with them their answers.
    assert!(pool.answers(Protocol::Tcp, there) && pool.address_answers(there.addr));
    assert_eq!(pool.real(RealId(0)).unwrap().standing, Standing::Replaced);
    let listed = |pool: &Pool| pool.service(&key(80)).unwrap().reals.get(0).unwrap().id;
    assert_eq!(listed(&pool), RealId(1));
    assert_eq!(pool.reap().len(), 1);
    assert!(!pool.answers(Protocol::Tcp, there) && !pool.address_answers(there.addr));
    assert_eq!(pool.rips(), [there.addr]);
}

#[test]
fn a_method_that_comes_back_finds_its_connections() {
    let mut pool = pool(1);
    let there = endpoint(1, 8080);
    pool.real(RealId(0)).unwrap().load.enter(Phase::Active);
    for (settings, id) in [(DR, 1), (Settings::weight(7), 0), (DR, 1)] {
        pool.set_real(&key(80), there, settings).unwrap();
        let service = pool.service(&key(80)).unwrap();
        let real = service.reals.get(0).unwrap();
        assert_eq!((real.id, real.settings()), (RealId(id), settings));
    }
    assert_eq!(pool.real(RealId(0)).unwrap().active(), 1);
    pool.remove_real(&key(80), there).unwrap();
    for id in 0..2 {
        assert_eq!(pool.real(RealId(id)).unwrap().standing, Standing::Removed);
    }
}

#[test]
fn connections_in_a_former_way_live_again_with_their_real_server() {
    let mut pool = pool(1);
    let there = endpoint(1, 8080);
    pool.real(RealId(0)).unwrap().load.enter(Phase::Active);
    pool.set_real(&key(80), there, DR).unwrap();
    let standing = |pool: &Pool| [0, 1].map(|id| pool.real(RealId(id)).unwrap().standing);
    let removed = [Standing::Removed; 2];
    let is_back = [Standing::Replaced, Standing::Listed];

    pool.remove_real(&key(80), there).unwrap();
    assert_eq!(standing(&pool), removed);
    pool.add_real(&key(80), there, DR).unwrap();
    assert_eq!(standing(&pool), is_back);

    pool.set_aside(&key(80), there, None).unwrap();
    assert_eq!(standing(&pool), removed);
    pool.readmit(&key(80), there).unwrap();
    assert_eq!(standing(&pool), is_back);
}

#[test]
fn a_way_past_the_real_servers_outlives_its_service_as_long_as_it_has_connections() {
    let mark = ServiceKey::Mark {
        mark: 7,
        family: model::Family::Ipv4,
    };
    let mut pool = Pool::new(1);
    pool.add_service(mark, model::Scheduler::Rr).unwrap();
    let bypass = pool.service(&mark).unwrap().bypass.clone().unwrap();
    assert!(pool.rips().is_empty());
    bypass.enter(Phase::Active);
    pool.remove_service(&mark).unwrap();
    assert!(pool.reap().is_empty());
    let left = pool.real(bypass.id).unwrap();
    assert_eq!(left.standing, Standing::Replaced);
    bypass.load.leave(Phase::Active);
    assert_eq!(pool.reap().len(), 1);
    assert!(pool.real(bypass.id).is_none() && !pool.has_unlisted());
}

#[test]
fn the_lists_say_what_the_slots_say() {
    let mut pool = Pool::new(1);
    let services = [80, 81].map(key);
    for key in &services {
        pool.add_service(*key, model::Scheduler::Rr).unwrap();
    }
    let ways = [Method::Nat, Method::Dr];
    let mut state = 1u32;
    for _ in 0..2_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let bits = (state >> 16) as usize;
        let (key, there) = (&services[bits & 1], endpoint((bits >> 1 & 3) as u8, 8080));
        let settings = Settings {
            method: ways[bits >> 3 & 1],
            ..Settings::weight(1)
        };
        let _ = match bits >> 4 & 3 {
            0 => pool.add_real(key, there, settings),
            1 => pool.set_real(key, there, settings),
            2 => pool.remove_real(key, there),
            _ => {
                pool.reap();
                Ok(())
            }
        };
        let of = |listed: bool| {
            let reals = pool.reals();
            let these = reals.filter(move |real| (real.standing == Standing::Listed) == listed);
            these.map(|real| (real.service, real.endpoint, real.id))
        };
        let mut listed: Vec<_> = of(true).map(|(_, at, id)| (at, id)).collect();
        let mut unlisted: Vec<_> = of(false).collect();
        listed.sort_unstable();
        unlisted.sort_unstable();
        assert!(pool.listed.iter().eq(&listed) && pool.unlisted.iter().eq(&unlisted));
        let here = pool.present(Protocol::Tcp, there).count();
        assert_eq!(here, listed.iter().filter(|(at, _)| *at == there).count());
        assert_eq!(pool.has_real_within(Protocol::Tcp, there), here > 0);
    }
}

/// FTP is followed where it usually is, and where a service says so.
#[test]
fn a_helper_has_ports_of_data_and_real_servers_that_open_some() {
    let helped = |helper| Handling {
        helper,
        ..Handling::default()
    };
    let first = *ftp::DATA_PORTS.start();
    for (port, helper, follows) in [
        (21, model::Helper::Auto, true),
        (21, model::Helper::None, false),
        (2121, model::Helper::Ftp, true),
        (2121, model::Helper::Auto, false),
    ] {
        let mut pool = Pool::new(1);
        pool.add_service(key(port), model::Scheduler::Rr).unwrap();
        pool.add_real(&key(port), endpoint(1, 80), Settings::weight(1))
            .unwrap();
        pool.add_real(&key(port), endpoint(2, 80), Settings::weight(1))
            .unwrap();
        // One that is removed and still known is followed as the others are.
        pool.real(RealId(1)).unwrap().enter(Phase::Active);
        pool.remove_real(&key(port), endpoint(2, 80)).unwrap();
        pool.set_handling(&key(port), helped(helper)).unwrap();
        let facts = |pool: &Pool| {
            [
                pool.is_control(vip(port)),
                pool.takes_data(vip(port - 1)),
                pool.takes_data(vip(first)),
                pool.answers(Protocol::Tcp, endpoint(1, 999)),
                pool.answers(Protocol::Tcp, endpoint(2, 999)),
                pool.reals().all(|real| real.follows_ftp()),
            ]
        };
        assert_eq!(facts(&pool), [follows; 6], "{port} {helper}");
        assert!(!pool.takes_data(vip(port)) && pool.answers(Protocol::Tcp, endpoint(1, 80)));
        let none = helped(model::Helper::None);
        pool.set_handling(&key(port), none).unwrap();
        assert_eq!(facts(&pool), [false; 6]);
        pool.set_handling(&key(port), helped(helper)).unwrap();
        pool.remove_service(&key(port)).unwrap();
        assert!(!pool.is_control(vip(port)) && !pool.takes_data(vip(first)));
    }
}

#[test]
fn a_drain_waits_for_connections_of_when_its_real_server_was_reached_in_another_way() {
    let mut pool = pool(1);
    let at = endpoint(1, 8080);
    let first = Arc::clone(pool.reals().next().unwrap());
    first.load.enter(Phase::Active);
    let by_dr = Settings {
        method: Method::Dr,
        ..Settings::weight(1)
    };
    pool.set_real(&key(80), at, by_dr).unwrap();
    let drain = Drain {
        since: 0,
        seconds: 60,
        until: Tick(600),
    };
    pool.drain_real(&key(80), at, drain).unwrap();
    assert_eq!(pool.drained(Tick(599)).count(), 0);
    assert_eq!(pool.drained(Tick(600)).count(), 1);
    first.load.leave(Phase::Active);
    assert_eq!(pool.drained(Tick(599)).count(), 1);
}
