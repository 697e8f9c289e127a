//! Web servers and echoes on the director are served, asked directly, and outlive a killed director.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use adminapi::model::{ForwardingMethod, Protocol, Scheduler};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{Director, service};
use testbed::haven::Haven;
use testbed::packet::{Mac, ethernet, udp};
use testbed::process::Signal;
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::{ECHO_PORT, OTHER_HTTP_PORT, big_file};
use testbed::topology::{HOST_SIDE, REAL_SIDE};
use testbed::traffic::{
    HttpConnection, UdpClient, download_sha256, fetch_names, file_sha256, tally, upload,
};
use testbed::wait;

use crate::bed::{Bed, PATIENCE, at, own};

/// Nobody listens there.
const CLOSED_PORT: u16 = 9;

#[test]
fn the_director_serves_by_nat_beside_another_real_server() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::start(|configuration| configuration)?;
    let (api, client) = (bed.director.api(), &bed.topology.client);
    let expected = file_sha256(&big_file()?)?;
    for family in Family::BOTH {
        bed.join(family)?;
        let names = tally(fetch_names(client, family.http(), 8)?);
        let both = [("director".to_owned(), 4), ("rs1".to_owned(), 4)];
        assert_eq!(names.into_iter().collect::<Vec<_>>(), both);
        let names = (0..4).map(|n| {
            // The longer ones come and go in fragments.
            let message = vec![b'x'; if n < 2 { 5 } else { 4000 }];
            UdpClient::open(client, family.echo())?.echo(&message)
        });
        let names = tally(names.collect::<Result<Vec<_>>>()?);
        assert!(names.values().all(|&count| count == 2), "{names:?}");
        for _ in 0..2 {
            assert_eq!(download_sha256(client, family.http(), "/big")?, expected);
        }
        let connections = api.connections(family.http_service())?;
        let here = at(family, OTHER_HTTP_PORT);
        ensure!(
            connections.iter().any(|c| c.real == here),
            "{connections:?}"
        );
        let listed = api.service(family.http_service())?;
        let (ours, other) = match &listed.reals[..] {
            [a, b] if a.address == own(family) => (a, b),
            [a, b] => (b, a),
            reals => panic!("{reals:?}"),
        };
        assert_eq!(ours.method, ForwardingMethod::Nat);
        for real in [ours, other] {
            let stats = &real.stats;
            ensure!(stats.out_bytes > 100 << 20, "{stats:?}");
            ensure!(stats.in_packets > 0 && stats.out_packets > 0, "{stats:?}");
        }
    }
    assert_accounts(&bed.director);
    Ok(())
}

#[test]
fn an_upload_and_errors_find_their_way() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::start(|configuration| configuration)?;
    let (api, client) = (bed.director.api(), &bed.topology.client);
    let body = tempfile::NamedTempFile::new()?;
    fs::write(&body, vec![b'u'; 1 << 20])?;
    let expected = file_sha256(body.path())?;
    for family in Family::BOTH {
        bed.serve_alone(family)?;
        upload(client, family.http(), body.path())?;
        assert_eq!(bed.here.take_uploads()?, [expected.as_str()]);

        // Nobody is there: the kernel's "port unreachable" reaches the client as from the VIP.
        let vip = SocketAddr::new(family.vip(), CLOSED_PORT);
        let here = (at(family, CLOSED_PORT), 1);
        api.add_service(&service(Protocol::Udp, vip, Scheduler::Rr, [here]))?;
        bed.refuses(vip)?;
    }
    assert_accounts(&bed.director);
    Ok(())
}

/// Who is asked without the service answers with its own address, and is left alone when it is a real
/// server no more.
#[test]
fn its_programs_can_be_asked_directly() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::start(|configuration| configuration.sysctl("expire_nodest_conn", 1))?;
    let (api, client) = (bed.director.api(), &bed.topology.client);
    for family in Family::BOTH {
        bed.ask_directly(family)?;
        assert_eq!(bed.caught()?, 0, "it is no real server yet");
    }
    for family in Family::BOTH {
        bed.join(family)?;
        let before = bed.caught()?;
        bed.ask_directly(family)?;
        ensure!(bed.caught()? > before, "{family:?}: nothing was caught");
        let direct = UdpClient::open(client, at(family, ECHO_PORT))?;
        assert_eq!(direct.echo(&[b'x'; 4000])?, "director");
        bed.refuses(at(family, CLOSED_PORT))?;
        fetch_names(client, family.http(), 2)?;
    }
    let here = &bed.topology.director;
    let lone =
        here.enter(|| HttpConnection::open_here(at(Family::V4, OTHER_HTTP_PORT))?.ask_name());
    assert_eq!(
        lone?, "director",
        "the host itself is no client of the service"
    );
    for family in Family::BOTH {
        api.remove_real(family.http_service(), at(family, OTHER_HTTP_PORT))?;
        api.remove_real(family.echo_service(), at(family, ECHO_PORT))?;
    }
    for family in Family::BOTH {
        wait::until("nothing to be caught any more", PATIENCE, || {
            let before = bed.caught()?;
            bed.ask_directly(family)?;
            ensure!(bed.caught()? == before, "{family:?}");
            Ok(())
        })?;
    }
    assert_accounts(&bed.director);
    Ok(())
}

/// What a real server says to a group answers nobody: it goes out as it is.
#[test]
fn groups_hear_its_programs() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::start(|configuration| configuration)?;
    let all = Mac([0xff; 6]);
    let groups: [(Family, &str, Mac); 4] = [
        (Family::V4, "224.0.0.251", Mac([1, 0, 0x5e, 0, 0, 0xfb])),
        (Family::V4, "10.0.2.255", all),
        (Family::V4, "255.255.255.255", all),
        (Family::V6, "ff02::fb", Mac([0x33, 0x33, 0, 0, 0, 0xfb])),
    ];
    let here = Tap::open(&bed.topology.director, REAL_SIDE)?;
    let outside = Tap::open(&bed.topology.reals[0].namespace, HOST_SIDE)?;
    for family in Family::BOTH {
        bed.join(family)?;
    }
    for (family, group, station) in groups {
        let (from, to) = (at(family, ECHO_PORT), SocketAddr::new(group.parse()?, 5353));
        let before = bed.caught()?;
        let frame = ethernet(Mac::of_host(2, 0xfe), station, &udp(from, to, b"hello"));
        let says = || here.send(&frame);
        outside.expect_answer(group, says, |packet| {
            packet.source == from.ip() && packet.destination == to.ip()
        })?;
        ensure!(bed.caught()? == before, "{group}: it was caught");
    }
    assert_accounts(&bed.director);
    Ok(())
}

#[test]
fn what_is_connected_outlives_a_killed_director() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let haven = Haven::new()?;
    let mut bed = Bed::start(|configuration| {
        let configuration = configuration.sysctl("expire_nodest_conn", 1);
        haven.shelter(configuration)
    })?;
    let client = &bed.topology.client;
    let caught_by = || -> Result<usize> { Ok(fs::read_dir(haven.pin().join("answers"))?.count()) };
    let mut talks = Vec::new();
    let mut downloads = Vec::new();
    let expected = file_sha256(&big_file()?)?;
    for family in Family::BOTH {
        bed.serve_alone(family)?;
        let api = bed.director.api();
        let mut talk = HttpConnection::open(client, family.http())?;
        assert_eq!(talk.ask_name()?, "director");
        talks.push(talk);
        let url = format!("http://{}/big", family.http());
        let pipeline = format!(
            "set -o pipefail; curl -gsS --fail --max-time 60 --limit-rate 30M {url} | sha256sum"
        );
        downloads.push(client.spawn(move || {
            let output = Command::new("bash").args(["-c", &pipeline]).output()?;
            ensure!(output.status.success(), "{output:?}");
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        })?);
        wait::until("the download to begin", PATIENCE, || {
            let carried = api.service(family.http_service())?.stats;
            ensure!(carried.out_bytes > 5 << 20, "{carried:?}");
            Ok(())
        })?;
    }
    let interfaces = bed.topology.interfaces().len();
    wait::until("it to be kept", PATIENCE, || {
        let running = fs::read_to_string(haven.kept("running")?)?;
        ensure!(running.contains("10.0.2.254"), "{running}");
        ensure!(caught_by().is_ok_and(|count| count == interfaces));
        Ok(())
    })?;
    for _ in 0..2 {
        bed.director.end_by(Signal::Kill)?;
        bed.director = Director::start(&bed.topology.director, &bed.configuration)?;
        assert_eq!(caught_by()?, interfaces);
        for talk in &mut talks {
            assert_eq!(talk.ask_name()?, "director");
        }
        bed.ask_directly(Family::V4)?;
    }
    for download in downloads {
        let sum = download.join().expect("the download panicked")?;
        assert!(sum.starts_with(&expected), "{sum}");
    }
    assert_accounts(&bed.director);
    for family in Family::BOTH {
        let api = bed.director.api();
        api.remove_real(family.http_service(), at(family, OTHER_HTTP_PORT))?;
        api.remove_real(family.echo_service(), at(family, ECHO_PORT))?;
    }
    wait::until("nothing to be caught any more", PATIENCE, || {
        ensure!(caught_by()? == 0);
        Ok(())
    })
}
