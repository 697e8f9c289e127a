//! ICMP and ICMPv6 errors about tracked connections, in both directions, as the receiver sees
//! them; and echo to the VIP.

use std::net::IpAddr;
use std::time::Duration;

use adminapi::model::Scheduler;
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::packet::{Mac, Packet, ethernet, icmp, ip, protocol};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::topology::{HOST_SIDE, Plan};
use testbed::traffic::{HttpConnection, UdpClient};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(20);

/// Type, code and second word: unreachable, too big, time exceeded.
const fn errors(family: Family) -> [(u8, u8, u32); 3] {
    match family {
        // RFC 792, RFC 1191.
        Family::V4 => [(3, 3, 0), (3, 4, 1400), (11, 0, 0)],
        // RFC 4443.
        Family::V6 => [(1, 4, 0), (2, 0, 1400), (3, 0, 0)],
    }
}

/// One real server, and sniffers at it and at the client.
struct Bench {
    scene: Scene,
    at_client: Tap,
    at_real: Tap,
}

impl Bench {
    fn start() -> Result<Self> {
        let scene = Scene::start_with(
            Plan {
                reals: 1,
                ..Plan::default()
            },
            Scheduler::Rr,
            &[1],
        )?;
        Ok(Self {
            at_client: Tap::open(&scene.topology.client, HOST_SIDE)?,
            at_real: Tap::open(&scene.topology.reals[0].namespace, HOST_SIDE)?,
            scene,
        })
    }

    fn real(&self, family: Family) -> IpAddr {
        self.scene.topology.reals[0].address(family.vip())
    }

    /// The last packet of a flow as the real server got it, and as the client got the answer.
    fn last_packets(&self, family: Family, kind: u8) -> Result<(Packet, Packet)> {
        let (client, vip) = (family.client(), family.vip());
        let to_real = |p: &Packet| p.protocol == kind && p.source == client;
        let to_client = |p: &Packet| p.protocol == kind && p.source == vip;
        let request = self
            .at_real
            .drain(to_real)?
            .pop()
            .context("nothing arrived at the real")?;
        let answer = self
            .at_client
            .drain(to_client)?
            .pop()
            .context("no answer arrived")?;
        Ok((request, answer))
    }

    /// All errors about the flow of `request` and `answer`, from both ends.
    fn exchange_errors(&self, family: Family, request: &Packet, answer: &Packet) -> Result<()> {
        for error in errors(family) {
            self.real_complains(family, error, request, answer)?;
            self.client_complains(family, error, request, answer)?;
        }
        Ok(())
    }

    /// The real server says that the request was wrong: the client must see an error from the VIP
    /// about a packet that it sent to the VIP.
    fn real_complains(
        &self,
        family: Family,
        error: (u8, u8, u32),
        request: &Packet,
        answer: &Packet,
    ) -> Result<()> {
        let (real, client) = (self.real(family), family.client());
        let message = icmp(real, client, error, &whole(request));
        self.at_real.send(&ethernet(
            Mac::of_host(2, 1),
            Mac::of_host(2, 0xfe),
            &message,
        ))?;
        let got = self
            .at_client
            .expect("error of the real", is_error(error))?;
        assert_eq!((got.source, got.destination), (family.vip(), client));
        assert_intact(&got);
        let quoted = got.quoted().context("nothing is quoted")?;
        let (vip_end, client_end) = answer.sockets().context("no ports")?;
        assert_eq!(quoted.sockets(), Some((client_end, vip_end)), "{error:?}");
        Ok(())
    }

    /// The client says that the answer was wrong: the real server must see an error about a packet
    /// that it sent itself.
    fn client_complains(
        &self,
        family: Family,
        error: (u8, u8, u32),
        request: &Packet,
        answer: &Packet,
    ) -> Result<()> {
        let (real, client) = (self.real(family), family.client());
        let message = icmp(client, family.vip(), error, &whole(answer));
        self.at_client.send(&ethernet(
            Mac::of_host(1, 1),
            Mac::of_host(1, 0xfe),
            &message,
        ))?;
        let got = self
            .at_real
            .expect("error of the client", is_error(error))?;
        assert_eq!((got.source, got.destination), (client, real));
        assert_intact(&got);
        let quoted = got.quoted().context("nothing is quoted")?;
        let (client_end, real_end) = request.sockets().context("no ports")?;
        assert_eq!(quoted.sockets(), Some((real_end, client_end)), "{error:?}");
        Ok(())
    }
}

/// The packet as it stood on the wire, for a quotation.
fn whole(packet: &Packet) -> Vec<u8> {
    ip(
        packet.source,
        packet.destination,
        packet.protocol,
        &packet.payload,
    )
}

fn is_error((kind, code, _): (u8, u8, u32)) -> impl FnMut(&Packet) -> bool {
    move |packet| packet.icmp() == Some((kind, code))
}

/// Every checksum is right: of the message, and inside of the quotation, which is whole here.
fn assert_intact(message: &Packet) {
    assert!(
        message.header_intact && message.payload_intact(),
        "{message:?}"
    );
    let quoted = message.quoted().expect("an error quotes");
    assert!(quoted.header_intact, "header of the quotation: {quoted:?}");
    assert!(
        quoted.payload_intact(),
        "checksum of the quotation: {quoted:?}"
    );
}

#[test]
fn errors_about_udp_are_translated_in_both_directions() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start()?;
    for family in Family::BOTH {
        let client = UdpClient::open(&bench.scene.topology.client, family.echo())?;
        client.echo(b"about this")?;
        let (request, answer) = bench.last_packets(family, protocol::UDP)?;
        bench.exchange_errors(family, &request, &answer)?;
    }
    assert_accounts(&bench.scene.director);
    Ok(())
}

#[test]
fn errors_about_tcp_are_translated_in_both_directions() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start()?;
    for family in Family::BOTH {
        let mut client = HttpConnection::open(&bench.scene.topology.client, family.http())?;
        client.ask_name()?;
        let (request, answer) = bench.last_packets(family, protocol::TCP)?;
        bench.exchange_errors(family, &request, &answer)?;
        assert_eq!(
            client.ask_name()?,
            "rs1",
            "a soft error ended the connection"
        );
    }
    assert_accounts(&bench.scene.director);
    Ok(())
}

#[test]
fn an_error_about_no_connection_reaches_no_real() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start()?;
    for family in Family::BOTH {
        let (client, vip) = (family.client(), family.vip());
        let stranger = testbed::packet::udp(family.echo(), (client, 9).into(), b"never sent");
        let message = icmp(client, vip, errors(family)[0], &stranger);
        let frame = ethernet(Mac::of_host(1, 1), Mac::of_host(1, 0xfe), &message);
        bench.at_client.send(&frame)?;
        let arrived = bench.at_real.drain(is_error(errors(family)[0]))?;
        assert!(arrived.is_empty(), "{arrived:?}");
    }
    assert_accounts(&bench.scene.director);
    Ok(())
}

#[test]
fn the_kernel_answers_echo_to_the_vip() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start()?;
    for family in Family::BOTH {
        let vip = family.vip().to_string();
        bench
            .scene
            .topology
            .client
            .run("ping", &["-c2", "-i0.2", "-W2", &vip])?;
    }
    let passed: u64 = bench.scene.director.api().stats()?.total.passed;
    assert!(passed >= 4, "{passed} packets were passed to the kernel");
    assert_accounts(&bench.scene.director);
    Ok(())
}

#[test]
fn an_error_that_quotes_what_was_never_sent_goes_nowhere() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start()?;
    for (family, counted) in [(Family::V4, 1), (Family::V6, 2)] {
        let mut client = HttpConnection::open(&bench.scene.topology.client, family.http())?;
        client.ask_name()?;
        let (_, answer) = bench.last_packets(family, protocol::TCP)?;
        let mut forged = answer.clone();
        forged.payload[4] ^= 0x40;
        let error = errors(family)[0];
        let message = icmp(family.client(), family.vip(), error, &whole(&forged));
        let (from, to) = (Mac::of_host(1, 1), Mac::of_host(1, 0xfe));
        bench.at_client.send(&ethernet(from, to, &message))?;
        wait::until("the forged error to be counted", PATIENCE, || {
            let drops = bench.scene.director.api().stats()?.drops;
            let seen = drops.get("icmp_sequence").copied().unwrap_or(0);
            ensure!(seen == counted, "{seen} counted");
            Ok(())
        })?;
        assert!(bench.at_real.drain(is_error(error))?.is_empty());
        assert_eq!(client.ask_name()?, "rs1");
    }
    assert_accounts(&bench.scene.director);
    Ok(())
}
