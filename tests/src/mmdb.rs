//! Writes small files in the MaxMind DB format (version 2.0): where countries and autonomous systems
//! are, as a test wants them.

use std::path::Path;

use adminapi::model::Prefix;
use anyhow::Result;

/// What a bit of an address leads to.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Nothing,
    Node(u32),
    Record(u32),
}

/// A file to be written; IPv4 lies at the beginning of IPv6.
#[derive(Clone, Debug)]
pub struct Mmdb {
    kind: String,
    nodes: Vec<[Slot; 2]>,
    data: Vec<u8>,
}

impl Mmdb {
    /// An empty one of a kind: `GeoLite2-Country`.
    pub fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            nodes: vec![[Slot::Nothing; 2]],
            data: Vec::new(),
        }
    }

    /// Says that a network is in a country, and that in a continent.
    #[must_use]
    pub fn country(self, network: Prefix, country: &str, continent: &str) -> Self {
        let record = map(&[
            ("country", map(&[("iso_code", text(country))])),
            ("continent", map(&[("code", text(continent))])),
        ]);
        self.record(network, &record)
    }

    /// Says that a network is of an autonomous system.
    #[must_use]
    pub fn asn(self, network: Prefix, asn: u32) -> Self {
        let number = number(6, &asn.to_be_bytes());
        self.record(network, &map(&[("autonomous_system_number", number)]))
    }

    fn record(mut self, network: Prefix, record: &[u8]) -> Self {
        let at = self.data.len() as u32;
        self.data.extend_from_slice(record);
        let (address, length) = match network.address {
            std::net::IpAddr::V4(v4) => (u128::from(u32::from(v4)), network.length + 96),
            std::net::IpAddr::V6(v6) => (u128::from(v6), network.length),
        };
        let bit = |depth: u8| (address >> (127 - depth) & 1) as usize;
        let mut node = 0;
        for depth in 0..length - 1 {
            node = self.below(node, bit(depth));
        }
        self.nodes[node][bit(length - 1)] = Slot::Record(at);
        self
    }

    /// The node that a bit leads to, which is made if there is none.
    fn below(&mut self, node: usize, bit: usize) -> usize {
        if let Slot::Node(next) = self.nodes[node][bit] {
            return next as usize;
        }
        let next = self.nodes.len();
        self.nodes.push([Slot::Nothing; 2]);
        self.nodes[node][bit] = Slot::Node(next as u32);
        next
    }

    /// Writes it, in one step for who reads it.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, path: &Path) -> Result<()> {
        let beside = path.with_extension("new");
        std::fs::write(&beside, self.bytes())?;
        std::fs::rename(beside, path)?;
        Ok(())
    }

    fn bytes(&self) -> Vec<u8> {
        let count = self.nodes.len() as u32;
        let pointer = |slot: &Slot| match *slot {
            Slot::Nothing => count,
            Slot::Node(node) => node,
            // 16 zeroes stand between the tree and the records.
            Slot::Record(at) => count + 16 + at,
        };
        let slots = self.nodes.iter().flatten();
        let mut bytes: Vec<u8> = slots.flat_map(|slot| pointer(slot).to_be_bytes()).collect();
        bytes.extend([0; 16]);
        bytes.extend_from_slice(&self.data);
        bytes.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        bytes.extend(map(&[
            ("binary_format_major_version", number(5, &[2])),
            ("binary_format_minor_version", number(5, &[])),
            // An unsigned integer of 64 bits is of an extended type.
            (
                "build_epoch",
                [&[0x04, 2][..], &1_795_000_000u32.to_be_bytes()].concat(),
            ),
            ("database_type", text(&self.kind)),
            ("description", map(&[])),
            ("ip_version", number(5, &[6])),
            ("languages", vec![0, 4]),
            ("node_count", number(6, &count.to_be_bytes())),
            ("record_size", number(5, &[32])),
        ]));
        bytes
    }
}

/// A value of a type, whose size fits its first byte.
fn value(kind: u8, size: usize, body: &[u8]) -> Vec<u8> {
    assert!(size < 29, "a test needs no longer values");
    [&[kind << 5 | size as u8], body].concat()
}

fn text(text: &str) -> Vec<u8> {
    value(2, text.len(), text.as_bytes())
}

fn number(kind: u8, bytes: &[u8]) -> Vec<u8> {
    value(kind, bytes.len(), bytes)
}

fn map(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let body = pairs
        .iter()
        .map(|(key, value)| [text(key), value.clone()].concat());
    value(7, pairs.len(), &body.collect::<Vec<_>>().concat())
}
