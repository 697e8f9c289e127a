//! The kernel's own NAT director, to compare with and to try the testbed itself.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use adminapi::model::{Protocol, Service, ServiceId};
use anyhow::Result;

use crate::namespace::Namespace;
use crate::process::output_with_input;

/// The rules of a NAT director, flushed when dropped.
#[derive(Debug)]
pub struct Rules<'a> {
    director: &'a Namespace,
}

impl<'a> Rules<'a> {
    /// Loads DNAT rules, round robin without weights, for `services`.
    ///
    /// # Errors
    /// When nft is missing or refuses.
    pub fn load(director: &'a Namespace, services: &[Service]) -> Result<Self> {
        Self::load_text(director, &ruleset(services.iter(), "prerouting"))
    }

    /// The same behind the kernel's SYN proxy (`nft_synproxy`). What it proxies, it sends itself,
    /// so that DNAT is done on output; what opens no connection is left to it (`tcp_loose`). It has
    /// nothing to do with services of UDP.
    ///
    /// # Errors
    /// When nft is missing or refuses.
    pub fn load_behind_synproxy(director: &'a Namespace, services: &[Service]) -> Result<Self> {
        let (proxied, others): (Vec<_>, Vec<_>) = services.iter().partition(|one| is_tcp(one));
        let others = ruleset(others.into_iter(), "prerouting");
        let rules = ruleset(proxied.iter().copied(), "output") + &others + &guard(&proxied);
        let rules = Self::load_text(director, &rules)?;
        director.sysctl(&["net.netfilter.nf_conntrack_tcp_loose=0"])?;
        Ok(rules)
    }

    /// Leaves the rules in place until the end of the namespace.
    pub fn keep(self) {
        std::mem::forget(self);
    }

    fn load_text(director: &'a Namespace, rules: &str) -> Result<Self> {
        output_with_input(director.command("nft").args(["-f", "-"]), rules)?;
        Ok(Self { director })
    }
}

impl Drop for Rules<'_> {
    fn drop(&mut self) {
        let _ = self.director.run("nft", &["flush", "ruleset"]);
    }
}

fn is_tcp(service: &Service) -> bool {
    matches!(
        service.id,
        ServiceId::Address {
            protocol: Protocol::Tcp,
            ..
        }
    )
}

fn ruleset<'s>(services: impl Iterator<Item = &'s Service>, hook: &str) -> String {
    let mut text = format!(
        "table inet director {{\n  chain {hook} {{\n    type nat hook {hook} priority -100;\n",
    );
    for service in services {
        let ServiceId::Address { protocol, vip } = service.id else {
            continue;
        };
        let (protocol, vip, port) = (protocol.name(), vip.ip(), vip.port());
        let family = match vip {
            IpAddr::V4(_) => "ip",
            IpAddr::V6(_) => "ip6",
        };
        let _ = write!(
            text,
            "    {family} daddr {vip} {protocol} dport {port} dnat {family} addr . port to numgen inc mod {} map {{",
            service.reals.len()
        );
        for (number, real) in service.reals.iter().enumerate() {
            let real = SocketAddr::new(real.address, real.port.unwrap_or(port));
            let _ = write!(text, " {number} : {} . {},", real.ip(), real.port());
        }
        let _ = writeln!(text, " }}");
    }
    text.push_str("  }\n}\n");
    text
}

/// No SYN is tracked; cookies are sent for them, and what answers none is dropped.
fn guard(services: &[&Service]) -> String {
    let mut untracked = String::new();
    let mut proxied = String::new();
    for service in services {
        let ServiceId::Address { vip, .. } = service.id else {
            continue;
        };
        let family = if vip.is_ipv4() { "ip" } else { "ip6" };
        let to = format!("{family} daddr {} tcp dport {}", vip.ip(), vip.port());
        let _ = writeln!(
            untracked,
            "    {to} tcp flags & (fin | syn | rst | ack) == syn notrack"
        );
        let _ = writeln!(
            proxied,
            "    {to} ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm\n    {to} ct state invalid drop"
        );
    }
    format!(
        "table inet guard {{\n  chain early {{\n    type filter hook prerouting priority raw;\n{untracked}  }}\n\
         \x20 chain arriving {{\n    type filter hook input priority filter;\n{proxied}  }}\n}}\n"
    )
}
