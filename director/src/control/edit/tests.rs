//! What a change of many services promises.

use std::net::SocketAddr;

use adminapi::ControlError;
use adminapi::model::{ForwardingMethod, HealthPolicy, Protocol, Scheduler};

use super::*;

fn service(vip: &str, reals: &[&str]) -> Service {
    let vip: SocketAddr = vip.parse().unwrap();
    let real = |text: &&str| {
        let endpoint: SocketAddr = text.parse().unwrap();
        Real {
            address: endpoint.ip(),
            port: Some(endpoint.port()),
            weight: 1,
            method: ForwardingMethod::Nat,
            upper: 0,
            lower: 0,
            tun: None,
            check: None,
        }
    };
    Service {
        id: ServiceId::at(Protocol::Tcp, vip),
        scheduler: Scheduler::Rr,
        scheduler_flags: Default::default(),
        persistence: None,
        engine: None,
        one_packet: false,
        health: None,
        cookies: Default::default(),
        udp_repeats: None,
        helper: Default::default(),
        reals: reals.iter().map(real).collect(),
    }
}

#[test]
fn a_service_may_become_one_packet_as_its_real_server_leaves_fullnat() {
    let datagrams = |method, one_packet| {
        let mut wanted = service("10.0.0.1:53", &["10.0.0.2:53"]);
        wanted.id = ServiceId::at(Protocol::Udp, "10.0.0.1:53".parse().unwrap());
        wanted.reals[0].method = method;
        Service {
            one_packet,
            ..wanted
        }
    };
    let mut pool = Pool::new(1);
    pool.list_speakers(&[crate::wire::Addr::v4([10, 0, 0, 99])]);
    for (method, one_packet, fits) in [
        (ForwardingMethod::FullNat, false, true),
        (ForwardingMethod::Nat, true, true),
        (ForwardingMethod::FullNat, true, false),
        (ForwardingMethod::FullNat, false, true),
    ] {
        let mut next = pool.clone();
        let wanted = [datagrams(method, one_packet)];
        let put = put_services(&mut next, &mut Touched::default(), &wanted, None);
        assert_eq!(put.is_ok(), fits, "{method:?} {one_packet}: {put:?}");
        if fits {
            pool = next;
        }
    }
}

#[test]
fn a_real_server_and_a_service_may_change_places_in_one_step() {
    let (one, other, third) = ("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80");
    let steps = [
        vec![service(one, &[other, third])],
        vec![service(other, &[third]), service(one, &[third])],
        vec![service(other, &[one])],
    ];
    let mut pool = Pool::new(1);
    for desired in steps {
        put_services(&mut pool, &mut Touched::default(), &desired, None).unwrap();
        let now = pool.services().len();
        assert_eq!(now, desired.len());
    }
    let circle = [service(one, &[other]), service(other, &[third])];
    put_services(&mut pool, &mut Touched::default(), &circle, None).unwrap_err();
}

/// The pointer of a refusal.
fn pointer(refused: Result<()>) -> Option<String> {
    match refused {
        Err(ControlError::Invalid(problems)) => problems.first().map(|p| p.pointer.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sorry_server_that_cannot_be_spoken_to_is_refused() {
    let guarded = |sorry: &str, method| {
        let mut wanted = service("10.0.0.1:53", &["10.0.0.2:53"]);
        wanted.id = ServiceId::at(Protocol::Udp, "10.0.0.1:53".parse().unwrap());
        let mut sorry = service("10.0.0.1:53", &[sorry]).reals.remove(0);
        sorry.method = method;
        wanted.health = Some(HealthPolicy {
            sorry: Some(sorry),
            ..HealthPolicy::default()
        });
        wanted
    };
    let put = |pool: &mut Pool, wanted: &Service| {
        put_service(pool, &mut Touched::default(), wanted, None).map(drop)
    };
    let fullnat = guarded("10.0.0.3:53", ForwardingMethod::FullNat);
    let method = Some("/health/sorry/method".to_owned());
    let mut pool = Pool::new(1);
    put(&mut pool, &service("10.0.0.4:53", &[])).unwrap();
    assert_eq!(pointer(put(&mut pool.clone(), &fullnat)), method);
    pool.list_speakers(&[crate::wire::Addr::v4([10, 0, 0, 99])]);
    put(&mut pool, &fullnat).unwrap();
    let once = Service {
        one_packet: true,
        ..fullnat
    };
    assert_eq!(pointer(put(&mut pool.clone(), &once)), method);
    let speaker = guarded("10.0.0.99:53", ForwardingMethod::Nat);
    let address = Some("/health/sorry/address".to_owned());
    assert_eq!(pointer(put(&mut pool, &speaker)), address);
}

#[test]
fn a_refusal_points_at_its_place_among_all_services() {
    let mut pool = Pool::new(1);
    pool.list_speakers(&[crate::wire::Addr::v4([10, 0, 0, 99])]);
    let put = |pool: &mut Pool, desired: &[Service]| {
        put_services(pool, &mut Touched::default(), desired, None)
    };
    let good = service("10.0.0.1:80", &["10.0.0.2:80"]);
    let speaker = service("10.0.0.3:80", &["10.0.0.4:80", "10.0.0.99:80"]);
    let refused = put(&mut pool.clone(), &[good.clone(), speaker]);
    assert_eq!(
        pointer(refused).as_deref(),
        Some("/service/1/real/1/address")
    );
    put(&mut pool, std::slice::from_ref(&good)).unwrap();
    pool.list_speakers(&[]);
    let mut voiceless = good;
    voiceless.reals[0].method = ForwardingMethod::FullNat;
    let refused = put(&mut pool, &[voiceless]);
    assert_eq!(
        pointer(refused).as_deref(),
        Some("/service/0/real/0/method")
    );
}
