//! A network, its real servers and a director, all running.

use std::net::{IpAddr, SocketAddr};

use adminapi::model::{Protocol, Scheduler, Service, ServiceId};
use anyhow::Result;

use crate::director::{Configuration, Director, service};
use crate::servers::{ECHO_PORT, HTTP_PORT, Nginx, OTHER_HTTP_PORT, UdpEcho};
use crate::topology::{CLIENT_V4, CLIENT_V6, Plan, Topology, VIP_V4, VIP_V6};

/// An IP family, to run one test for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The VIP.
    pub fn vip(self) -> IpAddr {
        match self {
            Self::V4 => VIP_V4.into(),
            Self::V6 => VIP_V6.into(),
        }
    }

    /// The client.
    pub fn client(self) -> IpAddr {
        match self {
            Self::V4 => CLIENT_V4.into(),
            Self::V6 => CLIENT_V6.into(),
        }
    }

    /// Where HTTP is served.
    pub fn http(self) -> SocketAddr {
        SocketAddr::new(self.vip(), HTTP_PORT)
    }

    /// Where the UDP echo is served.
    pub fn echo(self) -> SocketAddr {
        SocketAddr::new(self.vip(), ECHO_PORT)
    }

    /// The name of the HTTP service.
    pub fn http_service(self) -> ServiceId {
        ServiceId::at(Protocol::Tcp, self.http())
    }

    /// The name of the echo service.
    pub fn echo_service(self) -> ServiceId {
        ServiceId::at(Protocol::Udp, self.echo())
    }
}

/// The services of [`Scene::start`]: HTTP on port 80 in front of port 8080, and the echo, in both
/// families; real server i has the weight `weights[i]`.
pub fn services(topology: &Topology, scheduler: Scheduler, weights: &[u32]) -> Vec<Service> {
    let reals = |family: Family, port: u16| {
        let address = move |host: &crate::topology::RealHost| host.address(family.vip());
        topology
            .reals
            .iter()
            .zip(weights)
            .map(move |(host, &weight)| (SocketAddr::new(address(host), port), weight))
            .collect::<Vec<_>>()
    };
    Family::BOTH
        .into_iter()
        .flat_map(|family| {
            let http = reals(family, OTHER_HTTP_PORT);
            let echo = reals(family, ECHO_PORT);
            [
                service(Protocol::Tcp, family.http(), scheduler, http),
                service(Protocol::Udp, family.echo(), scheduler, echo),
            ]
        })
        .collect()
}

/// Everything that a test of forwarding needs. The director ends first.
#[derive(Debug)]
pub struct Scene {
    /// The director.
    pub director: Director,
    /// What it was started with.
    pub configuration: Configuration,
    /// The web servers, `rs1` first.
    pub web: Vec<Nginx>,
    /// The UDP servers, `rs1` first.
    pub echo: Vec<UdpEcho>,
    /// The network.
    pub topology: Topology,
}

impl Scene {
    /// Three real servers of weight 1, round robin.
    ///
    /// # Errors
    /// When a part does not come up.
    pub fn start() -> Result<Self> {
        Self::start_with(Plan::default(), Scheduler::Rr, &[1, 1, 1])
    }

    /// A scene of another shape.
    ///
    /// # Errors
    /// When a part does not come up.
    pub fn start_with(plan: Plan, scheduler: Scheduler, weights: &[u32]) -> Result<Self> {
        Self::start_shaped(plan, scheduler, weights, |configuration| configuration)
    }

    /// A scene of another shape, whose configuration says more.
    ///
    /// # Errors
    /// When a part does not come up.
    pub fn start_shaped(
        plan: Plan,
        scheduler: Scheduler,
        weights: &[u32],
        shape: impl FnOnce(Configuration) -> Configuration,
    ) -> Result<Self> {
        Self::start_on(Topology::build(plan)?, scheduler, weights, shape)
    }

    /// A scene on a network that is there.
    ///
    /// # Errors
    /// When a part does not come up.
    pub fn start_on(
        topology: Topology,
        scheduler: Scheduler,
        weights: &[u32],
        shape: impl FnOnce(Configuration) -> Configuration,
    ) -> Result<Self> {
        let web = topology
            .reals
            .iter()
            .map(Nginx::start)
            .collect::<Result<_>>()?;
        let echo = topology
            .reals
            .iter()
            .map(UdpEcho::start)
            .collect::<Result<_>>()?;
        let configuration = shape(Configuration::new(topology.interfaces()))
            .services(services(&topology, scheduler, weights));
        topology.meet_neighbours()?;
        let director = Director::start(&topology.director, &configuration)?;
        Ok(Self {
            director,
            configuration,
            web,
            echo,
            topology,
        })
    }

    /// Starts another director, when this one has ended.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_next(&mut self) -> Result<()> {
        self.director = Director::start(&self.topology.director, &self.configuration)?;
        Ok(())
    }
}
