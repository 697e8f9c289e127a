//! Changes of the lists, many at once: what each of them entails is done once for all of them.

use std::collections::BTreeMap;

use adminapi::error::Result;

use super::{FALLBACK, Filters};
use crate::control::Director;
use crate::control::publish::refused;
use crate::filter::{List, Listing, longest};
use crate::wire::{Addr, Net};

/// Changes of the lists that are under way.
pub(in crate::control) struct Revision<'a> {
    director: &'a Director,
    pub(in crate::control) filters: &'a mut Filters,
    /// Networks in which clients may be in a black hole that were in none before.
    darker: BTreeMap<Net, ()>,
}

impl Director {
    /// Changes lists as `changes` does, and then tells the gate and ends connections, also of what
    /// was changed before an error. The table of connections is gone through once at most.
    ///
    /// # Errors
    /// Those of `changes`, or the kernel's.
    pub(in crate::control) fn revise<T>(
        &self,
        filters: &mut Filters,
        changes: impl FnOnce(&mut Revision<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut revision = Revision {
            director: self,
            filters,
            darker: BTreeMap::new(),
        };
        let done = changes(&mut revision);
        let Revision {
            filters, darker, ..
        } = revision;
        self.tell_families(filters)?;
        if !darker.is_empty() && filters.has_black_hole() {
            let is_near = |client: Addr| longest(&darker, Net::new(client, 128)).is_some();
            self.end_connections(|client| is_near(client) && filters.loses(client));
        }
        done
    }
}

impl Revision<'_> {
    /// Lists a network; whether it was on a list before. Who is allowed is not banned by itself.
    ///
    /// # Errors
    /// When the gate's map is full.
    pub(in crate::control) fn put(&mut self, net: Net, listing: Listing) -> Result<bool> {
        if listing.list == List::Allow {
            for banned in self.filters.book.automatic_within(net) {
                self.remove(banned)?;
            }
        }
        let until = listing.until.map(|until| until.tick.after(FALLBACK));
        let nanos = until.map_or(0, |until| self.director.nanos_at(until));
        let gate = self.director.gate.filters();
        gate.list(net, listing.list, nanos).map_err(refused)?;
        let is_dark = listing.list == List::BlackHole;
        let old = self.filters.book.put(net, listing);
        // Whom it let in is in a wider black hole now, or in a region that is one.
        if is_dark || old.as_ref().is_some_and(Listing::allows) {
            self.darker.insert(net, ());
        }
        Ok(old.is_some())
    }

    /// Takes a network off its list; whether it was on one.
    ///
    /// # Errors
    /// The kernel's.
    pub(in crate::control) fn remove(&mut self, net: Net) -> Result<bool> {
        let gate = self.director.gate.filters();
        gate.unlist(net).map_err(refused)?;
        let old = self.filters.book.remove(net);
        // Whom it kept out of a wider black hole is in that now.
        if old.is_some() {
            self.darker.insert(net, ());
        }
        Ok(old.is_some())
    }
}
