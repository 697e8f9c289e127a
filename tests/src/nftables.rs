//! The kernel's own NAT director, to compare with and to try the testbed itself.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use adminapi::model::{Service, ServiceId};
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
        let rules = ruleset(services);
        output_with_input(director.command("nft").args(["-f", "-"]), &rules)?;
        Ok(Self { director })
    }
}

impl Drop for Rules<'_> {
    fn drop(&mut self) {
        let _ = self.director.run("nft", &["flush", "ruleset"]);
    }
}

fn ruleset(services: &[Service]) -> String {
    let mut text = String::from(
        "table inet director {\n  chain services {\n    type nat hook prerouting priority dstnat;\n",
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
