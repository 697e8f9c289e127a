//! What is said of clients that are answered first, which is what becomes of those that come back.

use std::net::SocketAddr;

use adminapi::model::{
    CookiePolicy, ExplainQuery, Explanation, Fate, Protocol, RealPatch, ServicePatch,
};
use anyhow::{Result, ensure};
use testbed::accounts::balanced;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::OTHER_HTTP_PORT;
use testbed::traffic::HttpConnection;
use testbed::wait;

use crate::bed::{Bed, PATIENCE};

const HTTP: Family = Family::V4;

/// Of a client that has no connection.
fn told(bed: &Bed) -> Result<Explanation> {
    let query = ExplainQuery {
        protocol: Protocol::Tcp,
        from: "10.0.1.1:1234".parse()?,
        to: HTTP.http(),
        interface: None,
        call_id: None,
        flags: None,
    };
    let api = bed.director.api();
    api.call(async |client| client.explain(&query).await)
}

/// A share of the new connections is dropped, but a cookie speaks for who has one.
#[test]
fn who_brings_back_a_cookie_is_not_drawn_and_nobody_says_so() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let api = bed.director.api();
    let off = ServicePatch {
        cookies: Some(CookiePolicy::Off),
        ..ServicePatch::default()
    };
    let other = Family::V6.http_service();
    api.call(async |client| client.change_service(other, off).await)?;
    api.set_sysctl("am_droprate", 1)?;
    api.set_sysctl("drop_packet", 3)?;
    let shown = |service| {
        let shown = api.defense(service)?;
        Ok::<_, anyhow::Error>((shown.rung, shown.drop_rate))
    };
    let (spared, drawn) = (("cookies".to_owned(), 0.0), ("share".to_owned(), 1.0));
    ensure!(shown(Some(HTTP.http_service()))? == spared);
    wait::until("the end of the other's cookies", PATIENCE, || {
        ensure!(shown(Some(other))? == drawn);
        Ok(())
    })?;
    ensure!(shown(None)? == drawn);
    for _ in 0..4 {
        let told = told(&bed)?;
        ensure!(
            told.fate == Fate::Forward && told.cookies.is_some(),
            "{told:?}"
        );
        HttpConnection::open(bed.client(), HTTP.http())?.ask_name()?;
    }
    ensure!(bed.dropped("defense_rate")? == 0);
    balanced(&bed.director)
}

/// Each real server has all the connections that it may have: no agent is missing.
#[test]
fn who_comes_back_when_all_real_servers_are_full_is_told_so_by_a_reset() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let api = bed.director.api();
    let one = RealPatch {
        upper: Some(1),
        ..RealPatch::default()
    };
    let mut open = Vec::new();
    for real in &bed.topology.reals {
        let at = SocketAddr::new(real.address(HTTP.vip()), OTHER_HTTP_PORT);
        api.change_real(HTTP.http_service(), at, one.clone())?;
    }
    for _ in &bed.topology.reals {
        let mut connection = HttpConnection::open(bed.client(), HTTP.http())?;
        connection.ask_name()?;
        open.push(connection);
    }
    let told = told(&bed)?;
    ensure!(told.reason.as_deref() == Some("no_real"), "{told:?}");
    // The reset may come before the client has heard that it is connected.
    let opened = HttpConnection::open(bed.client(), HTTP.http());
    let refused = opened.and_then(|mut open| open.ask_name());
    let error = format!("{:#}", refused.expect_err("all are full"));
    ensure!(error.contains("reset"), "{error}");
    wait::until("it to be counted", PATIENCE, || {
        ensure!(bed.dropped("no_real")? > 0);
        Ok(())
    })?;
    ensure!(bed.dropped("no_agent")? == 0);
    balanced(&bed.director)
}
