//! Client, director and real servers, wired together.
//!
//! Bridged (the default): the director has `cl0` to the client and `rs0` to a bridge, behind
//! which the real servers `10.0.2.1`.. stand. Direct: one pair a real server, `rs1`.., and real
//! server i is `10.0.<i+1>.1`. Either way the client is `10.0.1.1`, the director `.254` and
//! `::fe` on each link, the default route of everyone is the director, and the VIPs stand on the
//! director's loopback.
//!
//! Transmit checksum offload is off on every pair: XDP would see partial checksums. The far
//! ends of the director's interfaces have GRO on: a frame that XDP sends into a veth is lost
//! without a word unless its far end has NAPI, which GRO or an XDP program switch on.

mod additions;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::Result;

use crate::namespace::Namespace;
use crate::packet::Mac;
use crate::wait;

pub use additions::{SHORTCUT, STRANGE_SIDE, STRANGERS_NETWORK};

const PATIENCE: Duration = Duration::from_secs(30);

/// The client.
pub const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);
/// The client.
pub const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1);
/// The virtual address.
pub const VIP_V4: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 9);
/// The virtual address.
pub const VIP_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 9);
/// The director's interface towards the client.
pub const CLIENT_SIDE: &str = "cl0";
/// The director's interface towards the bridge.
pub const REAL_SIDE: &str = "rs0";
/// The only interface of the client and of each real server.
pub const HOST_SIDE: &str = "eth0";

/// The network of the link between client and director.
pub const CLIENT_NETWORK: u8 = 1;
/// Host part of the director's addresses.
pub const DIRECTOR_HOST: u8 = 0xfe;

/// How the real servers are wired to the director.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Behind a bridge, on one interface of the director.
    #[default]
    Bridged,
    /// Each on an interface of its own.
    Direct,
}

/// What to build.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Number of real servers, 1 to 16.
    pub reals: u8,
    /// Queues of the director's interfaces and their far ends.
    pub queues: u8,
    /// Those of them that the director's interfaces have to send through, if not all.
    pub sending: Option<u8>,
    /// MTU of every link, bytes. Native XDP on veth takes at most about 3,500.
    pub mtu: u16,
    /// How the real servers are wired.
    pub layout: Layout,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            reals: 3,
            queues: 1,
            sending: None,
            mtu: 1500,
            layout: Layout::default(),
        }
    }
}

/// A real server.
#[derive(Debug)]
pub struct RealHost {
    /// `rs1`, `rs2`...
    pub name: String,
    /// Where it lives.
    pub namespace: Namespace,
    /// RIP.
    pub v4: Ipv4Addr,
    /// RIP.
    pub v6: Ipv6Addr,
}

impl RealHost {
    /// The RIP of the same family as `like`.
    pub fn address(&self, like: IpAddr) -> IpAddr {
        match like {
            IpAddr::V4(_) => self.v4.into(),
            IpAddr::V6(_) => self.v6.into(),
        }
    }
}

/// The network, taken down when dropped.
#[derive(Debug)]
pub struct Topology {
    /// The client.
    pub client: Namespace,
    /// The director.
    pub director: Namespace,
    /// The real servers, `rs1` first.
    pub reals: Vec<RealHost>,
    /// The switch of [`Layout::Bridged`].
    pub bridge: Option<Namespace>,
    /// Who comes by a link of his own, if there is such a one.
    pub stranger: Option<Namespace>,
    plan: Plan,
}

impl Topology {
    /// Builds the network with one real server.
    ///
    /// # Errors
    /// As [`Topology::build`].
    pub fn with_one_real() -> Result<Self> {
        Self::build(Plan {
            reals: 1,
            ..Plan::default()
        })
    }

    /// Builds the network.
    ///
    /// # Errors
    /// When a command fails; what was built is taken down.
    pub fn build(plan: Plan) -> Result<Self> {
        let mut topology = Self {
            client: Namespace::new("client")?,
            director: Namespace::new("director")?,
            reals: Vec::new(),
            bridge: None,
            stranger: None,
            plan,
        };
        prepare_director(&topology.director)?;
        let client = Link {
            network: CLIENT_NETWORK,
            director: CLIENT_SIDE,
            host: 1,
        };
        topology.connect(&topology.client, &client)?;
        match plan.layout {
            Layout::Bridged => topology.add_bridged_reals()?,
            Layout::Direct => topology.add_direct_reals()?,
        }
        Ok(topology)
    }

    /// The director's interfaces that take part in forwarding.
    pub fn interfaces(&self) -> Vec<String> {
        let real_side = match self.plan.layout {
            Layout::Bridged => vec![REAL_SIDE.to_owned()],
            Layout::Direct => (1..=self.plan.reals).map(|i| format!("rs{i}")).collect(),
        };
        let strange = self.stranger.iter().map(|_| STRANGE_SIDE.to_owned());
        let near = [CLIENT_SIDE.to_owned()].into_iter().chain(strange);
        near.chain(real_side).collect()
    }

    /// Has the director learn the link-layer addresses of the client and of all real servers, as
    /// it knows them after a while of service: packets to a neighbour that is not resolved yet
    /// may be dropped.
    ///
    /// # Errors
    /// When one of them does not answer.
    pub fn meet_neighbours(&self) -> Result<()> {
        let client = [IpAddr::from(CLIENT_V4), IpAddr::from(CLIENT_V6)];
        let reals = self
            .reals
            .iter()
            .flat_map(|real| [real.v4.into(), real.v6.into()]);
        client
            .into_iter()
            .chain(reals)
            .try_for_each(|address: IpAddr| {
                let address = address.to_string();
                meet(&self.director, &address)
            })
    }

    /// What it was built from.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    fn add_direct_reals(&mut self) -> Result<()> {
        for number in 1..=self.plan.reals {
            let name = format!("rs{number}");
            let real = self.real(number, number + 1, 1)?;
            let link = Link {
                network: number + 1,
                director: &name,
                host: 1,
            };
            self.connect(&real.namespace, &link)?;
            self.reals.push(real);
        }
        Ok(())
    }

    fn add_bridged_reals(&mut self) -> Result<()> {
        let bridge = Namespace::new("bridge")?;
        bridge.ip("link add br0 type bridge mcast_snooping 0\nlink set br0 up\n")?;
        let uplink = Link {
            network: 2,
            director: REAL_SIDE,
            host: 0,
        };
        self.pair(&bridge, "uplink", &uplink)?;
        let mtu = self.plan.mtu;
        bridge.ip(&format!("link set uplink mtu {mtu} master br0 up\n"))?;
        take_redirects(&bridge, "uplink")?;
        for number in 1..=self.plan.reals {
            let real = self.real(number, 2, number)?;
            let (port, mac) = (&real.name, Mac::of_host(2, number));
            bridge.ip(&format!(
                "link add {port} type veth peer name {HOST_SIDE} address {mac} netns {}\n\
                 link set {port} mtu {mtu} master br0 up\n",
                real.namespace.name()
            ))?;
            no_checksum_offload(&bridge, port)?;
            let link = Link {
                network: 2,
                director: REAL_SIDE,
                host: number,
            };
            self.configure_host(&real.namespace, &link)?;
            self.reals.push(real);
        }
        self.bridge = Some(bridge);
        Ok(())
    }

    fn real(&self, number: u8, network: u8, host: u8) -> Result<RealHost> {
        let name = format!("rs{number}");
        Ok(RealHost {
            namespace: Namespace::new(&name)?,
            name,
            v4: address_v4(network, host),
            v6: address_v6(network, host),
        })
    }

    /// Wires a host straight to the director.
    fn connect(&self, host: &Namespace, link: &Link) -> Result<()> {
        self.pair(host, HOST_SIDE, link)?;
        self.configure_host(host, link)?;
        take_redirects(host, HOST_SIDE)
    }

    /// Makes the pair of a director's interface, gives the director its addresses there.
    fn pair(&self, far: &Namespace, far_name: &str, link: &Link) -> Result<()> {
        let Link {
            network,
            director: near,
            host,
        } = *link;
        let (queues, mtu) = (self.plan.queues, self.plan.mtu);
        let sending = self.plan.sending.unwrap_or(queues);
        let (mac, far_mac) = (
            Mac::of_host(network, DIRECTOR_HOST),
            Mac::of_host(network, host),
        );
        let (v4, v6) = (
            address_v4(network, DIRECTOR_HOST),
            address_v6(network, DIRECTOR_HOST),
        );
        self.director.ip(&format!(
            "link add {near} mtu {mtu} address {mac} numtxqueues {sending} numrxqueues {queues} \
             type veth peer name {far_name} address {far_mac} \
             numtxqueues {queues} numrxqueues {queues} netns {}\n\
             addr add {v4}/24 dev {near}\naddr add {v6}/64 dev {near} nodad\nlink set {near} up\n",
            far.name()
        ))?;
        no_checksum_offload(&self.director, near)?;
        no_checksum_offload(far, far_name)
    }

    fn configure_host(&self, host: &Namespace, link: &Link) -> Result<()> {
        let (network, number, mtu) = (link.network, link.host, self.plan.mtu);
        let (v4, v6) = (address_v4(network, number), address_v6(network, number));
        no_checksum_offload(host, HOST_SIDE)?;
        host.ip(&format!(
            "link set {HOST_SIDE} mtu {mtu} up\n\
             addr add {v4}/24 dev {HOST_SIDE}\naddr add {v6}/64 dev {HOST_SIDE} nodad\n\
             route add default via {}\nroute add default via {}\n",
            address_v4(network, DIRECTOR_HOST),
            address_v6(network, DIRECTOR_HOST),
        ))
    }
}

/// A link of the director: network number, the director's interface, host part of the far end.
struct Link<'a> {
    network: u8,
    director: &'a str,
    host: u8,
}

fn prepare_director(director: &Namespace) -> Result<()> {
    director.sysctl(&[
        "net.ipv4.ip_forward=1",
        "net.ipv6.conf.all.forwarding=1",
        "net.ipv4.conf.all.rp_filter=0",
        "net.ipv4.conf.default.rp_filter=0",
        "net.ipv6.conf.default.accept_dad=0",
    ])?;
    director.ip(&format!(
        "addr add {VIP_V4}/32 dev lo\naddr add {VIP_V6}/128 dev lo nodad\n"
    ))
}

/// Has `from` learn the link-layer address of a neighbour.
fn meet(from: &Namespace, address: &str) -> Result<()> {
    // A bridge that has just got a port may lose the first one.
    wait::until("a neighbour to answer", PATIENCE, || {
        from.run("ping", &["-c1", "-W1", address]).map(drop)
    })
}

fn address_v4(network: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, network, host)
}

fn address_v6(network: u8, host: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, network.into(), 0, 0, 0, 0, 0, host.into())
}

/// An interface has to be up by then: the kernel does not tell the other end before.
fn take_redirects(namespace: &Namespace, interface: &str) -> Result<()> {
    let on = ["-K", interface, "gro", "on"];
    namespace.run("ethtool", &on).map(drop)
}

fn no_checksum_offload(namespace: &Namespace, interface: &str) -> Result<()> {
    namespace
        .run("ethtool", &["-K", interface, "tx", "off"])
        .map(drop)
}
