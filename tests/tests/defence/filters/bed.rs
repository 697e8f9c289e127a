//! What is listed, sent and asked.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adminapi::model::{Explanation, FilterList, Listed, Prefix, Protocol};
use anyhow::{Result, ensure};
use testbed::scene::Scene;
use testbed::syns;
use testbed::wait;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// For what is true by itself when time has passed.
pub(crate) const SHORT: Duration = Duration::from_secs(5);

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

/// Sends SYNs by hand, each from a port of its own.
pub(crate) fn send_syns(scene: &Scene, from: IpAddr, to: SocketAddr, count: u16) -> Result<()> {
    syns::send(&scene.topology.client, from, to, 20_000..20_000 + count)
}

/// A SYN is dropped by the gate.
pub(crate) fn is_dropped(scene: &Scene, from: IpAddr, to: SocketAddr, reason: &str) -> Result<()> {
    let api = scene.director.api();
    let before = api.dropped(reason)?;
    let send = || send_syns(scene, from, to, 1);
    wait::until_repeated("the gate to drop it", PATIENCE, send, || {
        ensure!(api.dropped(reason)? > before, "nothing {reason}");
        Ok(())
    })
}

/// What would become of a SYN through the first interface.
pub(crate) fn ask(scene: &Scene, from: IpAddr, to: SocketAddr) -> Result<Explanation> {
    let api = scene.director.api();
    api.explain(Protocol::Tcp, SocketAddr::new(from, 20_000), to)
}
