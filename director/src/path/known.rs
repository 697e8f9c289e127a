//! A packet of a known connection: the state machine, then the rewrite.

use super::exit::Departure;
use super::farewell::Words;
use super::ftp::Said;
use super::handover::is_settled;
use super::judge::{Verdict, segment_of};
use super::plan::Plan;
use super::refusal::Refusal;
use super::splice;
use super::view::{self, View};
use crate::drops::Cause;
use crate::flow::{Direction, Entry, Handle, Place, Shard};
use crate::neighbour::Hop;
use crate::service::{Method, Real, Standing};
use crate::tcp::Event;
use crate::wire::{Endpoint, Layout, Transport, Tuple};

impl<'s> View<'s> {
    /// A TCP segment, a UDP datagram or an SCTP packet.
    pub(super) fn packet(
        &self,
        frame: &mut [u8],
        packet: &Transport,
        way: Direction,
        place: &Place,
    ) -> Result<Departure, Refusal<'s>> {
        let mut shard = self.table.lock(place);
        let found = shard.find(place, |entry| self.is_of(entry, way, &packet.tuple));
        let plan = match (found, way) {
            (Some(handle), _) => self.known(&mut shard, handle, frame, packet, way)?,
            (None, Direction::Original) if self.is_from_here() => return Ok(Departure::Back),
            (None, Direction::Original) => Plan::Fresh,
            (None, Direction::Reply) => match self.resurrect(&mut shard, frame, packet, place) {
                Some(handle) => self.known(&mut shard, handle, frame, packet, way)?,
                None => return self.of_nobody(shard, frame, packet, place),
            },
        };
        match plan {
            Plan::Fresh => match way {
                Direction::Original => self.fresh(shard, frame, packet, place),
                Direction::Reply => self.of_nobody(shard, frame, packet, place),
            },
            Plan::Send(to, method, hop) => {
                drop(shard);
                Ok(self.send(frame, packet, method, &to, &hop))
            }
            Plan::Say(to, method, hop, speech) => {
                drop(shard);
                Ok(self.send(frame, packet, method, &to, &hop).saying(speech))
            }
            Plan::Instead(word, hop) => Ok(Departure::Instead(word, hop)),
        }
    }

    /// Whether a packet of this tuple belongs to a connection.
    pub(super) fn is_of(&self, entry: &Entry, way: Direction, tuple: &Tuple) -> bool {
        match way {
            Direction::Original => entry.matches_original(tuple),
            Direction::Reply => match self.pool.real(entry.real()) {
                Some(real) => {
                    let peer = self.pool.speakers().peer(entry);
                    entry.matches_reply(tuple, real.endpoint.addr, peer)
                }
                None => false,
            },
        }
    }

    fn known(
        &self,
        shard: &mut Shard<'_>,
        handle: Handle,
        frame: &mut [u8],
        packet: &Transport,
        way: Direction,
    ) -> Result<Plan, Refusal<'s>> {
        self.keep_time(shard, handle);
        let entry = shard.entry_mut(handle);
        let is_known = self.catch_up(entry);
        let real: &Real = self.pool.real(entry.real()).ok_or(Cause::RealRemoved)?;
        let to = self.translated(entry, real, way);
        let vip = Some(entry.vip().addr);
        let from_client = way == Direction::Original;
        let refused = |refusal: Refusal<'s>| Refusal {
            vip,
            ..refusal.of_real(real)
        };

        let hop = self.leads_on(entry, real, frame, packet, way, &to);
        let Some(hop) = hop.map_err(refused)? else {
            self.forget(shard, handle);
            return Ok(Plan::Fresh);
        };
        if entry.is_spliced() {
            let at = splice::Way {
                packet,
                way,
                real,
                to,
                hop,
            };
            let plan = self.joined(shard, handle, frame, &at);
            if let Some(plan) = plan.map_err(|cause| refused(cause.into()))? {
                return Ok(plan);
            }
        }
        let entry = shard.entry_mut(handle);
        if from_client && entry.is_ftp() {
            self.hear_acks(entry, frame, packet);
        }
        if from_client && entry.is_spliced() {
            self.translate_splice(entry, frame, packet, way);
        }
        let is_known = is_known || self.regain(entry, frame, packet, way);
        let was_settled = is_settled(entry);
        let verdict = match self.judge(shard, handle, frame, packet, way, real) {
            Err(_) if !is_known && is_fin(frame, packet) => Ok(Verdict::Stays),
            verdict => verdict,
        };
        let handle = match verdict.map_err(|cause| refused(cause.into()))? {
            Verdict::Moves(step) => self.take(&step, shard, handle, way, real),
            Verdict::Stays => handle,
            Verdict::Reopens => {
                self.forget(shard, handle);
                return Ok(Plan::Fresh);
            }
        };
        if !was_settled {
            self.watch(shard.entry(handle));
        }
        if is_known {
            self.hand_over(shard, handle, packet, way, real, &hop);
        }
        self.count(real, &packet.layout, way);
        let method = method_of(real, way);
        if !from_client && shard.entry(handle).is_spliced() {
            self.translate_splice(shard.entry(handle), frame, packet, way);
        }
        if shard.entry(handle).is_ftp() {
            let mtu = hop.mtu;
            let said = Said {
                packet,
                way,
                real,
                mtu,
            };
            if let Some(speech) = self.listen_in(shard.entry_mut(handle), frame, &said) {
                return Ok(Plan::Say(to, method, hop, speech));
            }
        }
        Ok(Plan::Send(to, method, hop))
    }

    /// The next hop of a packet of a connection, which becomes `to`; none when it leaves that
    /// behind and is scheduled.
    #[inline]
    pub(super) fn leads_on(
        &self,
        entry: &Entry,
        real: &Real,
        frame: &[u8],
        packet: &Transport,
        way: Direction,
        to: &Tuple,
    ) -> Result<Option<Hop>, Refusal<'s>> {
        let from_client = way == Direction::Original;
        let hop = match from_client && real.standing == Standing::Removed {
            true => Err(self.why_removed(real).into()),
            false => self.hop_by(frame, &packet.layout, method_of(real, way), to),
        };
        match hop {
            Err(_) if from_client && self.moves_on(entry, real, frame, packet) => Ok(None),
            hop => hop.map(Some),
        }
    }

    /// Why a packet does not get to a real server that was removed: alone, or with its service.
    #[cold]
    pub(super) fn why_removed(&self, real: &Real) -> Cause {
        match self.pool.service(&real.service) {
            Some(_) => Cause::RealRemoved,
            None => Cause::NoService,
        }
    }

    /// Takes a connection out of the table and off its real server.
    pub(super) fn forget(&self, shard: &mut Shard<'_>, handle: Handle) {
        let old = shard.remove(handle);
        self.departed(&old);
    }

    /// Counts a packet that is going to be forwarded.
    pub(super) fn count(&self, real: &Real, layout: &Layout, way: Direction) {
        let bytes = u64::from(layout.datagram_len());
        for traffic in [&real.traffic, &real.service_traffic] {
            let traffic = traffic.of(self.worker);
            let (packets, all_bytes) = match way {
                Direction::Original => (&traffic.in_packets, &traffic.in_bytes),
                Direction::Reply => (&traffic.out_packets, &traffic.out_bytes),
            };
            packets.add(1);
            all_bytes.add(bytes);
        }
    }

    /// What the tuple of a packet becomes.
    pub(super) fn translated(&self, entry: &Entry, real: &Real, way: Direction) -> Tuple {
        let (src, dst) = match way {
            Direction::Original => (
                self.pool.speakers().peer(entry),
                Endpoint::new(real.endpoint.addr, entry.real_port()),
            ),
            Direction::Reply => (entry.vip(), entry.client()),
        };
        Tuple {
            protocol: entry.protocol(),
            src,
            dst,
        }
    }

    /// Takes a connection that had to make room off its real server.
    pub(super) fn departed(&self, entry: &Entry) {
        view::leave(self.pool, self.latest, self.templates, entry);
        self.bid_farewell(entry);
    }

    /// Has the real server told, if it holds a place for what is gone.
    fn bid_farewell(&self, entry: &Entry) {
        let Some(words) = Words::about(entry, self.orders.tell_reals()) else {
            return;
        };
        if let Some(real) = self.pool.real(entry.real()) {
            let to = self.translated(entry, real, Direction::Original);
            self.farewells.add(to, words);
        }
    }
}

/// Whether a packet ends its connection: where that stands its ends know better.
#[cold]
fn is_fin(frame: &[u8], packet: &Transport) -> bool {
    let segment = segment_of(packet.layout.segment(frame), packet.layout.piece);
    segment.is_ok_and(|segment| Event::of(segment.flags) == Some(Event::Fin))
}

/// How a packet is forwarded: replies that pass here at all are those of NAT.
pub(super) const fn method_of(real: &Real, way: Direction) -> Method {
    match way {
        Direction::Original => real.method,
        Direction::Reply => Method::Nat,
    }
}
