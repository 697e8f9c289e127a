//! The captures' topology: each real server on a link of its own, links back to the client for
//! answers that bypass the director, and routes to clients and real servers that are raw packets
//! only.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::case::Case;
use super::shell::Shells;
use crate::agent::Agent;
use crate::director::{Configuration, Director};
use crate::floor;
use crate::namespace::Namespace;
use crate::packet::{Mac, ethernet};
use crate::topology::{HOST_SIDE, Layout, Plan, Topology};
use crate::wait;

const REALS: u8 = 3;
/// Host part of the director on each link.
const DIRECTOR: u8 = 0xfe;
/// How long a read waits for a packet that has not come yet.
const SLICE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(5);
const ETHERNET: usize = 14;
/// The device of the kernel's IPIP driver, which the captures name.
const TUNNEL: &str = "tunl0";
/// IPv6 neighbour discovery and its kin (RFC 4861, RFC 3810).
const NEIGHBOUR_TALK: [u8; 6] = [133, 134, 135, 136, 137, 143];

/// A host whose link is watched, and from which raw packets are sent.
#[derive(Debug)]
struct Port {
    socket: File,
    network: u8,
}

/// The namespaces, without a director.
#[derive(Debug)]
pub struct Lab {
    /// Who is wired to whom.
    pub topology: Topology,
    client: Port,
    reals: Vec<Port>,
    shells: Shells,
}

impl Lab {
    /// Builds it; `names` has the `services` and `protocols` that the captures know.
    ///
    /// # Errors
    /// When a part does not come up.
    pub fn build(names: &Path) -> Result<Self> {
        let topology = Topology::build(Plan {
            reals: REALS,
            layout: Layout::Direct,
            ..Plan::default()
        })?;
        connect_silent(&topology)?;
        topology.meet_neighbours()?;
        let reals = topology.reals.iter().zip(2..);
        Ok(Self {
            client: Port::open(&topology.client, 1)?,
            reals: reals
                .map(|(real, network)| Port::open(&real.namespace, network))
                .collect::<Result<_>>()?,
            shells: Shells::new(names)?,
            topology,
        })
    }

    /// Starts a director without services.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_director(&self) -> Result<Director> {
        let configuration = Configuration::new(self.topology.interfaces());
        let director = Director::start(&self.topology.director, &configuration)?;
        self.listen()?;
        Ok(director)
    }

    /// Whether a case has real servers take packets out of IPIP.
    pub fn is_tunnelled(case: &Case) -> bool {
        case.commands().any(|command| command.line.contains(TUNNEL))
    }

    /// Lets real servers take packets out of IPIP where their kernel has no driver for it: a bridge without
    /// ports stands for its device, and an agent unwraps what comes.
    ///
    /// # Errors
    /// When an agent does not come up.
    pub fn unwrap_tunnels(&self) -> Result<Vec<Agent>> {
        let hosts = self.topology.reals.iter().map(|real| &real.namespace);
        let without = hosts.filter(|host| host.run("ip", &["link", "show", TUNNEL]).is_err());
        let agent = |host: &Namespace| {
            host.ip(&format!("link add {TUNNEL} type bridge\n"))?;
            Agent::start(host, &format!("[agent]\ninterface = \"{HOST_SIDE}\"\n"))
        };
        without.map(agent).collect()
    }

    /// A shell for the commands of the captures, in the namespace that they call `name`. In the
    /// director's it has their programs; listings by name have their names.
    ///
    /// # Errors
    /// When there is no such namespace.
    pub fn shell(&self, name: &str, line: &str, director: &Director) -> Result<Command> {
        let namespace = self.namespace(name)?;
        let by_name = line.starts_with("ipvsadm -L ") || line.starts_with("ipvsadm -Lc");
        let mut shell = match by_name {
            true => self.shells.named(namespace, line),
            false => self.shells.plain(namespace, line),
        };
        if name == "d" {
            self.shells.direct(&mut shell, &director.socket());
        }
        Ok(shell)
    }

    /// The namespace that the captures call `name`: `c`, `d`, `s1`...
    ///
    /// # Errors
    /// When there is none.
    pub fn namespace(&self, name: &str) -> Result<&Namespace> {
        let (kind, number) = name.split_at_checked(1).context("no name")?;
        match kind {
            "c" => Some(&self.topology.client),
            "d" => Some(&self.topology.director),
            "s" => number.parse().ok().and_then(|number: usize| {
                let real = self.topology.reals.get(number.checked_sub(1)?)?;
                Some(&real.namespace)
            }),
            _ => None,
        }
        .with_context(|| format!("no namespace is called {name}"))
    }

    /// Sends IP packets to the director, from the client.
    ///
    /// # Errors
    /// When the link is down.
    pub fn send_from_client(&self, packet: &[u8]) -> Result<()> {
        self.client.send(packet)
    }

    /// Sends an IP packet to the director, from the host of real server `number`, from 0.
    ///
    /// # Errors
    /// When the link is down.
    pub fn send_from_real(&self, number: usize, packet: &[u8]) -> Result<()> {
        self.reals
            .get(number)
            .context("no such real server")?
            .send(packet)
    }

    /// The IP packets that have arrived at the client since the last call.
    ///
    /// # Errors
    /// When its link is gone.
    pub fn at_client(&self) -> Result<Vec<Vec<u8>>> {
        self.client.arrived()
    }

    /// The IP packets that have arrived at the host of real server `number`, from 0.
    ///
    /// # Errors
    /// When its link is gone.
    pub fn at_real(&self, number: usize) -> Result<Vec<Vec<u8>>> {
        self.reals
            .get(number)
            .context("no such real server")?
            .arrived()
    }

    /// How many hosts of real servers there are.
    pub fn reals(&self) -> usize {
        self.reals.len()
    }

    fn listen(&self) -> Result<()> {
        self.at_client()?;
        (0..self.reals()).try_for_each(|number| self.at_real(number).map(drop))
    }
}

impl Port {
    fn open(namespace: &Namespace, network: u8) -> Result<Self> {
        Ok(Self {
            socket: namespace.enter(|| Ok(floor::packet_socket(HOST_SIDE, SLICE)?))?,
            network,
        })
    }

    fn send(&self, packet: &[u8]) -> Result<()> {
        let (own, director) = (
            Mac::of_host(self.network, 1),
            Mac::of_host(self.network, DIRECTOR),
        );
        (&self.socket).write_all(&ethernet(own, director, packet))?;
        Ok(())
    }

    fn arrived(&self) -> Result<Vec<Vec<u8>>> {
        let mut packets = Vec::new();
        let mut buffer = vec![0u8; 65_536];
        loop {
            match (&self.socket).read(&mut buffer) {
                Ok(length) => {
                    let frame = &buffer[..length];
                    packets.extend(ip_packet(frame).map(<[u8]>::to_vec));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(packets),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The IP packet in a frame, unless it is neighbour discovery.
fn ip_packet(frame: &[u8]) -> Option<&[u8]> {
    let packet = frame.get(ETHERNET..)?;
    match frame.get(12..ETHERNET)? {
        [0x08, 0x00] => Some(packet),
        [0x86, 0xdd] if packet.get(6) == Some(&0) => None,
        [0x86, 0xdd] if packet.get(6) == Some(&58) => {
            let kind = packet.get(40)?;
            (!NEIGHBOUR_TALK.contains(kind)).then_some(packet)
        }
        [0x86, 0xdd] => Some(packet),
        _ => None,
    }
}

/// Routes to who is raw packets only, and the ways back that bypass the director.
fn connect_silent(topology: &Topology) -> Result<()> {
    topology
        .director
        .ip("route add 172.16.0.0/12 via 10.0.1.1\nroute add fd00:16::/64 via fd00:1::1\n")?;
    let quiet = ["net.ipv4.ip_forward=0", "net.ipv4.conf.all.rp_filter=0"];
    topology.client.sysctl(&quiet)?;
    topology.client.sysctl(&[
        "net.ipv4.conf.default.rp_filter=0",
        "net.ipv4.conf.eth0.rp_filter=0",
    ])?;
    for (number, real) in (1..).zip(&topology.reals) {
        let network = number + 1;
        topology.director.ip(&format!(
            "route add 10.2.{number}.0/24 via 10.0.{network}.1\n\
             route add fd00:2:{number}::/64 via fd00:{network}::1\n"
        ))?;
        real.namespace.sysctl(&quiet)?;
        topology.client.ip(&format!(
            "link add back{number} type veth peer name back0 netns {}\n\
             addr add 10.0.10{number}.1/24 dev back{number}\nlink set back{number} up\n",
            real.namespace.name()
        ))?;
        real.namespace.ip(&format!(
            "addr add 10.0.10{number}.2/24 dev back0\nlink set back0 up\n"
        ))?;
    }
    Ok(())
}

/// Waits until the director has dealt with at least `count` packets more than `before` says.
///
/// # Errors
/// When the director does not answer.
pub fn settle(director: &Director, before: u64, count: u64) -> Result<()> {
    let dealt = wait::until("the packets to be dealt with", PATIENCE, || {
        let stats = director.api().stats()?;
        let arrived: u64 = stats.interfaces.iter().map(|each| each.rx).sum();
        let redirected: u64 = stats.interfaces.iter().map(|each| each.redirected).sum();
        let taken: u64 = stats.workers.iter().map(|each| each.received).sum();
        let done = stats.workers.iter().map(|each| each.sent + each.dropped);
        ensure!(arrived >= before + count, "they are under way");
        ensure!(taken >= redirected, "they wait for a worker");
        ensure!(done.sum::<u64>() >= taken, "a worker has them");
        Ok(())
    });
    // A packet that waits for its neighbour is dealt with later, and that is no error here.
    match dealt {
        Ok(()) => Ok(()),
        Err(_) => director.api().health(),
    }
}

/// Packets that have arrived at the director's interfaces.
///
/// # Errors
/// When the director does not answer.
pub fn arrived(director: &Director) -> Result<u64> {
    let stats = director.api().stats()?;
    Ok(stats.interfaces.iter().map(|each| each.rx).sum())
}
