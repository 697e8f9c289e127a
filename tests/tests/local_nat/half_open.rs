//! What the director itself says to programs of its own host: it opens connections to them for clients
//! that have brought a cookie, and tells them of those that it gives up.

use std::fs;
use std::net::SocketAddr;

use adminapi::model::{CookiePolicy, CookieWay};
use anyhow::{Context, Result, ensure};
use testbed::accounts::{assert_accounts, balanced};
use testbed::generator::{Flows, Generator, Kind};
use testbed::require;
use testbed::scene::Family;
use testbed::servers::big_file;
use testbed::traffic::{download_sha256, fetch_names, file_sha256, upload};
use testbed::wait;

use crate::bed::{Bed, PATIENCE};

/// Half-open connections that the director keeps.
const POOL: i64 = 50;

#[test]
fn clients_that_bring_a_cookie_are_served() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::start(|configuration| configuration)?;
    let (api, client) = (bed.director.api(), &bed.topology.client);
    let body = tempfile::NamedTempFile::new()?;
    fs::write(&body, vec![b'u'; 1 << 20])?;
    for family in Family::BOTH {
        bed.serve_alone(family)?;
        bed.set_cookies(family, CookiePolicy::Always)?;
        let id = family.http_service();
        let status = || api.defense(Some(id))?.cookies.context("no cookies");
        wait::until("cookies", PATIENCE, || {
            let status = status()?;
            ensure!(
                status.active && status.way == Some(CookieWay::Splice),
                "{status:?}"
            );
            Ok(())
        })?;
        let names = fetch_names(client, family.http(), 5)?;
        ensure!(names.iter().all(|name| name == "director"), "{names:?}");
        let came = download_sha256(client, family.http(), "/big")?;
        ensure!(came == file_sha256(&big_file()?)?, "{family:?}");
        upload(client, family.http(), body.path())?;
        ensure!(bed.here.take_uploads()? == [file_sha256(body.path())?]);
        let status = status()?;
        ensure!(status.sent >= 7 && status.accepted >= 7, "{status:?}");
    }
    ensure!(api.status()?.connections.half_open == 0);
    balanced(&bed.director)
}

#[test]
fn a_program_is_told_of_what_is_given_up() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::start(|configuration| {
        let small = configuration.limit("half_open", POOL);
        let brief = small.defense("syn_recv", 1).defense("syn_ack", 60);
        brief.defense("tell_reals", "reset")
    })?;
    let back = "route add 172.16.0.0/12 via 10.0.1.1\n";
    bed.topology.director.ip(back)?;
    bed.serve_alone(Family::V4)?;
    bed.set_cookies(Family::V4, CookiePolicy::Off)?;
    let client = &bed.topology.client;
    for few in 0..10 {
        let flows = Flows {
            kind: Kind::TcpSyn,
            source: SocketAddr::from(([172, 16, few, 0], 1024)),
            destination: Family::V4.http(),
            count: 0,
            frame: 60,
        };
        Generator::new(client, &flows)?.send(client, 25)?;
        // So that those who have to go for the next have been answered.
        fetch_names(client, Family::V4.http(), 1)?;
    }
    wait::until("its backlog to be as short as the pool", PATIENCE, || {
        let here = &bed.topology.director;
        let held = here
            .run("ss", &["-Htn", "state", "syn-recv"])?
            .lines()
            .count();
        ensure!((1..=60).contains(&held), "{held} half-open");
        Ok(())
    })?;
    let workers = bed.director.api().status()?.workers;
    let told: u64 = workers.iter().map(|worker| worker.answered).sum();
    ensure!(told >= 100, "{told} were told");
    assert_accounts(&bed.director);
    Ok(())
}
