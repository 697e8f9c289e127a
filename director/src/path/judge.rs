//! What a packet of a known connection does to it, by its protocol.

use super::view::View;
use crate::drops::Cause;
use crate::flow::{Class, Direction, Handle, Shard, Tracked};
use crate::service::{Phase, Real};
use crate::time::Ticks;
use crate::wire::tcp::{Flags, Segment};
use crate::wire::{Piece, Transport};
use crate::{sctp, tcp};

/// What becomes of a connection.
pub(super) enum Verdict {
    /// The packet is its own.
    Moves(Step),
    /// The packet goes on, and changes nothing.
    Stays,
    /// It is left behind: the packet opens the next one, which is scheduled, or which the real server
    /// was told to open.
    Reopens,
}

/// A packet's effect.
pub(super) struct Step {
    was: Phase,
    is: Phase,
    /// What the connection is worth from now on.
    class: Class,
    /// How long it lives after this packet.
    lifetime: Ticks,
}

impl View<'_> {
    /// Holds a packet against its connection, and moves that as far as the packet may.
    #[inline]
    pub(super) fn judge(
        &self,
        shard: &mut Shard<'_>,
        handle: Handle,
        frame: &[u8],
        packet: &Transport,
        way: Direction,
        real: &Real,
    ) -> Result<Verdict, Cause> {
        let segment = packet.layout.segment(frame);
        let entry = shard.entry_mut(handle);
        let (class, side, expires) = (entry.class(), entry.side(way), entry.expires());
        match &mut entry.tracked {
            Tracked::Tcp(tracking) => {
                let segment = segment_of(segment, packet.layout.piece)?;
                let segment = match packet.layout.piece {
                    Piece::Whole => segment,
                    // No window is known that it could end with.
                    _ if real.method.is_one_way() => segment.without_fin(),
                    _ => tracking.open_ended(side, segment),
                };
                let from = tracking.state;
                let verdict = self.judge_tcp(tracking, &segment, side, class, real);
                if from == tcp::State::SynRecv && verdict.is_ok() {
                    self.note_handshake(&segment, side, real, expires, tracking);
                }
                if tracking.state.is_half_open() && !from.is_half_open() {
                    // The next connection of the same ends. What stood there of a spliced one was a clock.
                    entry.packets = 0;
                }
                verdict
            }
            Tracked::Sctp(tracking) => self.judge_sctp(tracking, segment, way, class, real),
            Tracked::Udp | Tracked::Call(_) => {
                let sent = entry
                    .packets
                    .saturating_add((way == Direction::Original).into());
                Ok(Verdict::Moves(self.judge_udp(class, sent, way, real)))
            }
        }
    }

    /// A datagram of a connection whose client has sent so many.
    #[inline]
    fn judge_udp(&self, class: Class, sent: u32, way: Direction, real: &Real) -> Step {
        let posture = real.stance.posture();
        let answers = way == Direction::Reply && !posture.takes_for_stranger(sent);
        Step {
            was: Phase::Inactive,
            is: Phase::Inactive,
            class: if answers { Class::Answered } else { class },
            lifetime: match class {
                Class::Answered => self.timeouts.udp(),
                _ => posture.udp_lifetime(self.timeouts, sent),
            },
        }
    }

    #[inline]
    pub(super) fn judge_tcp(
        &self,
        tracking: &mut tcp::Tracking,
        segment: &Segment,
        way: Direction,
        class: Class,
        real: &Real,
    ) -> Result<Verdict, Cause> {
        let opens = way == Direction::Original && segment.flags.opens();
        if opens && self.leaves_tcp(tracking.state, real) {
            return Ok(Verdict::Reopens);
        }
        let tables = tables(tracking, real);
        let judgement = match real.method.is_one_way() {
            false => tracking.judge(way, segment, tables.two_way),
            true => tracking.judge_one_way(segment, tables.one_way),
        };
        match judgement {
            tcp::Judgement::Accept { from, to } => Ok(Verdict::Moves(Step {
                was: from.into(),
                is: to.into(),
                class: match tracking.is_proved() {
                    true => class_of(to == tcp::State::Established),
                    false => class,
                },
                lifetime: match tracking.is_proved() {
                    true => self.timeouts.tcp(to),
                    false => self.on_probation(real, to),
                },
            })),
            tcp::Judgement::Ignore(_) => Ok(Verdict::Stays),
            tcp::Judgement::Invalid(invalid) => Err(invalid.into()),
        }
    }

    // Not inlined: it would crowd the way of TCP.
    #[inline(never)]
    fn judge_sctp(
        &self,
        tracking: &mut sctp::Tracking,
        packet: &[u8],
        way: Direction,
        class: Class,
        real: &Real,
    ) -> Result<Verdict, Cause> {
        let packet = sctp::Packet::read(packet)?;
        let opens = way == Direction::Original && packet.event == sctp::Event::Init;
        if opens && self.leaves_sctp(tracking.state, real) {
            return Ok(Verdict::Reopens);
        }
        let judgement = match real.method.is_one_way() {
            false => tracking.judge(way, &packet, &sctp::NORMAL),
            true => tracking.judge_one_way(&packet, &sctp::ONE_WAY),
        };
        match judgement {
            sctp::Judgement::Accept { from, to } => {
                let is_established = to == sctp::State::Established && !tracking.is_alleged();
                Ok(Verdict::Moves(Step {
                    was: from.into(),
                    is: to.into(),
                    class: match class {
                        Class::HalfOpen if !is_established => class,
                        _ => class_of(is_established),
                    },
                    lifetime: to.timeout(),
                }))
            }
            sctp::Judgement::Ignore => Ok(Verdict::Stays),
            sctp::Judgement::Invalid(invalid) => Err(invalid.into()),
        }
    }

    /// How long a connection that is not proved lives. It stays what it is worth.
    #[inline(never)]
    pub(super) fn on_probation(&self, real: &Real, state: tcp::State) -> Ticks {
        real.stance.posture().lifetime(self.timeouts, state)
    }

    /// Joins the halves of a connection whose real server has answered with the number `isn`. Its
    /// handle may change.
    pub(super) fn join(
        &self,
        shard: &mut Shard<'_>,
        handle: Handle,
        real: &Real,
        isn: u32,
    ) -> Handle {
        let Tracked::Tcp(tracking) = &mut shard.entry_mut(handle).tracked else {
            return handle;
        };
        let was = tracking.state.into();
        tracking.join(isn);
        let step = Step {
            was,
            is: tracking.state.into(),
            class: Class::Established,
            lifetime: self.timeouts.tcp(tracking.state),
        };
        let shard = self.assured(shard, handle);
        self.take(&step, shard, handle, Direction::Reply, real)
    }

    /// Does to a connection what its packet has brought about. Its handle may change.
    #[inline]
    pub(super) fn take(
        &self,
        step: &Step,
        shard: &mut Shard<'_>,
        handle: Handle,
        way: Direction,
        real: &Real,
    ) -> Handle {
        if way == Direction::Original {
            shard.entry_mut(handle).count_packet();
        }
        real.load.turn(step.was, step.is);
        let handle = self.reclass(shard, handle, step.class);
        shard.touch(handle, self.now.after(step.lifetime));
        handle
    }

    /// Tells the template that controls a connection, if one does, that the real server has
    /// answered it.
    #[inline]
    fn assured<'a, 'b>(&self, shard: &'a mut Shard<'b>, handle: Handle) -> &'a mut Shard<'b> {
        let entry = shard.entry(handle);
        if entry.controlled_by().is_some() {
            self.templates.assure(self.pool, entry);
        }
        shard
    }

    /// Brings what a connection is worth after its state. One that is half-open stays so until it
    /// is proved; if the main pool has no room for it, longer: it works, but goes first.
    #[inline]
    fn reclass(&self, shard: &mut Shard<'_>, handle: Handle, new: Class) -> Handle {
        match (shard.entry(handle).class(), new) {
            (old, new) if old == new => handle,
            (Class::HalfOpen, new) => self
                .assured(shard, handle)
                .prove(handle, new, &mut |gone, _| self.departed(gone))
                .unwrap_or(handle),
            (_, new) => {
                self.assured(shard, handle).set_class(handle, new);
                handle
            }
        }
    }
}

/// What a TCP header says. No TCP has its SYN or RST in fragments.
#[inline]
pub(super) fn segment_of(bytes: &[u8], piece: Piece) -> Result<Segment, Cause> {
    let segment = Segment::parse(bytes).map_err(|_| Cause::TcpFlags)?;
    let flags = segment.flags;
    let may_be_cut = !flags.has(Flags::SYN) && !flags.has(Flags::RST);
    match piece == Piece::Whole || may_be_cut {
        true => Ok(segment),
        false => Err(Cause::TcpFlags),
    }
}

/// The tables that judge a segment. They differ in the columns of the handshake only.
fn tables(tracking: &tcp::Tracking, real: &Real) -> &'static tcp::Tables {
    match tracking.state.is_half_open() {
        true => real.stance.posture().tables(),
        false => &tcp::PEACE,
    }
}

const fn class_of(is_established: bool) -> Class {
    match is_established {
        true => Class::Established,
        false => Class::Closing,
    }
}

#[cfg(test)]
mod tests {
    use adminapi::model::Scheduler;
    use adminapi::sysctl::{Sysctl, Sysctls, Value};

    use super::*;
    use crate::flow::Entry;
    use crate::neighbour::Fib;
    use crate::path::bystander::Bystander;
    use crate::path::{Shared, testing};
    use crate::pool::Pool;
    use crate::service::{ServiceKey, Settings};
    use crate::time::Tick;
    use crate::wire::sample::Sample;
    use crate::wire::{self, Addr, Endpoint, Packet, Protocol, Tuple};

    const NOW: Tick = Tick(1000);

    fn tuple() -> Tuple {
        Tuple {
            protocol: Protocol::Tcp,
            src: Endpoint::new(Addr::v4([10, 0, 1, 1]), 4000),
            dst: Endpoint::new(Addr::v4([10, 9, 9, 9]), 80),
        }
    }

    fn syn() -> Segment {
        Segment {
            flags: Flags(Flags::SYN),
            ..Segment::default()
        }
    }

    /// A connection that is over, whose clients come again from their ports to the same real server.
    fn scene(mut tracking: tcp::Tracking) -> Shared {
        let key = ServiceKey::at(Protocol::Tcp, tuple().dst);
        let rip = Endpoint::new(Addr::v4([10, 0, 2, 11]), 80);
        let mut pool = Pool::new(1);
        pool.add_service(key, Scheduler::Rr).unwrap();
        pool.add_real(&key, rip, Settings::weight(1)).unwrap();
        let id = pool.reals().next().unwrap().id;
        let shared = testing::shared(pool, Fib::default());
        let mut sysctls = Sysctls::default();
        let stays = Value::Number(0);
        sysctls.set(Sysctl::ConnReuseMode, &stays).unwrap();
        shared.sysctls.store(sysctls.into());
        tracking.state = tcp::State::TimeWait;
        let mut entry = Entry::new(&tuple(), id, 80, Class::Closing, Tick(9000));
        entry.tracked = Tracked::Tcp(tracking);
        entry.packets = 4_000_000;
        let place = shared.table.locate(Direction::Original, &tuple());
        let taken = shared.table.take_in(entry, &place, None, &mut |_, _| ());
        taken.unwrap();
        shared
    }

    /// How many packets its client has sent after one more SYN.
    fn after_a_syn(tracking: tcp::Tracking) -> u32 {
        let shared = scene(tracking);
        let bystander = Bystander::of(&shared);
        let view = bystander.view(0, NOW);
        let syn = Sample {
            flags: Flags::SYN,
            payload: Vec::new(),
            ..Sample::of(tuple())
        };
        let frame = syn.frame();
        let Ok(Packet::Transport(packet)) = wire::parse(&frame) else {
            panic!("no segment");
        };
        let place = shared.table.locate(Direction::Original, &tuple());
        let mut shard = shared.table.lock(&place);
        let handle = shard.find(&place, |entry| entry.matches_original(&tuple()));
        let (handle, way) = (handle.unwrap(), Direction::Original);
        let real = bystander.pool().reals().next().unwrap();
        let verdict = view.judge(&mut shard, handle, &frame, &packet, way, real);
        let Ok(Verdict::Moves(step)) = verdict else {
            panic!("the SYN opens nothing");
        };
        let handle = view.take(&step, &mut shard, handle, way, real);
        shard.entry(handle).packets
    }

    #[test]
    fn packets_of_the_next_connection_are_counted_from_its_syn() {
        let spliced = tcp::Tracking::spliced(&syn(), 77);
        assert!(spliced.is_spliced());
        assert_eq!(after_a_syn(spliced), 1);
        assert_eq!(after_a_syn(tcp::Tracking::opening(&syn())), 1);
    }
}
