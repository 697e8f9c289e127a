//! T18: somebody forges the addresses of hosts that are there, and that reset what they did not ask for.
//! A RST of theirs looks like that of a client.

use std::net::IpAddr;
use std::time::Instant;

use adminapi::model::{FilterRules, LimitOf, LimitPer, RateLimit};
use anyhow::{Result, ensure};
use testbed::accounts::balanced;
use testbed::require;
use testbed::scene::Family;
use testbed::syns;
use testbed::topology::HOST_SIDE;
use testbed::traffic::fetch_names;
use testbed::wait;

use crate::bed::{Bed, PATIENCE};
use crate::resets::DR;

const HTTP: Family = Family::V4;

/// Hosts that are there, and have no part in it.
const HOSTS: [&str; 2] = ["10.0.1.66", "10.0.1.67"];

/// Where real servers send what is for them.
const CLIENT_AT_REALS: &str = "10.0.2.200";

/// SYNs in the name of each.
const FORGED: u16 = 50;

/// SYNs that a source may send at once.
const BURST: u32 = 5;

#[test]
fn who_is_there_and_resets_holds_no_server_and_can_be_limited() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build(DR)?;
    bed.await_cookies(HTTP, 0, true)?;
    let client = &bed.topology.client;
    for host in HOSTS {
        client.ip(&format!("addr add {host}/32 dev {HOST_SIDE}\n"))?;
        for real in &bed.topology.reals {
            let way = format!("route add {host}/32 via {CLIENT_AT_REALS}\n");
            real.namespace.ip(&way)?;
        }
    }
    let [free, limited] = HOSTS;
    forge(&bed, free, FORGED.into())?;
    let again = || send(&bed, free);
    wait::until_repeated("the SYNs to get through", PATIENCE, again, || {
        let syns = bed.syns()?;
        ensure!(syns >= u64::from(FORGED), "{syns}");
        Ok(())
    })?;
    until_none_waits(&bed)?;

    let rules = FilterRules {
        limits: vec![limit()],
        ..FilterRules::default()
    };
    let api = bed.director.api();
    api.call(async |client| client.put_filter(&rules).await)?;
    let (before, since) = (bed.syns()?, Instant::now());
    forge(&bed, limited, u64::from(BURST))?;
    let through = bed.syns()? - before;
    let most = u64::from(BURST) + since.elapsed().as_secs() + 1;
    ensure!(through <= most, "{through} of {most}");
    ensure!(fetch_names(client, HTTP.http(), 2)?.len() == 2);
    until_none_waits(&bed)?;
    balanced(&bed.director)
}

/// SYNs in the name of `host`, the same again when it has reset the answers: `least` of them.
fn forge(bed: &Bed, host: &str, least: u64) -> Result<()> {
    let heard = || bed.director.api().dropped("reset_heard");
    let before = heard()?;
    let begin = || send(bed, host);
    wait::until_repeated("the host to reset what it gets", PATIENCE, begin, || {
        let now = heard()? - before;
        ensure!(now >= least, "{now}");
        Ok(())
    })?;
    send(bed, host)
}

fn send(bed: &Bed, host: &str) -> Result<()> {
    let from: IpAddr = host.parse()?;
    let ports = 20_000..20_000 + FORGED;
    syns::send(&bed.topology.client, from, HTTP.http(), ports)
}

/// The hosts reset the answers of real servers, too.
fn until_none_waits(bed: &Bed) -> Result<()> {
    wait::until(
        "real servers without half-open connections",
        PATIENCE,
        || {
            for real in &bed.topology.reals {
                let waiting = real.namespace.run("ss", &["-Htn", "state", "syn-recv"])?;
                ensure!(waiting.trim().is_empty(), "{}: {waiting}", real.name);
            }
            Ok(())
        },
    )
}

fn limit() -> RateLimit {
    RateLimit {
        name: "syns".to_owned(),
        of: LimitOf::Syns,
        per: LimitPer::Source,
        rate: 1,
        burst: Some(BURST),
        prefix_v4: 32,
        prefix_v6: 64,
        service: None,
        region: None,
        ban: None,
    }
}
