//! What the programs of peers.bpf.c look up.

use std::net::{IpAddr, Ipv4Addr};

use adminapi::model::Prefix;
use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags, Object};

use crate::bpf;
use crate::generator::{Flows, source_of};
use crate::packet::Mac;

/// Entries of one system call.
const BATCH: usize = 1 << 14;
/// Whom the cheapest NAT sends all flows to, and at which port.
const TARGET: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 2, 1), 8080);

/// Fills the table of the cheapest NAT with IPv4 flows of TCP.
///
/// # Errors
/// When it does not take them.
pub fn fill(peers: &Object, flows: &Flows) -> Result<()> {
    let targets = bpf::map(peers, "targets")?;
    let all: Vec<u32> = (0..flows.count).collect();
    for part in all.chunks(BATCH) {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for &flow in part {
            let tuple = Tuple::of(flows, flow)?;
            keys.extend(tuple.key());
            values.extend(tuple.target());
        }
        targets.update_batch(
            &keys,
            &values,
            part.len() as u32,
            MapFlags::ANY,
            MapFlags::ANY,
        )?;
    }
    Ok(())
}

/// Puts an IPv4 network on the list of those that are dropped.
///
/// # Errors
/// When it is none.
pub fn deny(peers: &Object, network: Prefix) -> Result<()> {
    let IpAddr::V4(address) = network.address else {
        anyhow::bail!("{network} is not of IPv4");
    };
    let bits = u32::from(network.length).to_ne_bytes();
    let key = [bits, address.octets()].concat();
    Ok(bpf::map(peers, "networks")?.update(&key, &1u32.to_ne_bytes(), MapFlags::ANY)?)
}

struct Tuple {
    source: (Ipv4Addr, u16),
    destination: (Ipv4Addr, u16),
}

impl Tuple {
    fn of(flows: &Flows, flow: u32) -> Result<Self> {
        let v4 = |address: IpAddr| match address {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        };
        let source = source_of(flows, flow);
        let of = |end: std::net::SocketAddr| Some((v4(end.ip())?, end.port()));
        Ok(Self {
            source: of(source).context("not of IPv4")?,
            destination: of(flows.destination).context("not of IPv4")?,
        })
    }

    /// `struct tuple`.
    fn key(&self) -> Vec<u8> {
        let protocol = u32::from(crate::packet::protocol::TCP);
        [
            &self.source.0.octets()[..],
            &self.destination.0.octets(),
            &self.source.1.to_be_bytes(),
            &self.destination.1.to_be_bytes(),
            &protocol.to_ne_bytes(),
        ]
        .concat()
    }

    /// `struct target`.
    fn target(&self) -> Vec<u8> {
        let address = difference(&self.destination.0.octets(), &TARGET.0.octets());
        let port = difference(&self.destination.1.to_be_bytes(), &TARGET.1.to_be_bytes());
        // One hop less to live: the upper byte of a word goes down by one.
        let hop = sum([u16::from_ne_bytes([0xfe, 0xff]), address]);
        [
            &TARGET.0.octets()[..],
            &TARGET.1.to_be_bytes(),
            &hop.to_ne_bytes(),
            &sum([address, port]).to_ne_bytes(),
            &Mac::of_host(2, 1).0,
            &Mac::of_host(2, 0xfe).0,
            &[0; 2],
        ]
        .concat()
    }
}

/// What is added to the complement of a checksum when `before` becomes `after` (RFC 1624).
fn difference(before: &[u8], after: &[u8]) -> u16 {
    let words = |bytes: &[u8]| -> Vec<u16> {
        bytes
            .chunks_exact(2)
            .map(|pair| u16::from_ne_bytes([pair[0], pair[1]]))
            .collect()
    };
    let gone = words(before).into_iter().map(|word| !word);
    sum(gone.chain(words(after)))
}

fn sum(words: impl IntoIterator<Item = u16>) -> u16 {
    let sum: u32 = words.into_iter().map(u32::from).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::{TARGET, Tuple, difference, sum};
    use crate::packet::checksum;

    #[test]
    fn a_difference_brings_a_checksum_along() {
        let (before, after) = ([10, 9, 9, 9], [10, 0, 2, 1]);
        let old = checksum(&[&before, &[1, 2, 3, 4]]).to_be_bytes();
        let new = sum([!u16::from_ne_bytes(old), difference(&before, &after)]);
        let expected = checksum(&[&after, &[1, 2, 3, 4]]).to_be_bytes();
        assert_eq!(!new, u16::from_ne_bytes(expected));
    }

    #[test]
    fn keys_and_values_are_as_long_as_the_program_has_them() {
        let tuple = Tuple {
            source: TARGET,
            destination: TARGET,
        };
        assert_eq!((tuple.key().len(), tuple.target().len()), (16, 24));
    }
}
