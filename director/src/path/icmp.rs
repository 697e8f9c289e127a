//! ICMP errors about a connection: they go to the end that sent the quoted packet, which gets to
//! read its own addresses. A real server that answers from the VIP itself gets them as they are.

use adminapi::sysctl::Sysctl;

use super::exit::Departure;
use super::known::method_of;
use super::refusal::Refusal;
use super::splice::splice_of;
use super::view::View;
use crate::drops::Cause;
use crate::flow::{Direction, Entry, Place, Tracked};
use crate::forward;
use crate::neighbour::Hop;
use crate::service::{Choice, Method, Newcomer, Real};
use crate::wire::{self, Addr, IcmpError, Packet, Tuple};

impl<'s> View<'s> {
    /// An ICMP error. `way` is that of a packet which would answer the quoted one, and so the
    /// way that the error itself goes.
    ///
    /// It moves no state and no timer, and about TCP and SCTP it has to quote what can be
    /// under way (RFC 5927 §4, RFC 9260 §10): anyone can forge one.
    pub(super) fn icmp_error(
        &self,
        frame: &mut [u8],
        way: Direction,
        place: &Place,
    ) -> Result<Departure, Refusal<'s>> {
        let error = match wire::parse(frame) {
            Ok(Packet::IcmpError(error)) => error,
            _ => return Err(Cause::ErrorWithoutConnection.into()),
        };
        let tuple = error.quote.tuple.reversed();
        let shard = self.table.lock(place);
        let found = shard.find(place, |entry| self.is_of(entry, way, &tuple));
        let Some(handle) = found else {
            drop(shard);
            return match self.chosen_for_error(way, &tuple) {
                Some((real, to)) => self.send_error(frame, &error, way, real, &to, 0),
                None => self.stray_error(frame, &error),
            };
        };
        let mut entry = *shard.entry(handle);
        self.catch_up(&mut entry);
        drop(shard);

        let real: &Real = self.pool.real(entry.real()).ok_or(Cause::RealRemoved)?;
        // What a real server has said was quoted as its client was told it.
        let gap = splice_of(&entry).filter(|_| way == Direction::Original);
        let gap = gap.map_or(0, |splice| splice.numbers);
        let number = error.quote.number.map(|number| number.wrapping_sub(gap));
        if !number.is_none_or(|number| may_have_sent(&entry, way.reversed(), number)) {
            return Err(Refusal::from(Cause::IcmpSequence).of_real(real));
        }
        let to = self.translated(&entry, real, way);
        self.send_error(frame, &error, way, real, &to, gap)
    }

    /// The real server that the scheduler gives an error to which is about no connection, and the
    /// error's tuple there (`schedule_icmp`). Where a client is always given to the same one it
    /// is told of a narrow path that another director's connection has met. The error opens no
    /// connection.
    #[inline(never)]
    fn chosen_for_error(&self, way: Direction, tuple: &Tuple) -> Option<(&'s Real, Tuple)> {
        if way == Direction::Reply || !self.sysctls.is_on(Sysctl::ScheduleIcmp) {
            return None;
        }
        let service = self.service_of(tuple)?;
        let newcomer = Newcomer {
            tuple,
            now: self.now,
            flags: service.flags,
            choice: Choice::All,
        };
        let real = service.scheduler.pick(&service.reals, &newcomer)?;
        // A real server by FullNAT knows no client, so it has nothing that the error is about.
        let dst = real.destination(tuple.dst);
        (real.method != Method::FullNat).then_some((real, Tuple { dst, ..*tuple }))
    }

    /// Sends an error about a packet of `real` to the end that sent that packet, which had numbered it
    /// `gap` less; `to` is the tuple of a packet which would answer it.
    fn send_error(
        &self,
        frame: &mut [u8],
        error: &IcmpError,
        way: Direction,
        real: &'s Real,
        to: &Tuple,
        gap: u32,
    ) -> Result<Departure, Refusal<'s>> {
        let method = method_of(real, way);
        let hop = self.hop_by(frame, &error.layout, method, to);
        let hop = hop.map_err(|refusal| refusal.of_real(real))?;
        if gap != 0 {
            forward::renumber_quote(frame, error, gap);
        }
        self.count(real, &error.layout, way);
        forward::widen_path(frame, error);
        match method {
            Method::Nat | Method::FullNat => {
                let quote = to.reversed();
                let src = match real.method {
                    Method::FullNat => to.src.addr,
                    // On the way to a client that is the VIP.
                    _ => speaker(error, way, to.src.addr),
                };
                forward::translate_error(frame, error, src, quote.src.addr, &quote);
            }
            Method::Tun(_) if hop == Hop::HOME => {}
            Method::Dr | Method::Bypass => {}
            Method::Tun(tunnel) => {
                return Ok(self.enter_tunnel(frame, &error.layout, tunnel, to, &hop));
            }
        }
        Ok(self.depart(frame, &error.layout, &hop))
    }
}

/// Whether the end of a connection that sends in `direction` can have sent this number lately.
pub(super) fn may_have_sent(entry: &Entry, direction: Direction, number: u32) -> bool {
    match &entry.tracked {
        Tracked::Tcp(tcp) if entry.is_one_way() && direction == Direction::Reply => {
            tcp.may_have_been_answered(number)
        }
        Tracked::Tcp(tcp) => tcp.has_sent(entry.side(direction), number),
        Tracked::Sctp(sctp) => sctp.may_have_sent(direction, number),
        Tracked::Udp | Tracked::Call(_) => true,
    }
}

/// Who the receiver is told has sent the error: a client hears of it from the VIP, since the
/// real server and what lies before it are none of its business; a real server hears of it from
/// whoever did (`ip_vs_nat_icmp`). Behind FullNAT it knows nobody but the director.
fn speaker(error: &IcmpError, way: Direction, vip: Addr) -> Addr {
    match way {
        Direction::Original => error.src,
        Direction::Reply => vip,
    }
}
