//! Clients are told of what has not got through a tunnel: routers and real servers say that to the
//! director, whose outer datagram it was (`ip_vs_in_icmp`).

use super::icmp::may_have_sent;
use super::refused::{PATIENCE, Refused};
use super::view::View;
use crate::flow::Direction;
use crate::forward;
use crate::neighbour::{Ask, Hop, NoHop};
use crate::returned::Returned;
use crate::service::{Method, Real};
use crate::wire::{self, Addr, IcmpError, Mac, Packet};
use crate::worker::Outbox;
use crate::xsk::Umem;

impl<'s> View<'s> {
    /// Tells the clients of all datagrams that have come back.
    pub(super) fn hand_back(&self, umem: &Umem, refused: &mut Refused, out: &mut Outbox) {
        for _ in 0..self.returns.waiting() {
            let Some(returned) = self.returns.next() else {
                return;
            };
            self.hand_back_one(umem, returned, refused, out);
        }
    }

    /// Tells a client, if its datagram was of a connection. That stays as it is: anyone can forge what
    /// was said. Where the way to the client has to be asked for it is told later.
    fn hand_back_one(
        &self,
        umem: &Umem,
        returned: Returned,
        refused: &mut Refused,
        out: &mut Outbox,
    ) {
        let Some(mut frame) = out.blank() else {
            return;
        };
        let length = returned.write(umem.room_mut(&mut frame));
        frame.set_len(length.unwrap_or(0));
        match self.judge_returned(umem.packet(&frame), returned.real) {
            Some((error, real, Ok(hop))) if refused.may_say(self.now) => {
                let bytes = umem.packet_mut(&mut frame);
                forward::set_ethernet(bytes, Mac(hop.src_mac), Mac(hop.dst_mac));
                self.count(real, &error.layout, Direction::Reply);
                return self.utter(umem, frame, &hop, out);
            }
            Some((_, _, Err(no_hop))) if returned.at.until(self.now) < PATIENCE => {
                if let Some(ask) = Ask::to_mend(no_hop) {
                    refused.ask(ask, self.now);
                    self.returns.add(returned);
                }
            }
            _ => {}
        }
        out.discard(umem.reset(frame));
    }

    /// Reads what a client is to be told of a datagram that was on its way to `real`; nothing when that is
    /// of no connection, or cannot have been under way.
    fn judge_returned(
        &self,
        frame: &[u8],
        real: Addr,
    ) -> Option<(IcmpError, &'s Real, Result<Hop, NoHop>)> {
        let Ok(Packet::IcmpError(error)) = wire::parse(frame) else {
            return None;
        };
        let real = self.tunnelled(&error, real)?;
        let hop = self.way_to(error.dst, &error.quote.tuple.reversed());
        Some((error, real, hop))
    }

    /// The real server at the address `to` that the quoted packet can have been sent to in a tunnel.
    fn tunnelled(&self, error: &IcmpError, to: Addr) -> Option<&'s Real> {
        let quote = &error.quote;
        let place = self.table.locate(Direction::Original, &quote.tuple);
        let shard = self.table.lock(&place);
        let handle = shard.find(&place, |entry| entry.matches_original(&quote.tuple))?;
        let mut entry = *shard.entry(handle);
        self.catch_up(&mut entry);
        drop(shard);
        let real: &Real = self.pool.real(entry.real())?;
        let is_there = matches!(real.method, Method::Tun(_)) && real.endpoint.addr == to;
        let number = quote.number;
        let is_alive = number.is_none_or(|it| may_have_sent(&entry, Direction::Original, it));
        (is_there && is_alive).then_some(real)
    }
}
