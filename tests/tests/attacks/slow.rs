//! Clients that finish the handshake and then only wait: half-closed (T14), or with a window of
//! zero that the real server probes for ever (T15).

use std::net::SocketAddr;

use adminapi::model::ForwardingMethod;
use anyhow::{Result, ensure};
use testbed::packet::{Segment, flag, tcp};
use testbed::{require, wait};

use super::bench::{Bench, HTTP, ISN, PATIENCE, Victim, shake_hands};

const REQUEST: &[u8] = b"GET /big HTTP/1.0\r\n\r\n";
/// The fewest that a director can be given.
const CONNECTIONS: u16 = 1024;
/// More than it has places for.
const WAITING: u16 = 1100;

fn clients(count: u16) -> Vec<SocketAddr> {
    (0..count)
        .map(|n| SocketAddr::from(([172, 18, 0, 1], 20_000 + n)))
        .collect()
}

/// A client's segment after its handshake, with a window of zero.
fn deaf(client: SocketAddr, flags: u8, sequence: u32, awaited: u32, payload: &[u8]) -> Vec<u8> {
    let segment = Segment {
        flags,
        sequence,
        acknowledgement: awaited,
        payload,
    };
    let mut packet = tcp(client, HTTP.http(), segment);
    close_window(&mut packet);
    packet
}

/// Sets the window of an IPv4 packet with a TCP segment to 0, and brings the checksum after it.
fn close_window(packet: &mut [u8]) {
    const WINDOW: usize = 20 + 14;
    const CHECKSUM: usize = 20 + 16;
    let word = |packet: &[u8], at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    // RFC 1624, equation 3.
    let sum = u32::from(!word(packet, CHECKSUM)) + u32::from(!word(packet, WINDOW));
    let folded = (sum & 0xffff) + (sum >> 16);
    packet[CHECKSUM..CHECKSUM + 2].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    packet[WINDOW..WINDOW + 2].fill(0);
}

/// What is half-closed waits for a minute at most, however much the real server has still to say.
#[test]
fn a_half_closed_connection_does_not_stay() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(ForwardingMethod::Nat)?;
    let mut victim = Victim::open(&bench)?;
    let clients = clients(50);
    let awaited = shake_hands(&bench, &clients)?;
    let end = ISN + 1 + REQUEST.len() as u32;
    for (client, awaited) in clients.iter().zip(awaited) {
        let ask = deaf(*client, flag::PSH | flag::ACK, ISN + 1, awaited, REQUEST);
        let finish = deaf(*client, flag::FIN | flag::ACK, end, awaited, &[]);
        let send = || bench.send(&[ask.clone(), finish.clone()]);
        wait::until_repeated("CLOSE_WAIT", PATIENCE, send, || {
            let state = bench.state(*client)?;
            ensure!(state == "CLOSE_WAIT", "{client}: {state}");
            Ok(())
        })?;
        let entry = bench.entry(*client)?;
        ensure!(
            entry.as_ref().is_some_and(|entry| entry.expires <= 60),
            "{entry:?}"
        );
    }
    victim.use_once()?;
    bench.end()
}

/// Connections that wait take each other's places: who is at work keeps his, and who comes new
/// finds one.
#[test]
fn connections_that_wait_push_nobody_out() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start_with(ForwardingMethod::Nat, |configuration| {
        configuration.limit("connections", CONNECTIONS.into())
    })?;
    let mut victim = Victim::open(&bench)?;
    let mut waiting = 0;
    for some in clients(WAITING).chunks(100) {
        let awaited = shake_hands(&bench, some)?;
        for (client, awaited) in some.iter().zip(awaited) {
            bench.send(&[
                deaf(*client, flag::PSH | flag::ACK, ISN + 1, awaited, REQUEST),
                deaf(
                    *client,
                    flag::ACK,
                    ISN + 1 + REQUEST.len() as u32,
                    awaited,
                    &[],
                ),
            ])?;
        }
        waiting += some.len();
        victim.use_once()?;
    }
    ensure!(waiting > CONNECTIONS.into(), "{waiting} are too few");
    let held = bench.director.api().status()?.connections;
    ensure!(held.entries > u64::from(CONNECTIONS) * 9 / 10, "{held:?}");
    for _ in 0..3 {
        Victim::open(&bench)?.use_once()?;
    }
    assert_eq!(bench.state(victim.client)?, "ESTABLISHED");
    victim.use_once()?;
    bench.end()
}
