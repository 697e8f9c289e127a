//! Each way to the real servers, with both families.

use std::io::Write;

use adminapi::model::{ForwardingMethod, Tunnel, TunnelChecksum, TunnelType};
use anyhow::{Result, ensure};
use tempfile::NamedTempFile;
use testbed::accounts::balanced;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::big_file;
use testbed::traffic::{HttpConnection, download_sha256, fetch_names, file_sha256, tally, upload};

use crate::bed::{Bed, Shape};

#[test]
fn by_nat() -> Result<()> {
    serves_without_a_syn(Shape::NAT)
}

#[test]
fn by_dr() -> Result<()> {
    serves_without_a_syn(Shape {
        method: ForwardingMethod::Dr,
        ..Shape::NAT
    })
}

#[test]
fn by_ipip() -> Result<()> {
    serves_without_a_syn(Shape {
        method: ForwardingMethod::Tun,
        tun: Some(Tunnel {
            kind: TunnelType::Ipip,
            port: None,
            checksum: TunnelChecksum::None,
        }),
        ..Shape::NAT
    })
}

fn serves_without_a_syn(shape: Shape) -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build(shape)?;
    let client = &bed.topology.client;
    let mut body = NamedTempFile::new()?;
    body.write_all(&vec![b'x'; 1 << 20])?;
    for family in Family::BOTH {
        bed.await_cookies(family, 3, true)?;
        let names = tally(fetch_names(client, family.http(), 9)?);
        ensure!(names.values().eq(&[3, 3, 3]), "{family:?}: {names:?}");
        let expected = file_sha256(&big_file()?)?;
        let came = download_sha256(client, family.http(), "/big")?;
        ensure!(came == expected, "{family:?}");
        upload(client, family.http(), body.path())?;
        let mut uploads = Vec::new();
        for web in &bed.web {
            uploads.extend(web.take_uploads()?);
        }
        ensure!(uploads == [file_sha256(body.path())?], "{family:?}");
        agreed_on_options(&bed, family)?;
        let status = bed.status(family)?;
        ensure!(status.sent >= 12 && status.accepted >= 12, "{status:?}");
    }
    ensure!(bed.syns()? == 0, "{} SYNs", bed.syns()?);
    ensure!(bed.half_open()? == 0);
    balanced(&bed.director)
}

/// The real server's kernel has what the client has offered in its SYN, which it never saw.
fn agreed_on_options(bed: &Bed, family: Family) -> Result<()> {
    let mut connection = HttpConnection::open(&bed.topology.client, family.http())?;
    let name = connection.ask_name()?;
    let real = bed.topology.reals.iter().find(|real| real.name == name);
    let real = real.expect("a real server has answered");
    let port = connection.client()?.port();
    let filter = format!("dport = :{port}");
    let shown = real.namespace.run("ss", &["-tinoH", &filter])?;
    for option in [" ts ", " sack ", " wscale:"] {
        ensure!(shown.contains(option), "{family:?}: no {option} in {shown}");
    }
    Ok(())
}
