//! What listings and the other filters must look like.

mod limit;
mod listed;
mod region;

use std::collections::HashSet;

use crate::error::Problem;
use crate::model::{ConnectionLimit, FilterRules, RateLimit, Region};

pub use listed::{validate_listed, validate_network_query, validate_standing};

use limit::{validate_crowd, validate_limit};
use region::validate_region;

/// Judges what is filtered besides the lists.
pub fn validate_filter_rules(rules: &FilterRules) -> Vec<Problem> {
    let mut problems = Vec::new();
    let bogons = rules.bogon_networks.as_deref().unwrap_or_default();
    if bogons.len() > FilterRules::MAX_BOGONS {
        let mend = format!("use {} at most", FilterRules::MAX_BOGONS);
        let message = format!("{} bogons are too many", bogons.len());
        problems.push(Problem::new("/bogon_networks", message, mend));
    }
    for (index, name) in rules.loose.iter().enumerate() {
        if rules.strict.contains(name) {
            let message = format!("{name:?} is checked strictly already");
            let problem = Problem::new(format!("/loose/{index}"), message, "name it once");
            problems.push(problem.with_other("/strict"));
        }
    }
    let mut names = HashSet::new();
    problems.extend(validate_each(&rules.limits, &mut names));
    problems.extend(validate_each(&rules.connections, &mut names));
    problems.extend(validate_regions(rules));
    problems
}

/// What rules have lists of.
trait Named {
    /// Where the list stands.
    const LIST: &'static str;
    const KIND: &'static str;
    const MOST: usize;

    fn name(&self) -> &str;

    fn judge(&self) -> Vec<Problem>;
}

impl Named for RateLimit {
    const LIST: &'static str = "/limits";
    const KIND: &'static str = "limit";
    const MOST: usize = Self::MAX;

    fn name(&self) -> &str {
        &self.name
    }

    fn judge(&self) -> Vec<Problem> {
        validate_limit(self)
    }
}

impl Named for ConnectionLimit {
    const LIST: &'static str = "/connections";
    const KIND: &'static str = "limit";
    const MOST: usize = RateLimit::MAX;

    fn name(&self) -> &str {
        &self.name
    }

    fn judge(&self) -> Vec<Problem> {
        validate_crowd(self)
    }
}

impl Named for Region {
    const LIST: &'static str = "/regions";
    const KIND: &'static str = "region";
    const MOST: usize = Self::MAX;

    fn name(&self) -> &str {
        &self.name
    }

    fn judge(&self) -> Vec<Problem> {
        validate_region(self)
    }
}

/// Judges each of a list, whose names are not to be among `names`, to which they are added.
fn validate_each<'a, T: Named>(all: &'a [T], names: &mut HashSet<&'a str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if all.len() > T::MOST {
        let message = format!("{} {}s are too many", all.len(), T::KIND);
        let mend = format!("use {} at most", T::MOST);
        problems.push(Problem::new(T::LIST, message, mend));
    }
    for (index, one) in all.iter().enumerate() {
        let prefix = format!("{}/{index}", T::LIST);
        let own = one.judge().into_iter();
        problems.extend(own.map(|problem| problem.below(&prefix)));
        if !names.insert(one.name()) {
            let message = format!("{:?} is the name of another {}", one.name(), T::KIND);
            let pointer = format!("{prefix}/name");
            problems.push(Problem::new(pointer, message, "use another one"));
        }
    }
    problems
}

fn validate_regions(rules: &FilterRules) -> Vec<Problem> {
    let mut names = HashSet::new();
    let mut problems = validate_each(&rules.regions, &mut names);
    for (index, limit) in rules.limits.iter().enumerate() {
        let unknown = |name: &&String| !names.contains(name.as_str());
        if let Some(name) = limit.region.as_ref().filter(unknown) {
            let pointer = format!("/limits/{index}/region");
            let message = format!("there is no region {name:?}");
            problems.push(Problem::new(pointer, message, "name one of the regions"));
        }
    }
    problems
}

fn validate_name(name: &str, longest: usize) -> Option<Problem> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_name = (1..=longest).contains(&name.len()) && name.chars().all(is_plain);
    let mend = || format!("use letters, digits, - and _, {longest} at most");
    (!is_name).then(|| Problem::new("/name", "is no name", mend()))
}

#[cfg(test)]
mod tests;
