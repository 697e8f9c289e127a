//! Data connections of every kind go to the real server of their control connection, wherever the
//! service is, and are explained as that.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use adminapi::model::{Explanation, Fate, Helper, Protocol, Service, ServiceId, ServicePatch};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::ftp::MODES;
use testbed::scene::Family;
use testbed::topology::{CLIENT_V4, VIP_V4};
use testbed::traffic::file_sha256;

use crate::bed::Bed;
use crate::control::{Control, LISTENS};

#[test]
fn every_kind_of_data_connection_goes_to_the_right_real_server() -> Result<()> {
    let Some(bed) = Bed::start()? else {
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let into = |name: &str| directory.path().join(name);
    let expected = file_sha256(&bed.servers[0].data())?;
    for family in Family::BOTH {
        for (name, mode) in MODES {
            let is_v4_only = matches!(name, "PASV" | "PORT");
            if is_v4_only && family == Family::V6 {
                continue;
            }
            let mut names = Vec::new();
            for _ in 0..2 {
                let paths = ["a", "b", "c", "d"].map(into);
                let [first, data, again, last] = &paths;
                let files = [
                    ("name", first.as_path()),
                    ("data", data),
                    ("data", again),
                    ("name", last),
                ];
                let said = bed.fetch(family, mode, &files)?;
                ensure!(said.contains(&format!("> {name}")), "no {name} in {said}");
                assert_eq!(said.matches("> USER").count(), 1, "{said}");
                let [first, last] = [first, last].map(std::fs::read_to_string);
                let (first, last) = (first?, last?);
                assert_eq!(first, last, "{name}: another real server has answered");
                assert_eq!(file_sha256(data)?, expected, "{name}");
                assert_eq!(file_sha256(again)?, expected, "{name}");
                names.push(first);
            }
            names.sort();
            assert_eq!(names, ["rs1", "rs2"], "{name}");
        }
        let id = ServiceId::at(Protocol::Tcp, (family.vip(), 21).into());
        let stats = bed.director.api().service(id)?.stats;
        let runs = if family == Family::V4 { 8 } else { 4 };
        assert_eq!(stats.connections, runs * 5, "control and data connections");
    }
    assert_accounts(&bed.director);
    Ok(())
}

/// A service says whether FTP is spoken there, wherever it is.
#[test]
fn another_port_is_followed_when_its_service_says_so() -> Result<()> {
    const PORT: u16 = 2121;
    let Some(bed) = Bed::start()? else {
        return Ok(());
    };
    let api = bed.director.api();
    let directory = tempfile::tempdir()?;
    let into = directory.path().join("data");
    let expected = file_sha256(&bed.servers[0].data())?;
    for family in Family::BOTH {
        let usual = api.service(ServiceId::at(Protocol::Tcp, (family.vip(), 21).into()))?;
        api.add_service(&Service {
            id: ServiceId::at(Protocol::Tcp, (family.vip(), PORT).into()),
            helper: Helper::Ftp,
            ..Service::from(&usual)
        })?;
        for (name, mode) in MODES {
            if matches!(name, "PASV" | "PORT") && family == Family::V6 {
                continue;
            }
            let said = bed.fetch_at(PORT, family, mode, &[("data", &into)])?;
            ensure!(said.contains(&format!("> {name}")), "no {name} in {said}");
            assert_eq!(file_sha256(&into)?, expected, "{name}");
        }
    }
    // Passive replies are rewritten no more, and the client cannot reach what they name.
    let id = ServiceId::at(Protocol::Tcp, (VIP_V4, 21).into());
    let (_, mode) = MODES[0];
    for (helper, follows) in [(Helper::None, false), (Helper::Auto, true)] {
        let patch = ServicePatch {
            helper: Some(helper),
            ..ServicePatch::default()
        };
        api.call(async |client| client.change_service(id, patch).await)?;
        let said = bed.fetch(Family::V4, mode, &[("name", &into)]);
        let told = said.unwrap_or_else(|error| format!("{error:#}"));
        let of_vip = told.contains("227 Entering Passive Mode (10,9,9,9,");
        assert!(told.contains("227 Entering") && of_vip == follows, "{told}");
    }
    assert_accounts(&bed.director);
    Ok(())
}

/// A data connection that is announced, and one that is open, is explained as what it is.
#[test]
fn data_connections_are_explained() -> Result<()> {
    let Some(bed) = Bed::start()? else {
        return Ok(());
    };
    let service = ServiceId::at(Protocol::Tcp, (VIP_V4, 21).into());
    let assert_expected = |told: &Explanation, real: IpAddr| {
        assert_eq!(
            (told.fate, told.expected),
            (Fate::Forward, true),
            "{told:?}"
        );
        assert_eq!(told.service, Some(service));
        assert_eq!(told.real.map(|at| at.ip()), Some(real));
        assert!(told.connection.is_none() && told.scheduler.is_none());
        assert!(told.next_hop.is_some(), "{told:?}");
    };
    bed.topology.client.enter(|| {
        let mut control = Control::log_in()?;
        let real = bed.real_of(control.client()?)?.ip();

        let to = control.offered()?;
        let told = bed.explain((CLIENT_V4, 1).into(), to)?;
        assert_expected(&told, real);
        assert_eq!(bed.explain((CLIENT_V4, 1).into(), to)?, told);
        let is_lost = |told: &Explanation| {
            let why = (told.fate, told.reason.as_deref(), told.expected);
            assert_eq!(why, (Fate::Drop, Some("no_service"), false), "{told:?}");
        };
        is_lost(&bed.explain("10.0.1.77:1".parse()?, to)?);
        let data = TcpStream::connect(to)?;
        let client = data.local_addr()?;
        let open = bed.explain(client, to)?;
        assert_eq!((open.fate, open.expected), (Fate::Forward, false));
        assert!(open.connection.is_some(), "{open:?}");
        assert_eq!(open.real, told.real);
        assert_eq!(open.real, Some(bed.real_of(client)?));
        is_lost(&bed.explain((CLIENT_V4, 1).into(), to)?);
        let nothing = bed.explain((CLIENT_V4, 1).into(), (VIP_V4, 22).into())?;
        assert_eq!(nothing.fate, Fate::Pass, "{nothing:?}");
        drop(data);

        let listener = TcpListener::bind((CLIENT_V4, LISTENS))?;
        let (from, to) = (SocketAddr::new(real, 20), listener.local_addr()?);
        let stray = bed.explain(from, to)?;
        assert_eq!((stray.fate, stray.expected), (Fate::Forward, false));
        assert_eq!(stray.service, None);
        control.listens()?;
        let told = bed.explain(from, to)?;
        assert_expected(&told, real);
        assert_eq!(told.real, Some(from));
        control.call_in("data")?;
        let (_data, _) = listener.accept()?;
        let open = bed.explain(from, to)?;
        assert!(open.connection.is_some(), "{open:?}");
        assert_eq!((open.real, open.expected), (Some(from), false));

        let to = Control::log_in()?.offered()?;
        let told = bed.explain((CLIENT_V4, 1).into(), to)?;
        let real = told.real.context("no real server")?.ip();
        let api = bed.director.api();
        api.remove_real(service, SocketAddr::new(real, 21))?;
        let told = bed.explain((CLIENT_V4, 1).into(), to)?;
        assert_eq!(told.reason.as_deref(), Some("real_removed"), "{told:?}");
        Ok(())
    })?;
    Ok(())
}
