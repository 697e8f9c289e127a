//! The first look at a packet: what it is, which way it goes and where its connection would be.

use super::view::View;
use crate::flow::{Direction, Place};
use crate::sources::Sighting;
use crate::wire::{self, Malformed, Packet, Protocol, Transport, Tuple};

/// What the first look has found.
#[derive(Debug)]
pub(super) enum Reading {
    /// No reading.
    Unreadable(Malformed),
    /// TCP, UDP or SCTP.
    Packet {
        /// The packet.
        packet: Transport,
        /// Its way through the connection.
        way: Direction,
        /// Where the connection is if there is one.
        place: Place,
    },
    /// A fragment of one of these. It is read when its turn comes, as it is rare.
    Fragment,
    /// An ICMP error about one of these. It is rare, and read again when its turn comes, so that
    /// the others stay small.
    Error {
        /// The way of a packet that would answer the quoted one: `place` is that packet's.
        way: Direction,
        /// Where the connection is if there is one.
        place: Place,
    },
}

impl Reading {
    /// What it says of who sends packets; nothing of real servers.
    pub(super) fn sighting(&self, frame: &[u8]) -> Option<Sighting> {
        let Reading::Packet {
            packet,
            way: Direction::Original,
            ..
        } = self
        else {
            return None;
        };
        let Transport { tuple, layout } = packet;
        let opens = tuple.protocol == Protocol::Tcp
            && wire::tcp::Segment::parse(layout.segment(frame)).is_ok_and(|it| it.flags.opens());
        Some(Sighting {
            source: tuple.src.addr,
            bytes: layout.datagram_len(),
            opens,
        })
    }
}

impl View<'_> {
    /// Reads a packet and has the table's index fetched for it.
    #[inline(always)]
    pub(super) fn read(&self, frame: &[u8]) -> Reading {
        match wire::parse(frame) {
            Err(Malformed::Fragment) => Reading::Fragment,
            Err(malformed) => Reading::Unreadable(malformed),
            Ok(Packet::Transport(packet)) => {
                let (way, place) = self.locate(&packet.tuple);
                Reading::Packet { packet, way, place }
            }
            Ok(Packet::IcmpError(error)) => {
                let (way, place) = self.locate(&error.quote.tuple.reversed());
                Reading::Error { way, place }
            }
        }
    }

    pub(super) fn locate(&self, tuple: &Tuple) -> (Direction, Place) {
        let way = self.way(tuple);
        let place = self.place(way, tuple);
        self.table.prefetch(&place);
        (way, place)
    }

    /// Where the connection of a packet that goes this way is if there is one.
    #[inline]
    pub(super) fn place(&self, way: Direction, tuple: &Tuple) -> Place {
        match way {
            Direction::Reply if self.pool.speakers().has(tuple.dst.addr) => {
                self.table.locate_by_port(tuple)
            }
            _ => self.table.locate(way, tuple),
        }
    }

    /// Has the connection fetched that a reading is likely to need.
    #[inline(always)]
    pub(super) fn approach(&self, reading: &mut Reading) {
        match reading {
            Reading::Unreadable(_) | Reading::Fragment => {}
            Reading::Packet { place, .. } | Reading::Error { place, .. } => {
                self.table.prefetch_entry(place)
            }
        }
    }

    /// As the gate has it: what comes from a real server is a reply, unless it goes to a service.
    fn way(&self, tuple: &Tuple) -> Direction {
        let from_real = self.pool.answers(tuple.protocol, tuple.src);
        match from_real && self.pool.service_at(tuple).is_none() {
            true => Direction::Reply,
            false => Direction::Original,
        }
    }
}
