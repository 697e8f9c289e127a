//! Openings that are due: what becomes of a client whose real server has not answered.

use crate::flow::{Direction, Entry, Place, Shard};
use crate::path::openings::{BUDGET, LIFETIME, Opening};
use crate::path::view::View;
use crate::path::visitor::{asking, least_loaded};
use crate::service::Real;
use crate::tcp::State;
use crate::wire::Tuple;

impl View<'_> {
    /// Looks at the openings that are due.
    pub(in crate::path) fn tend_openings(&self) {
        for _ in 0..BUDGET {
            let Some(opening) = self.openings.take(self.now) else {
                return;
            };
            self.tend_opening(&opening);
        }
    }

    fn tend_opening(&self, opening: &Opening) {
        let place = self.table.locate(Direction::Original, &opening.original);
        let mut shard = self.table.lock(&place);
        let is_its = |entry: &Entry| entry.matches_original(&opening.original);
        let Some(handle) = shard.find(&place, is_its) else {
            return;
        };
        let Some(state) = opening.state_of(shard.entry(handle)) else {
            return;
        };
        if state != State::Close && opening.may_repeat() {
            shard.touch(handle, self.now.after(LIFETIME));
            return self.ask_once_more(opening);
        }
        let sticks = shard.entry(handle).controlled_by().is_some();
        self.forget(&mut shard, handle);
        let next = (!sticks).then(|| self.ask_another(&mut shard, &place, opening));
        if next.flatten().is_none() {
            self.errands.add(opening.refusal());
        }
    }

    fn ask_once_more(&self, opening: &Opening) {
        self.errands.add(opening.syn());
        self.openings.put(opening.repeated(), self.now);
    }

    /// Asks the real server with the least to do of those that have not been asked. One that cannot be
    /// reached, and so has nothing to do, is not among them while there is another.
    fn ask_another(&self, shard: &mut Shard<'_>, place: &Place, opening: &Opening) -> Option<()> {
        let failed: &Real = self.pool.real(opening.real())?;
        let service = self.pool.service(&failed.service)?;
        let guest = asking(opening.proof, opening.window);
        let fit = |real: &Real| !opening.has_asked(real.id) && guest.suits(real);
        let lost = self.ways.lost(service);
        let is_near = |real: &Real| !lost.has(real) && self.leads_to(real, &opening.original);
        let real = least_loaded(service, |real| fit(real) && is_near(real));
        let real = real.or_else(|| least_loaded(service, fit));
        let real = real.filter(|_| service.sorry.is_none())?;
        let to = Tuple {
            dst: real.destination(opening.original.dst),
            ..opening.original
        };
        let entry = self.entry(&opening.original, real, &guest);
        let lead = self.lead_to(shard, to, place, real, entry.class()).ok()?;
        let next = opening.at(real.id, lead.to)?;
        self.seat(shard, place, real, &lead, entry).ok()?.ok()?;
        self.count_connection(real);
        self.errands.add(next.syn());
        self.openings.put(next, self.now);
        Some(())
    }
}
