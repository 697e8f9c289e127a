//! A connection that the director has lost, by a restart say, comes back with the next segment of its
//! real server: where that serves one service only, the segment says all that the entry needs. It
//! is on probation, in the half-open pool, until the client's half agrees.

use super::view::View;
use crate::defence::Strays;
use crate::flow::{Class, Direction, Entry, Handle, Place, Shard, Tracked};
use crate::service::{Method, Real, ServiceKey, Standing};
use crate::tcp::Tracking;
use crate::wire::tcp::{Flags, Segment};
use crate::wire::{Protocol, Transport, Tuple};

impl View<'_> {
    /// Makes the connection anew to which a segment of a real server must belong, if that may be.
    /// `place` is the segment's.
    #[cold]
    pub(super) fn resurrect(
        &self,
        shard: &mut Shard<'_>,
        frame: &[u8],
        packet: &Transport,
        place: &Place,
    ) -> Option<Handle> {
        let (real, entry) = self.resumed(frame, packet)?;
        let forth = self.table.locate(Direction::Original, &entry.original());
        let gone = &mut |gone: &_, _| self.departed(gone);
        let handle = shard.insert(entry, &forth, Some(place), gone).ok()?;
        self.entered(real, &entry);
        Some(handle)
    }

    /// The connection to which a segment of a real server must belong, made anew, if that may be.
    pub(super) fn resumed(&self, frame: &[u8], packet: &Transport) -> Option<(&Real, Entry)> {
        let Transport { layout, tuple } = packet;
        if self.orders.strays() != Strays::Resurrect || tuple.protocol != Protocol::Tcp {
            return None;
        }
        let segment = Segment::parse(layout.segment(frame)).ok()?;
        let goes_on = segment.flags.0 & (Flags::SYN | Flags::FIN | Flags::RST | Flags::ACK);
        if goes_on != Flags::ACK {
            return None;
        }
        let (real, original) = self.only_connection(tuple)?;
        let tracking = Tracking::resumed(&segment);
        let lifetime = real
            .stance
            .posture()
            .lifetime(self.timeouts, tracking.state);
        let port = tuple.src.port;
        let expires = self.now.after(lifetime);
        let mut entry = Entry::new(&original, real.id, port, Class::HalfOpen, expires);
        entry.tracked = Tracked::Tcp(tracking);
        Some((real, entry))
    }

    /// The only connection that a reply can belong to, seen from the client.
    fn only_connection(&self, reply: &Tuple) -> Option<(&Real, Tuple)> {
        let real = self.pool.sole(reply.protocol, reply.src)?;
        let ServiceKey::Address { protocol, vip } = real.service else {
            return None;
        };
        let sure = real.method == Method::Nat && real.standing == Standing::Listed && vip.port > 0;
        let original = Tuple {
            protocol,
            src: reply.dst,
            dst: vip,
        };
        (sure && !self.pool.speakers().has(reply.dst.addr)).then_some((real, original))
    }
}
