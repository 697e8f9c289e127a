//! ICMP errors about a connection: they go to the end that sent the quoted packet, which gets to
//! read its own addresses. A real server that answers from the VIP itself gets them as they are.

use super::exit::Departure;
use super::known::method_of;
use super::view::{Refusal, View};
use crate::drops::Cause;
use crate::flow::{Direction, Place};
use crate::forward;
use crate::service::{Method, Real};
use crate::wire::{self, Addr, IcmpError, Packet};

impl<'s> View<'s> {
    /// An ICMP error. `way` is that of a packet which would answer the quoted one, and so the
    /// way that the error itself goes.
    ///
    /// It moves no state and no timer, and about TCP it has to quote what can be under way
    /// (RFC 5927 §4): anyone can forge one.
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
            return self.stray_error(frame, &error);
        };
        let entry = *shard.entry(handle);
        drop(shard);

        let real: &Real = self.pool.real(entry.real()).ok_or(Cause::RealRemoved)?;
        let sent = |seq| match entry.is_one_way() {
            true => entry.tracking.may_have_been_answered(seq),
            false => entry.tracking.has_sent(way.reversed(), seq),
        };
        if !error.quote.seq.is_none_or(sent) {
            return Err(Refusal::from(Cause::IcmpSequence).of_real(real));
        }
        let to = self.translated(&entry, real, way);
        let method = method_of(real, way);
        let hop = self.hop_by(frame, &error.layout, method, &to);
        let hop = hop.map_err(|refusal| refusal.of_real(real))?;
        self.count(real, &error.layout, way);
        match method {
            Method::Nat | Method::FullNat => {
                let quote = to.reversed();
                let src = match real.method {
                    Method::FullNat => to.src.addr,
                    _ => speaker(&error, way, entry.vip().addr),
                };
                forward::translate_error(frame, &error, src, quote.src.addr, &quote);
            }
            Method::Dr => {}
            Method::Tun(tunnel) => {
                return Ok(self.enter_tunnel(frame, &error.layout, tunnel, &to, &hop));
            }
        }
        Ok(self.depart(frame, &error.layout, &hop))
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
