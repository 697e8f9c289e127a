//! Marks: rules that give packets a number by which a service takes them, whatever they are
//! addressed to. They stand for the firewall's marks of IPVS, which an XDP packet does not have.
//!
//! The first rule that fits a packet marks it. The gate goes through the same rules
//! (`bpf/marks.h`) and hands over what a service has the mark of.

use adminapi::model::Family;

use crate::region::{Geography, Regions};
use crate::wire::{Addr, Endpoint, Net, Protocol, Tuple};

/// Rules at most (`RULES` in `bpf/maps.h`).
pub const MAX_RULES: usize = 64;

/// The ports from the first to the second.
pub type Ports = (u16, u16);

/// What a packet must be to get a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The mark.
    pub mark: u32,
    /// Its protocol, any if none.
    pub protocol: Option<Protocol>,
    /// Where it comes from.
    pub src: Net,
    /// Where it goes.
    pub dst: Net,
    /// Its source port.
    pub src_ports: Ports,
    /// Its destination port.
    pub dst_ports: Ports,
    /// The port (interface) of the director that it comes in through, any if none.
    pub port: Option<u16>,
    /// The region that its source is in, wherever that is if none.
    pub region: Regions,
}

impl Rule {
    /// Whether it may mark packets of this protocol for `vip`, wherever they come from.
    pub fn may_fit(&self, protocol: Protocol, vip: Endpoint) -> bool {
        let (first, last) = self.dst_ports;
        self.protocol.is_none_or(|own| own == protocol)
            && self.dst.has(vip.addr)
            && (first..=last).contains(&vip.port)
    }

    /// Whether it marks what goes to this address alone, which so is a VIP. A network that it marks may
    /// hold anybody.
    pub fn names(&self, addr: Addr) -> bool {
        self.dst == Net::new(addr, u128::BITS as u8)
    }
}

/// All ports.
pub const ALL_PORTS: Ports = (0, u16::MAX);

impl Rule {
    fn fits(&self, tuple: &Tuple, port: u16, geography: &Geography) -> bool {
        let within = |(first, last): Ports, port| (first..=last).contains(&port);
        self.port.is_none_or(|own| own == port)
            && self.protocol.is_none_or(|own| own == tuple.protocol)
            && self.dst.has(tuple.dst.addr)
            && self.src.has(tuple.src.addr)
            && within(self.dst_ports, tuple.dst.port)
            && within(self.src_ports, tuple.src.port)
            && (self.region.is_none() || self.region.meets(geography.regions_of(tuple.src.addr)))
    }
}

/// The mark of a packet that comes in through `port`, if a rule fits it.
#[inline(never)]
pub fn mark_of(rules: &[Rule], tuple: &Tuple, port: u16, geography: &Geography) -> Option<u32> {
    let mut rules = rules.iter();
    let rule = rules.find(|rule| rule.fits(tuple, port, geography))?;
    Some(rule.mark)
}

/// The family of an address.
pub const fn family_of(addr: Addr) -> Family {
    match addr.is_v4() {
        true => Family::Ipv4,
        false => Family::Ipv6,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::region::Chart;
    fn net(addr: &str, bits: u8) -> Net {
        let addr: std::net::IpAddr = addr.parse().unwrap();
        let outer = if addr.is_ipv4() { 96 } else { 0 };
        Net {
            addr: addr.into(),
            bits: outer + bits,
        }
    }

    fn tuple(protocol: Protocol, src: &str, dst: &str) -> Tuple {
        let end = |text: &str| Endpoint::from(text.parse::<std::net::SocketAddr>().unwrap());
        Tuple {
            protocol,
            src: end(src),
            dst: end(dst),
        }
    }

    const ANY: Rule = Rule {
        mark: 1,
        protocol: None,
        src: Net {
            addr: Addr::v6([0; 16]),
            bits: 0,
        },
        dst: Net {
            addr: Addr::v6([0; 16]),
            bits: 0,
        },
        src_ports: ALL_PORTS,
        dst_ports: ALL_PORTS,
        port: None,
        region: Regions(0),
    };

    fn mark_of(rules: &[Rule], tuple: &Tuple, port: u16) -> Option<u32> {
        super::mark_of(rules, tuple, port, &geography())
    }

    /// Region 2 is where `packet` of the test comes from, region 1 is all but that.
    fn geography() -> Geography {
        let here = vec![(net("172.16.0.0", 12), Regions(2))];
        let all_but = vec![(net("172.16.0.0", 12), Regions(1))];
        Geography {
            chart: Arc::new(Chart::draw([here, all_but])),
            outside: Regions(1),
        }
    }

    #[test]
    fn a_rule_may_fit_what_goes_to_its_destination() {
        let vip = |text: &str| Endpoint::from(text.parse::<std::net::SocketAddr>().unwrap());
        let rule = Rule {
            protocol: Some(Protocol::Tcp),
            src: net("172.16.0.0", 12),
            dst: net("10.99.0.0", 16),
            dst_ports: (80, 81),
            ..ANY
        };
        for (protocol, to, want) in [
            (Protocol::Tcp, "10.99.1.1:80", true),
            (Protocol::Udp, "10.99.1.1:80", false),
            (Protocol::Tcp, "10.98.1.1:80", false),
            (Protocol::Tcp, "10.99.1.1:82", false),
        ] {
            assert_eq!(rule.may_fit(protocol, vip(to)), want, "{to}");
            assert!(ANY.may_fit(protocol, vip(to)));
        }
    }

    #[test]
    fn every_field_of_a_rule_counts() {
        let packet = tuple(Protocol::Tcp, "172.16.0.1:2000", "10.99.1.1:80");
        let fits = |rule: Rule| mark_of(&[rule], &packet, 3).is_some();
        assert!(fits(ANY));
        for (rule, want) in [
            (
                Rule {
                    protocol: Some(Protocol::Tcp),
                    ..ANY
                },
                true,
            ),
            (
                Rule {
                    protocol: Some(Protocol::Udp),
                    ..ANY
                },
                false,
            ),
            (
                Rule {
                    dst: net("10.99.0.0", 16),
                    ..ANY
                },
                true,
            ),
            (
                Rule {
                    dst: net("10.98.0.0", 16),
                    ..ANY
                },
                false,
            ),
            (
                Rule {
                    dst: net("0.0.0.0", 0),
                    ..ANY
                },
                true,
            ),
            (
                Rule {
                    dst: net("8000::", 1),
                    ..ANY
                },
                false,
            ),
            (
                Rule {
                    src: net("172.16.0.1", 32),
                    ..ANY
                },
                true,
            ),
            (
                Rule {
                    src: net("172.16.0.0", 32),
                    ..ANY
                },
                false,
            ),
            (
                Rule {
                    dst_ports: (80, 80),
                    ..ANY
                },
                true,
            ),
            (
                Rule {
                    dst_ports: (81, 90),
                    ..ANY
                },
                false,
            ),
            (
                Rule {
                    src_ports: (0, 2000),
                    ..ANY
                },
                true,
            ),
            (
                Rule {
                    src_ports: (2001, 9000),
                    ..ANY
                },
                false,
            ),
            (
                Rule {
                    region: Regions(2),
                    ..ANY
                },
                true,
            ),
            (
                Rule {
                    region: Regions(1),
                    ..ANY
                },
                false,
            ),
            (
                Rule {
                    port: Some(3),
                    ..ANY
                },
                true,
            ),
            (
                Rule {
                    port: Some(4),
                    ..ANY
                },
                false,
            ),
        ] {
            assert_eq!(fits(rule), want, "{rule:?}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let packet = tuple(Protocol::Udp, "[fd00::1]:1", "[fd00::2]:53");
        let rules = [
            Rule {
                mark: 1,
                dst: net("10.0.0.0", 8),
                ..ANY
            },
            Rule {
                mark: 2,
                dst: net("fd00::", 8),
                ..ANY
            },
            Rule { mark: 3, ..ANY },
        ];
        assert_eq!(mark_of(&rules, &packet, 0), Some(2));
        assert_eq!(mark_of(&rules[2..], &packet, 0), Some(3));
        assert_eq!(mark_of(&rules[..1], &packet, 0), None);
    }
}
