//! TCP segments in fragments. The client's kernel opens the connection; the fragments are sent by
//! hand with its numbers.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::packet::{Packet, Segment, flag, fragment, tcp};
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::traffic::HttpConnection;
use testbed::wait;

use crate::bed::{ByHand, PATIENCE, dropped, header, nat};

/// A connection of the client, and what asks for `/` on it, to be cut.
struct Asking {
    connection: HttpConnection,
    client: SocketAddr,
    packet: Vec<u8>,
}

impl Asking {
    fn open(scene: &Scene, family: Family) -> Result<Self> {
        let connection = HttpConnection::open(&scene.topology.client, family.http())?;
        let (client, (sequence, acknowledgement)) = (connection.client()?, connection.numbers()?);
        let filling = "x".repeat(900);
        let request = format!("GET / HTTP/1.1\r\nhost: vip\r\nfilling: {filling}\r\n\r\n");
        let segment = Segment {
            sequence,
            acknowledgement,
            flags: flag::PSH | flag::ACK,
            payload: request.as_bytes(),
        };
        Ok(Self {
            packet: tcp(client, family.http(), segment),
            connection,
            client,
        })
    }

    /// Where its payload ends.
    fn end(&self, family: Family) -> usize {
        self.packet.len() - header(family)
    }
}

/// The web server's name, which `send` asks for, comes to `client`.
fn expect_name(
    by_hand: &ByHand,
    (family, client): (Family, SocketAddr),
    send: impl FnMut() -> Result<()>,
) -> Result<()> {
    let ends = Some((family.http(), client));
    let is_page = |p: &Packet| p.sockets() == ends && p.payload.ends_with(b"rs1\n");
    let page = by_hand.tap.expect_answer("page", send, is_page)?;
    ensure!(page.payload_intact());
    Ok(())
}

#[test]
fn a_segment_in_fragments_arrives_in_any_order() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let by_hand = ByHand::open(&scene.topology)?;
    for family in Family::BOTH {
        let mut ident = 0;
        for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
            let asking = Asking::open(&scene, family)?;
            let end = asking.end(family);
            let parts = [(0..400, true), (400..800, true), (800..end, false)];
            expect_name(&by_hand, (family, asking.client), || {
                ident += 1;
                let mut fragments = order.into_iter().map(|n| parts[n].clone());
                fragments.try_for_each(|(part, more)| {
                    by_hand.send(&fragment(&asking.packet, ident, part, more))
                })
            })?;
        }
    }
    assert_eq!(dropped(&scene.director, "fragment_orphan")?, 0);
    assert_accounts(&scene.director);
    Ok(())
}

/// What overlaps never makes a segment at the real server, and the connection goes on.
#[test]
fn a_segment_whose_fragments_overlap_does_not_arrive() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let by_hand = ByHand::open(&scene.topology)?;
    for (family, before) in Family::BOTH.into_iter().zip([0, 1]) {
        let mut asking = Asking::open(&scene, family)?;
        let end = asking.end(family);
        for (part, more) in [(0..600, true), (400..800, true), (800..end, false)] {
            by_hand.send(&fragment(&asking.packet, 7, part, more))?;
        }
        wait::until("the drops", PATIENCE, || {
            ensure!(dropped(&scene.director, "fragment_overlap")? == before + 1);
            ensure!(dropped(&scene.director, "fragment_orphan")? == before + 1);
            Ok(())
        })?;
        // Were a byte of it taken, these would not be the numbers that the server awaits.
        assert_eq!(asking.connection.ask_name()?, "rs1");
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// A later fragment alone says nothing of a connection, and one of none has no way.
#[test]
fn later_fragments_alone_go_nowhere() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let by_hand = ByHand::open(&scene.topology)?;
    for (family, before) in Family::BOTH.into_iter().zip([0, 1]) {
        let mut asking = Asking::open(&scene, family)?;
        let end = asking.end(family);
        by_hand.send(&fragment(&asking.packet, 8, 400..end, false))?;
        wait::until("the drop", PATIENCE, || {
            ensure!(dropped(&scene.director, "fragment_orphan")? == before + 1);
            Ok(())
        })?;
        assert_eq!(asking.connection.ask_name()?, "rs1");
    }
    assert_accounts(&scene.director);
    Ok(())
}
