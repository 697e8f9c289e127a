//! What the filters look like.

use adminapi::model::{
    BanPolicy, ConnectionLimit, Filter, FilterList, LimitPer, ListedView, Prefix, RateLimit, Region,
};

use crate::command::defense::utc;

/// The line of a network.
pub(super) fn listed(listing: &ListedView) -> String {
    let left = listing.left.map(|left| format!(", {left} s left"));
    let why = listing.why.as_ref().map(|why| format!(": {why}"));
    let by_itself = if listing.automatic { ", by itself" } else { "" };
    format!(
        "{:<10} {} ({} packets{}{by_itself}){}\n",
        listing.list.name(),
        listing.network,
        listing.packets,
        left.unwrap_or_default(),
        why.unwrap_or_default()
    )
}

/// All that is filtered, and how much it was.
pub(super) fn whole(filter: &Filter) -> String {
    let Filter {
        listed,
        rules,
        banned,
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
    if *banned > 0 {
        text += &format!("banned       {banned} of them by themselves\n");
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
    if let Some(networks) = &rules.bogon_networks {
        text += &format!("bogons are   {}\n", some_of(networks));
    }
    for limit in &rules.limits {
        let over = over.get(&limit.name).copied().unwrap_or(0);
        text += &format!("limit        {} ({over} over)\n", described(limit));
    }
    for limit in &rules.connections {
        let over = over.get(&limit.name).copied().unwrap_or(0);
        text += &format!("limit        {} ({over} refused)\n", crowd(limit));
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

/// The first of networks, and how many more there are.
fn some_of(networks: &[Prefix]) -> String {
    const SHOWN: usize = 8;
    let mut words: Vec<String> = networks.iter().take(SHOWN).map(Prefix::to_string).collect();
    match networks.len().saturating_sub(SHOWN) {
        0 if words.is_empty() => words.push("none".to_owned()),
        0 => {}
        more => words.push(format!("and {more} more")),
    }
    words.join(" ")
}

fn described(limit: &RateLimit) -> String {
    let of = limit.of.name();
    let per = sharing(limit.per, limit.prefix_v4, limit.prefix_v6);
    let burst = limit.burst.unwrap_or(limit.rate);
    let service = limit.service.map(|id| format!(" to {id}"));
    let region = limit.region.as_ref().map(|name| format!(" from {name}"));
    let ban = limit.ban.map(|ban| {
        let BanPolicy {
            over,
            within,
            first,
            longest,
            list,
        } = ban;
        format!("; {over} over in {within} s: {list} for {first} to {longest} s")
    });
    format!(
        "{}: {} {of}/s per {per}{}{}, {burst} at once{}",
        limit.name,
        limit.rate,
        region.unwrap_or_default(),
        service.unwrap_or_default(),
        ban.unwrap_or_default()
    )
}

fn sharing(per: LimitPer, prefix_v4: u8, prefix_v6: u8) -> String {
    match per {
        LimitPer::Source => format!("source /{prefix_v4} /{prefix_v6}"),
        LimitPer::Service => "service".to_owned(),
    }
}

fn crowd(limit: &ConnectionLimit) -> String {
    let ConnectionLimit {
        name,
        most,
        per,
        prefix_v4,
        prefix_v6,
        service,
    } = limit;
    let per = sharing(*per, *prefix_v4, *prefix_v6);
    let service = service.map(|id| format!(" to {id}")).unwrap_or_default();
    format!("{name}: {most} connections per {per}{service}")
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
    use adminapi::model::{AtlasFile, FilterRules, LimitOf, RegionUse};

    use super::super::limit::testing::limit;
    use super::*;

    #[test]
    fn filters_are_shown() {
        let filter = Filter {
            listed: [(FilterList::Deny, 2)].into(),
            banned: 1,
            rules: FilterRules {
                bogons: vec!["eth0".to_owned()],
                bogon_networks: Some(vec!["10.0.0.0/8".parse().unwrap(); 10]),
                limits: vec![
                    limit("a"),
                    RateLimit {
                        of: LimitOf::Connections,
                        per: LimitPer::Service,
                        region: None,
                        ban: None,
                        ..limit("b")
                    },
                ],
                connections: [("c", LimitPer::Source), ("d", LimitPer::Service)]
                    .map(|(name, per)| ConnectionLimit {
                        name: name.to_owned(),
                        most: 5,
                        per,
                        prefix_v4: 32,
                        prefix_v6: 64,
                        service: None,
                    })
                    .into(),
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
            whole(&filter),
            "allow        0 networks\n\
             deny         2 networks\n\
             black-hole   0 networks\n\
             banned       1 of them by themselves\n\
             bogons       eth0\n\
             bogons are   10.0.0.0/8 10.0.0.0/8 10.0.0.0/8 10.0.0.0/8 10.0.0.0/8 10.0.0.0/8 \
             10.0.0.0/8 10.0.0.0/8 and 2 more\n\
             limit        a: 100 syns/s per source /24 /64 from home to tcp:192.0.2.10:80, 100 at once; 9 over in 10 s: deny for 60 to 600 s (7 over)\n\
             limit        b: 100 connections/s per service to tcp:192.0.2.10:80, 100 at once (0 over)\n\
             limit        c: 5 connections per source /32 /64 (0 refused)\n\
             limit        d: 5 connections per service (0 refused)\n\
             region       home: deny all but DE AS64500 (9 networks, 2 dropped)\n\
             networks of  /c.mmdb (Country, 1970-01-01 00:00:00Z)\n\
             dropped      3 bogon\n"
        );
    }
}
