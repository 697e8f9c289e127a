//! The search tree of a MaxMind DB file: whether it is one.
//!
//! A node has two records, for a bit of an address that is 0 or 1; a record that names no node is a
//! leaf. Nothing in the format keeps two records from naming the same node, and 128 nodes whose
//! records all do are more networks than there is memory for, or time.

use maxminddb::{MaxMindDbError, Metadata};

/// Bits before the addresses of IPv4 in a tree of both families.
const V4_DEPTH: usize = 96;

/// Whether each node is named once. That where IPv4 begins may be named again: such aliases
/// (`::ffff:0:0/96`, `2002::/16`) are passed over when the networks are read.
///
/// # Errors
/// A node that is named twice. `bytes` hold as many nodes as `about` says, or more.
pub(super) fn check(bytes: &[u8], about: &Metadata) -> Result<(), MaxMindDbError> {
    let tree = Tree {
        bytes,
        nodes: about.node_count as usize,
        record_bits: usize::from(about.record_size),
    };
    let v4 = (about.ip_version == 6).then(|| tree.v4()).flatten();
    let mut named = vec![false; tree.nodes];
    named[0] = true;
    for node in 0..tree.nodes {
        for to in [tree.record(node, 0), tree.record(node, 1)] {
            let is_leaf = to >= tree.nodes;
            if !is_leaf && std::mem::replace(&mut named[to], true) && Some(to) != v4 {
                let detail = format!("two records of the search tree name node {to}");
                return Err(MaxMindDbError::invalid_database(detail));
            }
        }
    }
    Ok(())
}

struct Tree<'a> {
    bytes: &'a [u8],
    nodes: usize,
    record_bits: usize,
}

impl Tree<'_> {
    /// The node of `::/96`, if it is one.
    fn v4(&self) -> Option<usize> {
        (0..V4_DEPTH).try_fold(0, |node, _| {
            let next = self.record(node, 0);
            (next != 0 && next < self.nodes).then_some(next)
        })
    }

    /// Where a bit leads: the format's section "Node Layout".
    fn record(&self, node: usize, bit: usize) -> usize {
        let size = self.record_bits / 4;
        let node = &self.bytes[node * size..][..size];
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        };
        match (self.record_bits, bit) {
            (28, 0) => usize::from(node[3] >> 4) << 24 | number(&node[..3]),
            (28, _) => number(&node[3..]) & 0x0fff_ffff,
            _ => number(&node[bit * size / 2..][..size / 2]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [u16; 3] = [24, 28, 32];

    fn about(nodes: usize, record_size: u16, ip_version: u16) -> Metadata {
        Metadata {
            binary_format_major_version: 2,
            binary_format_minor_version: 0,
            build_epoch: 0,
            database_type: String::new(),
            description: Default::default(),
            ip_version,
            languages: Vec::new(),
            node_count: nodes as u32,
            record_size,
        }
    }

    fn bytes(nodes: &[[u32; 2]], record_size: u16) -> Vec<u8> {
        let node = |[left, right]: &[u32; 2]| {
            let ([a, b @ ..], [c, d @ ..]) = (left.to_be_bytes(), right.to_be_bytes());
            match record_size {
                24 => [&b[..], &d].concat(),
                28 => [&b[..], &[a << 4 | c], &d].concat(),
                _ => [&[a][..], &b, &[c], &d].concat(),
            }
        };
        nodes.iter().flat_map(node).collect()
    }

    /// What is wrong with a tree, whatever the size of its records.
    fn verdict(nodes: &[[u32; 2]], ip_version: u16) -> Result<(), String> {
        let of_size = |size| {
            let about = about(nodes.len(), size, ip_version);
            check(&bytes(nodes, size), &about).map_err(|error| error.to_string())
        };
        let [first, others @ ..] = SIZES.map(of_size);
        assert!(others.iter().all(|other| *other == first));
        first
    }

    /// Zeroes down to a subtree of one node, with what else their records name.
    fn with_v4(other: u32) -> Vec<[u32; 2]> {
        let mut nodes: Vec<_> = (0..96).map(|depth| [depth + 1, other]).collect();
        nodes.push([97, 0x0123_4567]);
        nodes
    }

    #[test]
    fn a_tree_is_one() {
        let far = 0x0fff_ffff;
        assert_eq!(verdict(&[[1, 2], [3, far], [far, 3]], 4), Ok(()));
        assert_eq!(verdict(&with_v4(97), 6), Ok(()), "without aliases");
        assert_eq!(verdict(&with_v4(96), 6), Ok(()), "aliases");
    }

    #[test]
    fn what_shares_nodes_is_no_tree() {
        let shared: Vec<_> = (1..129).map(|next| [next, next]).collect();
        for (nodes, ip_version, node) in [
            (&shared[..], 6, 1),
            (&[[1, 2], [3, 2], [3, 3]], 4, 2),
            (&[[1, 2], [2, 0]], 4, 0),
            (&[[0, 2]], 6, 0),
            (&with_v4(96), 4, 96),
            (&with_v4(95), 6, 95),
        ] {
            let told = verdict(nodes, ip_version).unwrap_err();
            assert!(told.contains(&format!("name node {node}")), "{told}");
        }
    }

    /// Records that all lead to where IPv4 begins would be passed over one by one.
    #[test]
    fn aliases_are_no_way_around() {
        let mut nodes = with_v4(198);
        nodes[0][1] = 97;
        nodes[96] = [198; 2];
        nodes.extend((98..198).map(|next| [next; 2]));
        nodes.push([96; 2]);
        let told = verdict(&nodes, 6).unwrap_err();
        assert!(told.contains("name node 98"), "{told}");
    }
}
