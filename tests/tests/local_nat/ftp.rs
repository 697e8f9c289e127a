//! FTP: control connections are followed on their way out of this host, too.

use std::fs::read_to_string;
use std::net::SocketAddr;

use adminapi::model::{Protocol, Scheduler};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::service;
use testbed::ftp::{MODES, Vsftpd, fetch};
use testbed::require;
use testbed::scene::Family;
use testbed::traffic::file_sha256;

use crate::bed::{Bed, at, own};

const SIZE: usize = 3 << 20;

#[test]
fn every_kind_of_data_connection_gets_through() -> Result<()> {
    if !require::machine() || !require::programs(&["vsftpd"]) {
        return Ok(());
    }
    let bed = Bed::start(|configuration| configuration)?;
    let server = Vsftpd::start_in(&bed.topology.director, "director", own(Family::V4), SIZE)?;
    let directory = tempfile::tempdir()?;
    let [name, data] = ["name", "data"].map(|file| directory.path().join(file));
    let expected = file_sha256(&server.data())?;
    for family in Family::BOTH {
        let vip = SocketAddr::new(family.vip(), 21);
        let one = service(Protocol::Tcp, vip, Scheduler::Rr, [(at(family, 21), 1)]);
        bed.director.api().add_service(&one)?;
        let is_for = |mode: &str| family == Family::V4 || mode.starts_with('E');
        for (mode, options) in MODES.into_iter().filter(|(mode, _)| is_for(mode)) {
            let files = [("name", name.as_path()), ("data", &data)];
            let said = fetch(&bed.topology.client, vip, options, &files)?;
            ensure!(said.contains(&format!("> {mode}")), "no {mode} in {said}");
            ensure!(read_to_string(&name)? == "director", "{mode}");
            ensure!(file_sha256(&data)? == expected, "{mode}");
        }
        let stats = bed.director.api().service(one.id)?.stats;
        let runs = MODES.into_iter().filter(|(mode, _)| is_for(mode)).count() as u64;
        ensure!(stats.connections == runs * 3, "control and data: {stats:?}");
        ensure!(stats.out_bytes > runs * SIZE as u64, "{stats:?}");
        // The host can be asked at other ports of that address as before.
        bed.ask_directly(family)?;
    }
    assert_accounts(&bed.director);
    Ok(())
}
