//! `bulwark filter`, `bulwark ban` and `bulwark unban`: whose packets are taken.

use adminapi::Client;
use adminapi::model::{
    Filter, FilterList, FilterRules, LimitOf, LimitPer, Listed, ListedView, NetworkQuery, Prefix,
    RateLimit, Region, ServiceId, span,
};
use clap::{Args, Subcommand, ValueEnum};

use super::defense::utc;
use super::{Said, json};
use crate::director::DirectorError;

#[derive(Debug, Args)]
pub(super) struct Line {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Shows what is filtered, and how much it was.
    Show,
    /// Lists the networks that are on a list.
    List {
        /// Those of one list only.
        #[arg(value_enum)]
        list: Option<ListName>,
    },
    /// Puts a network on a list.
    Add(Entry),
    /// Takes a network off its list.
    Remove {
        /// 203.0.113.0/24, 2001:db8::1.
        network: Prefix,
    },
    /// Drops what comes from bogons through an interface: networks that are not on the internet.
    Bogons {
        /// The director's interface.
        interface: String,
        /// Whether it does.
        #[arg(value_enum)]
        switch: Switch,
    },
    /// Drops what comes through an interface from where no answer would go.
    ReversePath {
        /// The director's interface.
        interface: String,
        /// strict: answers must leave through the same interface; loose: through any.
        #[arg(value_enum)]
        check: Check,
    },
    /// Sets a limit, or changes the one of this name.
    Limit(Limit),
    /// Takes a limit away.
    Unlimit {
        /// Its name.
        name: String,
    },
    /// Sets a region, or changes the one of this name: countries and autonomous systems.
    Region(RegionLine),
    /// Takes a region away.
    Unregion {
        /// Its name.
        name: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ListName {
    Allow,
    Deny,
    BlackHole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Check {
    Strict,
    Loose,
    Off,
}

#[derive(Debug, Args)]
struct Entry {
    /// allow: passes all filters; deny: opens no connections; black-hole: nothing of it is taken.
    #[arg(value_enum)]
    list: ListName,
    #[command(flatten)]
    network: Network,
}

/// A network that is listed for a while.
#[derive(Debug, Args)]
pub(super) struct Network {
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
pub(super) struct Unban {
    /// 203.0.113.0/24, 2001:db8::1.
    network: Prefix,
}

#[derive(Debug, Args)]
struct Limit {
    /// What it is called.
    name: String,
    /// What it counts.
    #[arg(long, value_enum)]
    of: Counted,
    /// What has a share of its own.
    #[arg(long, value_enum)]
    per: Sharing,
    /// So many a second.
    #[arg(long, value_name = "NUMBER")]
    rate: u32,
    /// So many at once; as many as in a second when left out.
    #[arg(long, value_name = "NUMBER")]
    burst: Option<u32>,
    /// Bits that make one IPv4 source.
    #[arg(long, value_name = "BITS", default_value_t = RateLimit::all_v4())]
    prefix_v4: u8,
    /// Bits that make one IPv6 source.
    #[arg(long, value_name = "BITS", default_value_t = RateLimit::link_v6())]
    prefix_v6: u8,
    /// To this service only: tcp:192.0.2.10:80.
    #[arg(long, value_name = "SERVICE")]
    service: Option<ServiceId>,
    /// From this region only.
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
}

#[derive(Debug, Args)]
struct RegionLine {
    /// What it is called.
    name: String,
    /// Countries, by the two letters of ISO 3166-1: DE,FR.
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    countries: Vec<String>,
    /// Continents: AF, AN, AS, EU, NA, OC, SA.
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    continents: Vec<String>,
    /// Autonomous systems, by number.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    asns: Vec<u32>,
    /// All but those.
    #[arg(long)]
    outside: bool,
    /// What is done with its packets for services: deny or black-hole.
    #[arg(long, value_enum)]
    list: Option<ListName>,
}

impl RegionLine {
    fn to_model(&self) -> Region {
        Region {
            name: self.name.clone(),
            countries: self.countries.clone(),
            continents: self.continents.clone(),
            asns: self.asns.clone(),
            outside: self.outside,
            list: self.list.map(Into::into),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Counted {
    Packets,
    Syns,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sharing {
    Source,
    Service,
}

fn seconds(text: &str) -> Result<u32, String> {
    span(text).ok_or_else(|| format!("{text:?} is not a time as in 90s, 15m or 2h, up to 31d"))
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

impl Limit {
    fn to_model(&self) -> RateLimit {
        RateLimit {
            name: self.name.clone(),
            of: match self.of {
                Counted::Packets => LimitOf::Packets,
                Counted::Syns => LimitOf::Syns,
            },
            per: match self.per {
                Sharing::Source => LimitPer::Source,
                Sharing::Service => LimitPer::Service,
            },
            rate: self.rate,
            burst: self.burst,
            prefix_v4: self.prefix_v4,
            prefix_v6: self.prefix_v6,
            service: self.service,
            region: self.region.clone(),
        }
    }
}

/// Does what the line says.
pub(super) async fn run(
    line: &Line,
    director: &Client,
    as_json: bool,
) -> Result<Said, DirectorError> {
    match &line.what {
        None | Some(What::Show) => {
            let filter = director.filter().await?;
            let text = match as_json {
                true => json(&filter),
                false => text(&filter),
            };
            Ok(text.into())
        }
        Some(What::List { list }) => {
            let listings = all(director, list.map(Into::into)).await?;
            let text = match as_json {
                true => json(&listings),
                false => listings.iter().map(line_of).collect(),
            };
            Ok(text.into())
        }
        Some(What::Add(entry)) => {
            let listing = entry.network.on(entry.list.into());
            director.put_network(&listing).await?;
            Ok(Said::default())
        }
        Some(What::Remove { network }) => {
            director.remove_network(*network).await?;
            Ok(Said::default())
        }
        Some(change) => {
            let mut rules = director.filter().await?.rules;
            let mut said = Said::default();
            match changed(&mut rules, change) {
                Ok(()) => drop(director.put_filter(&rules).await?),
                Err(problem) => said.fail(&problem),
            }
            Ok(said)
        }
    }
}

/// Takes nothing of a network any more.
pub(super) async fn ban(network: &Network, director: &Client) -> Result<Said, DirectorError> {
    let listing = network.on(FilterList::BlackHole);
    director.put_network(&listing).await?;
    Ok(Said::default())
}

/// Takes packets of a network again.
pub(super) async fn unban(line: &Unban, director: &Client) -> Result<Said, DirectorError> {
    director.remove_network(line.network).await?;
    Ok(Said::default())
}

fn changed(rules: &mut FilterRules, change: &What) -> Result<(), String> {
    match change {
        What::Bogons { interface, switch } => {
            set(&mut rules.bogons, interface, *switch == Switch::On);
        }
        What::ReversePath { interface, check } => {
            set(&mut rules.strict, interface, *check == Check::Strict);
            set(&mut rules.loose, interface, *check == Check::Loose);
        }
        What::Limit(limit) => {
            rules.limits.retain(|other| other.name != limit.name);
            rules.limits.push(limit.to_model());
        }
        What::Unlimit { name } => {
            let before = rules.limits.len();
            rules.limits.retain(|limit| limit.name != *name);
            return there_was(before > rules.limits.len(), "limit", name);
        }
        What::Region(region) => {
            rules.regions.retain(|other| other.name != region.name);
            rules.regions.push(region.to_model());
        }
        What::Unregion { name } => {
            let before = rules.regions.len();
            rules.regions.retain(|region| region.name != *name);
            return there_was(before > rules.regions.len(), "region", name);
        }
        What::Show | What::List { .. } | What::Add(_) | What::Remove { .. } => {}
    }
    Ok(())
}

fn there_was(one: bool, what: &str, name: &str) -> Result<(), String> {
    let missing = || format!("there is no {what} {name:?}; `bulwark filter` shows them");
    one.then_some(()).ok_or_else(missing)
}

fn set(names: &mut Vec<String>, name: &str, wanted: bool) {
    names.retain(|other| other != name);
    if wanted {
        names.push(name.to_owned());
    }
}

async fn all(
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

fn line_of(listing: &ListedView) -> String {
    let left = listing.left.map(|left| format!(", {left} s left"));
    let why = listing.why.as_ref().map(|why| format!(": {why}"));
    format!(
        "{:<10} {} ({} packets{}){}\n",
        listing.list.name(),
        listing.network,
        listing.packets,
        left.unwrap_or_default(),
        why.unwrap_or_default()
    )
}

fn text(filter: &Filter) -> String {
    let Filter {
        listed,
        rules,
        over,
        dropped,
        regions,
        atlas,
    } = filter;
    let mut text = String::new();
    for list in FilterList::ALL {
        let networks = listed.get(&list).copied().unwrap_or(0);
        text += &format!("{:<13}{networks} networks\n", list.name());
    }
    for (name, interfaces) in [
        ("bogons", &rules.bogons),
        ("strict", &rules.strict),
        ("loose", &rules.loose),
    ] {
        if !interfaces.is_empty() {
            text += &format!("{name:<13}{}\n", interfaces.join(" "));
        }
    }
    for limit in &rules.limits {
        let over = over.get(&limit.name).copied().unwrap_or(0);
        text += &format!("limit        {} ({over} over)\n", described(limit));
    }
    for region in &rules.regions {
        let known = regions.get(&region.name).copied().unwrap_or_default();
        let (networks, dropped) = (known.networks, known.dropped);
        let what = self::region(region);
        text += &format!("region       {what} ({networks} networks, {dropped} dropped)\n");
    }
    for file in atlas {
        let (kind, path, built) = (&file.kind, &file.path, utc(file.built));
        text += &format!("networks of  {path} ({kind}, {built})\n");
    }
    for (reason, packets) in dropped {
        text += &format!("dropped      {packets} {reason}\n");
    }
    text
}

fn described(limit: &RateLimit) -> String {
    let of = match limit.of {
        LimitOf::Packets => "packets",
        LimitOf::Syns => "syns",
    };
    let per = match limit.per {
        LimitPer::Source => format!("source /{} /{}", limit.prefix_v4, limit.prefix_v6),
        LimitPer::Service => "service".to_owned(),
    };
    let burst = limit.burst.unwrap_or(limit.rate);
    let service = limit.service.map(|id| format!(" to {id}"));
    let region = limit.region.as_ref().map(|name| format!(" from {name}"));
    format!(
        "{}: {} {of}/s per {per}{}{}, {burst} at once",
        limit.name,
        limit.rate,
        region.unwrap_or_default(),
        service.unwrap_or_default()
    )
}

fn region(region: &Region) -> String {
    let asns = region.asns.iter().map(|asn| format!("AS{asn}"));
    let named = region.countries.iter().chain(&region.continents).cloned();
    let named: Vec<String> = named.chain(asns).collect();
    let but = if region.outside { "all but " } else { "" };
    let list = region.list.map(|list| format!("{list} "));
    format!(
        "{}: {}{but}{}",
        region.name,
        list.unwrap_or_default(),
        named.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use adminapi::model::{AtlasFile, RegionUse};

    use super::*;

    fn limit(name: &str) -> RateLimit {
        RateLimit {
            name: name.to_owned(),
            of: LimitOf::Syns,
            per: LimitPer::Source,
            rate: 100,
            burst: None,
            prefix_v4: 24,
            prefix_v6: 64,
            service: Some("tcp:192.0.2.10:80".parse().unwrap()),
            region: Some("home".to_owned()),
        }
    }

    #[test]
    fn a_change_touches_what_it_names() {
        let mut rules = FilterRules {
            strict: vec!["eth0".to_owned(), "eth1".to_owned()],
            limits: vec![limit("a"), limit("b")],
            ..FilterRules::default()
        };
        let check = |interface: &str, check| What::ReversePath {
            interface: interface.to_owned(),
            check,
        };
        changed(&mut rules, &check("eth0", Check::Loose)).unwrap();
        assert_eq!((rules.strict.len(), rules.loose.len()), (1, 1));
        changed(&mut rules, &check("eth1", Check::Off)).unwrap();
        assert!(rules.strict.is_empty());
        let unlimit = |name: &str| What::Unlimit {
            name: name.to_owned(),
        };
        changed(&mut rules, &unlimit("a")).unwrap();
        assert_eq!(rules.limits, [limit("b")]);
        assert!(changed(&mut rules, &unlimit("a")).is_err());
    }

    #[test]
    fn filters_are_shown() {
        let filter = Filter {
            listed: [(FilterList::Deny, 2)].into(),
            rules: FilterRules {
                bogons: vec!["eth0".to_owned()],
                limits: vec![limit("a")],
                regions: vec![Region {
                    name: "home".to_owned(),
                    countries: vec!["DE".to_owned()],
                    asns: vec![64_500],
                    outside: true,
                    list: Some(FilterList::Deny),
                    ..Region::default()
                }],
                ..FilterRules::default()
            },
            regions: [(
                "home".to_owned(),
                RegionUse {
                    networks: 9,
                    dropped: 2,
                },
            )]
            .into(),
            atlas: vec![AtlasFile {
                path: "/c.mmdb".to_owned(),
                kind: "Country".to_owned(),
                built: 0,
            }],
            over: [("a".to_owned(), 7)].into(),
            dropped: [("bogon".to_owned(), 3)].into(),
        };
        assert_eq!(
            text(&filter),
            "allow        0 networks\n\
             deny         2 networks\n\
             black-hole   0 networks\n\
             bogons       eth0\n\
             limit        a: 100 syns/s per source /24 /64 from home to tcp:192.0.2.10:80, 100 at once (7 over)\n\
             region       home: deny all but DE AS64500 (9 networks, 2 dropped)\n\
             networks of  /c.mmdb (Country, 1970-01-01 00:00:00Z)\n\
             dropped      3 bogon\n"
        );
    }
}
