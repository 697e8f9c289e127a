//! What a test adds to the network it has built.

use std::net::IpAddr;

use anyhow::{Context, Result};

use super::{
    CLIENT_SIDE, CLIENT_V4, CLIENT_V6, DIRECTOR_HOST, Link, REAL_SIDE, Topology, VIP_V4, VIP_V6,
    address_v4, address_v6, meet, no_checksum_offload, prepare_director, take_redirects,
};
use crate::namespace::Namespace;
use crate::packet::Mac;

/// The client's interface on the link of the real servers, if it has one.
pub const SHORTCUT: &str = "eth1";
/// The director's interface towards the stranger, if there is one.
pub const STRANGE_SIDE: &str = "st0";
/// The network of that link.
pub const STRANGERS_NETWORK: u8 = 9;

/// Host part of the client's addresses on the link of the real servers.
const CLIENT_HOST: u8 = 0xc8;

impl Topology {
    /// Wires somebody to the director by a link of his own: what he sends shares no queue with what the
    /// client sends.
    ///
    /// # Errors
    /// When a command fails.
    pub fn add_stranger(&mut self) -> Result<()> {
        let stranger = Namespace::new("stranger")?;
        let link = Link {
            network: STRANGERS_NETWORK,
            director: STRANGE_SIDE,
            host: 1,
        };
        self.connect(&stranger, &link)?;
        self.stranger = Some(stranger);
        Ok(())
    }

    /// Makes the real servers of [`Layout::Bridged`](super::Layout::Bridged) ready for direct routing and tunnels: each
    /// has the VIPs, on its loopback and unseen on the link, and a way to the client that does not
    /// lead through the director, since the client gets a second interface on their link.
    ///
    /// # Errors
    /// When a command fails.
    pub fn bypass_director(&self) -> Result<()> {
        let bridge = self.bridge.as_ref().context("only a bridge has room")?;
        let (mtu, mac) = (self.plan.mtu, Mac::of_host(2, CLIENT_HOST));
        let (v4, v6) = (address_v4(2, CLIENT_HOST), address_v6(2, CLIENT_HOST));
        bridge.ip(&format!(
            "link add client type veth peer name {SHORTCUT} address {mac} netns {}\n\
             link set client mtu {mtu} master br0 up\n",
            self.client.name()
        ))?;
        no_checksum_offload(bridge, "client")?;
        no_checksum_offload(&self.client, SHORTCUT)?;
        self.client.sysctl(&["net.ipv4.conf.all.rp_filter=0"])?;
        let loose = format!("net.ipv4.conf.{SHORTCUT}.rp_filter=0");
        self.client.sysctl(&[&loose])?;
        self.client.ip(&format!(
            "addr add {v4}/24 dev {SHORTCUT}\naddr add {v6}/64 dev {SHORTCUT} nodad\n\
             link set {SHORTCUT} mtu {mtu} up\n"
        ))?;
        for real in &self.reals {
            real.namespace.sysctl(&[
                "net.ipv4.conf.all.arp_ignore=1",
                "net.ipv4.conf.all.arp_announce=2",
                "net.ipv4.conf.all.rp_filter=0",
            ])?;
            real.namespace.ip(&format!(
                "addr add {VIP_V4}/32 dev lo\naddr add {VIP_V6}/128 dev lo nodad\n\
                 route add {CLIENT_V4}/32 via {v4}\nroute add {CLIENT_V6}/128 via {v6}\n"
            ))?;
        }
        Ok(())
    }

    /// A second director beside the first one, between the client, whose interface to it is `side`, and
    /// the real servers of [`Layout::Bridged`](super::Layout::Bridged). Its interfaces are called as the first one's.
    ///
    /// # Errors
    /// When a command fails.
    pub fn twin(&self, side: &str) -> Result<Namespace> {
        const NETWORK: u8 = 8;
        const HOST: u8 = DIRECTOR_HOST - 1;
        let bridge = self.bridge.as_ref().context("only a bridge has room")?;
        let twin = Namespace::new("twin")?;
        prepare_director(&twin)?;
        for (network, near, far, far_name) in [
            (NETWORK, CLIENT_SIDE, &self.client, side),
            (2, REAL_SIDE, bridge, "twin"),
        ] {
            let (mtu, v4) = (self.plan.mtu, address_v4(network, HOST));
            let mac = Mac::of_host(network, HOST);
            twin.ip(&format!(
                "link add {near} mtu {mtu} address {mac} type veth peer name {far_name} netns {}\n\
                 addr add {v4}/24 dev {near}\nlink set {near} up\n",
                far.name()
            ))?;
            no_checksum_offload(&twin, near)?;
            no_checksum_offload(far, far_name)?;
        }
        bridge.ip("link set twin master br0 up\n")?;
        let loose = format!("net.ipv4.conf.{side}.rp_filter=0");
        self.client
            .sysctl(&["net.ipv4.conf.all.rp_filter=0", &loose])?;
        let v4 = address_v4(NETWORK, 1);
        self.client.ip(&format!(
            "addr add {v4}/24 dev {side}\nlink set {side} up\n"
        ))?;
        take_redirects(bridge, "twin")?;
        take_redirects(&self.client, side)?;
        let near = self.reals.iter().map(|real| real.v4).chain([v4]);
        for address in near {
            meet(&twin, &address.to_string())?;
        }
        Ok(twin)
    }

    /// Gives the director `addresses` towards the real servers of [`Layout::Bridged`](super::Layout::Bridged), and takes
    /// the way to the client from those: FullNAT alone reaches them.
    ///
    /// # Errors
    /// When a command fails.
    pub fn isolate_reals(&self, addresses: &[IpAddr]) -> Result<()> {
        for address in addresses {
            let rest = match address {
                IpAddr::V4(_) => "/24",
                IpAddr::V6(_) => "/64",
            };
            let nodad = if address.is_ipv6() { " nodad" } else { "" };
            self.director.ip(&format!(
                "addr add {address}{rest} dev {REAL_SIDE}{nodad}\n"
            ))?;
        }
        for real in &self.reals {
            real.namespace.ip("route del default\n")?;
            real.namespace
                .run("ip", &["-6", "route", "del", "default"])?;
        }
        Ok(())
    }
}
