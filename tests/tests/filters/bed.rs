//! What is listed, sent and asked.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adminapi::model::{ExplainQuery, Explanation, FilterList, Listed, Prefix, Protocol};
use anyhow::{Result, ensure};
use testbed::scene::{Family, Scene};
use testbed::syns;
use testbed::topology::{CLIENT_V4, CLIENT_V6};
use testbed::wait;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// For what is true by itself when time has passed.
pub(crate) const SHORT: Duration = Duration::from_secs(5);

pub(crate) fn client(family: Family) -> IpAddr {
    match family {
        Family::V4 => CLIENT_V4.into(),
        Family::V6 => CLIENT_V6.into(),
    }
}

pub(crate) fn alone(addr: IpAddr) -> Result<Prefix> {
    Ok(addr.to_string().parse()?)
}

pub(crate) fn list(
    scene: &Scene,
    network: Prefix,
    list: FilterList,
    seconds: Option<u32>,
) -> Result<()> {
    let listing = Listed {
        network,
        list,
        seconds,
        why: Some("a test".to_owned()),
    };
    let api = scene.director.api();
    api.call(async |client| client.put_network(&listing).await)?;
    Ok(())
}

pub(crate) fn unlist(scene: &Scene, network: Prefix) -> Result<()> {
    let api = scene.director.api();
    api.call(async |client| client.remove_network(network).await)
}

pub(crate) fn dropped(scene: &Scene, reason: &str) -> Result<u64> {
    let drops = scene.director.api().stats()?.drops;
    Ok(drops.get(reason).copied().unwrap_or(0))
}

/// Sends SYNs by hand, each from a port of its own.
pub(crate) fn send_syns(scene: &Scene, from: IpAddr, to: SocketAddr, count: u16) -> Result<()> {
    syns::send(&scene.topology.client, from, to, 20_000..20_000 + count)
}

/// A SYN is dropped by the gate.
pub(crate) fn is_dropped(scene: &Scene, from: IpAddr, to: SocketAddr, reason: &str) -> Result<()> {
    let before = dropped(scene, reason)?;
    let send = || send_syns(scene, from, to, 1);
    wait::until_repeated("the gate to drop it", PATIENCE, send, || {
        ensure!(dropped(scene, reason)? > before, "nothing {reason}");
        Ok(())
    })
}

/// What would become of a SYN through the first interface.
pub(crate) fn ask(scene: &Scene, from: IpAddr, to: SocketAddr) -> Result<Explanation> {
    let query = ExplainQuery {
        protocol: Protocol::Tcp,
        from: SocketAddr::new(from, 20_000),
        to,
        interface: None,
        call_id: None,
    };
    let api = scene.director.api();
    api.call(async |client| client.explain(&query).await)
}
