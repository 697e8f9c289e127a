//! Data connections that the real server opens to the client.

use std::io;
use std::net::{SocketAddr, TcpListener};

use adminapi::model::{Protocol, ServiceId};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::scene::Family;
use testbed::topology::{CLIENT_V4, VIP_V4};
use testbed::wait;

use crate::bed::Bed;
use crate::control::{Control, LISTENS, PATIENCE, receive_name};

/// The next data connection from the service's port to a client's has another real server; the one
/// before is over.
#[test]
fn a_client_may_listen_where_it_did_before() -> Result<()> {
    let Some(bed) = Bed::start()? else {
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let name = directory.path().join("name");
    let listens = format!("{CLIENT_V4}:{LISTENS}-{LISTENS}");
    let mode = ["--ftp-port", listens.as_str(), "--disable-eprt"];
    let mut names = Vec::new();
    for _ in 0..4 {
        bed.fetch(Family::V4, &mode, &[("name", name.as_path())])?;
        names.push(std::fs::read_to_string(&name)?);
    }
    let turns = names.windows(2).all(|pair| pair[0] != pair[1]);
    ensure!(turns, "{names:?}");
    let id = ServiceId::at(Protocol::Tcp, (VIP_V4, 21).into());
    let stats = bed.director.api().service(id)?.stats;
    assert_eq!(stats.connections, 4 * 2, "control and data connections");
    assert_accounts(&bed.director);
    Ok(())
}

/// While the one before lives, there is no place for the next data connection to the same port; it is
/// expected still when it comes again.
#[test]
fn a_data_connection_that_is_refused_may_come_again() -> Result<()> {
    let Some(bed) = Bed::start()? else {
        return Ok(());
    };
    bed.topology.client.enter(|| {
        let listener = TcpListener::bind((CLIENT_V4, LISTENS))?;
        let (mut first, mut second) = (Control::log_in()?, Control::log_in()?);
        first.call_in("data")?;
        let (mut data, _) = listener.accept()?;
        second.call_in("name")?;
        wait::until("the second to be refused", PATIENCE, || {
            let drops = bed.director.api().stats()?.drops;
            ensure!(drops.get("tuple_taken") > Some(&0), "{drops:?}");
            Ok(())
        })?;
        let second_real = SocketAddr::new(bed.real_of(second.client()?)?.ip(), 20);
        let told = bed.explain(second_real, (CLIENT_V4, LISTENS).into())?;
        assert_eq!(told.reason.as_deref(), Some("tuple_taken"), "{told:?}");
        io::copy(&mut data, &mut io::sink())?;
        drop(data);
        receive_name(&listener)
    })?;
    assert_accounts(&bed.director);
    Ok(())
}

/// The next data connection between the same ports of the same real server and client opens with its
/// first SYN, though the one before has just ended.
#[test]
fn a_real_server_may_call_where_it_did_before() -> Result<()> {
    let Some(bed) = Bed::start()? else {
        return Ok(());
    };
    bed.topology.client.enter(|| {
        let listener = TcpListener::bind((CLIENT_V4, LISTENS))?;
        let mut control = Control::log_in()?;
        control.call_in("data")?;
        // A client that has had enough resets it, so that both ends may go on at once.
        drop(listener.accept()?);
        control.hear("150")?;
        control.hear("426")?;
        control.call_in("name")?;
        receive_name(&listener)
    })?;
    let drops = bed.director.api().stats()?.drops;
    assert_eq!(drops.get("no_service"), None, "{drops:?}");
    assert_accounts(&bed.director);
    Ok(())
}
/// A client that names another host in PORT does not have the real server connect there through
/// the director as the VIP (RFC 2577 section 3).
#[test]
fn a_client_names_nobody_else() -> Result<()> {
    let Some(bed) = Bed::start()? else {
        return Ok(());
    };
    let client = &bed.topology.client;
    let script = "exec 3<>/dev/tcp/10.9.9.9/21; \
                  printf 'USER anonymous\\r\\nPASS x\\r\\nPORT 10,0,1,77,156,64\\r\\n' >&3; \
                  head -n 4 <&3";
    let said = client.run("timeout", &["60", "bash", "-c", script])?;
    ensure!(said.contains("230"), "not let in: {said}");
    let id = ServiceId::at(Protocol::Tcp, (VIP_V4, 21).into());
    assert_eq!(bed.director.api().service(id)?.stats.connections, 1);
    assert_accounts(&bed.director);
    Ok(())
}
