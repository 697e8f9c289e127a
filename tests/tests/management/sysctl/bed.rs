//! A scene and a client of raw packets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use adminapi::model::{
    Connection, ExplainQuery, Explanation, Protocol, RealPatch, Scheduler, ServiceId, TcpFlags,
};
use anyhow::{Context, Result, ensure};
use testbed::director::Director;
use testbed::packet::{Mac, Segment, ethernet, flag, tcp};
use testbed::raw::Tap;
use testbed::scene::{Family, Scene};
use testbed::topology::{CLIENT_V4, HOST_SIDE, Plan};
use testbed::wait;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const HTTP: Family = Family::V4;
pub(crate) const SYN: u8 = flag::SYN;
pub(crate) const ACK: u8 = flag::ACK;
pub(crate) const RST: u8 = flag::RST;
pub(crate) const FIN: u8 = flag::FIN;

/// An address behind the client, which nobody has: no kernel answers what is sent to it.
pub(crate) const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 16, 0, 1));

pub(crate) fn nobody(port: u16) -> SocketAddr {
    SocketAddr::new(NOBODY, port)
}

/// A scene and a client of raw packets.
pub(crate) struct Bench {
    pub(crate) scene: Scene,
    pub(crate) tap: Tap,
}

impl Bench {
    pub(crate) fn start(weights: &[u32]) -> Result<Self> {
        let plan = Plan {
            reals: weights.len() as u8,
            ..Plan::default()
        };
        let scene = Scene::start_with(plan, Scheduler::Rr, weights)?;
        let behind_client = format!("route add 172.16.0.0/12 via {CLIENT_V4}");
        scene.topology.director.ip(&behind_client)?;
        scene.topology.client.sysctl(&["net.ipv4.ip_forward=0"])?;
        Ok(Self {
            tap: Tap::open(&scene.topology.client, HOST_SIDE)?,
            scene,
        })
    }

    pub(crate) fn set(&self, name: &str, value: i64) -> Result<()> {
        self.scene.director.api().set_sysctl(name, value)
    }

    pub(crate) fn send(&self, packet: &[u8]) -> Result<()> {
        let stations = (Mac::of_host(1, 1), Mac::of_host(1, 0xfe));
        self.tap.send(&ethernet(stations.0, stations.1, packet))
    }

    pub(crate) fn segment(
        &self,
        client: SocketAddr,
        flags: u8,
        sequence: u32,
        ack: u32,
    ) -> Result<()> {
        let segment = Segment {
            sequence,
            acknowledgement: ack,
            flags,
            payload: b"",
        };
        self.send(&tcp(client, HTTP.http(), segment))
    }

    /// Opens a connection from `client` with a SYN of this number; the number that the real
    /// server awaits.
    pub(crate) fn open(&self, client: SocketAddr, sequence: u32) -> Result<u32> {
        let next = sequence.wrapping_add(1);
        let syn = || self.segment(client, SYN, sequence, 0);
        // One that is late answers another SYN of this port.
        let answer = self.tap.expect_answer("a SYN+ACK", syn, |p| {
            let here = p.sockets() == Some((HTTP.http(), client));
            here && p.payload[13] == SYN | ACK && p.payload[8..12] == next.to_be_bytes()
        })?;
        let theirs = u32::from_be_bytes(answer.payload[4..8].try_into()?).wrapping_add(1);
        self.segment(client, ACK, next, theirs)?;
        Ok(theirs)
    }

    /// What would become of a packet of `client`.
    pub(crate) fn explain(&self, client: SocketAddr) -> Result<Explanation> {
        let api = self.scene.director.api();
        api.explain(Protocol::Tcp, client, HTTP.http())
    }

    /// The state that the connection of `client` would have after a segment of his.
    pub(crate) fn foresees(&self, client: SocketAddr, flags: u8) -> Result<Option<String>> {
        let query = ExplainQuery {
            protocol: Protocol::Tcp,
            from: client,
            to: HTTP.http(),
            interface: None,
            call_id: None,
            flags: Some(TcpFlags(flags)),
        };
        let api = self.scene.director.api();
        let told = api.call(async |client| client.explain(&query).await)?;
        Ok(told.becomes)
    }

    pub(crate) fn connection(&self, client: SocketAddr) -> Result<Connection> {
        connection(&self.scene.director, HTTP.http_service(), client)
    }

    /// The connection of `client` when it is in `state`.
    pub(crate) fn reaches(&self, client: SocketAddr, state: &str) -> Result<Connection> {
        wait::until(state, PATIENCE, || {
            let connection = self.connection(client)?;
            ensure!(connection.state == state, "{connection:?}");
            Ok(connection)
        })
    }

    pub(crate) fn set_weight(
        &self,
        service: ServiceId,
        real: SocketAddr,
        weight: u32,
    ) -> Result<()> {
        let patch = RealPatch {
            weight: Some(weight),
            ..RealPatch::default()
        };
        self.scene.director.api().change_real(service, real, patch)
    }
}

pub(crate) fn connection(
    director: &Director,
    service: ServiceId,
    client: SocketAddr,
) -> Result<Connection> {
    let connections = director.api().connections(service)?;
    let own = connections.into_iter().find(|c| c.client == client);
    own.context("no such connection")
}
