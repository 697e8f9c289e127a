//! Data connections that the client opens to where a reply says.

use std::path::PathBuf;

use adminapi::model::{
    Family as Of, ForwardingMethod, Helper, MarkRule, Persistence, Protocol, ServiceId,
    ServicePatch,
};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::ftp::MODES;
use testbed::packet::{Mac, Packet, Segment, ethernet, flag, protocol, tcp};
use testbed::raw::Tap;
use testbed::scene::Family;
use testbed::topology::{CLIENT_V4, HOST_SIDE, VIP_V4};
use testbed::traffic::file_sha256;

use crate::bed::Bed;
use crate::control::Control;

/// A kind of reply, and how curl asks for it.
type Mode = (&'static str, &'static [&'static str]);

/// The replies that say where to, in the families that have them.
const WAYS: [(Family, Mode); 3] = [
    (Family::V4, MODES[0]),
    (Family::V4, MODES[1]),
    (Family::V6, MODES[1]),
];

/// Fetches the data into each of `paths` over one control connection, and sees that all of it comes.
fn fetch_data(bed: &Bed, family: Family, (name, mode): Mode, paths: &[PathBuf]) -> Result<()> {
    let files: Vec<_> = paths.iter().map(|path| ("data", path.as_path())).collect();
    let said = bed.fetch(family, mode, &files)?;
    ensure!(said.contains(&format!("> {name}")), "no {name} in {said}");
    let expected = file_sha256(&bed.servers[0].data())?;
    for path in paths {
        ensure!(
            file_sha256(path)? == expected,
            "{name}: {path:?} is not whole"
        );
    }
    Ok(())
}

/// Real servers that know nobody but the director: what they offer, the client can use.
#[test]
fn passive_data_connections_work_by_fullnat() -> Result<()> {
    let Some(bed) = Bed::start_by(ForwardingMethod::FullNat)? else {
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let paths = ["first", "again"].map(|name| directory.path().join(name));
    for (family, mode) in WAYS {
        fetch_data(&bed, family, mode, &paths)?;
        let id = ServiceId::at(Protocol::Tcp, (family.vip(), 21).into());
        let connections = bed.director.api().connections(id)?;
        assert!(
            connections.iter().all(|c| c.local.is_some()),
            "{connections:?}"
        );
    }
    assert_accounts(&bed.director);
    Ok(())
}

/// What takes the ports that passive replies name.
#[derive(Clone, Copy, Debug)]
enum Cover {
    /// The service itself, since clients stick to its real servers.
    Persistence,
    EveryPort,
    Mark,
}

fn cover(bed: &Bed, by: Cover) -> Result<()> {
    let api = bed.director.api();
    for family in Family::BOTH {
        match by {
            Cover::Persistence => {}
            Cover::EveryPort => {
                let id = ServiceId::at(Protocol::Tcp, (family.vip(), 0).into());
                bed.beside(family, id, None)?;
            }
            Cover::Mark => {
                let of = match family {
                    Family::V4 => Of::Ipv4,
                    Family::V6 => Of::Ipv6,
                };
                let id = ServiceId::Mark {
                    mark: 7,
                    family: of,
                };
                bed.beside(family, id, Some(21))?;
                let rule = MarkRule {
                    mark: 7,
                    protocol: Some(Protocol::Tcp),
                    destination: Some(family.vip().to_string().parse()?),
                    destination_ports: Some("1024-65535".parse()?),
                    ..MarkRule::default()
                };
                api.call(async |client| client.add_mark(&rule).await)?;
            }
        }
    }
    match by {
        Cover::Persistence => bed.change(&ServicePatch {
            persistence: Some(Some(Persistence::default()).into()),
            ..ServicePatch::default()
        }),
        Cover::EveryPort | Cover::Mark => Ok(()),
    }
}

/// A data connection that was announced goes where its control connection does.
#[test]
fn what_takes_the_port_of_a_passive_reply_does_not_take_its_connection() -> Result<()> {
    for by in [Cover::Persistence, Cover::EveryPort, Cover::Mark] {
        let Some(bed) = Bed::start()? else {
            return Ok(());
        };
        cover(&bed, by)?;
        let directory = tempfile::tempdir()?;
        let paths = [directory.path().join("data")];
        for (family, mode) in WAYS {
            fetch_data(&bed, family, mode, &paths).with_context(|| format!("{by:?}"))?;
        }
        for (family, runs) in [(Family::V4, 2), (Family::V6, 1)] {
            let id = ServiceId::at(Protocol::Tcp, (family.vip(), 21).into());
            let stats = bed.director.api().service(id)?.stats;
            assert_eq!(stats.connections, runs * 2, "{by:?}: control and data");
        }
        bed.topology.client.enter(|| {
            let mut control = Control::log_in()?;
            let real = bed.real_of(control.client()?)?.ip();
            let to = control.offered()?;
            let told = bed.explain((CLIENT_V4, 1).into(), to)?;
            assert!(told.expected, "{by:?}: {told:?}");
            assert_eq!(told.real.map(|at| at.ip()), Some(real), "{by:?}");
            let stranger = bed.explain("10.0.1.77:1".parse()?, to)?;
            assert!(!stranger.expected && stranger.service.is_some(), "{by:?}");
            Ok(())
        })?;
        assert_accounts(&bed.director);
    }
    Ok(())
}

/// Clients that stick to their real servers reach its passive ports at those of the VIP, although nobody follows what is said.
#[test]
fn data_of_a_persistent_service_keeps_its_port() -> Result<()> {
    let Some(bed) = Bed::start()? else {
        return Ok(());
    };
    bed.change(&ServicePatch {
        persistence: Some(Some(Persistence::default()).into()),
        helper: Some(Helper::None),
        ..ServicePatch::default()
    })?;
    let directory = tempfile::tempdir()?;
    let paths = ["first", "again"].map(|name| directory.path().join(name));
    for family in Family::BOTH {
        fetch_data(&bed, family, MODES[1], &paths)?;
        let id = ServiceId::at(Protocol::Tcp, (family.vip(), 21).into());
        let mut all = bed.director.api().connections(id)?;
        all.retain(|connection| !connection.template);
        assert_eq!(all.len(), 3, "{all:?}");
        let keeps = all.iter().all(|one| one.vip.port() == one.real.port());
        ensure!(keeps, "{all:?}");
    }
    assert_accounts(&bed.director);
    Ok(())
}

/// What the client sees of a passive reply is the VIP, and a port of the director's choice; who
/// has not been told of it gets nowhere.
#[test]
fn the_ports_of_the_vip_are_for_those_who_were_told() -> Result<()> {
    let Some(bed) = Bed::start()? else {
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let (_, mode) = MODES[0];
    let into = directory.path().join("name");
    let said = bed.fetch(Family::V4, mode, &[("name", &into)])?;
    let reply = said
        .lines()
        .find(|line| line.contains("< 227"))
        .context("no reply to PASV")?;
    assert!(
        reply.contains("227 Entering Passive Mode (10,9,9,9,23"),
        "{reply}"
    );

    let at_client = Tap::open(&bed.topology.client, HOST_SIDE)?;
    let at_real = Tap::open(&bed.topology.reals[0].namespace, HOST_SIDE)?;
    let syn = |port| {
        let segment = Segment {
            flags: flag::SYN,
            sequence: 1,
            ..Segment::default()
        };
        tcp((CLIENT_V4, 50_000).into(), (VIP_V4, port).into(), segment)
    };
    let (from, to) = (Mac::of_host(1, 1), Mac::of_host(1, 0xfe));
    for port in [61_000, 61_100, 61_255] {
        at_client.send(&ethernet(from, to, &syn(port)))?;
    }
    let is_it = |p: &Packet| p.protocol == protocol::TCP && p.source == CLIENT_V4;
    assert!(at_real.drain(is_it)?.is_empty());
    assert_accounts(&bed.director);
    Ok(())
}
