//! What is written of a flow when it is entered, and read back: who its ends are, and what becomes of
//! its packets.

use std::sync::atomic::{AtomicU16, AtomicU32, Ordering::Relaxed};

use super::hash::words;
use crate::direction::Direction;
use crate::forward::Splice;
use crate::gate::flows::{Flow, SharedSplice, Way, kind};
use crate::wire::{Addr, Endpoint, Protocol, Tuple};

/// A flow but for its next hops and its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The client (CIP).
    pub client: Endpoint,
    /// The virtual service (VIP).
    pub vip: Endpoint,
    /// Whom the real server talks to.
    pub peer: Endpoint,
    /// The real server (RIP).
    pub real: Endpoint,
    /// What becomes of its packets.
    pub manner: Manner,
}

/// What becomes of the packets of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Both ways pass here, addresses and ports change.
    Translated,
    /// The same, and so do numbers, clocks and windows.
    Spliced(Splice),
    /// They go as they are; the real server answers the client itself.
    AsTheyAre,
    /// They are wrapped; the real server answers the client itself.
    Wrapped(Wrapping),
}

/// An outer header without checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrapping {
    /// An address of the director.
    pub src: Addr,
    /// What comes after the outer IP header.
    pub shim: Shim,
    /// A hash of the flow.
    pub entropy: u32,
}

/// `enum shim` of `bpf/flows.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shim {
    /// Nothing.
    Ipip,
    /// GRE.
    Gre,
    /// UDP to this port, and GUE.
    Gue(u16),
}

impl Shape {
    /// The tuple of the packets from the client.
    pub const fn original(&self) -> Tuple {
        Tuple {
            protocol: self.protocol,
            src: self.client,
            dst: self.vip,
        }
    }

    /// The tuple of the packets from the real server, if they pass here.
    pub fn reply(&self) -> Option<Tuple> {
        self.is_translated().then_some(Tuple {
            protocol: self.protocol,
            src: self.real,
            dst: self.peer,
        })
    }

    const fn is_translated(&self) -> bool {
        matches!(self.manner, Manner::Translated | Manner::Spliced(_))
    }

    const fn kind(&self) -> u8 {
        let family = if self.vip.addr.is_v4() { 0 } else { kind::V6 };
        let protocol = match self.protocol {
            Protocol::Tcp => kind::TCP,
            _ => 0,
        };
        let manner = match self.manner {
            Manner::Translated => kind::TRANSLATE,
            Manner::Spliced(_) => kind::TRANSLATE | kind::SPLICE,
            Manner::AsTheyAre => kind::ONE_WAY,
            Manner::Wrapped(_) => kind::ONE_WAY | kind::WRAP,
        };
        family | protocol | manner
    }

    fn local(&self) -> Addr {
        match &self.manner {
            Manner::Wrapped(wrapping) => wrapping.src,
            _ => self.peer.addr,
        }
    }

    fn addrs(&self) -> [Addr; 4] {
        let Self {
            client, vip, real, ..
        } = self;
        [client.addr, vip.addr, self.local(), real.addr]
    }

    /// Ports of the packets of one way: as they come, and as they go.
    fn ports(&self, way: Direction) -> [u16; 4] {
        let [client, vip] = [self.client.port, self.vip.port];
        let [peer, real] = [self.peer.port, self.real.port];
        match (self.is_translated(), way) {
            (true, Direction::Original) => [client, vip, peer, real],
            (true, Direction::Reply) => [real, peer, vip, client],
            (false, _) => [client, vip, client, vip],
        }
    }

    /// Writes it to a place that nobody can find yet.
    pub(super) fn write(&self, flow: &Flow) {
        for (cells, addr) in flow.addrs.iter().zip(self.addrs()) {
            for (cell, word) in cells.iter().zip(words(addr)) {
                cell.store(word, Relaxed);
            }
        }
        for way in [Direction::Original, Direction::Reply] {
            self.write_way(&flow.ways[way as usize], way);
        }
        if let Manner::Wrapped(wrapping) = &self.manner {
            write_wrapping(&flow.ways[1], wrapping);
        }
    }

    /// Writes how its halves differ, if they do, to what stands beside that place.
    pub(super) fn write_splice(&self, cells: &SharedSplice) {
        let Manner::Spliced(splice) = &self.manner else {
            return;
        };
        cells.numbers.store(splice.numbers, Relaxed);
        cells.clock.store(splice.clock, Relaxed);
        let pairs = cells.scales.iter().zip(splice.scales);
        for (cell, scale) in pairs.flat_map(|(cells, scales)| cells.iter().zip(scales)) {
            cell.store(scale, Relaxed);
        }
    }

    fn write_way(&self, cells: &Way, way: Direction) {
        for cell in [&cells.packets, &cells.bytes] {
            cell.store(0, Relaxed);
        }
        for cell in [
            &cells.end,
            &cells.ack,
            &cells.edge,
            &cells.window,
            &cells.seen,
            &cells.hop,
        ] {
            cell.store(0, Relaxed);
        }
        let ports = self.ports(way).map(u16::to_be);
        for (cell, port) in cells.ports.iter().zip(ports) {
            cell.store(port, Relaxed);
        }
        let [client, vip, local, real] = self.addrs();
        let addrs = match way {
            Direction::Original => change([client, vip], [local, real]),
            Direction::Reply => change([real, local], [vip, client]),
        };
        let [a, b, c, d] = ports;
        let ports = [!a, !b, c, d].into_iter().map(u32::from).sum::<u32>();
        cells.ip_change.store(addrs, Relaxed);
        cells
            .l4_change
            .store(fold(u32::from(addrs) + ports), Relaxed);
        cells.kind.store(self.kind(), Relaxed);
    }

    /// Whether a flow is of this shape.
    pub(super) fn is_of(&self, flow: &Flow) -> bool {
        let [there, back] = &flow.ways;
        let same_wrapping = match &self.manner {
            Manner::Wrapped(wrapping) => {
                let [entropy, rest] = wrapping_words(wrapping);
                back.wrapping() == [entropy, rest]
            }
            _ => true,
        };
        there.kind.load(Relaxed) == self.kind()
            && same_wrapping
            && addrs_of(flow) == self.addrs()
            && ports_of(there) == self.ports(Direction::Original)
    }
}

/// `struct wrapping`, as its first two words.
fn wrapping_words(wrapping: &Wrapping) -> [u32; 2] {
    let (shim, port) = match wrapping.shim {
        Shim::Ipip => (0, 0),
        Shim::Gre => (1, 0),
        Shim::Gue(port) => (2, port),
    };
    let [a, b] = u16::to_be_bytes(port);
    [wrapping.entropy, u32::from_ne_bytes([a, b, shim, 0])]
}

fn write_wrapping(way: &Way, wrapping: &Wrapping) {
    let [entropy, rest] = wrapping_words(wrapping);
    let both = bytes_of([entropy, rest]);
    way.packets.store(both, Relaxed);
}

fn bytes_of([first, second]: [u32; 2]) -> u64 {
    let ([a, b, c, d], [e, f, g, h]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

impl Way {
    /// In the place of a way back: what packets are wrapped in.
    fn wrapping(&self) -> [u32; 2] {
        let [a, b, c, d, e, f, g, h] = self.packets.load(Relaxed).to_ne_bytes();
        [[a, b, c, d], [e, f, g, h]].map(u32::from_ne_bytes)
    }
}

/// Whether packets of this tuple, from a client, are a flow's.
pub(super) fn leads_to(flow: &Flow, tuple: &Tuple) -> bool {
    original_of(flow) == *tuple
}

/// The tuple of the packets that a flow has from its client.
pub(super) fn original_of(flow: &Flow) -> Tuple {
    let [client, vip, ..] = addrs_of(flow);
    let [src, dst, ..] = ports_of(&flow.ways[0]);
    Tuple {
        protocol: protocol_of(flow),
        src: Endpoint::new(client, src),
        dst: Endpoint::new(vip, dst),
    }
}

/// The tuple of the packets that a flow has from its real server, if they pass here.
pub(super) fn reply_of(flow: &Flow) -> Option<Tuple> {
    let [_, _, local, real] = addrs_of(flow);
    let [src, dst, ..] = ports_of(&flow.ways[1]);
    let is_one_way = flow.ways[0].kind.load(Relaxed) & kind::ONE_WAY != 0;
    (!is_one_way).then_some(Tuple {
        protocol: protocol_of(flow),
        src: Endpoint::new(real, src),
        dst: Endpoint::new(local, dst),
    })
}

fn protocol_of(flow: &Flow) -> Protocol {
    match flow.ways[0].kind.load(Relaxed) & kind::TCP {
        0 => Protocol::Udp,
        _ => Protocol::Tcp,
    }
}

fn addrs_of(flow: &Flow) -> [Addr; 4] {
    let addr = |cells: &[AtomicU32; 4]| {
        let mut octets = [0; 16];
        for (to, cell) in octets.chunks_exact_mut(4).zip(cells) {
            to.copy_from_slice(&cell.load(Relaxed).to_ne_bytes());
        }
        Addr::v6(octets)
    };
    [0, 1, 2, 3].map(|place| addr(&flow.addrs[place]))
}

fn ports_of(way: &Way) -> [u16; 4] {
    let port = |cell: &AtomicU16| u16::from_be(cell.load(Relaxed));
    [0, 1, 2, 3].map(|place| port(&way.ports[place]))
}

/// What is added to the complement of a checksum when addresses change (RFC 1624, equation 3).
fn change(old: [Addr; 2], new: [Addr; 2]) -> u16 {
    let halves = |addr: Addr| {
        let octets = *addr.octets();
        let pairs = (0..8).map(move |n| [octets[2 * n], octets[2 * n + 1]]);
        pairs.map(u16::from_ne_bytes)
    };
    let gone = old
        .into_iter()
        .flat_map(halves)
        .map(|half| u32::from(!half));
    let come = new.into_iter().flat_map(halves).map(u32::from);
    fold(gone.chain(come).sum())
}

const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::checksum::Change;

    fn endpoint(addr: [u8; 4], port: u16) -> Endpoint {
        Endpoint::new(Addr::v4(addr), port)
    }

    fn shape(manner: Manner) -> Shape {
        Shape {
            protocol: Protocol::Tcp,
            client: endpoint([192, 0, 2, 7], 40_000),
            vip: endpoint([10, 9, 9, 9], 80),
            peer: endpoint([192, 0, 2, 7], 40_000),
            real: endpoint([10, 0, 2, 1], 8080),
            manner,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let wrapping = Wrapping {
            src: Addr::v4([10, 0, 2, 254]),
            shim: Shim::Gue(6080),
            entropy: 0x1234_5678,
        };
        let manners = [
            Manner::Translated,
            Manner::Spliced(Splice::default()),
            Manner::AsTheyAre,
            Manner::Wrapped(wrapping),
        ];
        let flow = Flow::default();
        for manner in manners {
            let shape = shape(manner);
            shape.write(&flow);
            assert!(shape.is_of(&flow) && leads_to(&flow, &shape.original()));
            assert_eq!(reply_of(&flow), shape.reply());
            let others = manners.into_iter().filter(|other| *other != manner);
            assert!(others.into_iter().all(|other| {
                !super::Shape {
                    manner: other,
                    ..shape
                }
                .is_of(&flow)
            }));
            let mut other = shape.original();
            other.src.port += 1;
            assert!(!leads_to(&flow, &other));
        }
        let other = Wrapping {
            shim: Shim::Gue(6081),
            ..wrapping
        };
        assert!(!shape(Manner::Wrapped(other)).is_of(&flow));
    }

    /// The gate adds what is written here; the slow path computes the same for each packet.
    #[test]
    fn checksums_change_as_on_the_slow_path() {
        let flow = Flow::default();
        let shape = shape(Manner::Translated);
        shape.write(&flow);
        let Shape {
            client,
            vip,
            peer,
            real,
            ..
        } = shape;
        for (way, [src, dst, to_src, to_dst]) in
            [[client, vip, peer, real], [real, peer, vip, client]]
                .into_iter()
                .enumerate()
        {
            let way = &flow.ways[way];
            let addrs = Change::default()
                .addr(src.addr, to_src.addr)
                .addr(dst.addr, to_dst.addr);
            let all = Change::default()
                .word(src.port, to_src.port)
                .word(dst.port, to_dst.port)
                .and(addrs);
            for checksum in [0x1234_u16, 0xfffe, 1] {
                for (change, cell) in [(addrs, &way.ip_change), (all, &way.l4_change)] {
                    let stored = checksum.to_be();
                    let added = u32::from(!stored) + u32::from(cell.load(Relaxed));
                    assert_eq!(u16::from_be(!fold(added)), change.apply(checksum));
                }
            }
        }
    }
}
