//! What a new connection looks like to its real server, and where the answers will be found.

use super::view::View;
use crate::drops::Cause;
use crate::flow::{Class, Direction, Entry, Handle, Place, Shard};
use crate::service::{Method, Real};
use crate::speakers::Voice;
use crate::wire::{Transport, Tuple};

/// How a connection is to be led to a real server.
pub(super) struct Lead {
    /// The tuple that the real server gets to see, as far as the method shows it one.
    pub(super) to: Tuple,
    /// Where its answers are looked for, if they pass here.
    pub(super) reply: Option<Place>,
    /// What the director speaks from, if not from the client's own endpoint.
    voice: Option<Voice>,
    /// Who has to go for that.
    displaced: Option<Handle>,
}

impl Lead {
    /// A connection that gets there as one does that is there already.
    pub(super) const fn known(to: Tuple) -> Self {
        Self {
            to,
            reply: None,
            voice: None,
            displaced: None,
        }
    }

    /// Where its answers are looked for, unless who has that place now has to go.
    pub(super) fn reply_to_take(&self) -> Option<&Place> {
        self.reply.as_ref().filter(|_| self.displaced.is_none())
    }

    /// Has a new entry know it.
    pub(super) fn note(&self, entry: &mut Entry) {
        if let Some(voice) = self.voice {
            entry.local_id = voice.id;
            entry.local_port = voice.endpoint.port;
        }
    }
}

impl View<'_> {
    /// How a new connection of class `class`, which lives at `place`, gets to `real`.
    pub(super) fn lead(
        &self,
        shard: &Shard<'_>,
        packet: &Transport,
        place: &Place,
        real: &Real,
        class: Class,
    ) -> Result<Lead, Cause> {
        let to = Tuple {
            dst: real.destination(packet.tuple.dst),
            ..packet.tuple
        };
        self.lead_to(shard, to, place, real, class)
    }

    /// The same, to an endpoint of `real` that its service does not name: the destination of `to`.
    pub(super) fn lead_to(
        &self,
        shard: &Shard<'_>,
        to: Tuple,
        place: &Place,
        real: &Real,
        class: Class,
    ) -> Result<Lead, Cause> {
        match real.method {
            Method::Nat => {
                let reply = self.table.locate(Direction::Reply, &to.reversed());
                self.table.prefetch(&reply);
                Ok(Lead {
                    to,
                    reply: Some(reply),
                    voice: None,
                    displaced: None,
                })
            }
            Method::FullNat => self.voiced(shard, to, place, class),
            Method::Dr | Method::Tun(_) | Method::Bypass => Ok(Lead::known(to)),
        }
    }

    /// With an address and a port of the director's own as the source: a free one, or that of the
    /// least of those tried which may be displaced. So a flood of SYNs takes the ports of its
    /// like only, as it does with the places of the table.
    #[inline(never)]
    fn voiced(
        &self,
        shard: &Shard<'_>,
        to: Tuple,
        place: &Place,
        class: Class,
    ) -> Result<Lead, Cause> {
        let speakers = self.pool.speakers();
        let mut least: Option<(Class, Lead)> = None;
        for voice in speakers.candidates(to.dst.addr.is_v4(), self.table.lot(place)) {
            let to = Tuple {
                src: voice.endpoint,
                ..to
            };
            let answer = to.reversed();
            let reply = self.table.locate_by_port(&answer);
            let taken = shard.find(&reply, |old| self.is_of(old, Direction::Reply, &answer));
            let lead = Lead {
                to,
                reply: Some(reply),
                voice: Some(voice),
                displaced: taken,
            };
            let Some(holder) = taken else {
                return Ok(lead);
            };
            let held = shard.entry(holder).class();
            if class.may_displace(held) && least.as_ref().is_none_or(|(least, _)| held < *least) {
                least = Some((held, lead));
            }
        }
        least.map(|(_, lead)| lead).ok_or(Cause::NoLocalPort)
    }

    /// Makes room for what is about to be led in this way.
    pub(super) fn make_way(&self, shard: &mut Shard<'_>, lead: &Lead) {
        if let Some(holder) = lead.displaced {
            self.forget(shard, holder);
        }
    }
}
