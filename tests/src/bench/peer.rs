//! Who forwards: the limits of this machine, the kernel's NAT, and the director by each method, in
//! both families, with and without its fast path.

use adminapi::model::{ForwardingMethod, Service, Tunnel, TunnelType};
use anyhow::{Result, bail};

use crate::director::by;
use crate::scene::Family::{self, V4, V6};

/// A forwarder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// As the command line has it.
    pub word: &'static str,
    /// As a table has it.
    pub name: &'static str,
    /// The family of its packets, inside and outside.
    pub family: Family,
    /// What it is.
    pub kind: Kind,
}

/// What a forwarder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nobody: frames are dropped where a director would take them.
    Generator,
    /// An XDP program that redirects every frame.
    Redirect,
    /// AF_XDP sockets whose frames nobody reads.
    L2Forward,
    /// The kernel's DNAT with conntrack.
    Nftables,
    /// The kernel's IPVS, by NAT.
    Ipvs,
    /// The director.
    Bulwark(Method, Path),
}

/// How packets reach the real servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Translated.
    Nat,
    /// By another station alone.
    Dr,
    /// In a tunnel.
    Tun(TunnelType),
}

/// Where the director forwards what is established.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// In the gate.
    Fast,
    /// In the workers.
    Slow,
}

const NAT: Method = Method::Nat;
const DR: Method = Method::Dr;
const IPIP: Method = Method::Tun(TunnelType::Ipip);
const GRE: Method = Method::Tun(TunnelType::Gre);
const GUE: Method = Method::Tun(TunnelType::Gue);

const fn limit(word: &'static str, name: &'static str, kind: Kind) -> Peer {
    Peer {
        word,
        name,
        family: V4,
        kind,
    }
}

const fn nft(word: &'static str, name: &'static str, family: Family) -> Peer {
    Peer {
        word,
        name,
        family,
        kind: Kind::Nftables,
    }
}

const fn fast(word: &'static str, name: &'static str, family: Family, method: Method) -> Peer {
    Peer {
        word,
        name,
        family,
        kind: Kind::Bulwark(method, Path::Fast),
    }
}

const fn slow(word: &'static str, name: &'static str, family: Family, method: Method) -> Peer {
    Peer {
        word,
        name,
        family,
        kind: Kind::Bulwark(method, Path::Slow),
    }
}

/// The words of those that every kernel has.
pub fn usual() -> Vec<&'static str> {
    let usual = ALL.iter().filter(|peer| peer.kind != Kind::Ipvs);
    usual.map(|peer| peer.word).collect()
}

/// All of them, in the order in which tables have them.
pub const ALL: [Peer; 23] = [
    limit(
        "generator",
        "generator alone, dropped by XDP",
        Kind::Generator,
    ),
    limit("redirect", "bare XDP redirect", Kind::Redirect),
    limit("l2fwd", "bare AF_XDP l2fwd", Kind::L2Forward),
    nft("nft", "nftables DNAT, conntrack", V4),
    nft("nft6", "nftables DNAT, IPv6", V6),
    limit("ipvs", "IPVS NAT", Kind::Ipvs),
    fast("nat", "bulwark NAT", V4, NAT),
    fast("nat6", "bulwark NAT, IPv6", V6, NAT),
    fast("dr", "bulwark DR", V4, DR),
    fast("dr6", "bulwark DR, IPv6", V6, DR),
    fast("ipip", "bulwark TUN, ipip", V4, IPIP),
    fast("ipip6", "bulwark TUN, ipip, IPv6", V6, IPIP),
    fast("gre", "bulwark TUN, gre", V4, GRE),
    fast("gue", "bulwark TUN, gue", V4, GUE),
    slow("nat-slow", "bulwark NAT, slow path", V4, NAT),
    slow("nat6-slow", "bulwark NAT, IPv6, slow path", V6, NAT),
    slow("dr-slow", "bulwark DR, slow path", V4, DR),
    slow("dr6-slow", "bulwark DR, IPv6, slow path", V6, DR),
    slow("ipip-slow", "bulwark TUN, ipip, slow path", V4, IPIP),
    slow("ipip6-slow", "bulwark TUN, ipip, IPv6, slow path", V6, IPIP),
    slow("gre-slow", "bulwark TUN, gre, slow path", V4, GRE),
    slow("gue-slow", "bulwark TUN, gue, slow path", V4, GUE),
    slow("gre6-slow", "bulwark TUN, gre, IPv6, slow path", V6, GRE),
];

impl Peer {
    /// The peer of a word of the command line.
    ///
    /// # Errors
    /// When there is none; the message names all.
    pub fn named(word: &str) -> Result<Self> {
        let Some(peer) = ALL.iter().find(|peer| peer.word == word) else {
            let words = ALL.map(|peer| peer.word).join(", ");
            bail!("one of {words}");
        };
        Ok(*peer)
    }

    /// The service that it is measured with.
    pub fn service(&self, service: Service) -> Service {
        match self.kind {
            Kind::Bulwark(method, _) => method.applied(service),
            _ => service,
        }
    }
}

impl Method {
    /// The service, forwarded like this.
    pub fn applied(self, service: Service) -> Service {
        match self {
            Self::Nat => service,
            Self::Dr => by(service, ForwardingMethod::Dr, None),
            Self::Tun(kind) => {
                let tunnel = Tunnel {
                    kind,
                    ..Tunnel::default()
                };
                by(service, ForwardingMethod::Tun, Some(tunnel))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{ALL, Peer};

    #[test]
    fn each_word_names_one_peer() {
        let words: HashSet<_> = ALL.iter().map(|peer| peer.word).collect();
        assert_eq!(words.len(), ALL.len());
        for peer in ALL {
            assert_eq!(Peer::named(peer.word).unwrap(), peer);
        }
        let refused = Peer::named("katran").unwrap_err().to_string();
        assert!(refused.contains("nat6-slow"), "{refused}");
    }
}
