//! Filters that are to be: judged before anything is done, and told to the gate all of them or none.

use std::collections::BTreeMap;
use std::sync::Arc;

use adminapi::error::Result;
use adminapi::model::{Configuration, FilterRules, Prefix, StandingListing};
use tracing::{error, warn};

use super::{Filters, Revision, bogons_of, compile};
use crate::config;
use crate::control::publish::refused;
use crate::control::regions::{self, Numbers, Plan, Regional};
use crate::control::unix::unix_now;
use crate::control::{Director, limits, translate};
use crate::filter::{List, Listing, Rules};
use crate::region::{Atlas, Geography};
use crate::wire::Net;

/// Filters that are asked for. What is left out stays as it is.
#[derive(Debug, Default)]
pub(in crate::control) struct Filtering {
    /// All but the lists.
    rules: Option<FilterRules>,
    /// What is known of where networks are.
    atlas: Option<Arc<Atlas>>,
    /// The networks that the configuration file lists.
    configured: Option<BTreeMap<Net, List>>,
    /// The networks that the API has listed.
    listed: Option<Vec<StandingListing>>,
}

/// Rules that have been judged.
#[derive(Debug)]
pub(in crate::control) struct RulePlan {
    wanted: FilterRules,
    rules: Rules,
    regions: Plan,
}

/// Filters that have been judged. What is left out stays as it is.
#[derive(Debug, Default)]
pub(in crate::control) struct FilterPlan {
    pub(in crate::control) rules: Option<RulePlan>,
    configured: Option<BTreeMap<Net, List>>,
    listed: Option<Vec<StandingListing>>,
}

impl Filtering {
    /// Those of a configuration file, with the rules of `held`, if there are any, which somebody has
    /// taken before.
    ///
    /// # Errors
    /// A file that says where networks are and cannot be used.
    pub(in crate::control) fn of(
        wanted: &config::Filter,
        held: Option<&FilterRules>,
        director: &Director,
    ) -> Result<Self> {
        let rules = wanted.with_held(held);
        for name in rules.idly_wide() {
            warn!(
                "the limit {name:?} is per service, where prefix_v4 and prefix_v6 do nothing: leave them out"
            );
        }
        for name in rules.idle_limits() {
            warn!("the limit {name:?} counts nothing, since only TCP has SYNs: use packets");
        }
        let rules = rules.without_idle_limits().without_idle_widths();
        Ok(Self {
            atlas: director.newer_atlas(&rules)?,
            rules: Some(rules),
            configured: Some(wanted.listed.clone()),
            listed: None,
        })
    }

    /// Those of a configuration over the API.
    ///
    /// # Errors
    /// A file that says where networks are and cannot be used.
    pub(in crate::control) fn named(wanted: &Configuration, director: &Director) -> Result<Self> {
        let rules = wanted.filter.clone();
        let rules = rules.map(|rules| director.with_present_files(rules));
        let atlas = rules.as_ref().map(|rules| director.other_atlas(rules));
        Ok(Self {
            atlas: atlas.transpose()?.flatten(),
            rules,
            listed: wanted.listed.clone(),
            ..Self::default()
        })
    }
}

impl RulePlan {
    /// Judges rules, when the director has these interfaces, by port, and regions have these numbers
    /// now.
    ///
    /// # Errors
    /// What they name that is not there, or that the regions have too many networks.
    pub(in crate::control) fn of(
        wanted: FilterRules,
        interfaces: &[&str],
        numbers: &Numbers,
        atlas: Arc<Atlas>,
    ) -> Result<Self> {
        let regions = Regional::plan(numbers, &wanted, atlas)?;
        let rules = compile(interfaces, &wanted, &regions)?;
        Ok(Self {
            wanted,
            rules,
            regions,
        })
    }

    /// The numbers of regions.
    pub(in crate::control) fn numbers(&self) -> &Numbers {
        self.regions.numbers()
    }

    /// Where they are.
    pub(in crate::control) fn geography(&self) -> Geography {
        self.regions.geography()
    }
}

impl From<RulePlan> for FilterPlan {
    fn from(rules: RulePlan) -> Self {
        Self {
            rules: Some(rules),
            ..Self::default()
        }
    }
}

impl Filters {
    /// Whether the limits in force are those of a plan, by name, figures and regions.
    fn has_limits_of(&self, plan: &RulePlan) -> bool {
        self.wanted.limits == plan.wanted.limits && self.rules.limits == plan.rules.limits
    }

    /// What is in force of that which a plan says.
    fn present(&self, plan: &FilterPlan) -> FilterPlan {
        let rules = || RulePlan {
            wanted: self.wanted.clone(),
            rules: self.rules.clone(),
            regions: self.regional.as_planned(self.rules.regions),
        };
        let configured = || {
            let all = self.book.behind(None);
            let configured = all.filter(|(_, listing)| listing.configured);
            configured.map(|(net, l)| (net, l.list)).collect()
        };
        FilterPlan {
            rules: plan.rules.is_some().then(rules),
            configured: plan.configured.is_some().then(configured),
            listed: plan.listed.is_some().then(|| self.listed_by_api()),
        }
    }

    /// What the API has listed, in the order of the addresses.
    pub(in crate::control) fn listed_by_api(&self) -> Vec<StandingListing> {
        self.standing(|listing| !listing.configured && !listing.automatic)
    }

    /// Who is banned by himself.
    pub(in crate::control) fn banned(&self) -> Vec<StandingListing> {
        self.standing(|listing| listing.automatic)
    }

    /// What of both was listed lately.
    pub(in crate::control) fn revised(&self) -> (Vec<StandingListing>, Vec<StandingListing>) {
        let there = |net| Some((net, self.book.get(net)?));
        let there = self.book.revised().filter_map(there);
        let there = there.filter(|(_, listing)| !listing.configured);
        let (banned, listed): (Vec<_>, Vec<_>) = there.partition(|(_, listing)| listing.automatic);
        let written = |listings: Vec<(Net, &Listing)>| {
            let listings = listings.into_iter();
            listings
                .map(|(net, listing)| standing(net, listing))
                .collect()
        };
        (written(listed), written(banned))
    }

    fn standing(&self, is_wanted: impl Fn(&Listing) -> bool) -> Vec<StandingListing> {
        let all = self.book.behind(None);
        let wanted = all.filter(|(_, listing)| is_wanted(listing));
        wanted
            .map(|(net, listing)| standing(net, listing))
            .collect()
    }

    /// Grows with each change of the lists, and so with each offender: he comes on one.
    pub(in crate::control) const fn changes(&self) -> u64 {
        self.book.changes()
    }
}

/// A listing of the configuration file.
const fn configured(list: List) -> Listing {
    Listing {
        list,
        until: None,
        why: None,
        configured: true,
        automatic: false,
    }
}

fn standing(net: Net, listing: &Listing) -> StandingListing {
    StandingListing {
        network: translate::prefix(net),
        list: translate::api_list(listing.list),
        until: listing.until.map(|end| end.unix),
        why: listing.why.as_deref().map(str::to_owned),
    }
}

impl Director {
    /// Judges filters.
    pub(in crate::control) fn plan_filters(&self, wanted: &Filtering) -> Result<FilterPlan> {
        let rules = self.wanted_rules(wanted);
        let rules = rules.map(|(rules, atlas)| self.plan_rules(rules, atlas));
        Ok(FilterPlan {
            rules: rules.transpose()?,
            configured: wanted.configured.clone(),
            listed: wanted.listed.clone(),
        })
    }

    /// The rules and the atlas that are wanted, if one of them is another than now.
    fn wanted_rules(&self, wanted: &Filtering) -> Option<(FilterRules, Arc<Atlas>)> {
        let filters = self.filters.lock();
        let rules = wanted.rules.as_ref().unwrap_or(&filters.wanted);
        let is_other = *rules != filters.wanted || wanted.atlas.is_some();
        let atlas = wanted.atlas.as_ref().unwrap_or(&filters.regional.atlas);
        is_other.then(|| (rules.clone(), Arc::clone(atlas)))
    }

    /// Judges rules.
    pub(in crate::control) fn plan_rules(
        &self,
        wanted: FilterRules,
        atlas: Arc<Atlas>,
    ) -> Result<RulePlan> {
        let numbers = self.filters.lock().regional.numbers_to_keep().clone();
        RulePlan::of(wanted, &self.interface_names(), &numbers, atlas)
    }

    /// Tells the gate all of a plan or nothing; what was in force. Where regions are is for the pool
    /// to hear next.
    pub(in crate::control) fn swap_filters(&self, plan: FilterPlan) -> Result<FilterPlan> {
        let former = self.filters.lock().present(&plan);
        match self.tell_filters(plan) {
            Ok(()) => Ok(former),
            Err(error) => {
                self.swap_filters_back(former);
                Err(error)
            }
        }
    }

    /// Brings back what has been in force before, and has fitted.
    pub(in crate::control) fn swap_filters_back(&self, former: FilterPlan) {
        if let Err(error) = self.tell_filters(former) {
            error!(%error, "the filters are not what they were before a change that was refused");
        }
    }

    fn tell_filters(&self, plan: FilterPlan) -> Result<()> {
        if let Some(rules) = plan.rules {
            self.tell_rules(rules)?;
        }
        if let Some(configured) = &plan.configured {
            self.list_configured(configured)?;
        }
        match &plan.listed {
            Some(listed) => self.list_by_api(listed),
            None => Ok(()),
        }
    }

    fn tell_rules(&self, plan: RulePlan) -> Result<()> {
        let mut filters = self.filters.lock();
        let gate = self.gate.filters();
        let are_limits_there = filters.has_limits_of(&plan);
        let old = regions::enter(gate, &mut filters.regional, plan.regions)?;
        let bogons = bogons_of(&plan.wanted);
        gate.set_bogons(&filters.bogons, &bogons).map_err(refused)?;
        match are_limits_there {
            // Neither their buckets nor what was over them begins anew.
            true => gate.set_known(&plan.rules, filters.known()),
            false => {
                // Until they are told, the gate may have a part of them.
                filters.rules.limits.clear();
                gate.set_rules(&plan.rules, filters.known())
            }
        }
        .map_err(refused)?;
        if !are_limits_there {
            let limits = plan.rules.limits_of_workers();
            let limits = limits.map(|(number, limit)| (number, *limit));
            self.shared.pool.load().paces().set(limits);
        }
        if filters.wanted.connections != plan.wanted.connections {
            let crowds = plan.wanted.connections.iter().map(limits::crowd);
            let pool = self.shared.pool.load();
            pool.crowds().set(crowds.collect(), &self.shared.table);
        }
        filters.rules = plan.rules;
        filters.bogons = bogons;
        filters.wanted = plan.wanted;
        filters.rule_changes += 1;
        self.end_lost(&filters);
        regions::leave(gate, &old, &filters.regional)
    }

    /// Makes the networks that the configuration file lists these. What the API has listed stays as
    /// it is.
    fn list_configured(&self, wanted: &BTreeMap<Net, List>) -> Result<()> {
        let filters = &mut *self.filters.lock();
        let is_gone =
            |(net, listing): &(Net, &Listing)| listing.configured && !wanted.contains_key(net);
        let gone: Vec<_> = filters.book.behind(None).filter(is_gone).collect();
        let gone: Vec<_> = gone.into_iter().map(|(net, _)| net).collect();
        let is_new = |net: &Net, list: &List| {
            let there = filters.book.get(*net);
            let gives_way =
                |there: &Listing| there.automatic || there.configured && there.list != *list;
            there.is_none_or(gives_way)
        };
        let new = wanted.iter().filter(|(net, list)| is_new(net, list));
        let new: Vec<_> = new.map(|(net, list)| (*net, *list)).collect();
        self.revise(filters, |lists| {
            for net in gone {
                lists.remove(net)?;
            }
            for (net, list) in new {
                lists.put(net, configured(list))?;
            }
            Ok(())
        })
    }

    /// Makes what the API has listed this.
    fn list_by_api(&self, wanted: &[StandingListing]) -> Result<()> {
        let filters = &mut *self.filters.lock();
        let present = filters.listed_by_api();
        let by_network = |listed: &[StandingListing]| -> BTreeMap<Prefix, StandingListing> {
            let named = listed.iter().map(|one| (one.network, one.clone()));
            named.collect()
        };
        let (present, wanted) = (by_network(&present), by_network(wanted));
        let is_new = |listing: &&StandingListing| present.get(&listing.network) != Some(listing);
        self.revise(filters, |lists| {
            for gone in present.keys().filter(|net| !wanted.contains_key(net)) {
                lists.remove(translate::net(*gone))?;
            }
            self.list_again(lists, wanted.values().filter(is_new))
        })
    }

    /// Lists networks as far as their time has not come.
    fn list_again<'l>(
        &self,
        lists: &mut Revision<'_>,
        listed: impl Iterator<Item = &'l StandingListing>,
    ) -> Result<()> {
        let now = unix_now();
        for wanted in listed {
            let Some((net, mut listing)) = wanted.at(now).map(|left| self.listing(&left)) else {
                continue;
            };
            // What is left was taken from it, and not the other way round.
            if let (Some(end), Some(unix)) = (&mut listing.until, wanted.until) {
                end.unix = unix;
            }
            lists.put(net, listing)?;
        }
        Ok(())
    }

    /// Lists the networks that a former director had listed, those that are not listed now.
    pub(in crate::control) fn list_as_before(&self, listed: &[StandingListing]) -> Result<()> {
        let filters = &mut *self.filters.lock();
        let is_missing = |listing: &&StandingListing| {
            let there = filters.book.get(translate::net(listing.network));
            there.is_none_or(|there| there.configured)
        };
        let missing: Vec<_> = listed.iter().filter(is_missing).collect();
        self.revise(filters, |lists| self.list_again(lists, missing.into_iter()))
    }
}
