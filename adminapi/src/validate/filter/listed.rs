//! What listings must look like.

use std::collections::HashMap;

use crate::error::Problem;
use crate::model::{FilterList, Listed, MAX_SPAN, NetworkQuery, StandingListing};

/// Judges a listing.
pub fn validate_listed(listing: &Listed) -> Vec<Problem> {
    let mut problems = Vec::new();
    if listing.network.length == 0 && listing.list == FilterList::BlackHole {
        let message = format!("{} would take nothing from anybody", listing.network);
        problems.push(Problem::new("/network", message, "use deny, or a network"));
    }
    if listing
        .seconds
        .is_some_and(|seconds| !(1..=MAX_SPAN).contains(&seconds))
    {
        let mend = format!("use 1 to {MAX_SPAN} seconds, or leave it out for ever");
        problems.push(Problem::new("/for", "is no time", mend));
    }
    let why = listing.why.as_deref().unwrap_or_default();
    if why.len() > Listed::MAX_WHY || why.chars().any(char::is_control) {
        let mend = format!("write one line of {} bytes at most", Listed::MAX_WHY);
        problems.push(Problem::new("/why", "is too long a reason", mend));
    }
    problems
}

/// Judges all networks that the API has listed.
pub fn validate_standing(listed: &[StandingListing]) -> Vec<Problem> {
    if listed.len() > Listed::MAX {
        let message = format!("{} networks are too many", listed.len());
        let mend = format!("list {} at most", Listed::MAX);
        return vec![Problem::new("", message, mend)];
    }
    let (mut problems, mut first) = (Vec::new(), HashMap::new());
    for (index, listing) in listed.iter().enumerate() {
        // Its time may have come, which is no mistake.
        let own = listing
            .at(0)
            .map_or_else(Vec::new, |listed| validate_listed(&listed));
        let own = own.into_iter().filter(|problem| problem.pointer != "/for");
        problems.extend(own.map(|problem| problem.below(&format!("/{index}"))));
        if let Some(first) = first.insert(listing.network, index) {
            let message = format!("{} is listed already", listing.network);
            let problem = Problem::new(format!("/{index}/network"), message, "list it once");
            problems.push(problem.with_other(format!("/{first}/network")));
        }
    }
    problems
}

/// Judges a question for listings.
pub fn validate_network_query(query: &NetworkQuery) -> Vec<Problem> {
    let most = NetworkQuery::MAX_LIMIT;
    let fits = (1..=most).contains(&query.limit);
    let problem = || Problem::new("/limit", "is no size of a page", format!("use 1 to {most}"));
    (!fits).then(problem).into_iter().collect()
}
