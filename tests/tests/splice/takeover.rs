//! What is spliced goes on when another daemon takes over, though its numbers are translated.

use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};
use testbed::accounts::balanced;
use testbed::haven::Haven;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::big_file;
use testbed::traffic::{HttpConnection, download_slowly, fetch_names, file_sha256};
use testbed::wait;

use crate::bed::{Bed, PATIENCE};

#[test]
fn both_halves_outlive_the_daemon_that_has_joined_them() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let haven = Haven::new()?;
    let mut bed = Bed::build_shaped(|configuration| haven.shelter(configuration))?;
    let expected = file_sha256(&big_file()?)?;
    for signal in [Signal::Kill, Signal::Term] {
        let downloads = Family::BOTH.map(|family| download(&bed, family));
        let mut idle = Family::BOTH.map(|family| talk(&bed, family));
        bed.restart(signal)?;
        for open in &mut idle {
            let (connection, name) = open.as_mut().map_err(|e| anyhow::anyhow!("{e:#}"))?;
            ensure!(
                connection.ask_name()? == *name,
                "another real server answers"
            );
        }
        for download in downloads {
            let sum = download?.join().ok().context("curl has panicked")??;
            ensure!(sum.starts_with(&expected), "{sum}");
        }
        for family in Family::BOTH {
            ensure!(fetch_names(bed.client(), family.http(), 3)?.len() == 3);
        }
    }
    balanced(&bed.director)
}

/// A connection that is idle meanwhile, and its real server.
fn talk(bed: &Bed, family: Family) -> Result<(HttpConnection, String)> {
    let mut connection = HttpConnection::open(bed.client(), family.http())?;
    let name = connection.ask_name()?;
    Ok((connection, name))
}

/// A download that takes a while: its SHA-256.
fn download(bed: &Bed, family: Family) -> Result<JoinHandle<Result<String>>> {
    let before = bed.carried(family)?;
    let download = download_slowly(bed.client(), family.http(), "/big")?;
    wait::until("the download to begin", PATIENCE, || {
        let carried = bed.carried(family)? - before;
        ensure!(carried > 100, "{carried} packets");
        Ok(())
    })?;
    Ok(download)
}
