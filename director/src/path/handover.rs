//! Connections that the gate can forward by itself: those that both ends have agreed on, as long as
//! nothing but data passes.

use adminapi::sysctl::Sysctl;

use super::exit::entropy_of;
use super::judge::segment_of;
use super::onward::Onward;
use super::splice::splice_of;
use super::view::View;
use super::young::is_young;
use crate::fast::{Fast, Leg, Manner, Shape, Shim, Wrapping};
use crate::flow::{Class, Direction, Entry, Handle, Shard, Tracked};
use crate::forward::{GueChecksum, Tunnel};
use crate::neighbour::Hop;
use crate::service::{Method, Real};
use crate::tcp;
use crate::wire::{Piece, Transport, Tuple};

impl View<'_> {
    /// Brings a connection after what the gate has seen of it; false when that is not known any more:
    /// the gate was that of another version.
    #[inline]
    pub(super) fn catch_up(&self, entry: &mut Entry) -> bool {
        !entry.is_cached() || self.fast.is_some_and(|fast| fast.catch_up(entry))
    }

    /// Goes on with a connection from this packet on, nobody knows after which; false when it is none to
    /// go on from.
    #[cold]
    pub(super) fn regain(
        &self,
        entry: &mut Entry,
        frame: &[u8],
        packet: &Transport,
        way: Direction,
    ) -> bool {
        let side = entry.side(way);
        if let Tracked::Tcp(tracking) = &mut entry.tracked {
            let segment = segment_of(packet.layout.segment(frame), packet.layout.piece).ok();
            let Some(regained) = segment.and_then(|segment| tracking.regained(side, &segment))
            else {
                return false;
            };
            *tracking = regained;
        }
        entry.set_cached(false);
        true
    }

    /// Writes down when a connection dies by what the gate has seen of it.
    #[inline]
    pub(super) fn keep_time(&self, shard: &mut Shard<'_>, handle: Handle) {
        let fast = self.fast.filter(|_| shard.entry(handle).is_cached());
        if let Some(deadline) = fast.and_then(|fast| fast.take_deadline(shard.entry(handle))) {
            shard.touch(handle, deadline);
        }
    }

    /// After a packet of a connection was judged: has the gate forward the
    /// next ones, or no more of them.
    #[inline]
    pub(super) fn hand_over(&self, entry: &mut Entry, at: &Onward<'_>) {
        let Some(fast) = self.fast else {
            return;
        };
        match (is_settled(entry), entry.is_cached()) {
            (true, false) if !is_worth_a_place(fast, entry) => {}
            (true, _) => self.hand_down(fast, entry, at),
            (false, true) => fast.drop_flow(entry),
            (false, false) => {}
        }
    }

    // Not inlined: a flow comes here once.
    #[inline(never)]
    fn hand_down(&self, fast: &Fast, entry: &mut Entry, at: &Onward<'_>) {
        let passes_gate = at.packet.layout.piece == Piece::Whole && !self.is_from_here();
        let may = passes_gate && fast.delivers(at.hop.port);
        match may.then(|| self.shape(entry, at.real, &at.hop)).flatten() {
            Some((shape, longest)) => {
                let leg = Leg {
                    way: at.way,
                    hop: at.hop,
                    longest,
                    real: at.real.id,
                    found: self.moment,
                };
                fast.enter(entry, &shape, &leg);
            }
            None if entry.is_cached() => fast.raise(entry),
            None => {}
        }
    }

    /// What the gate has to know of a connection, and the length of the longest packet that may go
    /// to `hop`; nothing when it cannot do what is to be done.
    pub(super) fn shape(&self, entry: &Entry, real: &Real, hop: &Hop) -> Option<(Shape, u32)> {
        let to = self.translated(entry, real, Direction::Original);
        let (manner, overhead) = match real.method {
            Method::Nat | Method::FullNat => (manner_of(entry), 0),
            Method::Dr | Method::Bypass => (Manner::AsTheyAre, 0),
            // The gate copies DF to the outer header, whatever the sysctl says.
            Method::Tun(_) if !self.sysctls.is_on(Sysctl::PmtuDisc) => return None,
            Method::Tun(tunnel) => {
                let wrapping = self.wrapping(tunnel, &to, hop)?;
                (Manner::Wrapped(wrapping), tunnel.overhead(to.dst.addr))
            }
        };
        let shape = Shape {
            protocol: entry.protocol(),
            client: entry.client(),
            vip: entry.vip(),
            peer: to.src,
            real: to.dst,
            manner,
        };
        Some((shape, hop.mtu.saturating_sub(overhead.into())))
    }

    /// The outer header, if it is one that the gate writes: without checksums over the data.
    fn wrapping(&self, tunnel: Tunnel, to: &Tuple, hop: &Hop) -> Option<Wrapping> {
        let shim = match tunnel {
            Tunnel::Ipip => Shim::Ipip,
            Tunnel::Gre { checksum: false } => Shim::Gre,
            Tunnel::Gue {
                port,
                checksum: GueChecksum::None,
            } => Shim::Gue(port),
            _ => return None,
        };
        Some(Wrapping {
            src: self.source(hop, to.dst.addr)?,
            shim,
            entropy: entropy_of(to),
        })
    }
}

/// What becomes of the packets of a connection of which both halves pass here.
fn manner_of(entry: &Entry) -> Manner {
    splice_of(entry).map_or(Manner::Translated, Manner::Spliced)
}

/// Whether nothing but data is to be expected, of which the gate knows what to hold it against. What
/// is said on control connections of FTP has to be read.
pub(super) fn is_settled(entry: &Entry) -> bool {
    match &entry.tracked {
        Tracked::Tcp(tcp) => {
            let agreed = tcp.state == tcp::State::Established && tcp.is_proved();
            agreed && entry.class() == Class::Established && !entry.is_ftp()
        }
        Tracked::Udp | Tracked::Call(_) => entry.class() == Class::Answered || entry.is_one_way(),
        Tracked::Sctp(_) => false,
    }
}

/// A datagram that nobody answers may be all that its sender has to say, and a connection that has just
/// been agreed on may be short.
fn is_worth_a_place(fast: &Fast, entry: &Entry) -> bool {
    match entry.class() {
        Class::Unverified => entry.packets > 1 && fast.has_room_for_strangers(),
        _ => !is_young(entry),
    }
}
