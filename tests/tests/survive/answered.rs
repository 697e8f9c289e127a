//! What was answered holds from the answer on, however soon after it the director is killed.

use std::net::SocketAddr;

use adminapi::client::{self, Client};
use adminapi::model::{
    Change, Configuration, DefenseLevel, Draining, FilterList, FilterRules, ForwardingMethod,
    Listed, MarkRule, Protocol, Real, RealPatch, Scheduler, Service, ServicePatch, SyncDaemon,
    TimeoutsPatch,
};
use adminapi::sysctl::Value;
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::service;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::OTHER_HTTP_PORT;
use testbed::topology::{CLIENT_SIDE, VIP_V4};
use testbed::traffic::{HttpConnection, fetch_names};

use crate::bed::Bench;

const FAMILY: Family = Family::V4;

/// Changes in a row before a kill.
const MANY: u8 = 60;

/// What is configured, and who is being drained.
type Whole = (Configuration, Vec<(SocketAddr, Draining)>);

async fn whole(client: &Client) -> client::Result<Whole> {
    let services = client.services().await?;
    let reals = services.into_iter().flat_map(|service| service.reals);
    let drains = reals.filter_map(|real| Some((real.endpoint(), real.draining?)));
    let mut drains: Vec<_> = drains.collect();
    // How many it has left is no part of what was asked for.
    drains
        .iter_mut()
        .for_each(|(_, drain)| drain.connections = 0);
    Ok((client.config().await?, drains))
}

fn real(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 2, host], OTHER_HTTP_PORT))
}

/// A service of its own.
fn another() -> Service {
    let vip = SocketAddr::from((VIP_V4, 8000));
    let reals = (11..=13).map(|host| (real(host), 1));
    service(Protocol::Tcp, vip, Scheduler::Rr, reals)
}

/// Makes a change, and kills the director as soon as it is answered: the next one has it.
fn holds(
    bench: &mut Bench,
    what: &str,
    change: impl AsyncFnOnce(&Client) -> client::Result<()>,
) -> Result<()> {
    let api = bench.director.api();
    let (before, answered) = api.call(async |client| {
        let before = whole(client).await?;
        change(client).await?;
        Ok((before, whole(client).await?))
    })?;
    ensure!(before != answered, "{what} has changed nothing");
    bench.restart(Signal::Kill)?;
    let now = bench.director.api().call(whole)?;
    assert_eq!(now, answered, "{what}");
    Ok(())
}

#[test]
fn services_and_real_servers_hold_from_the_answer_on() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let (own, first) = (FAMILY.http_service(), bench.topology.reals[0].v4);
    let first = SocketAddr::from((first, OTHER_HTTP_PORT));
    let added = another();
    let id = added.id;
    let weight = |weight| RealPatch {
        weight: Some(weight),
        ..RealPatch::default()
    };
    holds(&mut bench, "a service", async |client| {
        client.add_service(&added).await.map(drop)
    })?;
    holds(&mut bench, "a scheduler", async |client| {
        let patch = ServicePatch {
            scheduler: Some(Scheduler::Lc),
            ..ServicePatch::default()
        };
        client.change_service(own, patch).await.map(drop)
    })?;
    holds(&mut bench, "a weight", async |client| {
        client.change_real(own, first, weight(7)).await.map(drop)
    })?;
    holds(&mut bench, "a real server that goes", async |client| {
        client.remove_real(id, real(12)).await
    })?;
    // Else the drain would be over at once.
    let mut guest = HttpConnection::open(&bench.topology.client, FAMILY.http())?;
    let its = guest.ask_name()?;
    let its = bench.topology.reals.iter().find(|host| host.name == its);
    let its = SocketAddr::from((its.context("nobody")?.v4, OTHER_HTTP_PORT));
    holds(&mut bench, "a drain", async |client| {
        let drain = RealPatch::drain(600);
        client.change_real(own, its, drain).await.map(drop)
    })?;
    holds(&mut bench, "the end of a drain", async |client| {
        client.change_real(own, its, weight(2)).await.map(drop)
    })?;
    guest.ask_name()?;
    holds(&mut bench, "many changes, one by one", async |client| {
        for host in 20..20 + MANY {
            let mut more = added.reals[0].clone();
            more.address = real(host).ip();
            client.add_real(id, &more).await?;
            client.change_real(id, real(host), weight(3)).await?;
        }
        Ok(())
    })?;
    holds(
        &mut bench,
        "a service in the place of itself",
        async |client| {
            client.remove_service(own).await?;
            client.remove_real(id, real(20)).await?;
            let again = Service {
                id: own,
                ..another()
            };
            client.add_service(&again).await.map(drop)
        },
    )?;
    holds(&mut bench, "many changes at once", async |client| {
        let more = |host| Real {
            address: real(host).ip(),
            ..added.reals[0].clone()
        };
        let add = |host| Change::AddReal {
            service: own,
            real: more(host),
        };
        let changes: Vec<_> = (20..20 + MANY).map(add).collect();
        client.make(&changes).await.map(drop)
    })?;
    holds(&mut bench, "no service at all", Client::flush)?;
    assert_accounts(&bench.director);
    Ok(())
}

#[test]
fn settings_hold_from_the_answer_on() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let network = "203.0.113.0/24".parse()?;
    let rule = MarkRule {
        mark: 7,
        destination: Some("198.51.100.0/24".parse()?),
        ..MarkRule::default()
    };
    let daemon = serde_json::json!({"role": "master", "interface": CLIENT_SIDE});
    let daemon: SyncDaemon = serde_json::from_value(daemon)?;
    let loose = bench.topology.interfaces()[0].clone();
    holds(&mut bench, "a listed network", async |client| {
        let listed = Listed {
            network,
            list: FilterList::Deny,
            seconds: Some(600),
            why: Some("a test".to_owned()),
        };
        client.put_network(&listed).await.map(drop)
    })?;
    holds(&mut bench, "another list", async |client| {
        let listed = Listed {
            network,
            list: FilterList::BlackHole,
            seconds: None,
            why: None,
        };
        client.put_network(&listed).await.map(drop)
    })?;
    holds(
        &mut bench,
        "a network that is listed no more",
        async |client| client.remove_network(network).await,
    )?;
    holds(&mut bench, "rules of filters", async |client| {
        let rules = FilterRules {
            loose: vec![loose],
            ..FilterRules::default()
        };
        client.put_filter(&rules).await.map(drop)
    })?;
    holds(&mut bench, "a rule of marks", async |client| {
        client.add_mark(&rule).await.map(drop)
    })?;
    holds(&mut bench, "timeouts", async |client| {
        let patch = TimeoutsPatch {
            tcp: Some(123),
            ..TimeoutsPatch::default()
        };
        client.change_timeouts(patch).await.map(drop)
    })?;
    holds(&mut bench, "a sysctl", async |client| {
        let off = Value::Number(0);
        client.change_sysctl("conn_reuse_mode", off).await.map(drop)
    })?;
    holds(&mut bench, "a synchronisation daemon", async |client| {
        client.start_daemon(&daemon).await.map(drop)
    })?;
    for level in [2, 0] {
        holds(&mut bench, "a level", async |client| {
            let level = DefenseLevel { level };
            client.set_defense(None, level).await.map(drop)
        })?;
    }
    holds(&mut bench, "a whole configuration", async |client| {
        let mut wanted = client.config().await?;
        wanted.services.truncate(1);
        wanted.timeouts.udp = 99;
        wanted.marks = Some(Vec::new());
        client.put_config(&wanted).await
    })?;
    assert_accounts(&bench.director);
    Ok(())
}

/// What a service has carried is counted each second for the next director: nobody gets it back by a
/// kill who has zeroed it.
#[test]
fn counters_that_were_zeroed_stay_so() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let id = FAMILY.http_service();
    fetch_names(&bench.topology.client, FAMILY.http(), 3)?;
    bench.restart(Signal::Kill)?;
    fetch_names(&bench.topology.client, FAMILY.http(), 3)?;
    bench.restart(Signal::Term)?;
    let carried =
        |bench: &Bench| -> Result<u64> { Ok(bench.director.api().service(id)?.stats.connections) };
    let before = carried(&bench)?;
    ensure!(before >= 3, "{before}");
    let api = bench.director.api();
    api.call(async |client| client.zero(Some(id)).await)?;
    bench.restart(Signal::Kill)?;
    let now = carried(&bench).context("the next director")?;
    assert_eq!(now, 0);
    Ok(())
}
