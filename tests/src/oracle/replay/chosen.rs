//! Which real servers new connections are given to.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};

use super::sights::{NO_CONNECTION, of_flow};
use super::{Run, eventually};
use crate::oracle::compare;
use crate::oracle::script::{self, Act};
use crate::oracle::talk::Flow;
use crate::packet::flag;

/// Where the captures' clients go when a sentence is about destinations.
const WEB: u16 = 80;

/// A flow, and how the captures name it.
type Named = (String, Flow);

impl Run<'_> {
    /// Sends what the last sentence says from each client in turn, and sees where it went. The
    /// lines are `CLIENT REAL`.
    pub(super) fn chosen(&mut self, lines: &[String]) -> Result<()> {
        let named = |line: &String| -> Result<Named> {
            let client: SocketAddr = first_word(line)?.parse()?;
            Ok((client.to_string(), script::flow(client, self.service)))
        };
        let flows: Vec<_> = lines.iter().map(named).collect::<Result<_>>()?;
        self.go(&flows, lines)
    }

    /// The same from one client to each destination in turn. The lines are `DESTINATION REAL`.
    pub(super) fn chosen_by_destination(&mut self, lines: &[String]) -> Result<()> {
        let first = self.first_port()?;
        let named = |(port, line): (u16, &String)| -> Result<Named> {
            let destination: IpAddr = first_word(line)?.parse()?;
            let flow = Flow {
                client: (script::CLIENT, port).into(),
                service: (destination, WEB).into(),
            };
            Ok((destination.to_string(), flow))
        };
        let flows: Vec<_> = (first..).zip(lines).map(named).collect::<Result<_>>()?;
        self.go(&flows, lines)
    }

    fn go(&mut self, named: &[Named], lines: &[String]) -> Result<()> {
        let flows: Vec<Flow> = named.iter().map(|(_, flow)| *flow).collect();
        self.open_new(&flows)?;
        eventually(|| {
            let rows = self.listing("ipvsadm -Lnc")?;
            let went = |(name, flow): &Named| {
                let row = rows.iter().find(|row| of_flow(row, *flow));
                let real = row.and_then(|row| row.split_whitespace().last());
                format!("{name} {}", real.unwrap_or(NO_CONNECTION))
            };
            compare::lines(lines, &named.iter().map(went).collect::<Vec<_>>())
        })
    }

    /// The client's port of the first flow of a sentence that says "port 20000+i".
    fn first_port(&self) -> Result<u16> {
        let (before, _) = self.sentence.split_once("+i").context("no port")?;
        let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next();
        Ok(digits.unwrap_or_default().parse()?)
    }

    fn open_new(&mut self, flows: &[Flow]) -> Result<()> {
        let says = |words: &str| self.sentence.contains(words);
        if says("UDP") || says("datagram") {
            return self.act(Act::Datagram(5, flows.to_vec()));
        }
        if says("then SYNs") || !(says("ESTABLISHED") || says("followed by the client's ACK")) {
            return self.act(Act::Client(flag::SYN, flows.to_vec()));
        }
        self.act(Act::Open(flows.to_vec()))
    }
}

fn first_word(line: &str) -> Result<&str> {
    line.split_whitespace().next().context("an empty line")
}
