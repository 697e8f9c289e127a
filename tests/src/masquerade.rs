//! A client behind a router that hides it, as most are.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use crate::namespace::Namespace;
use crate::process::output_with_input;
use crate::topology::HOST_SIDE;

const ROUTER: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(192, 168, 7, 1),
    Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, 1),
);
const GUEST: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(192, 168, 7, 2),
    Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, 2),
);

/// What has no place in a connection that the router knows goes nowhere.
const RULES: &str = "table inet hiding {\n \
     chain out {\n  type nat hook postrouting priority 100;\n  iifname lan0 masquerade\n }\n \
     chain strict {\n  type filter hook forward priority 0;\n  ct state invalid counter drop\n }\n}\n";

/// How strict its connection tracking is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// Connections are taken up in their midst.
    Loose,
    /// They begin with a SYN.
    Strict,
}

impl Tracking {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Loose, Self::Strict];
}

/// Hides a host behind `router`, which is a client to everyone else; gives the host.
///
/// # Errors
/// When a command fails.
pub fn hide(router: &Namespace) -> Result<Namespace> {
    let guest = Namespace::new("guest")?;
    let ((router_v4, router_v6), (guest_v4, guest_v6)) = (ROUTER, GUEST);
    router.ip(&format!(
        "link add lan0 type veth peer name {HOST_SIDE} netns {}\n\
         addr add {router_v4}/24 dev lan0\naddr add {router_v6}/64 dev lan0 nodad\n\
         link set lan0 up\n",
        guest.name()
    ))?;
    guest.ip(&format!(
        "addr add {guest_v4}/24 dev {HOST_SIDE}\naddr add {guest_v6}/64 dev {HOST_SIDE} nodad\n\
         link set {HOST_SIDE} up\n\
         route add default via {router_v4}\nroute add default via {router_v6}\n"
    ))?;
    output_with_input(router.command("nft").args(["-f", "-"]), RULES)?;
    router.sysctl(&[
        "net.ipv4.ip_forward=1",
        "net.ipv6.conf.all.forwarding=1",
        "net.netfilter.nf_conntrack_tcp_be_liberal=0",
    ])?;
    Ok(guest)
}

/// Says how strict `router` is from now on.
///
/// # Errors
/// When the kernel tracks no connections.
pub fn track(router: &Namespace, tracking: Tracking) -> Result<()> {
    let loose = u8::from(tracking == Tracking::Loose);
    router.sysctl(&[&format!("net.netfilter.nf_conntrack_tcp_loose={loose}")])
}
