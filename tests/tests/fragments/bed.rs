//! What the tests of fragments stand on.

use std::net::SocketAddr;
use std::time::Duration;

use adminapi::model::{ForwardingMethod, Scheduler, Tunnel};
use anyhow::{Result, ensure};
use testbed::agent::Agent;
use testbed::director::{Configuration, Director, by};
use testbed::packet::{Mac, Packet, ethernet, protocol};
use testbed::raw::Tap;
use testbed::scene::{Family, Scene, services};
use testbed::servers::UdpEcho;
use testbed::topology::{CLIENT_V4, CLIENT_V6, HOST_SIDE, Plan, Topology, VIP_V4, VIP_V6};
use testbed::traffic::UdpClient;
use testbed::wait;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Who hears nothing asks again.
pub(crate) const AGAIN: Duration = Duration::from_secs(2);
pub(crate) const PORT: u16 = 40_000;

/// One real server behind one queue or several.
pub(crate) fn nat(queues: u8) -> Result<Scene> {
    let plan = Plan {
        reals: 1,
        queues,
        ..Plan::default()
    };
    Scene::start_with(plan, Scheduler::Rr, &[1])
}

pub(crate) fn client(family: Family) -> SocketAddr {
    match family {
        Family::V4 => (CLIENT_V4, PORT).into(),
        Family::V6 => (CLIENT_V6, PORT).into(),
    }
}

/// Length of the IP header.
pub(crate) const fn header(family: Family) -> usize {
    match family {
        Family::V4 => 20,
        Family::V6 => 40,
    }
}

pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

pub(crate) fn is_echo(family: Family) -> impl Fn(&Packet) -> bool {
    let ends = Some((family.echo(), client(family)));
    move |packet| packet.protocol == protocol::UDP && packet.sockets() == ends
}

pub(crate) fn dropped(director: &Director, reason: &str) -> Result<u64> {
    director.api().dropped(reason)
}

/// Frames of the client's own making.
pub(crate) struct ByHand {
    pub(crate) tap: Tap,
}

impl ByHand {
    pub(crate) fn open(topology: &Topology) -> Result<Self> {
        Ok(Self {
            tap: Tap::open(&topology.client, HOST_SIDE)?,
        })
    }

    pub(crate) fn send(&self, packet: &[u8]) -> Result<()> {
        let (from, to) = (Mac::of_host(1, 1), Mac::of_host(1, 0xfe));
        self.tap.send(&ethernet(from, to, packet))
    }

    /// The echo of `message`, which `send` sends, comes back, whole.
    pub(crate) fn expect_echo(
        &self,
        family: Family,
        message: &[u8],
        send: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let echo = self.tap.expect_answer("echo", send, is_echo(family))?;
        ensure!(echo.payload_intact() && echo.payload.ends_with(message));
        Ok(())
    }
}

/// Real servers with the VIP, which answer past the director.
pub(crate) struct OneWay {
    pub(crate) director: Director,
    _agent: Option<Agent>,
    _echo: UdpEcho,
    pub(crate) topology: Topology,
}

impl OneWay {
    pub(crate) fn start(method: ForwardingMethod, tun: Option<Tunnel>) -> Result<Self> {
        let topology = Topology::with_one_real()?;
        topology.bypass_director()?;
        let real = &topology.reals[0];
        let echo = UdpEcho::start_at(real, [VIP_V4.into(), VIP_V6.into()])?;
        let agent = match tun {
            Some(_) => {
                let text = "[agent]\ninterface = \"eth0\"\n";
                Some(Agent::start(&real.namespace, text)?)
            }
            None => None,
        };
        let configuration = Configuration::new(topology.interfaces()).services(
            services(&topology, Scheduler::Rr, &[1])
                .into_iter()
                .map(|service| by(service, method, tun)),
        );
        topology.meet_neighbours()?;
        Ok(Self {
            director: Director::start(&topology.director, &configuration)?,
            _agent: agent,
            _echo: echo,
            topology,
        })
    }

    /// The client hears of the MTU by a datagram that is lost, if at all.
    pub(crate) fn echo(&self, family: Family, length: usize) -> Result<()> {
        let client = UdpClient::open(&self.topology.client, family.echo())?;
        client.socket().set_read_timeout(Some(AGAIN))?;
        wait::until("the echo", PATIENCE, || {
            let name = client.echo(&bytes(length))?;
            ensure!(name == "rs1");
            Ok(())
        })
    }
}
