//! Whatever single changes are taken, one after the other: what they make is a configuration that the
//! file, or a start, would take.

use adminapi::ControlError;
use adminapi::model::Configuration;
use adminapi::validate::{
    validate_change, validate_config, validate_real, validate_service, validate_whole,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::settings::wanted;
use super::*;
use crate::time::Tick;
use crate::wire::Addr;

/// What is asked for, as the API reads it.
#[derive(Clone, Debug)]
enum Step {
    Make(Value),
    PutService(Value),
    PutReal(ServiceId, Value),
    PutAll(Vec<Value>),
}

const SERVICES: [&str; 6] = [
    "tcp:10.0.0.1:80",
    "tcp:10.0.0.1:0",
    "tcp:10.0.0.2:80",
    "udp:10.0.0.1:80",
    "udp:10.0.0.2:0",
    "fwm:1",
];

fn id() -> impl Strategy<Value = ServiceId> {
    prop::sample::select(SERVICES.as_slice()).prop_map(|id| id.parse().unwrap())
}

fn method() -> impl Strategy<Value = &'static str> {
    prop::sample::select(["nat", "dr", "tun", "fullnat"].as_slice())
}

fn address() -> impl Strategy<Value = String> {
    prop::sample::select([1, 2, 3, 3, 4, 99].as_slice()).prop_map(|host| format!("10.0.0.{host}"))
}

/// A real server.
fn real() -> impl Strategy<Value = Value> {
    let port = prop::sample::select([80, 81].as_slice());
    let fields = (address(), prop::option::of(port), method());
    fields.prop_map(|(address, port, method)| {
        let mut real = json!({"address": address, "method": method});
        if let Some(port) = port {
            real["port"] = json!(port);
        }
        real
    })
}

/// The fields of a service that hang together with others.
fn handling() -> impl Strategy<Value = Value> {
    let sorry = prop::option::of(real());
    let fields = (any::<bool>(), any::<bool>(), any::<bool>(), sorry);
    fields.prop_map(|(one_packet, sticks, is_watched, sorry)| {
        let mut service = json!({"one_packet": one_packet, "persistence": null, "health": null});
        if sticks {
            service["persistence"] = json!({"timeout": 60});
        }
        if is_watched {
            service["health"] = json!({ "sorry": sorry });
        }
        service
    })
}

fn service() -> impl Strategy<Value = Value> {
    let reals = prop::collection::vec(real(), 0..3);
    (id(), handling(), reals).prop_map(|(id, mut service, reals)| {
        let naming = serde_json::to_value(adminapi::model::Naming::from(id)).unwrap();
        let fields = service.as_object_mut().unwrap();
        fields.extend(naming.as_object().unwrap().clone());
        service["real"] = json!(reals);
        service
    })
}

fn step() -> impl Strategy<Value = Step> {
    let id = || id().prop_map(|id| id.to_string());
    let at = (address(), prop::sample::select([0, 80, 81].as_slice()));
    let at = at.prop_map(|(address, port)| format!("{address}:{port}"));
    let patch = prop_oneof![
        method().prop_map(|method| json!({ "method": method })),
        Just(json!({"weight": 1})),
        Just(json!({"drain": 60})),
    ];
    let to_real = (id(), at, patch).boxed();
    let set = (id(), handling(), prop::sample::select([0, 1, 2].as_slice()));
    prop_oneof![
        4 => service().prop_map(|service| Step::Make(json!({"add_service": service}))),
        4 => (id(), real()).prop_map(|(id, real)| {
            Step::Make(json!({"add_real": {"service": id, "real": real}}))
        }),
        4 => to_real.clone().prop_map(|(id, at, patch)| {
            Step::Make(json!({"change_real": {"service": id, "real": at, "patch": patch}}))
        }),
        4 => set.prop_map(|(id, handling, field)| {
            let name = ["one_packet", "persistence", "health"][field];
            let patch = json!({ name: handling[name] });
            Step::Make(json!({"change_service": {"service": id, "patch": patch}}))
        }),
        1 => to_real.prop_map(|(id, at, _)| {
            Step::Make(json!({"remove_real": {"service": id, "real": at}}))
        }),
        1 => id().prop_map(|id| Step::Make(json!({"remove_service": {"service": id}}))),
        2 => service().prop_map(Step::PutService),
        2 => (self::id(), real()).prop_map(|(id, real)| Step::PutReal(id, real)),
        1 => prop::collection::vec(service(), 0..4).prop_map(Step::PutAll),
    ]
}

/// Those that are drained are drained for ever.
const DRAIN: Drain = Drain {
    since: 0,
    seconds: 60,
    until: Tick(0),
};

fn make(pool: &mut Pool, change: &Change) -> Result<()> {
    let touched = &mut Touched::default();
    ControlError::unless_valid(validate_change(change))?;
    match change {
        Change::AddService(service) => add_service(pool, touched, service),
        Change::ChangeService { service, patch } => {
            let wanted = changed_service(pool, *service, patch.clone())?;
            change_service(pool, touched, &wanted)
        }
        Change::RemoveService { service } => {
            remove_service(pool, touched, translate::key(*service))
        }
        Change::AddReal { service, real } => {
            add_one(pool, touched, &translate::key(*service), real)
        }
        Change::ChangeReal {
            service,
            real,
            patch,
        } => {
            let wanted = changed_real(pool, *service, *real, patch.clone())?;
            let drain = patch.drain.map(|_| DRAIN);
            change_real(pool, touched, *service, &wanted, drain)
        }
        Change::RemoveReal { service, real } => {
            remove_real(pool, touched, &translate::key(*service), (*real).into())
        }
        Change::RemoveServices {} => put_services(pool, touched, &[], None),
    }
}

/// Takes a step as the API does.
fn take(pool: &mut Pool, step: &Step) -> Result<()> {
    fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
        serde_json::from_value(value.clone()).unwrap()
    }
    let touched = &mut Touched::default();
    match step {
        Step::Make(change) => make(pool, &read(change)),
        Step::PutService(service) => {
            let service: Service = read(service);
            ControlError::unless_valid(validate_service(&service))?;
            put_service(pool, touched, &service, Some(DRAIN)).map(drop)
        }
        Step::PutReal(id, real) => {
            let real: Real = read(real);
            ControlError::unless_valid(validate_real(*id, &real))?;
            put_one(pool, touched, &translate::key(*id), &real).map(drop)
        }
        Step::PutAll(services) => {
            let config: Configuration = read(&json!({ "service": services }));
            ControlError::unless_valid(validate_whole(&config))?;
            put_services(pool, touched, &config.services, Some(DRAIN))
        }
    }
}

/// A pool that speaks from an address.
fn speaking() -> Pool {
    let mut pool = Pool::new(1);
    pool.list_speakers(&[Addr::v4([10, 0, 0, 99])]);
    pool
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_single_changes_make_a_start_takes(
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let mut pool = speaking();
        for step in steps {
            let mut next = pool.clone();
            if take(&mut next, &step).is_err() {
                continue;
            }
            pool = next;
            let services = pool.services();
            let kept: Vec<_> = services
                .iter()
                .map(|service| wanted(view::configured(service), service))
                .collect();
            let problems = validate_config(&kept);
            prop_assert!(problems.is_empty(), "{step:?}: {problems:?}");
            let started = put_services(&mut speaking(), &mut Touched::default(), &kept, None);
            prop_assert!(started.is_ok(), "{step:?}: {started:?}");
        }
    }
}

/// The kinds that a fuzz of the API has found, and what ipvsadm takes.
#[test]
fn pairs_that_do_not_go_together_are_refused_in_either_order() {
    let web = |more: Value| {
        let mut service = json!({"protocol": "tcp", "address": "10.0.0.1", "port": 80});
        let fields = service.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        Step::Make(json!({ "add_service": service }))
    };
    let other = Step::Make(json!({"add_service":
        {"protocol": "tcp", "address": "10.0.0.2", "port": 80}}));
    let patch = |patch: Value| {
        Step::Make(json!({"change_service": {"service": "tcp:10.0.0.1:80", "patch": patch}}))
    };
    let to = |address: &str, method: &str| {
        let real = json!({"address": address, "port": 80, "method": method});
        Step::Make(json!({"add_real": {"service": "tcp:10.0.0.1:80", "real": real}}))
    };
    let sorry = |address: &str| json!({"health": {"sorry": {"address": address, "port": 80}}});
    let once = Step::Make(json!({"add_service":
        {"fwmark": 1, "one_packet": true, "real": [{"address": "10.0.0.3", "port": 80}]}}));
    let fullnat = Step::Make(json!({"change_real":
        {"service": "fwm:1", "real": "10.0.0.3:80", "patch": {"method": "fullnat"}}}));
    let every_port = Step::Make(
        json!({"add_service": {"protocol": "tcp", "address": "10.0.0.1",
        "port": 0, "persistence": {"timeout": 60}}}),
    );
    for (steps, is_taken) in [
        (vec![web(sorry("10.0.0.3")), to("10.0.0.3", "nat")], false),
        (
            vec![
                web(json!({})),
                to("10.0.0.3", "nat"),
                patch(sorry("10.0.0.3")),
            ],
            false,
        ),
        (
            vec![web(json!({})), other.clone(), patch(sorry("10.0.0.2"))],
            false,
        ),
        (vec![web(sorry("10.0.0.2")), other.clone()], false),
        (
            vec![
                web(sorry("10.0.0.2")),
                patch(sorry("10.0.0.3")),
                other.clone(),
            ],
            true,
        ),
        (
            vec![
                web(sorry("10.0.0.2")),
                patch(json!({"health": null})),
                other,
            ],
            true,
        ),
        (vec![once, fullnat], false),
        (
            vec![every_port.clone(), web(json!({})), to("10.0.0.1", "dr")],
            true,
        ),
        (vec![web(json!({})), to("10.0.0.1", "dr"), every_port], true),
    ] {
        let (last, before) = steps.split_last().unwrap();
        let mut pool = speaking();
        before
            .iter()
            .for_each(|step| take(&mut pool, step).unwrap());
        let taken = take(&mut pool, last);
        assert_eq!(taken.is_ok(), is_taken, "{steps:?}: {taken:?}");
    }
}
