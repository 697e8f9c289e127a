//! What is said of clients that are answered first, which is what becomes of those that come back.

use std::net::SocketAddr;

use adminapi::model::{ExplainQuery, Explanation, Protocol, RealPatch};
use anyhow::{Result, ensure};
use testbed::accounts::balanced;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::OTHER_HTTP_PORT;
use testbed::traffic::HttpConnection;

use crate::bed::Bed;

const HTTP: Family = Family::V4;

/// Of a client that has no connection.
fn told(bed: &Bed) -> Result<Explanation> {
    let query = ExplainQuery {
        protocol: Protocol::Tcp,
        from: "10.0.1.1:1234".parse()?,
        to: HTTP.http(),
        interface: None,
        call_id: None,
    };
    let api = bed.director.api();
    api.call(async |client| client.explain(&query).await)
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
    let refused = HttpConnection::open(bed.client(), HTTP.http())?.ask_name();
    let error = refused.expect_err("all are full").to_string();
    ensure!(error.contains("reset"), "{error}");
    ensure!(bed.dropped("no_real")? > 0 && bed.dropped("no_agent")? == 0);
    balanced(&bed.director)
}
