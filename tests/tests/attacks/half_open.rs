//! Clients that are not there: SYNs, and ACKs that guess (T4, T6, T9 and T17 of the list in
//! docs/defence.md).

use std::time::Duration;

use adminapi::model::ForwardingMethod;
use anyhow::{Context, Result, ensure};
use testbed::packet::{Packet, Segment, flag, tcp};
use testbed::raw::Tap;
use testbed::require;
use testbed::topology::HOST_SIDE;
use testbed::wait;

use super::bench::{Bench, HTTP, ISN, Victim, hand_made, numbers, segment};

const PATIENCE: Duration = Duration::from_secs(20);
/// What a connection may be in whose handshake is over: nginx closes it when it has answered.
const OPENED: [&str; 3] = ["ESTABLISHED", "FIN_WAIT", "TIME_WAIT"];

fn await_state(bench: &Bench, port: u16, wanted: &str) -> Result<()> {
    await_state_after(bench, port, wanted, || Ok(()))
}

/// The same, of what `act` does each second.
fn await_state_after(
    bench: &Bench,
    port: u16,
    wanted: &str,
    act: impl FnMut() -> Result<()>,
) -> Result<()> {
    wait::until_repeated(wanted, PATIENCE, act, || {
        let state = bench.state(hand_made(port))?;
        ensure!(state == wanted, "{port}: {state}, not {wanted}");
        Ok(())
    })
}

/// Sends a SYN by hand and gives the SYN+ACK's own number.
fn open(bench: &Bench, port: u16) -> Result<u32> {
    let (end, acknowledged) = answer(bench, segment(hand_made(port), flag::SYN, ISN, 0))?;
    ensure!(acknowledged == ISN + 1, "it acknowledges {acknowledged}");
    Ok(end)
}

/// What the real server says to a SYN: where it ends, and what it acknowledges.
fn answer(bench: &Bench, syn: Vec<u8>) -> Result<(u32, u32)> {
    let sent = Packet::read(&syn).and_then(|packet| packet.sockets());
    let (client, server) = sent.context("no segment")?;
    // A tap of its own: that of the bench is full of the downloads.
    let tap = Tap::open(&bench.topology.client, HOST_SIDE)?;
    let ask = || bench.send(std::slice::from_ref(&syn));
    let is_answer = |packet: &Packet| packet.sockets() == Some((server, client));
    Ok(numbers(&tap.expect_answer("SYN+ACK", ask, is_answer)?))
}

/// By NAT the ACK has to acknowledge the real server's SYN exactly, at every level.
#[test]
fn a_blind_ack_establishes_nothing_by_nat() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(ForwardingMethod::Nat)?;
    let mut victim = Victim::open(&bench)?;
    for (level, port, half_open) in [(0, 21_000, "SYN_RECV"), (2, 22_000, "SYNACK")] {
        bench.director.api().set_level(None, level)?;
        let answered = open(&bench, port)?;
        let guesses: Vec<_> = (1..100u32)
            .map(|n| answered.wrapping_add(n.wrapping_mul(0x0123_4567)))
            .map(|ack| segment(hand_made(port), flag::ACK, ISN + 1, ack))
            .collect();
        bench.send(&guesses)?;
        // A SYN of another number has the real server say something (RFC 5961 section 4): that
        // does not count either.
        bench.send(&[segment(hand_made(port), flag::SYN, ISN + 70_000, 0)])?;
        victim.use_once()?;
        await_state(&bench, port, half_open)?;
        let lives = bench.entry(hand_made(port))?.context("no entry")?.expires;
        ensure!(lives <= 60, "it lives {lives} s more");

        // The exact one counts: at once, or, under attack, when the real server has said so.
        let request = Segment {
            flags: flag::PSH | flag::ACK,
            sequence: ISN + 1,
            acknowledgement: answered,
            payload: b"GET / HTTP/1.0\r\n\r\n",
        };
        wait::until("it to count", PATIENCE, || {
            // Again and again, as a client does whose segment was lost. The end of the answer is not
            // awaited: a FIN that is lost comes once, as long as nobody acknowledges what is before it.
            bench.send(&[tcp(hand_made(port), HTTP.http(), request)])?;
            let state = bench.state(hand_made(port))?;
            ensure!(OPENED.contains(&state.as_str()), "{state}");
            Ok(())
        })?;
    }
    bench.end()
}

/// Where the real server is not heard, one ACK buys no long life, and no progress by one number.
#[test]
fn one_ack_buys_no_long_life_by_dr() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(ForwardingMethod::Dr)?;
    let mut victim = Victim::open(&bench)?;
    for (level, port, state, life) in [(0, 23_000, "ESTABLISHED", 120), (2, 24_000, "SYNACK", 60)] {
        bench.director.api().set_level(None, level)?;
        let client = hand_made(port);
        let syn = || bench.send(&[segment(client, flag::SYN, ISN, 0)]);
        wait::until_repeated("an entry", PATIENCE, syn, || {
            bench.entry(client)?.context("no entry")
        })?;
        let acks = || bench.send(&vec![segment(client, flag::ACK, ISN + 1, 77); 5]);
        await_state_after(&bench, port, state, acks)?;
        victim.use_once()?;
        await_state(&bench, port, state)?;
        let lives = bench.entry(client)?.context("no entry")?.expires;
        ensure!(lives <= life, "it lives {lives} s more at level {level}");
    }
    // Who goes on, with both of its numbers, is believed.
    let client = hand_made(24_000);
    let data = Segment {
        flags: flag::PSH | flag::ACK,
        sequence: ISN + 1,
        acknowledgement: 90,
        payload: b"GET",
    };
    let go_on = || bench.send(&[tcp(client, HTTP.http(), data)]);
    await_state_after(&bench, 24_000, "ESTABLISHED", go_on)?;
    let lives = bench.entry(client)?.context("no entry")?.expires;
    ensure!(lives > 600, "it lives {lives} s more");
    bench.end()
}

/// T9: a client may speak from the very port of the service. T17: a SYN may carry data.
#[test]
fn odd_but_honest_clients_are_served() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(ForwardingMethod::Nat)?;
    for port in [80, 8080] {
        open(&bench, port)?;
        await_state(&bench, port, "SYN_RECV")?;
    }
    let client = hand_made(25_000);
    let syn = Segment {
        flags: flag::SYN,
        sequence: ISN,
        payload: b"GET / HTTP/1.0\r\n\r\n",
        ..Segment::default()
    };
    let (_, acknowledged) = answer(&bench, tcp(client, HTTP.http(), syn))?;
    assert!(acknowledged > ISN);
    await_state(&bench, 25_000, "SYN_RECV")?;
    Victim::open(&bench)?.use_once()?;
    bench.end()
}
