//! One tracked association: which tags its packets carry, and what a packet means after that.
//!
//! Each end names a tag in its INIT or INIT ACK, and every packet to it carries that tag (RFC 9260
//! §8.5). Nobody off the path knows it. An end that has lost its association may open it anew
//! under other tags while the old one stands here; these are noted, and take the place of the old
//! ones when the other end has agreed.

use super::{Event, NORMAL, Packet, State, StateTable};
use crate::direction::Direction;

/// All that is tracked of one association, packed for the connection table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Tracking {
    /// The tags of this association.
    tags: Tags,
    /// Those of another one that may take its place.
    noted: Tags,
    /// What is known beside the state.
    flags: u8,
    /// The state.
    pub state: State,
}

/// The tag of packets in each direction; 0 = not known.
type Tags = [u32; 2];

/// Both ends have agreed on the tags: a packet with another one is nobody's.
const CONFIRMED: u8 = 1 << 0;
/// It was not seen to open: what is not known is learnt from the next packet.
const JOINED: u8 = 1 << 1;

/// What [`Tracking::judge`] says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Judgement {
    /// It belongs to the association: forward it, restart the timer with the timeout of `to`.
    Accept {
        /// State before.
        from: State,
        /// State now; often the same.
        to: State,
    },
    /// Forward it, but neither state nor timer moves: what it means is for the endpoint to say.
    Ignore,
    /// Drop it and count it: its receiver would throw it away.
    Invalid(Invalid),
}

/// Why a packet is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invalid {
    /// Chunks that no SCTP sends together, or an INIT that says too little.
    Chunks,
    /// A verification tag that the receiver did not ask for.
    Tag,
}

/// `Ok`: the packet is the association's.
type Finding = Result<(), Judgement>;

const WRONG_TAG: Judgement = Judgement::Invalid(Invalid::Tag);

impl Tracking {
    /// An association that the client's `init` opens.
    ///
    /// # Errors
    /// [`Invalid::Tag`] for one that carries a tag itself.
    pub fn opening(init: &Packet) -> Result<Self, Invalid> {
        match init.tag {
            0 => Ok(Self {
                tags: [0, init.initiate],
                state: State::Init1,
                ..Self::default()
            }),
            _ => Err(Invalid::Tag),
        }
    }

    /// An association that is taken up in its midst with the client's `packet` (`sloppy_sctp`).
    ///
    /// # Errors
    /// [`Invalid::Tag`] for one without a tag.
    pub fn midway(packet: &Packet) -> Result<Self, Invalid> {
        if packet.tag == 0 || packet.is_reflected {
            return Err(Invalid::Tag);
        }
        Ok(Self {
            tags: [packet.tag, 0],
            flags: JOINED,
            state: NORMAL.next(Direction::Original, packet.event, State::None),
            ..Self::default()
        })
    }

    /// What `packet`, going in `direction`, means; takes it in when it is the association's.
    pub fn judge(
        &mut self,
        direction: Direction,
        packet: &Packet,
        table: &StateTable,
    ) -> Judgement {
        let from = self.state;
        let finding = match packet.event {
            Event::Init => self.init(direction, packet),
            Event::InitAck => self.init_ack(direction, packet),
            _ => self.other(direction, packet),
        };
        self.conclude(from, finding, direction, packet, table)
    }

    /// The same for an association whose other half is not seen: the tag of the client's packets
    /// is what its COOKIE ECHO says, and a packet with another one is left to the endpoint.
    pub fn judge_one_way(&mut self, packet: &Packet, table: &StateTable) -> Judgement {
        let from = self.state;
        let finding = match packet.event {
            Event::Init => self.init(Direction::Original, packet),
            Event::CookieEcho => self.unheard_cookie_echo(packet),
            _ if self.carries(Direction::Original, packet, self.tags) => Ok(()),
            _ if self.carries(Direction::Original, packet, self.noted) && !packet.event.ends() => {
                self.turn_to_noted();
                Ok(())
            }
            _ => Err(Judgement::Ignore),
        };
        self.conclude(from, finding, Direction::Original, packet, table)
    }

    /// Whether nothing but the client's word says that there is an association.
    pub const fn is_alleged(&self) -> bool {
        self.flags & JOINED != 0 && self.tags[Direction::Reply as usize] == 0
    }

    /// Whether an ICMP error may quote a packet with this tag that went in `direction`. An INIT
    /// carries none, and is the first to go.
    pub const fn may_have_sent(&self, direction: Direction, tag: u32) -> bool {
        match tag {
            0 => self.flags & CONFIRMED == 0,
            _ => {
                let sent = direction as usize;
                tag == self.tags[sent] || tag == self.noted[sent]
            }
        }
    }

    fn conclude(
        &mut self,
        from: State,
        finding: Finding,
        direction: Direction,
        packet: &Packet,
        table: &StateTable,
    ) -> Judgement {
        match finding {
            Ok(()) => {
                self.state = table.next(direction, packet.event, self.state);
                Judgement::Accept {
                    from,
                    to: self.state,
                }
            }
            Err(judgement) => judgement,
        }
    }

    /// An INIT names the tag of packets the other way: the one that opened the association once
    /// more, or another one, which opens the client's next when this one is over.
    fn init(&mut self, direction: Direction, packet: &Packet) -> Finding {
        if packet.tag != 0 {
            return Err(WRONG_TAG);
        }
        if direction == Direction::Original && self.state.is_over() {
            *self = Self::opening(packet).map_err(Judgement::Invalid)?;
            return Ok(());
        }
        let back = direction.reversed() as usize;
        if self.tags[back] == 0 {
            self.tags[back] = packet.initiate;
        } else if self.tags[back] != packet.initiate {
            self.noted = Tags::default();
            self.noted[back] = packet.initiate;
            return Err(Judgement::Ignore);
        }
        Ok(())
    }

    /// An INIT ACK names the tag of packets the other way. As long as the association is not
    /// agreed upon there may be several, each with its own tag, and the last two may be meant.
    fn init_ack(&mut self, direction: Direction, packet: &Packet) -> Finding {
        let (way, back) = (direction as usize, direction.reversed() as usize);
        if packet.tag == 0 {
            return Err(WRONG_TAG);
        }
        if packet.tag != self.tags[way] {
            return match packet.tag == self.noted[way] {
                true => {
                    self.noted[back] = packet.initiate;
                    Err(Judgement::Ignore)
                }
                false => Err(self.stranger(packet)),
            };
        }
        if self.flags & CONFIRMED != 0 {
            return Err(Judgement::Ignore);
        }
        if self.tags[back] == 0 {
            self.tags[back] = packet.initiate;
        } else if self.tags[back] != packet.initiate {
            self.noted[way] = packet.tag;
            self.noted[back] = packet.initiate;
        }
        Ok(())
    }

    /// Any packet that comes after these two.
    fn other(&mut self, direction: Direction, packet: &Packet) -> Finding {
        self.learn(direction, packet);
        if self.carries(direction, packet, self.tags) {
            if packet.event == Event::CookieAck {
                self.flags |= CONFIRMED;
            }
            return Ok(());
        }
        if !self.carries(direction, packet, self.noted) {
            return Err(self.stranger(packet));
        }
        match packet.event {
            Event::CookieEcho if self.flags & CONFIRMED == 0 => {
                self.turn_to_noted();
                Ok(())
            }
            Event::CookieAck => {
                self.turn_to_noted();
                self.noted = Tags::default();
                self.flags |= CONFIRMED;
                self.state = State::None;
                Ok(())
            }
            _ => Err(Judgement::Ignore),
        }
    }

    /// The client's COOKIE ECHO, when the INIT ACK before it has not been seen. Once the
    /// association stands, only an INIT opens the way for another tag.
    fn unheard_cookie_echo(&mut self, packet: &Packet) -> Finding {
        let (way, back) = (Direction::Original as usize, Direction::Reply as usize);
        if packet.tag == 0 {
            return Err(WRONG_TAG);
        }
        if self.state != State::Established {
            self.tags[way] = packet.tag;
        } else if packet.tag != self.tags[way] {
            if self.noted[back] == 0 {
                return Err(Judgement::Ignore);
            }
            self.noted[way] = packet.tag;
            self.turn_to_noted();
        }
        Ok(())
    }

    /// Takes the tag of an association that was not seen to open from its first packet in this
    /// direction.
    const fn learn(&mut self, direction: Direction, packet: &Packet) {
        let way = direction as usize;
        let unknown = self.flags & JOINED != 0 && self.tags[way] == 0;
        if unknown && !packet.event.ends() {
            self.tags[way] = packet.tag;
        }
    }

    /// Whether `packet` carries the tag that its receiver has asked for in `tags`, or, where it
    /// says so, the one that its receiver has sent.
    fn carries(&self, direction: Direction, packet: &Packet, tags: Tags) -> bool {
        let whose = match packet.is_reflected {
            false => direction,
            true => direction.reversed(),
        };
        packet.tag != 0 && packet.tag == tags[whose as usize]
    }

    /// What becomes of a packet with a tag that nobody has named.
    const fn stranger(&self, packet: &Packet) -> Judgement {
        match self.flags & CONFIRMED != 0 || packet.event.ends() {
            true => WRONG_TAG,
            false => Judgement::Ignore,
        }
    }

    const fn turn_to_noted(&mut self) {
        (self.tags, self.noted) = (self.noted, self.tags);
    }
}

#[cfg(test)]
mod tests;
