//! What the tests of the agent stand on: a client, a sender by hand, a real server.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::agent::{Agent, Outcomes};
use testbed::packet::{Mac, Packet, Segment, ethernet, flag, protocol, tcp, udp};
use testbed::raw::Tap;
use testbed::scene::Family;
use testbed::servers::{Nginx, UdpEcho};
use testbed::topology::{
    CLIENT_V4, CLIENT_V6, HOST_SIDE, Layout, Plan, RealHost, Topology, VIP_V4, VIP_V6,
};
use testbed::tunnel::Tunnel;
use testbed::wait;

pub(crate) const PLAIN: &str = "[agent]\ninterface = \"eth0\"\n";
pub(crate) const REAL_PORT: &str = "rs1";
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A client, a host in the director's place that sends by hand, and a real server with the VIPs.
pub(crate) struct Bed {
    pub(crate) topology: Topology,
    /// Frames of the sender.
    pub(crate) sender: Tap,
    /// What comes to the client.
    pub(crate) client: Tap,
    _echo: UdpEcho,
    _web: Nginx,
}

impl Bed {
    pub(crate) fn build() -> Result<Self> {
        let topology = Topology::build(Plan {
            reals: 1,
            layout: Layout::Direct,
            ..Plan::default()
        })?;
        topology.director.ip(&format!(
            "addr del {VIP_V4}/32 dev lo\naddr del {VIP_V6}/128 dev lo\n"
        ))?;
        let real = &topology.reals[0];
        real.namespace.ip(&format!(
            "addr add {VIP_V4}/32 dev lo\naddr add {VIP_V6}/128 dev lo nodad\n"
        ))?;
        Ok(Self {
            sender: Tap::open(&topology.director, REAL_PORT)?,
            client: Tap::open(&topology.client, HOST_SIDE)?,
            _echo: UdpEcho::start_at(real, [VIP_V4.into(), VIP_V6.into()])?,
            _web: Nginx::start(real)?,
            topology,
        })
    }

    pub(crate) fn real(&self) -> &RealHost {
        &self.topology.reals[0]
    }

    pub(crate) fn agent(&self, text: &str) -> Result<Agent> {
        Agent::start(&self.real().namespace, text)
    }

    pub(crate) fn send(&self, packet: &[u8]) -> Result<()> {
        let (from, to) = (Mac::of_host(2, 0xfe), Mac::of_host(2, 1));
        self.sender.send(&ethernet(from, to, packet))
    }

    /// Frames that the link to the real server had no room for: a busy machine takes them off late.
    pub(crate) fn lost(&self) -> Result<u64> {
        let counter = format!("/sys/class/net/{REAL_PORT}/statistics/tx_dropped");
        Ok(self
            .topology
            .director
            .run("cat", &[&counter])?
            .trim()
            .parse()?)
    }

    /// The client has the answer of the VIP's echo to `port`.
    pub(crate) fn expect_echo(&self, family: Family, port: u16) -> Result<()> {
        let sockets = Some((family.echo(), client(family, port)));
        let packet = self
            .client
            .expect("echo", |packet| packet.sockets() == sockets)?;
        ensure!(packet.payload_intact() && packet.payload.ends_with(b"rs1:hello"));
        Ok(())
    }

    /// The client has the SYN+ACK of the VIP's nginx to `port`.
    pub(crate) fn expect_syn_ack(&self, family: Family, port: u16) -> Result<()> {
        let sockets = Some((family.http(), client(family, port)));
        let packet = self
            .client
            .expect("SYN+ACK", |packet| packet.sockets() == sockets)?;
        ensure!(packet.payload[13] == flag::SYN | flag::ACK, "{packet:?}");
        Ok(())
    }

    /// Whether the sender's tunnel packets reach the VIP. Where they do not, the kernel of the
    /// real server refuses them.
    pub(crate) fn decapsulates(&self) -> Result<bool> {
        self.sender.drain(|_| true)?;
        self.client.drain(|_| true)?;
        self.send(&wrapped(Tunnel::Ipip, Family::V4, &hello(Family::V4, 4321)))?;
        let mut answered = None;
        wait::until("an answer or a refusal", PATIENCE, || {
            let echo = |packet: &Packet| packet.source == VIP_V4;
            let refusal = |packet: &Packet| {
                packet.protocol == protocol::ICMP && packet.payload.first() == Some(&3)
            };
            if !self.client.drain(echo)?.is_empty() {
                answered = Some(true);
            } else if !self.sender.drain(refusal)?.is_empty() {
                answered = Some(false);
            }
            answered.context("neither")
        })
    }
}

pub(crate) fn client(family: Family, port: u16) -> SocketAddr {
    match family {
        Family::V4 => (CLIENT_V4, port).into(),
        Family::V6 => (CLIENT_V6, port).into(),
    }
}

/// What the client says to the VIP's echo.
pub(crate) fn hello(family: Family, port: u16) -> Vec<u8> {
    udp(client(family, port), family.echo(), b"hello")
}

pub(crate) fn syn(family: Family, port: u16) -> Vec<u8> {
    let segment = Segment {
        flags: flag::SYN,
        sequence: 1000,
        ..Segment::default()
    };
    tcp(client(family, port), family.http(), segment)
}

/// The ends of the tunnel: the sender and the real server.
pub(crate) fn ends(outer: Family) -> (IpAddr, IpAddr) {
    let address = |text: &str| text.parse().expect("an address");
    match outer {
        Family::V4 => (address("10.0.2.254"), address("10.0.2.1")),
        Family::V6 => (address("fd00:2::fe"), address("fd00:2::1")),
    }
}

pub(crate) fn wrapped(tunnel: Tunnel, outer: Family, inner: &[u8]) -> Vec<u8> {
    let (source, destination) = ends(outer);
    tunnel.wrap(source, destination, inner)
}

pub(crate) fn outcome_of(tunnel: Tunnel) -> &'static str {
    match tunnel {
        Tunnel::Ipip => "ipip",
        Tunnel::Gre | Tunnel::GreChecksum => "gre",
        Tunnel::Gue | Tunnel::GueDirect | Tunnel::GueRemoteChecksum => "gue",
    }
}

/// What was counted but `passed`, which includes the neighbour discovery of the hosts.
pub(crate) fn counted(outcomes: Outcomes) -> Vec<(String, u64)> {
    let interesting = |(name, packets): &(String, u64)| name != "passed" && *packets > 0;
    outcomes.into_iter().filter(interesting).collect()
}

pub(crate) fn pairs() -> impl Iterator<Item = (Family, Family)> {
    let each = |outer| Family::BOTH.map(move |inner| (outer, inner));
    Family::BOTH.into_iter().flat_map(each)
}
