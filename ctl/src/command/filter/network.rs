//! Networks that are on a list.

use adminapi::Client;
use adminapi::model::{FilterList, Listed, ListedView, NetworkQuery, Prefix};
use clap::{Args, ValueEnum};

use super::Said;
use crate::command::value::seconds;
use crate::director::DirectorError;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ListName {
    Allow,
    Deny,
    BlackHole,
}

impl From<ListName> for FilterList {
    fn from(list: ListName) -> Self {
        match list {
            ListName::Allow => Self::Allow,
            ListName::Deny => Self::Deny,
            ListName::BlackHole => Self::BlackHole,
        }
    }
}

/// A list that keeps somebody out.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Refusal {
    Deny,
    BlackHole,
}

impl From<Refusal> for FilterList {
    fn from(list: Refusal) -> Self {
        match list {
            Refusal::Deny => Self::Deny,
            Refusal::BlackHole => Self::BlackHole,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Entry {
    /// allow: passes all filters; deny: opens no connections; black-hole: nothing of it is taken.
    #[arg(value_enum)]
    list: ListName,
    #[command(flatten)]
    network: Network,
}

/// The networks that are not on the internet.
#[derive(Debug, Args)]
pub(super) struct Bogons {
    /// They, all of them: 10.0.0.0/8 fc00::/7.
    #[arg(required_unless_present = "built_in", conflicts_with = "built_in")]
    networks: Vec<Prefix>,
    /// Those of RFC 6890 and its registries.
    #[arg(long)]
    built_in: bool,
}

impl Bogons {
    pub(super) fn to_model(&self) -> Option<Vec<Prefix>> {
        (!self.built_in).then(|| self.networks.clone())
    }
}

/// A network that is listed for a while.
#[derive(Debug, Args)]
pub(crate) struct Network {
    /// 203.0.113.0/24, 2001:db8::1.
    network: Prefix,
    /// For how long: 90s, 10m, 2h, 1d; for ever when left out.
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    seconds: Option<u32>,
    /// Why, for whoever finds it later.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Unban {
    /// 203.0.113.0/24, 2001:db8::1.
    network: Prefix,
}

impl Entry {
    pub(super) fn to_model(&self) -> Listed {
        self.network.on(self.list.into())
    }
}

impl Network {
    fn on(&self, list: FilterList) -> Listed {
        Listed {
            network: self.network,
            list,
            seconds: self.seconds,
            why: self.why.clone(),
        }
    }
}

/// Takes nothing of a network any more.
pub(crate) async fn ban(network: &Network, director: &Client) -> Result<Said, DirectorError> {
    let listing = network.on(FilterList::BlackHole);
    director.put_network(&listing).await?;
    Ok(Said::default())
}

/// Takes packets of a network again.
pub(crate) async fn unban(line: &Unban, director: &Client) -> Result<Said, DirectorError> {
    director.remove_network(line.network).await?;
    Ok(Said::default())
}

/// Every network that is on `list`, or on any.
pub(super) async fn all(
    director: &Client,
    list: Option<FilterList>,
) -> Result<Vec<ListedView>, DirectorError> {
    let mut query = NetworkQuery {
        list,
        limit: NetworkQuery::MAX_LIMIT,
        cursor: None,
    };
    let mut listings = Vec::new();
    loop {
        let page = director.listed_networks(&query).await?;
        listings.extend(page.listings);
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok(listings),
        }
    }
}
