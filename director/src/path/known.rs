//! A packet of a known connection: the state machine, then the rewrite.

use super::exit::Departure;
use super::farewell::Words;
use super::handover::is_settled;
use super::judge::{Verdict, segment_of};
use super::onward::Onward;
use super::plan::Plan;
use super::refusal::Refusal;
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
        let vip = Some(entry.vip().addr);
        let refused = |refusal: Refusal<'s>| Refusal {
            vip,
            ..refusal.of_real(real)
        };
        let onward = self.where_to(entry, real, frame, packet, way);
        let Some(at) = onward.map_err(refused)? else {
            self.forget(shard, handle);
            return Ok(Plan::Fresh);
        };
        let plan = self.go_on(shard, handle, frame, &at, is_known);
        plan.map_err(|cause| refused(cause.into()))
    }

    /// Where a packet of a connection goes; none when it leaves that behind and is scheduled.
    #[inline]
    fn where_to<'a>(
        &self,
        entry: &Entry,
        real: &'a Real,
        frame: &[u8],
        packet: &'a Transport,
        way: Direction,
    ) -> Result<Option<Onward<'a>>, Refusal<'s>> {
        let to = self.translated(entry, real, way);
        let hop = self.leads_on(entry, real, frame, packet, way, &to)?;
        Ok(hop.map(|hop| Onward {
            packet,
            way,
            real,
            to,
            hop,
        }))
    }

    /// What becomes of a packet that can go on.
    #[inline]
    fn go_on(
        &self,
        shard: &mut Shard<'_>,
        handle: Handle,
        frame: &mut [u8],
        at: &Onward<'_>,
        is_known: bool,
    ) -> Result<Plan, Cause> {
        if shard.entry(handle).is_spliced() {
            if let Some(plan) = self.joined(shard, handle, frame, at)? {
                return Ok(plan);
            }
        }
        if at.way == Direction::Original {
            self.mean(shard.entry(handle), frame, at);
        }
        let Some(handle) = self.judged(shard, handle, frame, at, is_known)? else {
            self.forget(shard, handle);
            return Ok(Plan::Fresh);
        };
        self.count(at.real, &at.packet.layout, at.way);
        Ok(self.said(shard.entry_mut(handle), frame, at))
    }

    /// Makes the numbers of a client those that its real server knows.
    #[inline]
    fn mean(&self, entry: &Entry, frame: &mut [u8], at: &Onward<'_>) {
        if entry.is_ftp() {
            self.hear_acks(entry, frame, at.packet);
        }
        if entry.is_spliced() {
            self.translate_splice(entry, frame, at);
        }
    }

    /// Holds a packet against its connection, and does to that what it brings about; none when it leaves
    /// that behind. Whether the connection `is_known` as far as it has come.
    #[inline]
    fn judged(
        &self,
        shard: &mut Shard<'_>,
        handle: Handle,
        frame: &[u8],
        at: &Onward<'_>,
        is_known: bool,
    ) -> Result<Option<Handle>, Cause> {
        let entry = shard.entry_mut(handle);
        let is_known = is_known || self.regain(entry, frame, at.packet, at.way);
        let was_settled = is_settled(entry);
        let verdict = match self.judge(shard, handle, frame, at.packet, at.way, at.real) {
            Err(_) if !is_known && is_fin(frame, at.packet) => Verdict::Stays,
            verdict => verdict?,
        };
        let handle = match verdict {
            Verdict::Moves(step) => self.take(&step, shard, handle, at.way, at.real),
            Verdict::Stays => handle,
            Verdict::Reopens => return Ok(None),
        };
        if !was_settled {
            self.watch(shard.entry(handle));
        }
        if is_known {
            self.hand_over(shard.entry_mut(handle), at);
        }
        Ok(Some(handle))
    }

    /// Sends a packet on, those of real servers in the words and numbers that their clients know.
    #[inline]
    fn said(&self, entry: &mut Entry, frame: &mut [u8], at: &Onward<'_>) -> Plan {
        let method = method_of(at.real, at.way);
        if at.way == Direction::Reply && entry.is_spliced() {
            self.translate_splice(entry, frame, at);
        }
        let is_ftp = entry.is_ftp();
        match is_ftp.then(|| self.listen_in(entry, frame, at)).flatten() {
            Some(speech) => Plan::Say(at.to, method, at.hop, speech),
            None => Plan::Send(at.to, method, at.hop),
        }
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
