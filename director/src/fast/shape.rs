//! What is written of a flow when it is entered, and read back: who its ends are, and what becomes of
//! its packets.

use std::sync::atomic::Ordering::Relaxed;

use super::place::{Ends, Place};
use crate::forward::Splice;
use crate::gate::flows::{Course, SharedSplice, Way, kind};
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

    fn kind(&self) -> u8 {
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
        let ends = self.ends();
        let width = match ends.as_flattened().iter().all(|end| end.addr.is_v4()) {
            true => 0,
            false => kind::WIDE,
        };
        family | protocol | manner | width
    }

    /// By way, as in [`Place::ends`]; of a tunnel, those of its outer header come last.
    const fn ends(&self) -> [Ends; 2] {
        let there = [self.client, self.vip];
        let (real, local) = match &self.manner {
            Manner::Wrapped(wrapping) => (
                Endpoint::new(self.real.addr, wrapping.shim.port()),
                Endpoint::new(wrapping.src, 0),
            ),
            Manner::AsTheyAre => (
                Endpoint::new(self.real.addr, self.vip.port),
                Endpoint::new(self.peer.addr, self.client.port),
            ),
            _ => (self.real, self.peer),
        };
        [there, [real, local]]
    }

    /// Writes it to a place that nobody can find yet.
    pub(super) fn write(&self, place: &Place<'_>) {
        let flow = place.flow;
        let ends = self.ends();
        place.write_ends(ends);
        let [there, back] = ends;
        for (way, from, to) in [(&flow.ways[0], there, back), (&flow.ways[1], back, there)] {
            write_way(way, from, mirrored(to));
        }
        for course in &flow.courses {
            clear(course);
        }
        let (shim, entropy) = match &self.manner {
            Manner::Wrapped(wrapping) => (wrapping.shim.number(), wrapping.entropy),
            _ => (0, 0),
        };
        flow.shim.store(shim, Relaxed);
        flow.entropy.store(entropy, Relaxed);
        flow.kind.store(self.kind(), Relaxed);
        self.write_splice(place.splice);
    }

    /// Writes how its halves differ, if they do.
    fn write_splice(&self, cells: &SharedSplice) {
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

    /// Whether a flow is of this shape.
    pub(super) fn is_of(&self, place: &Place<'_>) -> bool {
        let flow = place.flow;
        let same_wrapping = match &self.manner {
            Manner::Wrapped(wrapping) => {
                flow.shim.load(Relaxed) == wrapping.shim.number()
                    && flow.entropy.load(Relaxed) == wrapping.entropy
            }
            _ => true,
        };
        flow.kind.load(Relaxed) == self.kind() && same_wrapping && place.ends() == self.ends()
    }
}

impl Shim {
    const fn number(self) -> u8 {
        match self {
            Self::Ipip => 0,
            Self::Gre => 1,
            Self::Gue(_) => 2,
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Gue(port) => port,
            Self::Ipip | Self::Gre => 0,
        }
    }
}

const fn mirrored([src, dst]: Ends) -> Ends {
    [dst, src]
}

/// Writes what becomes of the checksums of a way. It leads nowhere yet.
fn write_way(way: &Way, from: Ends, to: Ends) {
    let addrs = change(from.map(|end| end.addr), to.map(|end| end.addr));
    let gone = from.map(|end| u32::from(!end.port.to_be()));
    let come = to.map(|end| u32::from(end.port.to_be()));
    let ports: u32 = gone.into_iter().chain(come).sum();
    way.hop.store(0, Relaxed);
    way.ip_change.store(addrs, Relaxed);
    way.l4_change.store(fold(u32::from(addrs) + ports), Relaxed);
}

fn clear(course: &Course) {
    course.bytes.store(0, Relaxed);
    for cell in [
        &course.packets,
        &course.end,
        &course.ack,
        &course.edge,
        &course.window,
        &course.seen,
    ] {
        cell.store(0, Relaxed);
    }
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
    use crate::gate::flows::{Flow, Wide};
    use crate::wire::checksum::Change;

    #[derive(Default)]
    struct Memory {
        flow: Flow,
        wide: Wide,
        splice: SharedSplice,
    }

    impl Memory {
        fn place(&self) -> Place<'_> {
            Place {
                flow: &self.flow,
                wide: &self.wide,
                splice: &self.splice,
            }
        }
    }

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
        let memory = Memory::default();
        let place = memory.place();
        for manner in manners {
            let shape = shape(manner);
            shape.write(&place);
            assert!(shape.is_of(&place));
            assert_eq!(place.original(), shape.original());
            assert_eq!(place.reply(), shape.reply());
            let others = manners.into_iter().filter(|other| *other != manner);
            assert!(others.into_iter().all(|other| {
                !super::Shape {
                    manner: other,
                    ..shape
                }
                .is_of(&place)
            }));
        }
        let other = Wrapping {
            shim: Shim::Gue(6081),
            ..wrapping
        };
        assert!(!shape(Manner::Wrapped(other)).is_of(&place));
    }

    /// One of IPv6 at either end is enough for all addresses to be kept in full, and what stood in
    /// the place before is not read.
    #[test]
    fn addresses_are_read_back_in_full() {
        let (memory, v4) = (Memory::default(), shape(Manner::Translated));
        let place = memory.place();
        let v6 = |last| {
            Endpoint::new(
                Addr::v6([0xfd, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 0, last]),
                80,
            )
        };
        let wrapping = Wrapping {
            src: v6(9).addr,
            shim: Shim::Ipip,
            entropy: 1,
        };
        let wrapped = Shape {
            real: v6(4),
            ..shape(Manner::Wrapped(wrapping))
        };
        let (client, vip, peer, real) = (v6(1), v6(2), v6(3), v6(4));
        let all = Shape {
            client,
            vip,
            peer,
            real,
            ..v4
        };
        for shape in [v4, all, wrapped, v4] {
            shape.write(&place);
            assert!(shape.is_of(&place));
            assert_eq!(place.original(), shape.original());
            assert_eq!(place.reply(), shape.reply());
        }
    }

    /// The gate adds what is written here; the slow path computes the same for each packet.
    #[test]
    fn checksums_change_as_on_the_slow_path() {
        let memory = Memory::default();
        let shape = shape(Manner::Translated);
        shape.write(&memory.place());
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
            let way = &memory.flow.ways[way];
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
