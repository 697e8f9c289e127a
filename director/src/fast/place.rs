//! A place of the cache: a flow, what stands beside it, and the tuples that are read back from there.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::hash::words;
use crate::gate::flows::{Flow, Flows, SharedSplice, Wide, kind};
use crate::wire::{Addr, Endpoint, Protocol, Tuple};

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
        let ([client, vip, ..], [src, dst, ..]) = (self.addrs(), self.ports());
        Tuple {
            protocol: self.protocol(),
            src: Endpoint::new(client, src),
            dst: Endpoint::new(vip, dst),
        }
    }

    /// The tuple of the packets that it has from its real server, if they pass here.
    pub(super) fn reply(self) -> Option<Tuple> {
        let ([.., local, real], [.., dst, src]) = (self.addrs(), self.ports());
        (!self.is(kind::ONE_WAY)).then_some(Tuple {
            protocol: self.protocol(),
            src: Endpoint::new(real, src),
            dst: Endpoint::new(local, dst),
        })
    }

    /// Client, VIP, whom the real server talks to, real server.
    pub(super) fn addrs(self) -> [Addr; 4] {
        match self.is(kind::WIDE) {
            true => self.wide.0.each_ref().map(wide_addr),
            false => self.flow.addrs.each_ref().map(v4_addr),
        }
    }

    /// In the same order.
    pub(super) fn ports(self) -> [u16; 4] {
        let ports = self.flow.ports.each_ref();
        ports.map(|cell| u16::from_be(cell.load(Relaxed)))
    }

    /// Writes them; the kind of the flow says how they are read.
    pub(super) fn write_addrs(self, addrs: [Addr; 4]) {
        let is_wide = !addrs.iter().all(|addr| addr.is_v4());
        for (n, addr) in addrs.into_iter().enumerate() {
            let words = words(addr);
            self.flow.addrs[n].store(words[3], Relaxed);
            if is_wide {
                let cells = self.wide.0[n].iter().zip(words);
                cells.for_each(|(cell, word)| cell.store(word, Relaxed));
            }
        }
    }

    fn protocol(self) -> Protocol {
        match self.is(kind::TCP) {
            true => Protocol::Tcp,
            false => Protocol::Udp,
        }
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
