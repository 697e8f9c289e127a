//! The networks of the regions: as few of them as there can be, each with all regions that it is in.

use super::Regions;
use crate::wire::{Addr, Net};

/// Networks and the regions that they are in. Of those that hold an address the longest counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chart {
    /// In the order of their addresses, a network before those within it.
    networks: Vec<(Net, Regions)>,
    /// Where the regions change, in order.
    edges: Vec<(Addr, Regions)>,
}

impl Chart {
    /// Lays sheets over one another, each of networks that do not overlap: what lies within networks
    /// of several is in the regions of all.
    pub fn draw(sheets: impl IntoIterator<Item = Vec<(Net, Regions)>>) -> Self {
        let mut all: Vec<_> = sheets.into_iter().flat_map(joined).collect();
        all.sort_unstable();
        let mut networks: Vec<(Net, Regions)> = Vec::with_capacity(all.len());
        let mut around: Vec<(Net, Regions)> = Vec::new();
        for (net, own) in all {
            while around.last().is_some_and(|(outer, _)| !holds(outer, &net)) {
                around.pop();
            }
            let outer = around
                .last()
                .map_or(Regions::default(), |(_, regions)| *regions);
            let regions = outer.and(own);
            if regions == outer {
                continue;
            }
            around.push((net, regions));
            match networks.last_mut() {
                Some((last, theirs)) if *last == net => *theirs = regions,
                _ => networks.push((net, regions)),
            }
        }
        let edges = edges(&networks);
        Self { networks, edges }
    }

    /// The regions that an address is in.
    pub fn regions_of(&self, addr: Addr) -> Regions {
        let behind = self.edges.partition_point(|(edge, _)| *edge <= addr);
        let before = behind.checked_sub(1).map(|place| self.edges[place].1);
        before.unwrap_or_default()
    }

    /// All networks, in order.
    pub fn networks(&self) -> &[(Net, Regions)] {
        &self.networks
    }

    /// How many of IPv4, and how many of IPv6, there are.
    pub fn families(&self) -> [usize; 2] {
        let v4 = self.networks.iter().filter(|(net, _)| net.is_v4()).count();
        [v4, self.networks.len() - v4]
    }

    /// How many networks are in a region.
    pub fn count(&self, region: Regions) -> usize {
        let within = |(_, regions): &&(Net, Regions)| regions.meets(region);
        self.networks.iter().filter(within).count()
    }
}

fn holds(outer: &Net, net: &Net) -> bool {
    outer.bits <= net.bits && outer.has(net.addr)
}

/// The same networks, where two halves of one are in the same regions that one.
fn joined(mut sheet: Vec<(Net, Regions)>) -> Vec<(Net, Regions)> {
    sheet.sort_unstable();
    let mut joined: Vec<(Net, Regions)> = Vec::new();
    for (mut net, regions) in sheet {
        while let Some((last, theirs)) = joined.last() {
            let whole = Net::new(net.addr, net.bits.saturating_sub(1));
            let halves = last.bits == net.bits && *last != net && whole.has(last.addr);
            // Beyond that there are addresses of both families.
            if !halves || *theirs != regions || net.is_v4() && net.bits == Net::V4_BITS {
                break;
            }
            joined.pop();
            net = whole;
        }
        joined.push((net, regions));
    }
    joined
}

/// Where the regions change on the way through nested networks.
fn edges(networks: &[(Net, Regions)]) -> Vec<(Addr, Regions)> {
    let mut edges = Vec::with_capacity(networks.len() + 1);
    let mut open: Vec<(Net, Regions)> = Vec::new();
    for (net, regions) in networks {
        while open.last().is_some_and(|(outer, _)| !holds(outer, net)) {
            close(&mut open, &mut edges);
        }
        edge(&mut edges, net.addr, *regions);
        open.push((*net, *regions));
    }
    while !open.is_empty() {
        close(&mut open, &mut edges);
    }
    edges
}

/// Ends the innermost network.
fn close(open: &mut Vec<(Net, Regions)>, edges: &mut Vec<(Addr, Regions)>) {
    let ended = open.pop();
    let outer = open
        .last()
        .map_or(Regions::default(), |(_, regions)| *regions);
    if let Some(next) = ended.and_then(|(net, _)| net.next()) {
        edge(edges, next, outer);
    }
}

/// What begins where another thing ends takes its place.
fn edge(edges: &mut Vec<(Addr, Regions)>, at: Addr, regions: Regions) {
    match edges.last_mut() {
        Some((last, theirs)) if *last == at => *theirs = regions,
        _ => edges.push((at, regions)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net(addr: [u8; 4], bits: u8) -> Net {
        Net::new(Addr::v4(addr), Net::V4_BITS + bits)
    }

    fn addr(addr: [u8; 4]) -> Addr {
        Addr::v4(addr)
    }

    const A: Regions = Regions(1);
    const B: Regions = Regions(2);
    const BOTH: Regions = Regions(3);

    #[test]
    fn networks_within_others_are_in_the_regions_of_both() {
        let countries = vec![(net([10, 0, 0, 0], 8), A), (net([11, 1, 0, 0], 16), A)];
        let systems = vec![(net([10, 1, 0, 0], 16), B), (net([11, 0, 0, 0], 8), B)];
        let chart = Chart::draw([countries, systems]);
        for (at, regions) in [
            ([9, 255, 255, 255], Regions(0)),
            ([10, 0, 0, 0], A),
            ([10, 1, 2, 3], BOTH),
            ([10, 2, 0, 0], A),
            ([11, 0, 0, 1], B),
            ([11, 1, 255, 255], BOTH),
            ([11, 2, 0, 0], B),
            ([12, 0, 0, 0], Regions(0)),
        ] {
            assert_eq!(chart.regions_of(addr(at)), regions, "{at:?}");
        }
        assert_eq!(chart.networks().len(), 4);
        assert_eq!((chart.families(), chart.count(B)), ([4, 0], 3));
    }

    #[test]
    fn halves_are_joined() {
        let quarters = (0..4).map(|n| (net([10, n * 64, 0, 0], 10), A)).collect();
        let chart = Chart::draw([quarters]);
        assert_eq!(chart.networks(), [(net([10, 0, 0, 0], 8), A)]);
        let all = vec![(net([0, 0, 0, 0], 1), A), (net([128, 0, 0, 0], 1), A)];
        assert_eq!(Chart::draw([all]).networks(), [(net([0, 0, 0, 0], 0), A)]);
    }

    proptest! {
        /// Whatever is laid over what, an address is in the regions of all networks that hold it.
        #[test]
        fn it_says_what_the_sheets_say(
            sheets in prop::collection::vec(prop::collection::btree_map(0u8..16, 1u32..4, 0..12), 1..3),
            at: u8,
        ) {
            // Sheets of networks of 4 bits, the second one of halves of those.
            let sheets: Vec<Vec<(Net, Regions)>> = sheets.iter().enumerate().map(|(bits, sheet)| {
                let of = |(n, regions): (&u8, &u32)| {
                    (net([n << 4, 0, 0, 0], 4 + bits as u8), Regions(*regions))
                };
                sheet.iter().map(of).collect()
            }).collect();
            let place = addr([at, 1, 2, 3]);
            let holding = sheets.iter().flatten().filter(|(net, _)| net.has(place));
            let expected = holding.fold(Regions(0), |sum, (_, regions)| sum.and(*regions));
            prop_assert_eq!(Chart::draw(sheets).regions_of(place), expected);
        }
    }
}
