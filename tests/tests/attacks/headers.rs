//! TCP headers that no TCP sends: to a service they end in the gate.

use std::net::SocketAddr;

use anyhow::Result;
use director::gate::{Roles, Trial, Verdict};
use director::wire::tcp::Flags;
use director::wire::{Mac, Protocol};
use testbed::packet::{self, Segment, ethernet, flag, tcp};
use testbed::require;
use testbed::scene::Family;

/// Behind the ports and both numbers.
const OFFSET: usize = 12;
const TCP_BYTES: usize = 20;

/// A gate with a service at `vip`.
fn gate(vip: SocketAddr) -> Result<Trial> {
    let gate = Trial::new(1000)?;
    gate.set_station(Mac(packet::Mac::of_host(1, 254).0))?;
    gate.endpoints()
        .set_roles(Protocol::Tcp, vip.into(), Roles::SERVICE)?;
    Ok(gate)
}

fn client(vip: SocketAddr) -> SocketAddr {
    match vip {
        SocketAddr::V4(_) => "198.51.100.7:4000".parse().expect("an address"),
        SocketAddr::V6(_) => "[2001:db8::7]:4000".parse().expect("an address"),
    }
}

fn verdict(gate: &Trial, packet: &[u8]) -> Result<Verdict> {
    let (from, own) = (packet::Mac::of_host(1, 1), packet::Mac::of_host(1, 254));
    Ok(gate.put(&ethernet(from, own, packet))?.0)
}

/// A segment with these flags, which says that its header has so many words.
fn segment(to: SocketAddr, flags: u8, words: u8) -> Vec<u8> {
    let segment = Segment {
        flags,
        ..Segment::default()
    };
    let mut packet = tcp(client(to), to, segment);
    let at = packet.len() - TCP_BYTES + OFFSET;
    packet[at] = words << 4;
    packet
}

fn dropped(gate: &Trial, reason: &str) -> Result<u64> {
    let counters = gate.counters()?;
    let found = counters.dropped().find(|(name, _)| *name == reason);
    Ok(found.map_or(0, |(_, packets)| packets))
}

#[test]
fn flags_that_no_tcp_sends_end_in_the_gate() -> Result<()> {
    if !require::programs(&[]) {
        return Ok(());
    }
    for vip in Family::BOTH.map(Family::http) {
        let gate = gate(vip)?;
        let mut senseless = 0;
        for flags in 0..=u8::MAX {
            let is_senseless = Flags(flags).is_nonsense();
            let expected = match is_senseless {
                true => Verdict::Drop,
                false => Verdict::Redirect,
            };
            let got = verdict(&gate, &segment(vip, flags, 5))?;
            assert_eq!(got, expected, "{:?}", Flags(flags));
            senseless += u64::from(is_senseless);
        }
        assert_eq!(dropped(&gate, "tcp_flags")?, senseless);
        let other = SocketAddr::new(vip.ip(), 9);
        let passed = verdict(&gate, &segment(other, flag::SYN | flag::FIN, 5))?;
        assert_eq!(passed, Verdict::Pass, "it is no service's");
    }
    Ok(())
}

#[test]
fn headers_that_end_too_early_or_too_late_end_in_the_gate() -> Result<()> {
    if !require::programs(&[]) {
        return Ok(());
    }
    for vip in Family::BOTH.map(Family::http) {
        let gate = gate(vip)?;
        for words in 0..16 {
            let expected = match words == 5 {
                true => Verdict::Redirect,
                false => Verdict::Drop,
            };
            let got = verdict(&gate, &segment(vip, flag::SYN, words))?;
            assert_eq!(got, expected, "{words} words");
        }
        assert_eq!(dropped(&gate, "bad_tcp_offset")?, 15);
        let cut = segment(vip, flag::SYN | flag::FIN, 5);
        let cut = &cut[..cut.len() - OFFSET];
        assert_eq!(
            verdict(&gate, cut)?,
            Verdict::Redirect,
            "there are no flags"
        );
    }
    Ok(())
}

/// Real servers are not filtered: what they send is for the director to judge.
#[test]
fn what_a_real_server_sends_goes_on() -> Result<()> {
    if !require::programs(&[]) {
        return Ok(());
    }
    for vip in Family::BOTH.map(Family::http) {
        let gate = gate(vip)?;
        let real = client(vip).ip().into();
        gate.endpoints().set_address(real, Roles::REAL)?;
        let got = verdict(&gate, &segment(vip, 0, 5))?;
        assert_eq!(got, Verdict::Redirect);
    }
    Ok(())
}
