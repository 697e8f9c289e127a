//! Who says nothing for as long as a director lives is not known to the next one's gate by a packet.

use std::mem::offset_of;
use std::path::Path;

use adminapi::model::{ForwardingMethod, Scheduler};
use anyhow::{Context, Error, Result, ensure};
use director::gate::flows::{Flow, HOP_ERA_BITS, SharedHop, SharedReal, Way, kind};
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director};
use testbed::packet::Mac;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::{Family, services};
use testbed::topology::{HOST_SIDE, REAL_SIDE};
use testbed::traffic::HttpConnection;
use testbed::wait;

use crate::bed::{Bench, PATIENCE, Talk};

/// Few enough to be looked at one by one.
const FLOWS: u32 = 64;

const METHODS: [ForwardingMethod; 3] = [
    ForwardingMethod::Nat,
    ForwardingMethod::Dr,
    ForwardingMethod::Tun,
];

/// Of a map that is one variable of the gate.
const ALL: u32 = 0;

/// The ways that a pinned gate has been told.
struct Ways {
    flows: MapHandle,
    hops: MapHandle,
    reals: MapHandle,
}

/// One of them.
#[derive(Debug)]
struct Told {
    kind: u8,
    back: bool,
    /// Whether the gate forwards what goes this way by itself.
    holds: bool,
}

fn entry(map: &MapHandle, number: u32) -> Result<Vec<u8>> {
    let found = map.lookup(&number.to_ne_bytes(), MapFlags::ANY)?;
    found.context("there is no such entry")
}

fn word(value: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([value[at], value[at + 1], value[at + 2], value[at + 3]])
}

impl Ways {
    fn pinned(pin: &Path) -> Result<Self> {
        let open = |name| MapHandle::from_pinned_path(pin.join("maps").join(name));
        Ok(Self {
            flows: open("flows")?,
            hops: open("hops")?,
            reals: open("reals")?,
        })
    }

    fn all(&self) -> Result<Vec<Told>> {
        let mut all = Vec::new();
        for number in 0..FLOWS {
            let flow = entry(&self.flows, number)?;
            for back in [false, true] {
                all.extend(self.told(&flow, back)?);
            }
        }
        Ok(all)
    }

    fn told(&self, flow: &[u8], back: bool) -> Result<Option<Told>> {
        let way = offset_of!(Flow, ways) + usize::from(back) * size_of::<Way>();
        let [hop, era] =
            [offset_of!(Way, hop), offset_of!(Way, era)].map(|at| word(flow, way + at));
        let real = word(flow, offset_of!(Flow, real)) & 0xffff;
        let number = |number: u32, size| usize::try_from(number).map(|number| number * size);
        let of_real = number(real, size_of::<SharedReal>())? + offset_of!(SharedReal, era);
        let of_hop =
            number(hop >> HOP_ERA_BITS, size_of::<SharedHop>())? + offset_of!(SharedHop, era);
        let real_era = word(&entry(&self.reals, ALL)?, of_real);
        let hop_era = word(&entry(&self.hops, ALL)?, of_hop);
        Ok((hop != 0).then_some(Told {
            kind: flow[offset_of!(Flow, kind)],
            back,
            holds: real_era == era && hop_era == hop & ((1 << HOP_ERA_BITS) - 1),
        }))
    }
}

fn few_flows(configuration: Configuration) -> Configuration {
    let configuration = configuration.fast_path(true);
    configuration.datapath("flows", FLOWS)
}

/// The same without the real servers of IPv4.
fn without_v4(bench: &Bench) -> Configuration {
    let bare = Configuration::new(bench.topology.interfaces());
    let bare = few_flows(bench.haven.shelter(bare));
    let all = services(&bench.topology, Scheduler::Rr, &[1, 1, 1]).into_iter();
    let without = all.map(|mut service| {
        service.reals.retain(|real| real.address.is_ipv6());
        service
    });
    bare.services(without)
}

/// Waits until the gate of the director that runs has been told anew of some ways, all that are
/// `wanted`.
fn wait_told(bench: &Bench, wanted: impl Fn(&Told) -> bool) -> Result<()> {
    wait::until("the gate to be told anew", PATIENCE, || {
        let mut told = Ways::pinned(&bench.haven.pin())?.all()?;
        told.retain(&wanted);
        ensure!(
            !told.is_empty() && told.iter().all(|told| told.holds),
            "{told:?}"
        );
        Ok(())
    })
}

/// Gives all real servers other stations, and tells the director's kernel.
fn move_reals(bench: &Bench) -> Result<()> {
    for (host, number) in bench.topology.reals.iter().zip(70..) {
        let station = Mac::of_host(2, number);
        host.namespace
            .ip(&format!("link set {HOST_SIDE} address {station}\n"))?;
        for address in Family::BOTH.map(|family| host.address(family.vip())) {
            bench.topology.director.ip(&format!(
                "neigh replace {address} lladdr {station} dev {REAL_SIDE} nud reachable\n"
            ))?;
        }
    }
    Ok(())
}

#[test]
fn who_was_silent_while_a_director_lived_needs_none_after_it() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for method in METHODS {
        let mut bench = Bench::start_shaped(method, few_flows)?;
        let mut talk = Talk::begin(&bench)?;
        (0..3).try_for_each(|_| talk.go_on())?;
        bench.director.end_by(Signal::Kill)?;
        move_reals(&bench)?;
        bench.start_next()?;
        wait_told(&bench, |_| true)?;
        bench.director.end_by(Signal::Kill)?;
        let gone_on = (0..3).try_for_each(|_| talk.go_on());
        gone_on.with_context(|| format!("{method:?}"))?;
        bench.start_next()?;
        talk.go_on()?;
        assert_accounts(&bench.director);
    }
    Ok(())
}

/// Waits until the gate can forward whatever there is.
fn wait_for_lanes(bench: &Bench) -> Result<()> {
    wait::until("all interfaces to deliver", PATIENCE, || {
        let interfaces = bench.director.api().status()?.interfaces;
        ensure!(
            interfaces.iter().all(|each| each.fast_path),
            "{interfaces:?}"
        );
        Ok(())
    })
}

#[test]
fn who_has_said_little_needs_no_director_for_the_next_word() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for method in METHODS {
        let mut bench = Bench::start_shaped(method, few_flows)?;
        wait_for_lanes(&bench)?;
        let open = Family::BOTH.map(|family| {
            let mut open = HttpConnection::open(&bench.topology.client, family.http())?;
            // By DR and TUN it is agreed on when its client goes on with it.
            if method != ForwardingMethod::Nat {
                open.ask_name()?;
            }
            Ok::<_, Error>(open)
        });
        let ways = if method == ForwardingMethod::Nat {
            4
        } else {
            2
        };
        wait::until("the gate to be told", PATIENCE, || {
            let mut told = Ways::pinned(&bench.haven.pin())?.all()?;
            told.retain(|told| told.holds);
            ensure!(told.len() == ways, "{told:?}");
            Ok(())
        })?;
        bench.director.end_by(Signal::Kill)?;
        for open in open {
            let asked = open?.ask_name();
            asked.with_context(|| format!("{method:?}"))?;
        }
        bench.start_next()?;
        assert_accounts(&bench.director);
    }
    Ok(())
}

/// The gate is told of others again, whose real servers are still there.
#[test]
fn who_talks_to_a_real_server_that_was_taken_away_is_not_forwarded_again() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start_shaped(ForwardingMethod::Nat, few_flows)?;
    let mut talk = Talk::begin(&bench)?;
    (0..3).try_for_each(|_| talk.go_on())?;
    bench.director.end_by(Signal::Kill)?;
    let without = without_v4(&bench);
    bench.director = Director::start(&bench.topology.director, &without)?;
    let is_v6 = |told: &Told| told.kind & kind::V6 != 0;
    wait_told(&bench, is_v6)?;
    bench.director.end_by(Signal::Kill)?;
    let mut others = Ways::pinned(&bench.haven.pin())?.all()?;
    others.retain(|told| !is_v6(told) && !told.back);
    ensure!(
        others.len() == 2 && others.iter().all(|told| !told.holds),
        "{others:?}"
    );
    // The file says again what it has said before.
    bench.start_next()?;
    wait_told(&bench, |_| true)?;
    bench.director.end_by(Signal::Kill)?;
    talk.go_on()?;
    bench.start_next()?;
    assert_accounts(&bench.director);
    Ok(())
}

/// Each director is killed as soon as it has begun, whoever has said something to it.
#[test]
fn directors_that_are_killed_one_after_the_other_cost_nobody_a_connection() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for method in METHODS {
        let mut bench = Bench::start_shaped(method, few_flows)?;
        let mut talk = Talk::begin(&bench)?;
        let crowd = crate::crowd::Crowd::begin(&bench)?;
        crowd.talk_on()?;
        for _ in 0..3 {
            bench.restart(Signal::Kill)?;
        }
        crowd.talk_on()?;
        talk.go_on()?;
        crowd.end()?;
        assert_accounts(&bench.director);
    }
    Ok(())
}
