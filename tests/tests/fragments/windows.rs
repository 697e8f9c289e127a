//! TCP segments in fragments where the receiver's window is wider than any segment. Both ends are
//! made by hand, so that their windows are what the test says.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::namespace::Namespace;
use testbed::packet::{
    Mac, Packet, Segment, ethernet, flag, fragment, protocol, tcp, transport_checksum,
};
use testbed::process::output_with_input;
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::OTHER_HTTP_PORT;
use testbed::topology::HOST_SIDE;
use testbed::wait;

use crate::bed::{PATIENCE, PORT, client, dropped, header, nat};

/// NOP, and a window scale of 7: the window of 65,535 that follows is one of 8 MiB.
const SCALE: [u8; 4] = [1, 3, 3, 7];
/// Where a segment is cut, counted from its TCP header: in two fragments that both are long.
const CUT: usize = 1_200;
const LENGTH: u32 = 2_000;
const ISN: [u32; 2] = [1_000, 5_000_000];

/// One of both ends.
struct End {
    tap: Tap,
    stations: (Mac, Mac),
    /// As it names itself and the other end.
    sends: (SocketAddr, SocketAddr),
    /// As what it gets names the other end and itself.
    gets: (SocketAddr, SocketAddr),
}

impl End {
    fn client(scene: &Scene, family: Family) -> Result<Self> {
        let (client, vip) = (client(family), family.http());
        mute(&scene.topology.client)?;
        Ok(Self {
            tap: Tap::open(&scene.topology.client, HOST_SIDE)?,
            stations: (Mac::of_host(1, 1), Mac::of_host(1, 0xfe)),
            sends: (client, vip),
            gets: (vip, client),
        })
    }

    fn server(scene: &Scene, family: Family) -> Result<Self> {
        let host = &scene.topology.reals[0];
        let real = SocketAddr::new(host.address(family.vip()), OTHER_HTTP_PORT);
        mute(&host.namespace)?;
        Ok(Self {
            tap: Tap::open(&host.namespace, HOST_SIDE)?,
            stations: (Mac::of_host(2, 1), Mac::of_host(2, 0xfe)),
            sends: (real, client(family)),
            gets: (client(family), real),
        })
    }

    fn made(&self, segment: Segment<'_>) -> Vec<u8> {
        tcp(self.sends.0, self.sends.1, segment)
    }

    fn send(&self, packet: &[u8]) -> Result<()> {
        let (from, to) = self.stations;
        self.tap.send(&ethernet(from, to, packet))
    }

    /// Sends a segment that opens, with a window scale.
    fn open(&self, family: Family, syn: Segment<'_>) -> Result<()> {
        let mut packet = self.made(Segment {
            payload: &SCALE,
            ..syn
        });
        let (source, destination) = (self.sends.0.ip(), self.sends.1.ip());
        let bytes = &mut packet[header(family)..];
        bytes[12] = 0x60;
        bytes[16..18].fill(0);
        let sum = transport_checksum(source, destination, protocol::TCP, bytes);
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        self.send(&packet)
    }

    /// Sends a segment in two fragments.
    fn send_cut(&self, family: Family, ident: u32, segment: Segment<'_>) -> Result<()> {
        let packet = self.made(segment);
        let end = packet.len() - header(family);
        self.send(&fragment(&packet, ident, 0..CUT, true))?;
        self.send(&fragment(&packet, ident, CUT..end, false))
    }

    /// A whole segment comes that acknowledges so much, of what `send` sends.
    fn expect(
        &self,
        what: &str,
        acknowledgement: u32,
        send: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let acked = acknowledgement.to_be_bytes();
        let is_it =
            |p: &Packet| p.sockets() == Some(self.gets) && p.payload.get(8..12) == Some(&acked[..]);
        self.tap.expect_answer(what, send, is_it).map(drop)
    }

    /// Two fragments come, of what `send` sends.
    fn expect_fragments(&self, send: impl FnMut() -> Result<()>) -> Result<()> {
        let ends = (self.gets.0.ip(), self.gets.1.ip());
        let is_long = |p: &Packet| (p.source, p.destination) == ends && p.payload.len() > 800;
        let mut come = 0;
        wait::until_repeated("two fragments", PATIENCE, send, || {
            come += self.tap.drain(is_long)?.len();
            ensure!(come >= 2, "{come} have come");
            Ok(())
        })
    }
}

/// Has the kernel of an end keep out of the connection.
fn mute(host: &Namespace) -> Result<()> {
    let rules = format!(
        "table inet mute\ndelete table inet mute\ntable inet mute {{\n chain mute {{\n  \
         type filter hook input priority 0;\n  tcp dport {PORT} drop\n  tcp sport {PORT} drop\n }}\n}}\n"
    );
    output_with_input(host.command("nft").args(["-f", "-"]), &rules).map(drop)
}

#[test]
fn a_segment_in_fragments_is_acknowledged_in_a_wide_window() -> Result<()> {
    if !require::machine() || !require::programs(&["nft"]) {
        return Ok(());
    }
    let scene = nat(1)?;
    let data = [7; LENGTH as usize];
    for family in Family::BOTH {
        let (client, server) = (End::client(&scene, family)?, End::server(&scene, family)?);
        let [asks, answers] = ISN.map(|isn| isn + 1);
        let says = |flags, sequence, acknowledgement| Segment {
            flags,
            sequence,
            acknowledgement,
            ..Segment::default()
        };
        let mut idents = 1..;
        let mut ident = || idents.next().unwrap_or_default();
        server.expect("SYN", 0, || client.open(family, says(flag::SYN, ISN[0], 0)))?;
        client.expect("SYN+ACK", asks, || {
            server.open(family, says(flag::SYN | flag::ACK, ISN[1], asks))
        })?;
        server.expect("ACK", answers, || {
            client.send(&client.made(says(flag::ACK, asks, answers)))
        })?;

        let said = Segment {
            payload: &data,
            ..says(flag::ACK, answers, asks)
        };
        client.expect_fragments(|| server.send_cut(family, ident(), said))?;
        let heard = answers + LENGTH;
        server.expect("acknowledgement of all", heard, || {
            client.send(&client.made(says(flag::ACK, asks, heard)))
        })?;

        let asked = Segment {
            payload: &data,
            ..says(flag::ACK, asks, heard)
        };
        server.expect_fragments(|| client.send_cut(family, ident(), asked))?;
        client.expect("acknowledgement of all", asks + LENGTH, || {
            server.send(&server.made(says(flag::ACK, heard, asks + LENGTH)))
        })?;
    }
    assert_eq!(dropped(&scene.director, "tcp_ack_above_sent")?, 0);
    assert_accounts(&scene.director);
    Ok(())
}
