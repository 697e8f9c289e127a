//! SCTP. Kernels without it are enough: the program on the director has a raw socket, and the client is
//! sent and read by hand.

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use adminapi::model::{Protocol, Scheduler, ServiceId};
use anyhow::{Context, Result, ensure};
use socket2::{Domain, Socket, Type};
use testbed::accounts::assert_accounts;
use testbed::director::service;
use testbed::packet::{Mac, Packet, ethernet, init, ip, protocol, sctp};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::Family;
use testbed::topology::HOST_SIDE;
use testbed::wait;

use crate::bed::{Bed, PATIENCE, at, own};

/// Chunk types (RFC 9260 3.2).
const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;

/// How long the program waits before the client sends again.
const GLANCE: Duration = Duration::from_millis(500);

const PORT: u16 = 5000;
/// What the program has in its place: another checksum.
const OWN_PORT: u16 = 5001;
const CLIENT_PORT: u16 = 4000;
/// Tags that client and program want.
const CLIENT_TAG: u32 = 0x0c11_e277;
const OWN_TAG: u32 = 0x5e12_3e12;

type Chunks<'a> = &'a [(u8, u8, &'a [u8])];

/// A client and a program of the director.
struct Pair<'a> {
    bed: &'a Bed,
    family: Family,
    at_client: Tap,
    program: Socket,
}

impl<'a> Pair<'a> {
    fn meet(bed: &'a Bed, family: Family) -> Result<Self> {
        let vip = SocketAddr::new(family.vip(), PORT);
        let real = (at(family, OWN_PORT), 1);
        let one = service(Protocol::Sctp, vip, Scheduler::Rr, [real]);
        bed.director.api().add_service(&one)?;
        let program = bed.topology.director.enter(|| {
            let domain = Domain::for_address(at(family, 0));
            let kind = socket2::Protocol::from(i32::from(protocol::SCTP));
            let socket = Socket::new(domain, Type::RAW, Some(kind))?;
            socket.bind(&at(family, 0).into())?;
            socket.set_read_timeout(Some(GLANCE))?;
            Ok(socket)
        })?;
        let at_client = Tap::open(&bed.topology.client, HOST_SIDE)?;
        Ok(Self {
            bed,
            family,
            at_client,
            program,
        })
    }

    fn client(&self) -> SocketAddr {
        (self.family.client(), CLIENT_PORT).into()
    }

    /// Sends it from the client; it reaches the program at its own port, with its checksum right.
    fn asks(&self, tag: u32, chunks: Chunks<'_>) -> Result<()> {
        let vip = SocketAddr::new(self.family.vip(), PORT);
        let sent = sctp(self.client(), vip, tag, chunks);
        let (from, to) = (Mac::of_host(1, 1), Mac::of_host(1, 0xfe));
        let frame = ethernet(from, to, &sent);
        let send = || self.at_client.send(&frame);
        wait::until_repeated("chunk of the client", PATIENCE, send, || {
            let got = self.heard()?;
            ensure!(got.sockets() == Some((self.client(), at(self.family, OWN_PORT))));
            ensure!(got.payload_intact(), "{got:?}");
            ensure!(got.payload[12..] == body(&sent)?[12..], "{got:?}");
            Ok(())
        })
    }

    /// The next packet that the program is given. By IPv6 a raw socket tells no header.
    fn heard(&self) -> Result<Packet> {
        let mut room = vec![0; 2048];
        let length = (&self.program).read(&mut room)?;
        room.truncate(length);
        let packet = match self.family {
            Family::V4 => room,
            Family::V6 => ip(self.client().ip(), own(self.family), protocol::SCTP, &room),
        };
        Packet::read(&packet).context("no packet")
    }

    /// The other way: it reaches the client as from the VIP.
    fn answers(&self, tag: u32, chunks: Chunks<'_>) -> Result<()> {
        let sent = sctp(at(self.family, OWN_PORT), self.client(), tag, chunks);
        let to = SocketAddr::new(self.client().ip(), 0);
        let sent = body(&sent)?;
        let send = || Ok(self.program.send_to(&sent, &to.into()).map(drop)?);
        let vip = SocketAddr::new(self.family.vip(), PORT);
        let is_answer = |packet: &Packet| {
            packet.sockets() == Some((vip, self.client()))
                && packet.payload.get(12..) == sent.get(12..)
        };
        let got = self
            .at_client
            .expect_answer("chunk of the program", send, is_answer)?;
        ensure!(got.payload_intact(), "{got:?}");
        Ok(())
    }

    fn shows(&self, expected: &str) -> Result<()> {
        let id = ServiceId::at(Protocol::Sctp, (self.family.vip(), PORT).into());
        wait::until(expected, PATIENCE, || {
            let connections = self.bed.director.api().connections(id)?;
            let states: Vec<&str> = connections.iter().map(|c| c.state.as_str()).collect();
            ensure!(states == [expected], "{states:?}");
            Ok(())
        })
    }
}

/// What follows the IP header.
fn body(packet: &[u8]) -> Result<Vec<u8>> {
    Ok(Packet::read(packet).context("no packet")?.payload)
}

#[test]
fn an_association_is_opened_and_carries_data() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::start(|configuration| configuration)?;
    for family in Family::BOTH {
        let pair = Pair::meet(&bed, family)?;
        pair.asks(0, &[(INIT, 0, &init(CLIENT_TAG))])?;
        pair.answers(CLIENT_TAG, &[(INIT_ACK, 0, &init(OWN_TAG))])?;
        pair.asks(OWN_TAG, &[(COOKIE_ECHO, 0, b"cookie")])?;
        pair.answers(CLIENT_TAG, &[(COOKIE_ACK, 0, b"")])?;
        pair.shows("ESTABLISHED")?;
        for length in [1, 2, 3, 1300] {
            let data = vec![0x5a; length];
            pair.asks(OWN_TAG, &[(DATA, 3, &data)])?;
            pair.answers(CLIENT_TAG, &[(DATA, 3, &data)])?;
        }
    }
    assert_accounts(&bed.director);
    Ok(())
}
