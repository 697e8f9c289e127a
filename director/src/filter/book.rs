//! The book of the lists: which network is on which one, until when, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::networks::longest;
use crate::time::Tick;
use crate::wire::{Addr, Net};

/// A list that a network can be on; the numbers are those of `bpf/filter.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum List {
    /// Its packets pass all filters and limits.
    Allow = 1,
    /// It opens no connections.
    Deny = 2,
    /// Nothing of it is taken.
    BlackHole = 3,
}

impl List {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Deny, Self::BlackHole];

    const fn place(self) -> usize {
        self as usize - 1
    }
}

/// When a listing ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The tick.
    pub tick: Tick,
    /// The same in seconds of Unix time, for those who have other ticks.
    pub unix: u64,
}

/// What is known of a listed network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What is done with its packets.
    pub list: List,
    /// Until when; none: for ever.
    pub until: Option<End>,
    /// Why.
    pub why: Option<Box<str>>,
    /// Whether the configuration file has it.
    pub configured: bool,
    /// Whether nobody has asked for it: it is a ban.
    pub automatic: bool,
}

impl Listing {
    /// Whether its network is let in whatever else holds.
    pub fn allows(&self) -> bool {
        self.list == List::Allow
    }
}

/// All listed networks, in the order of their addresses.
#[derive(Debug, Default)]
pub struct Book {
    listings: BTreeMap<Net, Listing>,
    due: BTreeSet<(Tick, Net)>,
    v4: usize,
    /// How many are on each list.
    on: [usize; List::ALL.len()],
    automatic: usize,
    changes: u64,
    /// Networks that were listed or taken off since [`Book::begin_writing`]; not those of the configuration,
    /// which may be a million and are not written.
    revised: BTreeSet<Net>,
    /// The same of before that, until it is written.
    unwritten: BTreeSet<Net>,
}

impl Book {
    /// Lists a network; returns how it was listed before.
    pub fn put(&mut self, net: Net, listing: Listing) -> Option<Listing> {
        let old = self.remove(net);
        if let Some(until) = listing.until {
            self.due.insert((until.tick, net));
        }
        self.v4 += usize::from(net.is_v4());
        self.on[listing.list.place()] += 1;
        self.automatic += usize::from(listing.automatic);
        self.note(net, &listing);
        self.listings.insert(net, listing);
        old
    }

    /// Takes a network off its list.
    pub fn remove(&mut self, net: Net) -> Option<Listing> {
        let old = self.listings.remove(&net)?;
        if let Some(until) = old.until {
            self.due.remove(&(until.tick, net));
        }
        self.v4 -= usize::from(net.is_v4());
        self.on[old.list.place()] -= 1;
        self.automatic -= usize::from(old.automatic);
        self.note(net, &old);
        Some(old)
    }

    fn note(&mut self, net: Net, listing: &Listing) {
        self.changes += 1;
        if !listing.configured {
            self.revised.insert(net);
        }
    }

    /// How a network is listed, if just that one is.
    pub fn get(&self, net: Net) -> Option<&Listing> {
        self.listings.get(&net)
    }

    /// The longest listed network that holds an address.
    pub fn decides(&self, addr: Addr) -> Option<(Net, &Listing)> {
        self.holds(Net::new(addr, 128))
    }

    /// The longest listed network that holds all of a network.
    pub fn holds(&self, net: Net) -> Option<(Net, &Listing)> {
        longest(&self.listings, net)
    }

    /// The networks whose time has come at `now`.
    pub fn due(&self, now: Tick) -> Vec<Net> {
        let due = self.due.iter().take_while(|(until, _)| *until <= now);
        due.map(|(_, net)| *net).collect()
    }

    /// Those behind `after`.
    pub fn behind(&self, after: Option<Net>) -> impl Iterator<Item = (Net, &Listing)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let listings = self.listings.range((from, Bound::Unbounded));
        listings.map(|(net, listing)| (*net, listing))
    }

    /// How many are on a list.
    pub const fn on(&self, list: List) -> usize {
        self.on[list.place()]
    }

    /// How many were listed by themselves.
    pub const fn automatic(&self) -> usize {
        self.automatic
    }

    /// Those within `net` that were listed by themselves.
    pub fn automatic_within(&self, net: Net) -> Vec<Net> {
        let from = self.listings.range(net..);
        let within = from.take_while(|(inner, _)| net.has(inner.addr));
        let automatic = within.filter(|(_, listing)| listing.automatic);
        automatic.map(|(inner, _)| *inner).collect()
    }

    /// How often it has been changed.
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// The networks that were listed or taken off since all was written.
    pub fn revised(&self) -> impl Iterator<Item = Net> {
        self.unwritten.union(&self.revised).copied()
    }

    /// Says that all is being written, as it is now.
    pub fn begin_writing(&mut self) {
        self.unwritten.append(&mut self.revised);
    }

    /// Says that all is written, as it was then.
    pub fn is_written(&mut self) {
        self.unwritten.clear();
    }

    /// How many of IPv4, and how many of IPv6, are listed.
    pub fn families(&self) -> [usize; 2] {
        [self.v4, self.listings.len() - self.v4]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Net {
        let prefix: adminapi::model::Prefix = text.parse().unwrap();
        let addr = Addr::from(prefix.address);
        let outer = if addr.is_v4() { Net::V4_BITS } else { 0 };
        Net::new(addr, outer + prefix.length)
    }

    fn listing(list: List, until: Option<u32>) -> Listing {
        Listing {
            list,
            until: until.map(|tick| End {
                tick: Tick(tick),
                unix: 0,
            }),
            why: None,
            configured: false,
            automatic: false,
        }
    }

    #[test]
    fn those_that_were_listed_by_themselves_are_found_in_a_network() {
        let mut book = Book::default();
        let ban = Listing {
            automatic: true,
            ..listing(List::Deny, Some(9))
        };
        for text in ["10.1.0.0/24", "10.1.2.3/32", "10.2.0.0/24"] {
            book.put(net(text), ban.clone());
        }
        book.put(net("10.1.9.0/24"), listing(List::Deny, None));
        let within = book.automatic_within(net("10.1.0.0/16"));
        assert_eq!(within, [net("10.1.0.0/24"), net("10.1.2.3/32")]);
        assert_eq!(book.automatic(), 3);
        book.remove(within[0]);
        assert_eq!(book.automatic(), 2);
    }

    #[test]
    fn the_longest_network_decides() {
        let mut book = Book::default();
        book.put(net("10.0.0.0/8"), listing(List::Deny, None));
        book.put(net("10.1.0.0/16"), listing(List::Allow, None));
        book.put(net("::/0"), listing(List::BlackHole, None));
        let decides = |text: &str| {
            let addr: std::net::IpAddr = text.parse().unwrap();
            book.decides(addr.into()).map(|(_, listing)| listing.list)
        };
        assert_eq!(decides("10.2.0.1"), Some(List::Deny));
        assert_eq!(decides("10.1.0.1"), Some(List::Allow));
        assert_eq!(decides("2001:db8::1"), Some(List::BlackHole));
        assert_eq!(decides("192.0.2.1"), None, "::/0 is of IPv6 alone");
        assert_eq!(book.families(), [2, 1]);
        assert_eq!(List::ALL.map(|list| book.on(list)), [1, 1, 1]);
        book.put(net("10.1.0.0/16"), listing(List::Deny, None));
        assert_eq!(List::ALL.map(|list| book.on(list)), [0, 2, 1]);
    }

    #[test]
    fn what_is_revised_is_told_until_it_is_written() {
        let mut book = Book::default();
        let told = |book: &Book| book.revised().collect::<Vec<_>>();
        let (a, b) = (net("10.0.0.0/8"), net("10.1.0.0/16"));
        book.put(a, listing(List::Deny, None));
        book.begin_writing();
        book.put(b, listing(List::Deny, None));
        assert_eq!(told(&book), [a, b]);
        book.is_written();
        assert_eq!(told(&book), [b]);
        book.begin_writing();
        book.remove(a);
        // It could not be written.
        book.begin_writing();
        book.remove(b);
        assert_eq!(told(&book), [a, b]);
        book.is_written();
        assert_eq!(told(&book), [b]);
        book.begin_writing();
        book.is_written();
        assert_eq!(told(&book), []);
    }

    #[test]
    fn what_is_configured_is_revised_only_where_it_replaces_what_is_not() {
        let mut book = Book::default();
        let configured = || Listing {
            configured: true,
            ..listing(List::Deny, None)
        };
        let (a, b) = (net("10.0.0.0/8"), net("10.1.0.0/16"));
        book.put(a, configured());
        book.put(a, configured());
        book.put(b, configured());
        book.remove(b);
        assert_eq!(book.revised().next(), None);
        book.put(a, listing(List::Allow, None));
        book.begin_writing();
        book.is_written();
        book.put(a, configured());
        assert_eq!(book.revised().collect::<Vec<_>>(), [a]);
    }

    #[test]
    fn what_is_due_is_named_until_it_is_taken_off() {
        let mut book = Book::default();
        let (a, b) = (net("10.0.0.0/8"), net("2001:db8::/32"));
        book.put(a, listing(List::Deny, Some(5)));
        book.put(b, listing(List::Deny, Some(7)));
        assert_eq!(book.due(Tick(4)), []);
        assert_eq!(book.due(Tick(5)), [a]);
        book.put(a, listing(List::Deny, Some(9)));
        assert_eq!(book.due(Tick(8)), [b]);
        book.remove(b);
        book.put(a, listing(List::Deny, None));
        assert_eq!(book.due(Tick(u32::MAX)), []);
        assert_eq!(book.families(), [1, 0]);
    }
}
