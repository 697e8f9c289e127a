//! Real servers that refuse, are silent, or speak another dialect of TCP.

use std::net::SocketAddr;

use adminapi::model::{CheckKind, ForwardingMethod, HealthPolicy, OnFailure, Real, ServicePatch};
use anyhow::{Context, Result, ensure};
use testbed::accounts::balanced;
use testbed::checks::often;
use testbed::masquerade::{self, Tracking};
use testbed::require;
use testbed::scene::Family;
use testbed::servers::{Nginx, OTHER_HTTP_PORT, big_file};
use testbed::topology::RealHost;
use testbed::traffic::{HttpConnection, download_sha256, fetch_names, file_sha256, tally};

use testbed::wait;

use crate::bed::{Bed, PATIENCE, rules};

const HTTP: Family = Family::V4;

/// Of a real server that does not answer.
const SILENCE: &str = "table inet silence {\n chain input {\n  type filter hook input priority 0;\n  \
     tcp dport 8080 drop\n }\n}\n";

/// Each takes no part in something, or has a window of another scale.
fn differ(real: &RealHost) -> Result<()> {
    let settings: &[&str] = match &*real.name {
        "rs1" => &[
            "net.ipv4.tcp_rmem=4096 262144 67108864",
            "net.ipv4.tcp_sack=0",
        ],
        "rs2" => &[
            "net.ipv4.tcp_rmem=4096 16384 65535",
            "net.ipv4.tcp_timestamps=0",
        ],
        _ => &["net.ipv4.tcp_window_scaling=0"],
    };
    real.namespace.sysctl(settings)
}

#[test]
fn windows_of_other_scales_and_what_was_not_agreed_on_hinder_nobody() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build_with(ForwardingMethod::Nat, differ)?;
    let expected = file_sha256(&big_file()?)?;
    for _ in &bed.topology.reals {
        ensure!(download_sha256(bed.client(), HTTP.http(), "/big")? == expected);
    }
    balanced(&bed.director)
}

#[test]
fn who_refuses_or_is_silent_is_passed_over_and_without_anybody_the_client_is_told() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bed = Bed::build()?;
    bed.web[0].kill()?;
    rules(&bed.topology.reals[1].namespace, SILENCE)?;
    let names = tally(fetch_names(bed.client(), HTTP.http(), 6)?);
    ensure!(names.keys().eq(["rs3"]), "{names:?}");

    bed.web[2].kill()?;
    // The reset may come before the client has heard that it is connected.
    let opened = HttpConnection::open(bed.client(), HTTP.http());
    let told = opened.and_then(|mut open| open.ask_name());
    let error = format!("{:#}", told.expect_err("nobody is there"));
    ensure!(error.contains("reset"), "{error}");
    balanced(&bed.director)
}

/// Who cannot be reached has nothing to do, and would be the next to be asked each time.
#[test]
fn who_cannot_be_reached_is_not_asked_in_the_place_of_who_is_silent() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    rules(&bed.topology.reals[0].namespace, SILENCE)?;
    let (api, service) = (bed.director.api(), HTTP.http_service());
    let first = SocketAddr::new(bed.topology.reals[0].v4.into(), OTHER_HTTP_PORT);
    let like = Real::from(&api.call(async |api| api.real(service, first).await)?);
    for nobody in ["192.0.2.1", "192.0.2.2"] {
        let real = Real {
            address: nobody.parse()?,
            ..like.clone()
        };
        api.add_real(service, &real)?;
    }
    let mut open = Vec::new();
    let mut names = Vec::new();
    for _ in 0..6 {
        let mut connection = HttpConnection::open(bed.client(), HTTP.http())?;
        names.push(connection.ask_name()?);
        open.push(connection);
    }
    let names = tally(names);
    ensure!(names.keys().eq(["rs2", "rs3"]), "{names:?}");
    balanced(&bed.director)
}

/// A client that comes again from a port whose last connection real servers have not seen end: each
/// says where that one stands, and is told that it is over.
#[test]
fn an_older_connection_of_the_same_ends_is_in_nobodys_way() -> Result<()> {
    const ENDS_ARE_LOST: &str = "table inet ends {\n chain output {\n  \
         type filter hook output priority 0;\n  tcp dport 8080 tcp flags & (fin | rst) != 0 drop\n }\n}\n";
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let client = bed.client();
    client.sysctl(&["net.ipv4.ip_local_port_range=50000 50000"])?;
    rules(client, ENDS_ARE_LOST)?;
    for family in Family::BOTH {
        for real in &bed.topology.reals {
            let itself = SocketAddr::new(real.address(family.vip()), OTHER_HTTP_PORT);
            HttpConnection::open(client, itself)?.ask_name()?;
        }
        HttpConnection::open(client, family.http())?.ask_name()?;
    }
    balanced(&bed.director)
}

/// While all others are down it is the sorry server that is asked.
#[test]
fn the_sorry_server_is_asked_when_there_is_nobody_else() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bed = Bed::build()?;
    let (api, service) = (bed.director.api(), HTTP.http_service());
    let last = SocketAddr::new(bed.topology.reals[2].v4.into(), OTHER_HTTP_PORT);
    let sorry = Real::from(&api.call(async |api| api.real(service, last).await)?);
    api.call(async |api| api.remove_real(service, last).await)?;
    let health = HealthPolicy {
        check: Some(often(CheckKind::Http)),
        on_failure: OnFailure::Remove,
        sorry: Some(sorry),
        ..HealthPolicy::default()
    };
    let patch = ServicePatch {
        health: Some(Some(health).into()),
        ..ServicePatch::default()
    };
    api.call(async |api| api.change_service(service, patch).await)?;
    bed.web[..2].iter_mut().try_for_each(Nginx::kill)?;
    wait::until("the sorry server", PATIENCE, || {
        let view = bed.director.api().service(service)?;
        ensure!(view.sorry.is_some(), "{view:?}");
        let cookies = bed.status(HTTP)?;
        ensure!(cookies.active && cookies.reals == 1, "{cookies:?}");
        Ok(())
    })?;
    let before = bed.syns()?;
    let names = tally(fetch_names(bed.client(), HTTP.http(), 3)?);
    ensure!(names.keys().eq(["rs3"]), "{names:?}");
    let came = download_sha256(bed.client(), HTTP.http(), "/big")?;
    ensure!(came == file_sha256(&big_file()?)?);
    ensure!(bed.syns()? >= before + 4);
    ensure!(bed.status(HTTP)?.accepted >= 4);
    balanced(&bed.director)
}

/// A router between them believes both halves.
#[test]
fn who_is_hidden_by_a_router_is_served() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let guest = masquerade::hide(bed.client())?;
    let expected = file_sha256(&big_file()?)?;
    for family in Family::BOTH {
        for tracking in Tracking::ALL {
            masquerade::track(bed.client(), tracking)?;
            let served = || -> Result<()> {
                ensure!(fetch_names(&guest, family.http(), 3)?.len() == 3);
                ensure!(download_sha256(&guest, family.http(), "/big")? == expected);
                Ok(())
            };
            served().with_context(|| format!("{family:?}, {tracking:?}"))?;
        }
    }
    balanced(&bed.director)
}
