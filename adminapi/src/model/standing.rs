//! Listings as a configuration has them: with the moment when they end, which stays the same
//! whenever it is read.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FilterList, Listed, Prefix};

/// A network that the API has listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"network": "203.0.113.0/24", "list": "deny", "until": 1795258579, "why": "a flood"}))]
pub struct StandingListing {
    /// The network.
    pub network: Prefix,
    /// What is done with its packets.
    pub list: FilterList,
    /// Until when, in seconds of Unix time; for ever when left out. One whose time has come is
    /// passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl StandingListing {
    /// What is to be asked for at `now`, in seconds of Unix time; nothing if its time has come.
    pub fn at(&self, now: u64) -> Option<Listed> {
        let left = self.until.map(|until| until.saturating_sub(now));
        let left = left.map(|left| u32::try_from(left).unwrap_or(u32::MAX));
        (left != Some(0)).then(|| Listed {
            network: self.network,
            list: self.list,
            seconds: left,
            why: self.why.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_less_with_time_and_then_nothing() {
        let listing = |until| StandingListing {
            network: "203.0.113.0/24".parse().unwrap(),
            list: FilterList::Deny,
            until,
            why: None,
        };
        let left = |until, now| listing(until).at(now).map(|listed| listed.seconds);
        assert_eq!(left(Some(100), 90), Some(Some(10)));
        assert_eq!(left(Some(100), 100), None);
        assert_eq!(left(Some(100), 101), None);
        assert_eq!(left(None, 101), Some(None));
    }
}
