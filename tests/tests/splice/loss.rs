//! What is lost while both halves are opened comes again, and what is lost later is made up for.

use anyhow::{Result, ensure};
use testbed::accounts::balanced;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::big_file;
use testbed::traffic::{download_sha256, fetch_names, file_sha256};

use crate::bed::{Bed, lose_first, packets, rules};

const HTTP: Family = Family::V4;

/// Loses one segment on each way of the handshake in turn.
#[test]
fn each_segment_of_the_handshake_may_be_lost() -> Result<()> {
    const BARE: &str = "tcp flags & (syn | ack | psh | fin | rst) == ack";
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let (client, reals) = (bed.client(), &bed.topology.reals);
    // The round robin comes by the one that loses it.
    let real = &reals[0].namespace;
    for (what, namespace, hook, segment) in [
        (
            "the client's ACK",
            client,
            "output",
            format!("tcp dport 80 {BARE}"),
        ),
        (
            "the client's window",
            client,
            "input",
            format!("tcp sport 80 {BARE}"),
        ),
        (
            "the SYN",
            real,
            "input",
            "tcp dport 8080 tcp flags & (syn | ack) == syn".to_owned(),
        ),
        (
            "the SYN+ACK",
            real,
            "output",
            "tcp sport 8080 tcp flags & (syn | ack) == (syn | ack)".to_owned(),
        ),
        (
            "the ACK to the real server",
            real,
            "input",
            format!("tcp dport 8080 {BARE}"),
        ),
    ] {
        lose_first(namespace, hook, &segment)?;
        let names = fetch_names(client, HTTP.http(), 3)?;
        ensure!(names.len() == 3, "{what}: {names:?}");
        ensure!(packets(namespace, "loss")? == 1, "{what} was not lost");
        namespace.run("nft", &["delete", "table", "inet", "loss"])?;
    }
    balanced(&bed.director)
}

/// Holes are told by SACK, in the real server's numbers.
#[test]
fn a_transfer_with_holes_is_mended_by_sack() -> Result<()> {
    const HOLES: &str = "table inet loss {\n chain loss {\n  type filter hook input priority 0;\n  \
         tcp sport 80 ip length > 500 numgen inc mod 200 7 counter drop\n }\n}\n";
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let client = bed.client();
    rules(client, HOLES)?;
    let came = download_sha256(client, HTTP.http(), "/big")?;
    ensure!(came == file_sha256(&big_file()?)?);
    // By the fast path they come in bundles.
    ensure!(packets(client, "loss")? > 3, "nothing was lost");
    let recoveries = bed.topology.reals.iter().map(|real| {
        let counted = real
            .namespace
            .run("nstat", &["-asz", "TcpExtTCPSackRecovery"])?;
        let count = counted.split_whitespace().rev().nth(1).unwrap_or("0");
        Ok(count.parse::<u64>()?)
    });
    let recoveries: u64 = recoveries.sum::<Result<u64>>()?;
    ensure!(recoveries > 0, "no real server has understood a SACK");
    ensure!(bed.dropped("tcp_ack_above_sent")? == 0);
    balanced(&bed.director)
}
