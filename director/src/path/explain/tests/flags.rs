//! What is said of segments that are no SYN, held against what then becomes of them.

use super::opening::{client, opened_by, pool, rip, told_of};
use super::*;
use crate::cookie::{Abilities, Key, Recipe};
use crate::defence::Strays;

const ACK: Flags = Flags(Flags::ACK);

fn probe(flags: u8) -> Probe<'static> {
    Probe {
        flags: Flags(flags),
        ..Probe::opening(client(7000, 9))
    }
}

/// The real server that a segment opens a connection to, or why it opens none.
fn fate(shared: &Shared, flags: u8) -> Result<Endpoint, DropReason> {
    let told = told_of(shared, &probe(flags));
    assert_eq!(told, opened_by(shared, &probe(flags)), "{flags:#x}");
    told
}

fn serving_one() -> Shared {
    testing::shared(pool(&[1]), routes())
}

fn answering(resets: bool) -> Recipe {
    Recipe {
        slot: 0,
        service: 1,
        keys: [Some(Key([1; 16])), None],
        parity: 0,
        mints: !resets,
        resets,
        mss: 1460,
        abilities: Abilities::ALL,
        lenient: false,
        splices: false,
        shared: false,
    }
}

fn make_sloppy(shared: &Shared) {
    let mut sysctls = Sysctls::default();
    let on = Value::Number(1);
    sysctls.set(Sysctl::SloppyTcp, &on).unwrap();
    shared.sysctls.store(Arc::new(sysctls));
}

#[test]
fn what_opens_nothing_belongs_to_no_connection() {
    for flags in 0..=u8::MAX {
        let shared = serving_one();
        let want = match Flags(flags) {
            flags if flags.is_nonsense() => Err(Cause::TcpFlags.into()),
            flags if flags.opens() => Ok(rip(1)),
            _ => Err(Cause::NoConnection.into()),
        };
        assert_eq!(fate(&shared, flags), want, "{flags:#x}");
    }
}

#[test]
fn a_lost_connection_may_come_back_where_that_is_wanted() {
    let shared = serving_one();
    shared.orders.set_strays(Strays::Resurrect);
    assert_eq!(
        fate(&shared, Flags::ACK),
        Err(Cause::NoConnectionYet.into())
    );
}

#[test]
fn sloppy_tcp_takes_up_connections_in_their_midst() {
    for flags in 0..=u8::MAX {
        let shared = serving_one();
        make_sloppy(&shared);
        let told = fate(&shared, flags);
        if flags == Flags::ACK {
            assert_eq!(told, Ok(rip(1)));
        }
    }
}

#[test]
fn what_brings_no_cookie_is_refused_where_there_are_some() {
    for (resets, flags) in [false, true]
        .into_iter()
        .flat_map(|resets| [Flags::ACK, Flags::FIN | Flags::ACK].map(|flags| (resets, flags)))
    {
        let shared = serving_one();
        let services = shared.pool.load();
        let cookies = |recipe: &Recipe| {
            let set = |service: &Arc<Service>| service.cookies.set(Some(recipe.clone()));
            services.iter().for_each(set);
        };
        let recipe = answering(resets);
        cookies(&recipe);
        assert_eq!(fate(&shared, flags), Err(Cause::BadCookie.into()));
        cookies(&Recipe {
            mints: false,
            resets: false,
            ..recipe
        });
        assert_eq!(fate(&shared, flags), Err(Cause::NoConnection.into()));
        cookies(&recipe);
        make_sloppy(&shared);
        assert_ne!(fate(&shared, flags), Err(Cause::BadCookie.into()));
    }
}

#[test]
fn what_a_connection_takes_belongs_to_it_and_nonsense_is_refused_all_the_same() {
    let (shared, home) = scene(Protocol::Tcp, in_state(State::TimeWait));
    let told = |flags| {
        let probe = Probe {
            flags,
            ..Probe::opening(tuple(Protocol::Tcp))
        };
        let told = shared.explain(&probe, 0, NOW);
        assert_eq!(told.real.map(|real| real.endpoint), Some(home));
        (told.connection.is_some(), told.refused)
    };
    assert_eq!(told(ACK), (true, None), "a SYN would leave it behind");
    let refused = Some(Cause::TcpFlags.into());
    assert_eq!(told(Flags(Flags::FIN)), (true, refused));
    assert_eq!(told(Flags(0)), (true, refused));
}

#[test]
fn a_real_server_brings_back_what_was_lost_with_an_ack_alone() {
    let mut pool = Pool::new(1);
    let key = ServiceKey::at(Protocol::Tcp, client(0, 9).dst);
    pool.add_service(key, Scheduler::Wlc).unwrap();
    pool.add_real(&key, rip(1), Settings::weight(1)).unwrap();
    let shared = testing::shared(pool, routes());
    let reply = client(7000, 9);
    let reply = Tuple {
        src: rip(1),
        dst: reply.src,
        ..reply
    };
    let told = |flags: u8| {
        let probe = Probe {
            flags: Flags(flags),
            ..Probe::opening(reply)
        };
        shared.explain(&probe, 0, NOW)
    };
    for (strays, is_back) in [(Strays::Route, false), (Strays::Resurrect, true)] {
        shared.orders.set_strays(strays);
        assert_eq!(told(Flags::ACK).connection.is_some(), is_back, "{strays:?}");
        assert!(told(Flags::RST | Flags::ACK).connection.is_none());
    }
    assert_eq!(shared.table.len(), 0, "nothing is made anew");
}
