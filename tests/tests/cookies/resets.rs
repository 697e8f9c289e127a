//! Real servers without keys, of which the director hears one half: clients show by a RST that they are
//! there.

use std::net::SocketAddr;
use std::thread;

use adminapi::model::{CookieWay, ForwardingMethod};
use anyhow::{Context, Result, ensure};
use testbed::accounts::balanced;
use testbed::comeback::Ending;
use testbed::director::Director;
use testbed::haven::Haven;
use testbed::packet::{Mac, Segment, ethernet, flag, tcp};
use testbed::process::Signal;
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::big_file;
use testbed::topology::HOST_SIDE;
use testbed::traffic::{download_sha256, fetch_names, file_sha256, tally};
use testbed::wait;

use crate::bed::{Agents, Bed, PATIENCE, Shape, endure};
use crate::floods::{FLOOD, ROUND, beside_a_flood, flood};

pub(crate) const DR: Shape = Shape {
    method: ForwardingMethod::Dr,
    agents: Agents::Keyless,
    ..Shape::NAT
};

#[test]
fn by_dr() -> Result<()> {
    serves_who_resets(DR)
}

#[test]
fn in_tunnels() -> Result<()> {
    serves_who_resets(Shape {
        agents: Agents::Keyless,
        ..Shape::TUN
    })
}

fn serves_who_resets(shape: Shape) -> Result<()> {
    if !require::machine() || !require::programs(&["python3"]) {
        return Ok(());
    }
    let bed = Bed::build(shape)?;
    let client = &bed.topology.client;
    for family in Family::BOTH {
        bed.await_cookies(family, 0, true)?;
        let status = bed.status(family)?;
        ensure!(status.way == Some(CookieWay::Reset), "{status:?}");
        who_does_not_reset_gets_nowhere(&bed, family)?;
        let names = beside_a_flood(&bed, family, || fetch_names(client, family.http(), 12))?;
        ensure!(tally(names).values().eq(&[4, 4, 4]), "{family:?}");
        let expected = file_sha256(&big_file()?)?;
        ensure!(download_sha256(client, family.http(), "/big")? == expected);
        let status = bed.status(family)?;
        // A SYN that is sent again may be answered and reset twice.
        ensure!(status.accepted >= 13, "{status:?}");
    }
    ensure!(bed.strangers()? == 0, "{} SYNs of nobody", bed.strangers()?);
    let stats = bed.director.api().stats()?;
    ensure!(stats.total.answered > FLOOD, "{:?}", stats.total);
    comes_again(bed)
}

/// From the port of a connection that the director still knows, or of which only a real server does.
fn comes_again(mut bed: Bed) -> Result<()> {
    for family in Family::BOTH {
        bed.comeback().is_known(family)?;
    }
    let left = bed.comeback().leave(Ending::Server)?;
    bed.director.end_by(Signal::Kill)?;
    bed.director = Director::start(&bed.topology.director, &bed.configuration)?;
    for family in Family::BOTH {
        bed.await_cookies(family, 0, true)?;
    }
    bed.comeback().is_taken_for_new(&left)?;
    balanced(&bed.director)
}

/// A SYN may come as often as it likes, and a RST with another number shows nothing.
fn who_does_not_reset_gets_nowhere(bed: &Bed, family: Family) -> Result<()> {
    let tap = Tap::open(&bed.topology.client, HOST_SIDE)?;
    let source: SocketAddr = match family {
        Family::V4 => "172.16.9.9:4000".parse()?,
        Family::V6 => "[fd00:99::9]:4000".parse()?,
    };
    let before = bed.status(family)?;
    let say = |flags, sequence| {
        let segment = Segment {
            flags,
            sequence,
            ..Segment::default()
        };
        let packet = tcp(source, family.http(), segment);
        tap.send(&ethernet(
            Mac::of_host(1, 1),
            Mac::of_host(1, 0xfe),
            &packet,
        ))
    };
    let speak = || {
        (0..3).try_for_each(|_| {
            say(flag::SYN, 1_000_000)?;
            say(flag::RST, 1_000_001)
        })
    };
    wait::until_repeated("answers", PATIENCE, speak, || {
        let now = bed.status(family)?;
        ensure!(now.sent >= before.sent + 3, "{now:?}");
        ensure!(now.accepted == before.accepted, "{now:?}");
        Ok(())
    })
}

/// Who has shown that he is there has to show it once more, to the next director.
#[test]
fn a_flood_gets_by_no_director_that_is_killed_or_takes_over() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    const HTTP: Family = Family::V4;
    let haven = Haven::new()?;
    let mut bed = Bed::build_with(DR, |configuration| haven.shelter(configuration))?;
    bed.await_cookies(HTTP, 0, true)?;
    let (client, director) = (&bed.topology.client, &mut bed.director);
    let (namespace, configuration) = (&bed.topology.director, &bed.configuration);
    let generator = flood(client, HTTP)?;
    let work = || {
        endure(client, 3)?;
        director.end_by(Signal::Kill)?;
        // Nobody but the old gate is there now.
        thread::scope(|scope| {
            let early = scope.spawn(|| endure(client, 1));
            *director = Director::start(namespace, configuration)?;
            early.join().ok().context("a client has panicked")??;
            endure(client, 3)
        })
    };
    generator.flood_beside(client, ROUND, work, || Ok(()))?;
    ensure!(bed.strangers()? == 0, "{} SYNs of nobody", bed.strangers()?);
    balanced(&bed.director)
}
