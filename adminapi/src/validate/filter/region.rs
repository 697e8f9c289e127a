//! What a region must look like.

use super::validate_name;
use crate::error::Problem;
use crate::model::{FilterList, Region};

pub(super) fn validate_region(region: &Region) -> Vec<Problem> {
    let mut problems = Vec::from_iter(validate_name(&region.name, Region::MAX_NAME));
    for (index, code) in region.countries.iter().enumerate() {
        if code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let message = format!("{code:?} is no country");
            let mend = "write two capitals, as in \"DE\"";
            problems.push(Problem::new(format!("/countries/{index}"), message, mend));
        }
    }
    for (index, code) in region.continents.iter().enumerate() {
        if !Region::CONTINENTS.contains(&code.as_str()) {
            let message = format!("{code:?} is no continent");
            let mend = format!("use {}", Region::CONTINENTS.join(", "));
            problems.push(Problem::new(format!("/continents/{index}"), message, mend));
        }
    }
    if region.list == Some(FilterList::Allow) {
        let mend = "use deny or black-hole, or leave it out";
        problems.push(Problem::new(
            "/list",
            "a region is not allowed as a whole",
            mend,
        ));
    }
    if region.countries.is_empty() && region.continents.is_empty() && region.asns.is_empty() {
        let mend = "name countries, continents or asns";
        problems.push(Problem::new("", "a region of nothing", mend));
    }
    problems
}
