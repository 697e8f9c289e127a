//! The filters: what is asked for, told to the gate; and listings that come to their end.

mod deciding;
mod plan;
mod revision;
mod spent;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use adminapi::error::Result;
use adminapi::model::{Filter, FilterRules, Listed, ListedView, NetworkPage, NetworkQuery, Prefix};
use adminapi::{ControlError, Problem, Put};
use nix::time::{ClockId, clock_gettime};

use super::publish::refused;
use super::regions::{self, Plan, Regional};
use super::unix::unix_now;
use super::ways_back::Doubts;
use super::{Director, limits, translate};
use crate::filter::{self, BOGONS, Bans, Book, End, List, Rules};
use crate::flow::Entry;
use crate::gate::Known;
use crate::path;
use crate::time::{Tick, Ticks};
use crate::wire::{Addr, Net};

/// Drops of the gate that are no rule's.
const NO_RULES: [&str; 6] = [
    "no_socket",
    "bad_cookie",
    "reset_heard",
    "first_datagram",
    "tcp_flags",
    "bad_tcp_offset",
];

/// How much longer the gate goes on with a listing that has come to its end. The director takes it off;
/// only when there is none is it for the gate to do, which does not look for a wider network then.
const FALLBACK: Ticks = Ticks::seconds(2);

pub(super) use plan::{FilterPlan, Filtering, RulePlan};
pub(super) use revision::Revision;

/// What is filtered now.
#[derive(Debug, Default)]
pub(super) struct Filters {
    pub(super) book: Book,
    /// As they were asked for.
    pub(super) wanted: FilterRules,
    pub(super) rules: Rules,
    pub(super) bogons: Vec<Net>,
    pub(super) regional: Regional,
    /// Where the files are that the API may name.
    pub(super) databases: PathBuf,
    pub(super) bans: Bans,
    pub(super) doubts: Doubts,
    /// How often the rules have changed.
    rule_changes: u64,
}

impl Filters {
    pub(super) fn known(&self) -> Known {
        Known {
            listed: self.book.families().map(|networks| networks > 0),
            regions: self.regional.families(),
        }
    }

    fn has_black_hole(&self) -> bool {
        !self.rules.regions.sealed.is_none() || self.book.on(List::BlackHole) > 0
    }

    /// Whether a client is in a black hole, by a list or by its region.
    fn loses(&self, client: Addr) -> bool {
        let listed = self.book.decides(client).map(|(_, listing)| listing.list);
        match listed {
            Some(List::BlackHole) => true,
            Some(List::Allow) => false,
            Some(List::Deny) | None => self.regional.seals(client, &self.rules.regions),
        }
    }
}

impl Filters {
    /// Another number after each change of what is refused.
    pub(super) fn version(&self) -> u64 {
        self.book.changes() + self.rule_changes
    }

    /// Whether the gate takes no datagrams of a client for a service, by a list or by its region.
    pub(super) fn refuses_datagrams(&self, client: Addr) -> bool {
        match self.book.decides(client) {
            Some((_, listing)) => !listing.allows(),
            None => self.regional.closes(client, &self.rules.regions),
        }
    }
}

impl Director {
    fn tell_families(&self, filters: &Filters) -> Result<()> {
        let told = self.gate.filters();
        let told = told.set_known(&filters.rules, filters.known());
        told.map_err(refused)
    }

    /// A tick as the gate's clock has it, in nanoseconds.
    fn nanos_at(&self, tick: Tick) -> u64 {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
        let left = Duration::from(self.facts.clock.now().until(tick));
        (now.unwrap_or_default() + left).as_nanos() as u64
    }

    /// Ends the connections of all clients that are in a black hole.
    pub(super) fn end_lost(&self, filters: &Filters) {
        if filters.has_black_hole() {
            self.end_connections(|client| filters.loses(client));
        }
    }

    /// Ends the connections of clients that lose them. Real servers are not filtered.
    fn end_connections(&self, loses: impl Fn(Addr) -> bool) {
        let pool = self.shared.pool.load();
        let is_of = |entry: &Entry| {
            let client = entry.client().addr;
            loses(client) && !pool.address_answers(client)
        };
        let leave = |entry: &Entry| {
            path::leave(&pool, &self.shared.pool, &self.shared.templates, entry);
        };
        self.shared.table.sweep(is_of, leave);
    }

    /// Takes networks off their lists whose time has come. To be called about once a second.
    ///
    /// # Errors
    /// When the gate's map cannot be changed.
    pub fn end_listings(&self) -> Result<()> {
        let mut filters = self.filters.lock();
        let due = filters.book.due(self.facts.clock.now());
        if due.is_empty() {
            return Ok(());
        }
        self.revise(&mut filters, |lists| {
            due.iter().try_for_each(|net| lists.remove(*net).map(drop))
        })
    }

    pub(super) fn change_listing(&self, wanted: &Listed) -> Result<Put<ListedView>> {
        let (net, listing) = self.listing(wanted);
        let was_there = {
            let mut filters = self.filters.lock();
            self.revise(&mut filters, |lists| lists.put(net, listing))?
        };
        let view = self.find_listing(wanted.network)?;
        let view = view.ok_or_else(|| ControlError::Busy("it has been taken off again".into()))?;
        Ok(match was_there {
            true => Put::Replaced(view),
            false => Put::Created(view),
        })
    }

    /// A listing of the API as the director has it.
    pub(super) fn listing(&self, wanted: &Listed) -> (Net, filter::Listing) {
        let now = self.facts.clock.now();
        let end = |seconds: u32| End {
            tick: now.after(Ticks::seconds(seconds)),
            unix: unix_now() + u64::from(seconds),
        };
        let listing = filter::Listing {
            list: translate::list(wanted.list),
            until: wanted.seconds.map(end),
            why: wanted.why.as_deref().map(Into::into),
            configured: false,
            automatic: false,
        };
        (translate::net(wanted.network), listing)
    }

    pub(super) fn take_off(&self, network: Prefix) -> Result<bool> {
        let mut filters = self.filters.lock();
        self.revise(&mut filters, |lists| lists.remove(translate::net(network)))
    }

    pub(super) fn find_listing(&self, network: Prefix) -> Result<Option<ListedView>> {
        let filters = self.filters.lock();
        let net = translate::net(network);
        let view = filters.book.get(net).map(|found| self.view_of(net, found));
        view.transpose()
    }

    pub(super) fn view_of(&self, net: Net, listing: &filter::Listing) -> Result<ListedView> {
        let now = self.facts.clock.now();
        Ok(ListedView {
            network: translate::prefix(net),
            list: translate::api_list(listing.list),
            left: listing
                .until
                .map(|until| now.until(until.tick).as_seconds_ceil()),
            why: listing.why.as_deref().map(str::to_owned),
            configured: listing.configured,
            automatic: listing.automatic,
            packets: self.gate.filters().decided(net).map_err(refused)?,
        })
    }

    pub(super) fn page_of_listings(&self, query: &NetworkQuery) -> Result<NetworkPage> {
        let filters = self.filters.lock();
        let wanted = query.list.map(translate::list);
        let behind = filters.book.behind(query.cursor.map(translate::net));
        let mut found = behind.filter(|(_, l)| wanted.is_none_or(|list| list == l.list));
        let page: Vec<_> = found.by_ref().take(query.limit as usize).collect();
        let last = page.last().map(|(net, _)| *net);
        let more = found.next().is_some();
        let views = page.into_iter().map(|(net, l)| self.view_of(net, l));
        Ok(NetworkPage {
            listings: views.collect::<Result<_>>()?,
            next: last.filter(|_| more).map(translate::prefix),
        })
    }

    pub(super) fn show_filter(&self) -> Result<Filter> {
        let filters = self.filters.lock();
        let listed =
            List::ALL.map(|list| (translate::api_list(list), filters.book.on(list) as u64));
        let listed = listed.into_iter().filter(|(_, networks)| *networks > 0);
        let mut over = BTreeMap::new();
        let pool = self.shared.pool.load();
        let wanted = &filters.wanted.limits;
        for (place, (number, _)) in filters.rules.limits_of_gate().enumerate() {
            let packets = self.gate.filters().over(place).map_err(refused)?;
            over.insert(wanted[number].name.clone(), packets);
        }
        for (number, _) in filters.rules.limits_of_workers() {
            over.insert(wanted[number].name.clone(), pool.paces().over(number));
        }
        for (number, limit) in filters.wanted.connections.iter().enumerate() {
            over.insert(limit.name.clone(), pool.crowds().refused(number));
        }
        let mut dropped = adminapi::model::Drops::new();
        for interface in self.interface_status()? {
            for (name, packets) in interface.drops {
                if !NO_RULES.contains(&&*name) {
                    *dropped.entry(name).or_default() += packets;
                }
            }
        }
        Ok(Filter {
            listed: listed.collect(),
            rules: filters.wanted.clone(),
            banned: filters.book.automatic() as u64,
            over,
            dropped,
            regions: self.region_use(&filters.regional)?,
            atlas: regions::sheets(&filters.regional.atlas),
        })
    }
}

/// `wanted` as the gate is told it, when the director has these interfaces, by port, and `plan` says
/// which regions there are.
fn compile(interfaces: &[&str], wanted: &FilterRules, plan: &Plan) -> Result<Rules> {
    let mut problems = Vec::new();
    let mut ports = |key: &str, names: &[String]| {
        let mut bits = 0;
        for (index, name) in names.iter().enumerate() {
            match interfaces.iter().position(|own| own == name) {
                Some(port) => bits |= 1 << port,
                None => problems.push(Problem::new(
                    format!("/{key}/{index}"),
                    format!("{name:?} is no interface of the director"),
                    "name one of [datapath] interfaces",
                )),
            }
        }
        bits
    };
    let rules = Rules {
        bogons: ports("bogons", &wanted.bogons),
        strict: ports("strict", &wanted.strict),
        loose: ports("loose", &wanted.loose),
        limits: Vec::new(),
        regions: plan.rules,
    };
    let mut compiled = Vec::new();
    for (index, wanted) in wanted.limits.iter().enumerate() {
        let pointer = || format!("/limits/{index}/region");
        match plan.region(wanted.region.as_deref(), pointer) {
            Ok(region) => compiled.push(limits::limit(wanted, region)),
            Err(problem) => problems.push(problem),
        }
    }
    let rules = Rules {
        limits: compiled,
        ..rules
    };
    ControlError::unless_valid(problems)?;
    Ok(rules)
}

fn bogons_of(wanted: &FilterRules) -> Vec<Net> {
    let built_in = || BOGONS.iter().filter_map(|text| text.parse().ok()).collect();
    let networks: Vec<Prefix> = wanted.bogon_networks.clone().unwrap_or_else(built_in);
    networks.into_iter().map(translate::net).collect()
}
