//! A packet of a known connection: the state machine, then the rewrite.

use super::exit::Departure;
use super::view::{self, Refusal, View};
use crate::drops::Cause;
use crate::flow::{Class, Direction, Entry, Handle, Place, Shard};
use crate::neighbour::Hop;
use crate::service::{Method, Real, Standing};
use crate::tcp::{Judgement, PEACE, State, Tables};
use crate::time::Ticks;
use crate::wire::tcp::Segment;
use crate::wire::{Endpoint, Layout, Protocol, Transport, Tuple};

/// What is to be done with a packet once the table is unlocked again.
enum Plan {
    /// Make its tuple this if it is translated, and send it in this way.
    Send(Tuple, Method, Hop),
    /// It opens a connection of its own.
    Fresh,
}

impl<'s> View<'s> {
    /// A TCP segment or UDP datagram.
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
            (None, Direction::Original) => Plan::Fresh,
            (None, Direction::Reply) => {
                drop(shard);
                return self.stray(frame, packet);
            }
        };
        match plan {
            Plan::Fresh => self.fresh(shard, frame, packet, place),
            Plan::Send(to, method, hop) => {
                drop(shard);
                Ok(self.send(frame, packet, method, &to, &hop))
            }
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
        frame: &[u8],
        packet: &Transport,
        way: Direction,
    ) -> Result<Plan, Refusal<'s>> {
        let entry = shard.entry(handle);
        let real: &Real = self.pool.real(entry.real()).ok_or(Cause::RealRemoved)?;
        let to = self.translated(entry, real, way);
        let vip = Some(entry.vip().addr);
        let refused = |refusal: Refusal<'s>| Refusal {
            vip,
            ..refusal.of_real(real)
        };

        let hop = match self.leads_on(real, frame, packet, way, &to) {
            Ok(hop) => hop,
            Err(_) if goes_elsewhere(entry, real, frame, packet, way) => {
                self.forget(shard, handle);
                return Ok(Plan::Fresh);
            }
            Err(refusal) => return Err(refused(refusal)),
        };
        let moved = match packet.tuple.protocol {
            Protocol::Tcp => self.judge(shard, handle, frame, packet, way, real),
            Protocol::Udp => Ok(self.answered(shard, handle, way)),
        };
        if !moved.map_err(|cause| refused(cause.into()))? {
            return Ok(Plan::Fresh);
        }
        self.count(real, &packet.layout, way);
        Ok(Plan::Send(to, method_of(real, way), hop))
    }

    /// The next hop of a packet of a connection; none from a client to a real server that was
    /// removed.
    fn leads_on(
        &self,
        real: &Real,
        frame: &[u8],
        packet: &Transport,
        way: Direction,
        to: &Tuple,
    ) -> Result<Hop, Refusal<'s>> {
        if way == Direction::Original && real.standing == Standing::Removed {
            return Err(Cause::RealRemoved.into());
        }
        self.hop_by(frame, &packet.layout, method_of(real, way), to)
    }

    /// Takes a connection out of the table and off its real server.
    pub(super) fn forget(&self, shard: &mut Shard<'_>, handle: Handle) {
        let old = shard.remove(handle);
        self.departed(&old);
    }

    /// Holds a segment against the connection's state and windows. False when the connection is
    /// over and the segment opens the next one.
    fn judge(
        &self,
        shard: &mut Shard<'_>,
        handle: Handle,
        frame: &[u8],
        packet: &Transport,
        way: Direction,
        real: &Real,
    ) -> Result<bool, Cause> {
        let segment = Segment::parse(packet.layout.segment(frame)).map_err(|_| Cause::TcpFlags)?;
        let entry = shard.entry_mut(handle);
        let tables = self.tables(entry, real);
        let judgement = match real.method.is_one_way() {
            false => entry.tracking.judge(way, &segment, tables.two_way),
            true => entry.tracking.judge_one_way(&segment, tables.one_way),
        };
        match judgement {
            Judgement::Accept { from, to } => {
                if way == Direction::Original {
                    entry.count_packet();
                }
                if from != to {
                    real.load.turn(from.into(), to.into());
                }
                let (handle, lifetime) = match entry.tracking.is_proved() {
                    true => (self.reclass(shard, handle, to), self.timeouts.tcp(to)),
                    false => (handle, self.on_probation(real, to)),
                };
                shard.touch(handle, self.now.after(lifetime));
                Ok(true)
            }
            Judgement::Ignore(_) => Ok(true),
            Judgement::Reopen => {
                self.forget(shard, handle);
                Ok(false)
            }
            Judgement::Invalid(invalid) => Err(invalid.into()),
        }
    }

    /// The tables that judge a segment of `entry`. They differ in the columns of the handshake only.
    fn tables(&self, entry: &Entry, real: &Real) -> &'static Tables {
        match entry.tracking.state.is_half_open() {
            true => real.stance.posture().tables(),
            false => &PEACE,
        }
    }

    /// How long a connection that is not proved lives. It stays what it is worth.
    #[inline(never)]
    fn on_probation(&self, real: &Real, state: State) -> Ticks {
        real.stance.posture().lifetime(self.timeouts, state)
    }

    /// Brings what a connection is worth after its state. One that the main pool has no room
    /// for stays among the half-open ones: it works, but goes first.
    fn reclass(&self, shard: &mut Shard<'_>, handle: Handle, state: State) -> Handle {
        let class = shard.entry(handle).class();
        match (class, state) {
            (Class::HalfOpen, State::Established) => self
                .assured(shard, handle)
                .establish(handle, &mut |gone, _| self.departed(gone))
                .unwrap_or(handle),
            (Class::HalfOpen, _) => handle,
            (_, State::Established) => mark(shard, handle, class, Class::Established),
            _ => mark(shard, handle, class, Class::Closing),
        }
    }

    /// Tells the template that controls a connection, if one does, that the real server has
    /// answered it.
    fn assured<'a, 'b>(&self, shard: &'a mut Shard<'b>, handle: Handle) -> &'a mut Shard<'b> {
        let entry = shard.entry(handle);
        if entry.controlled_by().is_some() {
            self.templates.assure(self.pool, entry);
        }
        shard
    }

    fn answered(&self, shard: &mut Shard<'_>, handle: Handle, way: Direction) -> bool {
        let class = shard.entry(handle).class();
        match way {
            Direction::Original => shard.entry_mut(handle).count_packet(),
            Direction::Reply if class == Class::Answered => {}
            Direction::Reply => {
                let shard = self.assured(shard, handle);
                shard.set_class(handle, Class::Answered);
            }
        }
        shard.touch(handle, self.now.after(self.timeouts.udp()));
        true
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
    }
}

/// How a packet is forwarded: replies that pass here at all are those of NAT.
pub(super) const fn method_of(real: &Real, way: Direction) -> Method {
    match way {
        Direction::Original => real.method,
        Direction::Reply => Method::Nat,
    }
}

/// Whether a packet that its connection's real server cannot get may go to another one: a
/// client's SYN after the end of the connection, and what is UDP when the real server has been
/// removed.
fn goes_elsewhere(
    entry: &Entry,
    real: &Real,
    frame: &[u8],
    packet: &Transport,
    way: Direction,
) -> bool {
    if way == Direction::Reply {
        return false;
    }
    match entry.protocol() {
        Protocol::Udp => real.standing == Standing::Removed,
        Protocol::Tcp => {
            let segment = Segment::parse(packet.layout.segment(frame));
            entry.tracking.state.is_over() && segment.is_ok_and(|s| s.flags.opens())
        }
    }
}

fn mark(shard: &mut Shard<'_>, handle: Handle, old: Class, new: Class) -> Handle {
    if old != new {
        shard.set_class(handle, new);
    }
    handle
}
