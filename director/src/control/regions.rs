//! Regions: what the files and the rules say of them, told to the gate and to the pool.

mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use adminapi::error::Result;
use adminapi::model::{FilterList, FilterRules, MarkRule};
use adminapi::{ControlError, Problem};
use tracing::{info, warn};

use super::Director;
use super::events::EventKind;
use super::publish::refused;
use super::unix::unix_now;
use crate::filter::RegionRules;
use crate::gate::{Filters, GateError};
use crate::region::{Atlas, AtlasError, Chart, Geography, MAX_REGIONS, Regions, Territory};
use crate::wire::{Addr, Net};

pub(super) use shown::sheets;

/// The number of each region.
pub(super) type Numbers = BTreeMap<String, u8>;

/// What is known of regions now.
#[derive(Debug, Default)]
pub(super) struct Regional {
    pub(super) atlas: Arc<Atlas>,
    /// The networks that the gate has.
    chart: Arc<Chart>,
    /// The number of each region, which it keeps as long as it is there.
    pub(super) numbers: Numbers,
    /// Those that they had in another director, until this one has given some.
    former: Numbers,
    /// Whether it was told that a file is not taken.
    complained: bool,
}

/// What is to be known of regions.
#[derive(Debug)]
pub(super) struct Plan {
    atlas: Arc<Atlas>,
    chart: Arc<Chart>,
    numbers: Numbers,
    pub(super) rules: RegionRules,
}

impl Plan {
    /// The region of this name; none if nothing is named.
    ///
    /// # Errors
    /// That there is none, about `pointer`.
    pub(super) fn region(
        &self,
        name: Option<&str>,
        pointer: impl Fn() -> String,
    ) -> std::result::Result<Regions, Problem> {
        region(&self.numbers, name, pointer)
    }

    pub(super) const fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    pub(super) fn geography(&self) -> Geography {
        Geography {
            chart: Arc::clone(&self.chart),
            outside: self.rules.outside,
        }
    }
}

/// The region of this name; none if nothing is named.
///
/// # Errors
/// That there is none, about `pointer`.
pub(super) fn region(
    numbers: &Numbers,
    name: Option<&str>,
    pointer: impl Fn() -> String,
) -> std::result::Result<Regions, Problem> {
    let Some(name) = name else {
        return Ok(Regions::default());
    };
    let missing = || {
        let message = format!("there is no region {name:?}");
        Problem::new(pointer(), message, "name one of [[filter.region]]")
    };
    let number = numbers.get(name).ok_or_else(missing)?;
    Ok(Regions::one(*number))
}

impl Regional {
    /// What `wanted` makes of it, with this atlas.
    pub(super) fn plan(numbers: &Numbers, wanted: &FilterRules, atlas: Arc<Atlas>) -> Result<Plan> {
        let numbers = numbered(numbers, wanted);
        ControlError::unless_valid(unknowable(wanted, &atlas))?;
        let mut rules = RegionRules::default();
        let mut territories = Vec::new();
        for region in &wanted.regions {
            let number = numbers[&region.name];
            let one = Regions::one(number);
            if region.outside {
                rules.outside = rules.outside.and(one);
            }
            match region.list {
                Some(FilterList::Deny) => rules.closed = rules.closed.and(one),
                Some(FilterList::BlackHole) => rules.sealed = rules.sealed.and(one),
                Some(FilterList::Allow) | None => {}
            }
            territories.push(Territory {
                number,
                countries: region.countries.clone(),
                continents: region.continents.clone(),
                asns: region.asns.clone(),
            });
        }
        let chart = atlas.chart(&territories).map_err(unfit)?;
        Ok(Plan {
            chart: Arc::new(chart),
            atlas,
            numbers,
            rules,
        })
    }

    /// What is known now, as a plan.
    pub(super) fn as_planned(&self, rules: RegionRules) -> Plan {
        Plan {
            atlas: Arc::clone(&self.atlas),
            chart: Arc::clone(&self.chart),
            numbers: self.numbers.clone(),
            rules,
        }
    }

    /// The numbers that regions are to keep.
    pub(super) fn numbers_to_keep(&self) -> &Numbers {
        match self.numbers.is_empty() {
            true => &self.former,
            false => &self.numbers,
        }
    }

    /// Of which families there are networks.
    pub(super) fn families(&self) -> [bool; 2] {
        self.chart.families().map(|networks| networks > 0)
    }

    /// Whether an address is in a region of which nothing is taken.
    pub(super) fn seals(&self, addr: Addr, rules: &RegionRules) -> bool {
        self.regions_of(addr, rules).meets(rules.sealed)
    }

    /// Whether an address is in a region of which no datagrams are taken.
    pub(super) fn closes(&self, addr: Addr, rules: &RegionRules) -> bool {
        let refused = rules.closed.and(rules.sealed);
        self.regions_of(addr, rules).meets(refused)
    }

    fn regions_of(&self, addr: Addr, rules: &RegionRules) -> Regions {
        let geography = Geography {
            chart: Arc::clone(&self.chart),
            outside: rules.outside,
        };
        geography.regions_of(addr)
    }

    fn names(&self, regions: Regions) -> Vec<String> {
        let among = |(_, number): &(&String, &u8)| Regions::one(**number).meets(regions);
        let named = self.numbers.iter().filter(among);
        named.map(|(name, _)| name.clone()).collect()
    }
}

/// Those that were there keep their numbers; those that come get such as nobody has had just now.
fn numbered(old: &Numbers, wanted: &FilterRules) -> Numbers {
    let names: Vec<&String> = wanted.regions.iter().map(|region| &region.name).collect();
    let mut numbers = old.clone();
    numbers.retain(|name, _| names.contains(&name));
    let had: BTreeSet<u8> = old.values().copied().collect();
    for name in names {
        if numbers.contains_key(name) {
            continue;
        }
        let taken: BTreeSet<u8> = numbers.values().copied().collect();
        let fresh = (0..MAX_REGIONS).find(|n| !taken.contains(n) && !had.contains(n));
        let free = || (0..MAX_REGIONS).find(|n| !taken.contains(n));
        // Validation has refused more than there are numbers.
        if let Some(number) = fresh.or_else(free) {
            numbers.insert(name.clone(), number);
        }
    }
    numbers
}

/// Regions that no file says anything about.
fn unknowable(wanted: &FilterRules, atlas: &Atlas) -> Vec<Problem> {
    let files = atlas.files();
    let mut problems = Vec::new();
    for (index, region) in wanted.regions.iter().enumerate() {
        let mut lacks = |field: &str, key: &str| {
            problems.push(Problem::new(
                format!("/regions/{index}/{field}"),
                "no file says where they are",
                format!("set {key}"),
            ));
        };
        if files.country.is_none() && !region.countries.is_empty() {
            lacks("countries", "country_file");
        }
        if files.country.is_none() && !region.continents.is_empty() {
            lacks("continents", "country_file");
        }
        if files.asn.is_none() && !region.asns.is_empty() {
            lacks("asns", "asn_file");
        }
    }
    problems
}

fn unfit(error: AtlasError) -> ControlError {
    ControlError::Limit(error.to_string())
}

/// Tells the gate of what is in `new` and not in `old`.
fn add(gate: &Filters, old: &Chart, new: &Chart) -> std::result::Result<(), GateError> {
    let old = old.networks();
    let news = new.networks().iter();
    for (net, regions) in news.filter(|one| old.binary_search(one).is_err()) {
        gate.set_regions(*net, Some(*regions))?;
    }
    Ok(())
}

/// Takes from the gate what `new` has no more.
fn remove(gate: &Filters, old: &Chart, new: &Chart) -> std::result::Result<(), GateError> {
    let is_gone = |net: &Net| {
        let found = new.networks().binary_search_by_key(net, |(net, _)| *net);
        found.is_err()
    };
    let gone = old.networks().iter().filter(|(net, _)| is_gone(net));
    for (net, _) in gone {
        gate.set_regions(*net, None)?;
    }
    Ok(())
}

impl Director {
    /// Makes the filters besides the lists what `wanted` says. Files that it names are read first.
    pub(super) fn change_filter(&self, wanted: FilterRules) -> Result<()> {
        let wanted = self.with_present_files(wanted);
        let named = self.other_atlas(&wanted)?;
        self.set_filter(|_, atlas| (wanted, named.unwrap_or_else(|| Arc::clone(atlas))))
    }

    /// Makes the filters besides the lists, and the atlas, what `change` makes of the present ones.
    fn set_filter(
        &self,
        change: impl FnOnce(&FilterRules, &Arc<Atlas>) -> (FilterRules, Arc<Atlas>),
    ) -> Result<()> {
        // Held to the end: no mark is to name a region that goes, and nobody else is to set another
        // filter meanwhile.
        let marks = self.rules.lock();
        let (wanted, atlas) = {
            let present = self.filters.lock();
            change(&present.wanted, &present.regional.atlas)
        };
        let plan = self.plan_rules(wanted, atlas)?;
        ControlError::unless_valid(orphaned(&marks, plan.numbers()))?;
        let geography = plan.geography();
        self.swap_filters(plan.into())?;
        self.change(|pool, _| {
            pool.set_geography(geography);
            Ok(())
        })
    }

    /// The numbers that regions have now.
    pub(super) fn region_numbers(&self) -> Numbers {
        self.filters.lock().regional.numbers.clone()
    }

    /// Has regions keep the numbers that they had in another director: by these the buckets of its limits
    /// are told apart, with which this one goes on.
    pub fn number_regions(&self, former: &Numbers) {
        let numbers = former.iter().filter(|(_, number)| **number < MAX_REGIONS);
        let numbers = numbers.map(|(name, number)| (name.clone(), *number));
        self.filters.lock().regional.former = numbers.collect();
    }

    /// Whether a file that says where networks are has changed since it was read.
    pub fn has_old_atlas(&self) -> bool {
        let atlas = Arc::clone(&self.filters.lock().regional.atlas);
        atlas.is_outdated()
    }

    /// Reads the files anew that say where networks are. What cannot be used leaves all as it is.
    pub fn renew_atlas(&self) {
        let files = self.filters.lock().regional.atlas.files().clone();
        let renewed = Atlas::open(&files).map_err(unfit);
        let renewed = renewed.and_then(|atlas| {
            // That takes a while, in which somebody may have named other files or rules.
            self.set_filter(|wanted, there| {
                let atlas = match *there.files() == files {
                    true => Arc::new(atlas),
                    false => Arc::clone(there),
                };
                (wanted.clone(), atlas)
            })
        });
        let message = match renewed {
            Ok(()) => {
                let networks = self.filters.lock().regional.chart.networks().len();
                let message = format!("read anew: {networks} networks are in regions");
                info!("{message}");
                message
            }
            Err(error) => {
                let complained = &mut self.filters.lock().regional.complained;
                if std::mem::replace(complained, true) {
                    return;
                }
                let message = format!("not read anew, what was read before holds: {error}");
                warn!("{message}");
                message
            }
        };
        let mut watch = self.watch.lock();
        watch
            .events
            .add(unix_now(), EventKind::Regions, None, message);
    }
}

/// Tells the gate where the regions of a plan are, beside those of before, which are returned.
pub(super) fn enter(gate: &Filters, regional: &mut Regional, plan: Plan) -> Result<Arc<Chart>> {
    let old = Arc::clone(&regional.chart);
    if let Err(error) = add(gate, &old, &plan.chart) {
        // What does not fit goes; what was there comes back.
        let _ = remove(gate, &plan.chart, &old).and_then(|()| add(gate, &plan.chart, &old));
        return Err(refused(error));
    }
    for (name, number) in &plan.numbers {
        if regional.numbers.get(name) != Some(number) {
            gate.zero_region(*number).map_err(refused)?;
        }
    }
    *regional = Regional {
        atlas: plan.atlas,
        chart: plan.chart,
        numbers: plan.numbers,
        former: Numbers::new(),
        complained: false,
    };
    Ok(old)
}

/// Takes from the gate what there is no more.
pub(super) fn leave(gate: &Filters, old: &Chart, regional: &Regional) -> Result<()> {
    remove(gate, old, &regional.chart).map_err(refused)
}

/// Rules of marks whose region would be gone.
pub(super) fn orphaned(marks: &[MarkRule], numbers: &Numbers) -> Vec<Problem> {
    let named = marks.iter().filter_map(|rule| {
        let orphan = region(numbers, rule.region.as_deref(), || "/regions".to_owned());
        orphan.err().map(|problem| (rule, problem))
    });
    let told = |(rule, problem): (&MarkRule, Problem)| Problem {
        message: format!(
            "{}, but the rule of mark {} names it",
            problem.message, rule.mark
        ),
        mend: "change the rule first".to_owned(),
        ..problem
    };
    named.map(told).collect()
}

#[cfg(test)]
mod tests {
    use adminapi::model;

    use super::*;

    fn rules(names: &[&str]) -> FilterRules {
        let region = |name: &&str| model::Region {
            name: (*name).to_owned(),
            ..model::Region::default()
        };
        FilterRules {
            regions: names.iter().map(region).collect(),
            ..FilterRules::default()
        }
    }

    #[test]
    fn a_region_keeps_its_number_and_leaves_it_to_nobody_at_once() {
        let first = numbered(&BTreeMap::new(), &rules(&["a", "b"]));
        assert_eq!((first["a"], first["b"]), (0, 1));
        let second = numbered(&first, &rules(&["b", "c"]));
        assert_eq!((second["b"], second["c"]), (1, 2));
        let names: Vec<String> = (0..31).map(|n| format!("r{n}")).collect();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.push("c");
        let third = numbered(&second, &rules(&names));
        let numbers: BTreeSet<u8> = third.values().copied().collect();
        assert_eq!((numbers.len(), third["c"]), (32, 2));
    }

    #[test]
    fn a_region_without_a_file_is_refused() {
        let mut wanted = rules(&["a"]);
        wanted.regions[0].asns = vec![64_500];
        let problems = unknowable(&wanted, &Atlas::default());
        assert_eq!(problems[0].pointer, "/regions/0/asns");
        assert_eq!(problems[0].mend, "set asn_file");
    }
}
