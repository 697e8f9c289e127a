//! Packets of somebody who knows a live connection's addresses and ports, and its numbers not at
//! all, roughly or exactly (T1-T3, T7, T8, T10, T12 and T13 of the list in docs/defence.md).

use adminapi::model::ForwardingMethod;
use anyhow::{Context, Result, ensure};
use testbed::packet::{Packet, Segment, flag, icmp, protocol, tcp};
use testbed::raw::Tap;
use testbed::topology::HOST_SIDE;
use testbed::{require, wait};

use super::bench::{Bench, HTTP, PATIENCE, Victim, hand_made, segment};

const FIN: u8 = flag::FIN | flag::ACK;
const DATA: u8 = flag::PSH | flag::ACK;
const SYN_ACK: u8 = flag::SYN | flag::ACK;
/// Far from every window.
const FAR: i64 = 1 << 30;
/// In the window, but not its edge.
const NEAR: i64 = 1000;
const COPIES: usize = 20;

/// What is sent, and what becomes of it.
struct Attack {
    name: &'static str,
    flags: u8,
    sequence: i64,
    acknowledgement: i64,
    /// The reason that all are dropped for; none: they go on to the real server, which knows.
    dropped: Option<&'static str>,
}

const fn attack(
    name: &'static str,
    flags: u8,
    (sequence, acknowledgement): (i64, i64),
    dropped: Option<&'static str>,
) -> Attack {
    Attack {
        name,
        flags,
        sequence,
        acknowledgement,
        dropped,
    }
}

const TWO_WAY: [Attack; 11] = [
    attack("RST, far", flag::RST, (FAR, 0), Some("tcp_reset")),
    attack("RST, far below", flag::RST, (-FAR, 0), Some("tcp_reset")),
    attack("RST in the window", flag::RST, (NEAR, 0), None),
    attack("FIN, far", FIN, (FAR, 0), Some("tcp_data_above_window")),
    attack(
        "FIN, its ACK far",
        FIN,
        (0, FAR),
        Some("tcp_ack_above_sent"),
    ),
    attack("FIN, long past", FIN, (-FAR, 0), None),
    attack("data, far", DATA, (FAR, 0), Some("tcp_data_above_window")),
    attack(
        "data, its ACK of what was never sent",
        DATA,
        (0, NEAR),
        Some("tcp_ack_above_sent"),
    ),
    attack("data, its ACK long past", DATA, (0, -FAR), None),
    attack("SYN, far", flag::SYN, (FAR, 0), None),
    attack("SYN in the window", flag::SYN, (NEAR, 0), None),
];

const ONE_WAY: [Attack; 8] = [
    attack("RST, far", flag::RST, (FAR, 0), Some("tcp_reset")),
    attack("RST in the window", flag::RST, (NEAR, 0), None),
    attack("FIN, far", FIN, (FAR, FAR), None),
    attack("FIN in the window", FIN, (NEAR, 0), None),
    attack("data, far", DATA, (FAR, FAR), None),
    attack("SYN, far", flag::SYN, (FAR, 0), None),
    attack("SYN in the window", flag::SYN, (NEAR, 0), None),
    attack("SYN+ACK", SYN_ACK, (0, 0), Some("tcp_handshake")),
];

/// Flags that no TCP sends.
const NONSENSE: [u8; 4] = [
    0,
    flag::SYN | flag::FIN,
    flag::SYN | flag::RST,
    flag::FIN | flag::RST | flag::ACK,
];

impl Attack {
    fn run(&self, bench: &Bench, victim: &mut Victim) -> Result<()> {
        let forged = victim.forged(self.flags, self.sequence, self.acknowledgement);
        let packets = vec![forged; COPIES];
        match self.dropped {
            Some(reason) => bench.expect_drops(&packets, reason, COPIES as u64)?,
            None => bench.send(&packets)?,
        }
        // It asks and is answered: what was sent before has been dealt with.
        victim.use_once()?;
        let state = bench.state(victim.client)?;
        ensure!(state == "ESTABLISHED", "{state} after {}", self.name);
        Ok(())
    }
}

fn nothing_moves(method: ForwardingMethod, attacks: &[Attack]) -> Result<()> {
    let bench = Bench::start(method)?;
    let mut victim = Victim::open(&bench)?;
    for attack in attacks {
        attack.run(&bench, &mut victim)?;
    }
    for flags in NONSENSE {
        let packets = vec![victim.forged(flags, 0, 0); COPIES];
        bench.expect_drops(&packets, "tcp_flags", COPIES as u64)?;
        victim.use_once()?;
    }
    let real = bench.entry(victim.client)?.map(|entry| entry.real);
    let short = short_headers(&victim);
    bench.expect_drops(&short, "bad_tcp_offset", short.len() as u64)?;
    victim.use_once()?;
    assert_eq!(bench.entry(victim.client)?.map(|entry| entry.real), real);
    bench.end()
}

/// Data offsets below the header and beyond the packet (T12).
fn short_headers(victim: &Victim) -> Vec<Vec<u8>> {
    let with = |offset: u8| {
        let mut packet = victim.forged(DATA, 0, 0);
        packet[20 + 12] = offset << 4;
        packet
    };
    [0, 4, 6, 15].map(with).into()
}

#[test]
fn who_does_not_know_the_numbers_moves_nothing_by_nat() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    nothing_moves(ForwardingMethod::Nat, &TWO_WAY)
}

#[test]
fn who_does_not_know_the_numbers_moves_nothing_by_dr() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    nothing_moves(ForwardingMethod::Dr, &ONE_WAY)
}

/// T10: an error about what was never sent goes nowhere. T13: SYN+ACKs open nothing. T5: nor do
/// ACKs of nothing.
#[test]
fn errors_and_floods_of_answers_find_nothing() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(ForwardingMethod::Nat)?;
    let mut victim = Victim::open(&bench)?;
    let entries = || Ok::<_, anyhow::Error>(bench.director.api().status()?.connections);
    let before = entries()?;

    let quote = |by: i64| {
        // What the service is said to have sent to the client.
        let sent = Segment {
            flags: DATA,
            sequence: victim.awaited.wrapping_add(by as u32),
            ..Segment::default()
        };
        let quoted = tcp(HTTP.http(), victim.client, sent);
        icmp(victim.client.ip(), HTTP.vip(), (3, 4, 68), &quoted[..28])
    };
    bench.expect_drops(&[quote(FAR), quote(-FAR)], "icmp_sequence", 2)?;
    let floods = [SYN_ACK, flag::ACK, DATA, FIN].map(|flags| -> Vec<Vec<u8>> {
        (0..200)
            .map(|n| segment(hand_made(20_000 + n), flags, n.into(), 7))
            .collect()
    });
    for flood in floods {
        bench.expect_drops(&flood, "no_connection", 200)?;
    }
    victim.use_once()?;
    // A download may just be about to begin; what the floods had opened would stay for longer.
    wait::until("no half-open connection more", PATIENCE, || {
        let after = entries()?;
        ensure!(after.half_open <= before.half_open, "{after:?}");
        Ok(())
    })?;
    bench.end()
}

/// T1, T8: the exact RST ends the entry; what either end says then makes no other one.
#[test]
fn an_exact_reset_ends_and_nothing_brings_it_back() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(ForwardingMethod::Nat)?;
    let victim = Victim::open(&bench)?;
    let reset = || bench.send(&[victim.forged(flag::RST, 0, 0)]);
    wait::until_repeated("CLOSE", PATIENCE, reset, || {
        let state = bench.state(victim.client)?;
        ensure!(state == "CLOSE", "{state}");
        Ok(())
    })?;
    bench.send(&vec![victim.forged(DATA, 0, 0); COPIES])?;
    let other = Victim::open(&bench)?;
    assert_eq!(bench.state(other.client)?, "ESTABLISHED");
    // It may be forgotten by now.
    let state = bench.state(victim.client)?;
    ensure!(state == "CLOSE" || state == "none", "{state}");
    bench.end()
}

/// T10: an error whose quote fits is believed, but no narrower path than there are.
#[test]
fn an_error_that_fits_cuts_nothing_to_pieces() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(ForwardingMethod::Nat)?;
    let mut victim = Victim::open(&bench)?;
    let entry = bench.entry(victim.client)?.context("no entry")?;
    let mut reals = bench.topology.reals.iter();
    let real = reals.find(|real| real.address(HTTP.vip()) == entry.real.ip());
    let real = real.context("an unknown real server")?;
    let at_real = Tap::open(&real.namespace, HOST_SIDE)?;
    let sent = Segment {
        flags: DATA,
        sequence: victim.awaited.wrapping_sub(1),
        ..Segment::default()
    };
    let quoted = tcp(HTTP.http(), victim.client, sent);
    let error = icmp(victim.client.ip(), HTTP.vip(), (3, 4, 68), &quoted[..28]);
    let send = || bench.send(std::slice::from_ref(&error));
    let is_error = |packet: &Packet| packet.protocol == protocol::ICMP;
    let error = at_real.expect_answer("an error", send, is_error)?;
    let told = error.payload.get(6..8).context("no MTU")?;
    assert_eq!(u16::from_be_bytes([told[0], told[1]]), 552);
    victim.use_once()?;
    bench.end()
}
