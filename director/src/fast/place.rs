//! A place of the cache: a flow, what stands beside it, and the tuples that are read back from there.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::hash::words;
use crate::gate::flows::{Flow, Flows, SharedSplice, Way, Wide, kind};
use crate::wire::{Addr, Endpoint, Protocol, Tuple};

/// Source and destination.
pub(super) type Ends = [Endpoint; 2];

#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) flow: &'a Flow,
    pub(super) wide: &'a Wide,
    pub(super) splice: &'a SharedSplice,
}

impl<'a> Place<'a> {
    /// That with a number, if there is one.
    pub(super) fn of(shared: &'a Flows, number: u32) -> Option<Self> {
        let number = number as usize;
        Some(Self {
            flow: shared.flows.get(number)?,
            wide: shared.wides.get(number)?,
            splice: shared.splices.get(number)?,
        })
    }

    /// The tuple of the packets that the flow has from its client.
    pub(super) fn original(self) -> Tuple {
        let [there, _] = self.ends();
        self.tuple(there)
    }

    /// The tuple of the packets that it has from its real server, if they pass here.
    pub(super) fn reply(self) -> Option<Tuple> {
        let [_, back] = self.ends();
        (!self.is(kind::ONE_WAY)).then(|| self.tuple(back))
    }

    /// By way: source and destination.
    pub(super) fn ends(self) -> [Ends; 2] {
        [0, 1].map(|way| {
            let Way {
                src, dst, ports, ..
            } = &self.flow.ways[way];
            let [from, to] = match self.is(kind::WIDE) {
                true => self.wide.0[way].each_ref().map(wide_addr),
                false => [src, dst].map(v4_addr),
            };
            let port = |end: usize| u16::from_be(ports[end].load(Relaxed));
            [Endpoint::new(from, port(0)), Endpoint::new(to, port(1))]
        })
    }

    /// Writes them; the kind of the flow says how they are read.
    pub(super) fn write_ends(self, ends: [Ends; 2]) {
        let is_wide = !ends.as_flattened().iter().all(|end| end.addr.is_v4());
        for (way, ends) in ends.into_iter().enumerate() {
            let cells = &self.flow.ways[way];
            for (n, last) in [&cells.src, &cells.dst].into_iter().enumerate() {
                let words = words(ends[n].addr);
                last.store(words[3], Relaxed);
                cells.ports[n].store(ends[n].port.to_be(), Relaxed);
                if is_wide {
                    let cells = self.wide.0[way][n].iter().zip(words);
                    cells.for_each(|(cell, word)| cell.store(word, Relaxed));
                }
            }
        }
    }

    fn tuple(self, [src, dst]: Ends) -> Tuple {
        let protocol = match self.is(kind::TCP) {
            true => Protocol::Tcp,
            false => Protocol::Udp,
        };
        Tuple { protocol, src, dst }
    }

    fn is(self, bit: u8) -> bool {
        self.flow.kind.load(Relaxed) & bit != 0
    }
}

fn v4_addr(cell: &AtomicU32) -> Addr {
    Addr::v4(cell.load(Relaxed).to_ne_bytes())
}

fn wide_addr(cells: &[AtomicU32; 4]) -> Addr {
    let mut octets = [0; 16];
    for (to, cell) in octets.chunks_exact_mut(4).zip(cells) {
        to.copy_from_slice(&cell.load(Relaxed).to_ne_bytes());
    }
    Addr::v6(octets)
}
