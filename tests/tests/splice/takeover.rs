//! What is spliced goes on when another daemon takes over, though its numbers are translated.

use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, ensure};
use testbed::accounts::balanced;
use testbed::greeter::{self, Greeter};
use testbed::haven::Haven;
use testbed::namespace::Namespace;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::{OTHER_HTTP_PORT, big_file};
use testbed::traffic::{HttpConnection, download_slowly, fetch_names, file_sha256};
use testbed::wait;

use crate::bed::{Bed, PATIENCE, rules};

/// Loses what clients say to a server after their SYN.
pub(crate) const LOSS: &str = "table inet loss {\n chain loss {\n  type filter hook output priority 0;\n  \
     tcp dport 80 tcp flags & (syn | ack) == ack drop\n }\n}\n";

/// A bed whose daemon leaves what it knows to the next.
fn sheltered() -> Result<(Haven, Bed)> {
    let haven = Haven::new()?;
    let bed = Bed::build_shaped(|configuration| haven.shelter(configuration))?;
    Ok((haven, bed))
}

#[test]
fn both_halves_outlive_the_daemon_that_has_joined_them() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let (_haven, mut bed) = sheltered()?;
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

/// A cookie is as good as a connection to who has it.
#[test]
fn who_has_a_cookie_of_one_daemon_is_served_by_the_next() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let (_haven, mut bed) = sheltered()?;
    for signal in [Signal::Kill, Signal::Term] {
        rules(bed.client(), LOSS)?;
        let early = Family::BOTH.map(|family| HttpConnection::open(bed.client(), family.http()));
        bed.restart(signal)?;
        bed.client()
            .run("nft", &["delete", "table", "inet", "loss"])?;
        for connection in early {
            connection?.ask_name()?;
        }
        for family in Family::BOTH {
            let status = bed.status(family)?;
            ensure!((status.accepted, status.refused) == (1, 0), "{status:?}");
        }
    }
    balanced(&bed.director)
}

/// A client that does not speak first would wait for ever if it were answered while nobody hears its ACK.
#[test]
fn who_comes_while_there_is_no_daemon_is_greeted_by_the_next() -> Result<()> {
    if !require::machine() || !require::programs(&["python3"]) {
        return Ok(());
    }
    let (_haven, mut bed) = sheltered()?;
    for web in &mut bed.web {
        web.kill()?;
    }
    let reals = bed.topology.reals.iter();
    let greeters = reals.map(|real| Greeter::start(&real.namespace, OTHER_HTTP_PORT));
    let _greeters = greeters.collect::<Result<Vec<_>>>()?;
    bed.director.end_by(Signal::Kill)?;
    let client = bed.client();
    bed.director = thread::scope(|scope| {
        let visit = |family: Family| scope.spawn(move || greeter::visit(client, family.http()));
        let guests = Family::BOTH.map(visit);
        for family in Family::BOTH {
            await_syn(client, family)?;
        }
        let next = bed.next_director()?;
        for guest in guests {
            let said = guest.join().ok().context("a guest has panicked")??;
            ensure!(said == "220 ready QUIT", "{said}");
        }
        Ok::<_, anyhow::Error>(next)
    })?;
    balanced(&bed.director)
}

/// Waits until a client has sent one.
fn await_syn(client: &Namespace, family: Family) -> Result<()> {
    wait::until("a SYN", PATIENCE, || {
        let to = format!("dst = {}", family.http());
        ensure!(!client.run("ss", &["-tanH", &to])?.is_empty());
        Ok(())
    })
}

/// The keys are made last in a start; whoever is answered with them may come back to the next daemon.
#[test]
fn what_cookies_are_made_with_is_kept_when_a_daemon_is_ready() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let (haven, mut bed) = sheltered()?;
    bed.director.end_by(Signal::Kill)?;
    let kept = std::fs::read_to_string(haven.kept("running")?)?;
    ensure!(kept.contains(r#""coined":[{"#), "{kept}");
    Ok(())
}
