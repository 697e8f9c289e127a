//! What a forwarder is given to do: how many services, real servers and flows, and how long frames.

use std::net::SocketAddr;

use adminapi::model::{Protocol, Scheduler, Service};
use anyhow::Result;
use clap::Args;

use crate::director::{Configuration, service};
use crate::generator::{Flows, Kind};
use crate::scene::Family;
use crate::topology::{RealHost, Topology};

/// The port of the first service, and of the first real servers.
const PORT: u16 = 80;
/// Ethernet, IPv6, TCP and as much data as the least frame of IPv4 has.
const LEAST_V6: usize = 80;
const FIRST_SOURCE_V4: &str = "172.16.0.0:1024";
const FIRST_SOURCE_V6: &str = "[fd00:16::ac10:0]:1024";
/// More than there can be.
const NEVER: i64 = 1 << 30;
/// Where sources are.
pub const SOURCES: &str = "172.16.0.0/12";

/// Lists, of which every combination is measured.
#[derive(Clone, Debug, Args)]
pub struct Loads {
    /// Established flows.
    #[arg(long, value_delimiter = ',', default_value = "32768", value_parser = clap::value_parser!(u32).range(1..))]
    pub flows: Vec<u32>,
    /// Bytes of a frame, without its check sequence; IPv6 has 80 at least.
    #[arg(long, value_delimiter = ',', default_value = "60")]
    pub frames: Vec<usize>,
    /// Services, of which one is measured.
    #[arg(long, value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub services: Vec<u16>,
    /// Real servers of each.
    #[arg(long, value_delimiter = ',', default_value = "3", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub reals: Vec<u16>,
}

/// One combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Established flows.
    pub flows: u32,
    /// Bytes of a frame.
    pub frame: usize,
    /// Services.
    pub services: u16,
    /// Real servers of each.
    pub reals: u16,
}

impl Loads {
    /// Every combination.
    pub fn all(&self) -> Vec<Load> {
        let mut all = Vec::new();
        for &flows in &self.flows {
            for &frame in &self.frames {
                for &services in &self.services {
                    all.extend(self.reals.iter().map(|&reals| Load {
                        flows,
                        frame,
                        services,
                        reals,
                    }));
                }
            }
        }
        all
    }
}

impl Load {
    /// Its flows of `kind` to the first service.
    ///
    /// # Errors
    /// None in practice: the addresses are constants.
    pub fn flows(&self, family: Family, kind: Kind) -> Result<Flows> {
        let (source, frame) = match family {
            Family::V4 => (FIRST_SOURCE_V4, self.frame),
            Family::V6 => (FIRST_SOURCE_V6, self.frame.max(LEAST_V6)),
        };
        Ok(Flows {
            kind,
            source: source.parse()?,
            destination: SocketAddr::new(family.vip(), PORT),
            count: self.flows,
            frame,
        })
    }

    /// The services, the first of which is measured.
    pub fn services(&self, topology: &Topology, family: Family, kind: Kind) -> Vec<Service> {
        let protocol = match kind {
            Kind::Udp | Kind::UdpQuestion => Protocol::Udp,
            _ => Protocol::Tcp,
        };
        let one = |number| {
            let vip = SocketAddr::new(family.vip(), PORT + number);
            let reals = self.reals(&topology.reals, family).map(|real| (real, 1));
            service(protocol, vip, Scheduler::Rr, reals)
        };
        (0..self.services).map(one).collect()
    }

    /// Those beyond the hosts there are differ in their ports.
    fn reals(&self, hosts: &[RealHost], family: Family) -> impl Iterator<Item = SocketAddr> {
        let count = hosts.len() as u16;
        (0..self.reals).map(move |number| {
            let host = &hosts[usize::from(number % count)];
            SocketAddr::new(host.address(family.vip()), PORT + number / count)
        })
    }

    /// A director with room for its flows.
    pub fn configuration(&self, topology: &Topology) -> Configuration {
        let room = i64::from(self.flows.next_power_of_two().max(1 << 15)) * 2;
        Configuration::new(topology.interfaces())
            .datapath("flows", room.min(1 << 22))
            .limit("connections", room)
            .limit("half_open", room)
            // Flows are opened all at once, which is no attack.
            .defense("half_open_least", NEVER)
            .defense("half_open_pool", 100)
            .defense("rejected_acks", NEVER)
    }

    /// As a title.
    pub fn describe(&self) -> String {
        let Self {
            flows,
            frame,
            services,
            reals,
        } = self;
        let count = |count: u32, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        [
            count(flows.to_owned(), "flow"),
            format!("{frame}-byte frames"),
            count(u32::from(*services), "service"),
            count(u32::from(*reals), "real server"),
        ]
        .join(", ")
    }
}

/// Has the director send what is for the sources to the client.
///
/// # Errors
/// When a command fails.
pub fn route_sources(topology: &Topology) -> Result<()> {
    let director = &topology.director;
    director.ip(&format!("route add {SOURCES} via 10.0.1.1\n"))?;
    director
        .run(
            "ip",
            &["-6", "route", "add", "fd00:16::/64", "via", "fd00:1::1"],
        )
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::Loads;

    #[test]
    fn every_combination_is_there_once() {
        let loads = Loads {
            flows: vec![1, 2],
            frames: vec![60],
            services: vec![1],
            reals: vec![1, 3],
        };
        let all = loads.all();
        assert_eq!(all.len(), 4);
        assert_eq!((all[1].flows, all[1].reals), (1, 3));
        assert_eq!(
            all[1].describe(),
            "1 flow, 60-byte frames, 1 service, 3 real servers"
        );
    }
}
