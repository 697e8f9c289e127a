//! What the filters make of a source, as the gate judges it (`bpf/filter.h`).

use adminapi::error::Result;
use adminapi::model::{DecidingRule, FilterList, ListedView};

use super::filter::Filters;
use super::forwarding::is_forwarding;
use super::{Director, translate};
use crate::filter::List;
use crate::flow::{Direction, Entry};
use crate::gate::Interface;
use crate::neighbour::NoHop;
use crate::path::Probe;
use crate::pool::Pool;
use crate::wire::{Addr, Protocol, Version};

/// Who sends a packet, and what for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'a> {
    pub(super) probe: &'a Probe<'a>,
    /// The interface that it comes in through.
    pub(super) port: u16,
    pub(super) pool: &'a Pool,
    /// The connection that it is of, and its way there.
    pub(super) connection: Option<(&'a Entry, Direction)>,
}

impl Sender<'_> {
    const fn addr(&self) -> Addr {
        self.probe.tuple.src.addr
    }
}

/// How much of a packet's connection the gate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing: it may open one.
    New,
    /// It opens nothing: whose it is, if anybody's, the director knows.
    Known,
    /// All: the gate forwards it, before any filter.
    Fast,
}

/// What the filters make of a source.
#[derive(Debug, Default)]
pub(super) struct Origin {
    /// How its network is listed.
    pub(super) listed: Option<ListedView>,
    /// Why nothing is taken from it.
    pub(super) refused: Option<&'static str>,
    /// The rule that says so, if it is no list.
    pub(super) rule: Option<DecidingRule>,
}

impl Origin {
    const fn of_list(listed: ListedView, refused: Option<&'static str>) -> Self {
        Self {
            listed: Some(listed),
            refused,
            rule: None,
        }
    }

    fn of_rule(rule: DecidingRule) -> Self {
        Self {
            listed: None,
            refused: Some(match rule {
                DecidingRule::Bogon { .. } => "bogon",
                DecidingRule::Region { .. } => "region",
                DecidingRule::Strict { .. } | DecidingRule::Loose { .. } => "reverse_path",
                DecidingRule::ConnectionLimit {
                    source: Some(_), ..
                } => "source_connections",
                DecidingRule::ConnectionLimit { source: None, .. } => "service_connections",
                DecidingRule::RateLimit {
                    source: Some(_), ..
                } => "source_limit",
                DecidingRule::RateLimit { source: None, .. } => "service_limit",
            }),
            rule: Some(rule),
        }
    }

    fn is_allowed(&self) -> bool {
        let list = self.listed.as_ref().map(|listed| listed.list);
        list == Some(FilterList::Allow)
    }
}

impl Director {
    /// What the filters make of a packet, which is for a service or not.
    pub(super) fn origin(&self, sender: &Sender<'_>, is_served: bool) -> Result<Origin> {
        let standing = self.standing(sender);
        if standing == Standing::Fast {
            return Ok(Origin::default());
        }
        let is_real = self.is_real(sender);
        let origin = self.by_origin(sender, standing, is_real)?;
        let is_judged =
            is_served && !origin.is_allowed() && !is_real && !sender.probe.is_nonsense();
        if origin.refused.is_some() || !is_judged {
            return Ok(origin);
        }
        let region = self.refusing_region(sender.addr(), standing == Standing::Known);
        let rule = match (region, sender.connection) {
            (None, None) => self.used_up(sender.probe)?,
            (region, _) => region,
        };
        Ok(match rule.map(Origin::of_rule) {
            Some(refused) => Origin {
                listed: origin.listed,
                ..refused
            },
            None => origin,
        })
    }

    fn standing(&self, sender: &Sender<'_>) -> Standing {
        let Some((entry, way)) = sender.connection else {
            return match sender.probe.goes_on() {
                true => Standing::Known,
                false => Standing::New,
            };
        };
        let fast = self.shared.fast.as_deref();
        match fast.is_some_and(|fast| fast.forwards(entry, way)) {
            true => Standing::Fast,
            false if entry.protocol() == Protocol::Tcp => Standing::Known,
            false => Standing::New,
        }
    }

    /// Whether it is a real server that answers through the director: those are not kept out.
    fn is_real(&self, sender: &Sender<'_>) -> bool {
        let locals = &self.master.lock().locals;
        let addr = sender.addr();
        sender.pool.address_answers(addr) && !locals.contains(&addr)
    }

    fn by_origin(&self, sender: &Sender<'_>, standing: Standing, is_real: bool) -> Result<Origin> {
        let addr = sender.addr();
        // Who has no address yet asks for one in its name.
        if addr == Addr::default() {
            return Ok(Origin::default());
        }
        let filters = self.filters.lock();
        if let Some((net, listing)) = filters.book.decides(addr) {
            let refused = match listing.list {
                List::BlackHole => Some("black_hole"),
                List::Deny if standing == Standing::New => Some("denied"),
                List::Deny | List::Allow => None,
            };
            let refused = refused.filter(|_| !is_real);
            return Ok(Origin::of_list(self.view_of(net, listing)?, refused));
        }
        let rule = match addr.is_link_local() {
            true => None,
            false => self.forged(&filters, addr, sender.port),
        };
        Ok(rule.map_or_else(Origin::default, Origin::of_rule))
    }

    /// The rule that takes `addr` for forged where it comes in through `port`.
    fn forged(&self, filters: &Filters, addr: Addr, port: u16) -> Option<DecidingRule> {
        let rules = &filters.rules;
        let holds_here = |ports: u32| ports & 1 << port != 0;
        let (interface, _) = self.facts.interfaces.get(usize::from(port))?;
        let name = || interface.name.clone();
        let bogons = filters.bogons.iter().filter(|net| net.has(addr));
        let bogon = bogons.max_by_key(|net| net.bits);
        if let Some(net) = bogon.filter(|_| holds_here(rules.bogons)) {
            return Some(DecidingRule::Bogon {
                network: translate::prefix(*net),
                interface: name(),
            });
        }
        let strict = holds_here(rules.strict);
        if !strict && !holds_here(rules.loose) {
            return None;
        }
        match (self.way_back(addr, interface, port), strict) {
            (WayBack::Here | WayBack::Untold, _) | (WayBack::Elsewhere, false) => None,
            (_, true) => Some(DecidingRule::Strict { interface: name() }),
            (WayBack::Nowhere, false) => Some(DecidingRule::Loose { interface: name() }),
        }
    }

    /// Where an answer to `addr` would leave. That nobody has asked the neighbour yet is no matter.
    fn way_back(&self, addr: Addr, interface: &Interface, port: u16) -> WayBack {
        // The kernel looks for no way to what is of one link or none (`bpf_ipv6_fib_lookup`).
        if !addr.is_v4() && !addr.is_host() {
            return WayBack::Nowhere;
        }
        let version = if addr.is_v4() {
            Version::V4
        } else {
            Version::V6
        };
        let fib = self.shared.fib.load();
        if !is_forwarding(&fib, interface, version) {
            return WayBack::Untold;
        }
        let is_here = match fib.next_hop(addr, 0) {
            Ok(hop) => hop.port == port,
            Err(NoHop::Unresolved { ifindex, .. } | NoHop::Silent { ifindex, .. }) => {
                ifindex == interface.index
            }
            Err(NoHop::OtherInterface) => false,
            Err(NoHop::NoRoute | NoHop::Unreachable | NoHop::Local | NoHop::Down) => {
                return WayBack::Nowhere;
            }
        };
        match is_here {
            true => WayBack::Here,
            false => WayBack::Elsewhere,
        }
    }
}

/// Through which interface an answer would leave.
#[derive(Clone, Copy, Debug)]
enum WayBack {
    /// The one that was asked about.
    Here,
    Elsewhere,
    Nowhere,
    /// The kernel does not forward what comes in there, and does not say.
    Untold,
}
