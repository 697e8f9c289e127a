//! What the director speaks from to the real servers of FullNAT: addresses and ports under
//! `[datapath]`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use adminapi::Problem;
use adminapi::model::{ForwardingMethod, Real, Service};

use super::read::{Expected, Section};
use crate::speakers::Speakers;

/// Addresses and ports of the director's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// `local_addresses`, each once.
    pub addresses: Vec<IpAddr>,
    /// `local_ports`, the same for each address.
    pub ports: RangeInclusive<u16>,
}

impl Local {
    /// The fewest ports: each shard of the connection table has some.
    pub const FEWEST_PORTS: usize = 1024;

    fn has_family_of(&self, address: IpAddr) -> bool {
        let alike = |own: &IpAddr| own.is_ipv4() == address.is_ipv4();
        self.addresses.iter().any(alike)
    }

    /// What of `services` does not go together with it; pointers are those of the whole file.
    pub(super) fn judge(&self, services: &[Service]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (index, service) in services.iter().enumerate() {
            if let Some(vip) = service.id.vip() {
                problems.extend(self.twofold(vip.ip(), format!("/service/{index}/address")));
            }
            let at = |below: String| format!("/service/{index}/{below}");
            for (place, real) in service.reals.iter().enumerate() {
                problems.extend(self.judge_real(real, &at(format!("real/{place}"))));
            }
            if let Some(sorry) = sorry_of(service) {
                problems.extend(self.judge_real(sorry, &at("health/sorry".to_owned())));
            }
        }
        problems
    }

    /// The same of one that is spoken to, which stands at `at`.
    fn judge_real(&self, real: &Real, at: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        problems.extend(self.twofold(real.address, format!("{at}/address")));
        if real.method == ForwardingMethod::FullNat && !self.has_family_of(real.address) {
            problems.push(voiceless(real.address).below(at));
        }
        problems
    }

    fn twofold(&self, address: IpAddr, pointer: String) -> Option<Problem> {
        let place = self.addresses.iter().position(|own| *own == address)?;
        let problem = speaks(address).below(&pointer);
        Some(problem.with_other(format!("/datapath/local_addresses/{place}")))
    }
}

fn sorry_of(service: &Service) -> Option<&Real> {
    service.health.as_ref()?.sorry.as_ref()
}

/// The director has nothing to speak from to a real server of FullNAT.
pub(crate) fn voiceless(real: IpAddr) -> Problem {
    let family = if real.is_ipv4() { "IPv4" } else { "IPv6" };
    Problem::new(
        "/method",
        format!("the director has no {family} address to speak from to {real}"),
        "set local_addresses under [datapath]",
    )
}

/// An address that cannot be anything else, since the director speaks from it.
pub(crate) fn speaks(address: IpAddr) -> Problem {
    Problem::new(
        "",
        format!("{address} is an address that the director speaks from"),
        "use another, or take it out of local_addresses",
    )
}

pub(super) fn read(section: &mut Section<'_>) -> Local {
    Local {
        addresses: read_addresses(section),
        ports: read_ports(section).unwrap_or(Speakers::PORTS),
    }
}

fn read_addresses(section: &mut Section<'_>) -> Vec<IpAddr> {
    const KEY: &str = "local_addresses";
    let expected = Expected::Text("an IPv4 or IPv6 address");
    let (length, addresses) = section.list::<IpAddr>(KEY, &expected).unwrap_or_default();
    if length > Speakers::MOST {
        let message = format!("{length} addresses are too many");
        section.refuse(KEY, message, format!("name {} at most", Speakers::MOST));
    }
    let mut first = HashMap::new();
    let mut kept = Vec::new();
    for (index, address) in addresses {
        let place = format!("/{KEY}/{index}");
        if let Some(problem) = adminapi::validate::validate_local_address(address) {
            section.report(problem.below(&place));
        } else if let Some(first) = first.insert(address, index) {
            let problem =
                Problem::new(place, format!("{address} is there already"), "name it once");
            section.report(problem.with_other(format!("/{KEY}/{first}")));
        } else {
            kept.push(address);
        }
    }
    kept
}

fn read_ports(section: &mut Section<'_>) -> Option<RangeInclusive<u16>> {
    const KEY: &str = "local_ports";
    let expected = Expected::Text("a range of ports, as in \"1024-65535\"");
    let text: String = section.optional(KEY, &expected)?;
    let Some(ports) = range(&text) else {
        let message = format!("{text:?} is not a range of ports");
        section.refuse(
            KEY,
            message,
            "write the first and the last, as in \"1024-65535\"",
        );
        return None;
    };
    if ports.len() < Local::FEWEST_PORTS {
        let message = format!("{text} are {} ports", ports.len());
        section.refuse(
            KEY,
            message,
            format!("give {} at least", Local::FEWEST_PORTS),
        );
        return None;
    }
    Some(ports)
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-')?;
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    let range = port(first)?..=port(last)?;
    (!range.is_empty()).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("1024-65535", Some(1024..=65535)),
            ("20000 - 30000", Some(20000..=30000)),
            ("7-7", Some(7..=7)),
            ("0-9", None),
            ("9-1", None),
            ("9", None),
            ("-9", None),
            ("1-65536", None),
            ("a-b", None),
        ] {
            assert_eq!(range(text), expected, "{text}");
        }
    }

    #[test]
    fn a_sorry_server_needs_what_a_real_server_needs() {
        let service = "[[service]]\nprotocol = \"tcp\"\naddress = \"192.0.2.10\"\nport = 80\n\
                       [service.health]\ncheck = { type = \"tcp\" }\n";
        let complaint = |local: &str, sorry: &str| {
            let head = format!("[datapath]\ninterfaces = [\"a\"]\nlocal_addresses = [{local}]\n");
            let text = format!("{head}{service}sorry = {{ address = {sorry} }}\n");
            Config::parse(&text, "f").err().map(|e| e.to_string())
        };
        let fullnat = "\"10.0.4.1\", method = \"fullnat\"";
        let told = complaint("\"2001:db8::f0\"", fullnat).expect("no IPv4 address");
        assert!(
            told.starts_with("f:10: service.health.sorry.method: the director has no IPv4"),
            "{told}"
        );
        let told = complaint("\"10.0.2.240\"", "\"10.0.2.240\"").expect("a speaker");
        assert!(
            told.starts_with("f:10: service.health.sorry.address: 10.0.2.240 is an address"),
            "{told}"
        );
        assert_eq!(complaint("\"10.0.2.240\"", fullnat), None);
    }
}
