//! `[filter]`: the lists of networks, and what is filtered besides them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use adminapi::model::{BanPolicy, ConnectionLimit, FilterRules, LimitPer, Prefix, RateLimit};
use adminapi::validate::validate_filter_rules;

use super::places::Places;
use super::read::{Expected, Section};
use super::region;
use crate::filter::List;
use crate::wire::{Addr, Net};

const NETWORK: Expected = Expected::Text("an address or a network, as in \"10.0.0.0/8\"");
const NAME: Expected = Expected::Text("a name");
const SERVICE: Expected = Expected::Text("a service, as in \"tcp:192.0.2.10:80\"");
const V4: Expected = Expected::Number(8..=32);
const V6: Expected = Expected::Number(16..=128);
const PER: Expected = Expected::Word(&["source", "service"]);
const INTERFACE: Expected = Expected::Text("the name of an interface");
const FOLDER: Expected = Expected::Text("a directory");

/// Where the files are that say where networks are, unless the file says otherwise.
const DATABASES: &str = "/var/lib/GeoIP";

/// What is filtered from the start.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// Networks, each on one list.
    pub listed: BTreeMap<Net, List>,
    /// Where the files are that the API may name in its rules.
    pub databases: PathBuf,
    /// All the rest.
    pub rules: FilterRules,
}

impl Filter {
    /// The rules that hold when those of `held`, if there are any, go before these. Where they say
    /// nothing of files, as former versions did, this does.
    pub fn with_held(&self, held: Option<&FilterRules>) -> FilterRules {
        let held = held.cloned();
        let held = held.map(|held| held.with_files_of(&self.rules));
        held.unwrap_or_else(|| self.rules.clone())
    }
}

pub(super) fn read(mut section: Section<'_>) -> Filter {
    let listed = read_lists(&mut section);
    let (limit_places, limits) = Places::read(&mut section, "limit", read_limit);
    let (crowd_places, connections) = Places::read(&mut section, "connection_limit", read_crowd);
    let (region_places, regions) = Places::read(&mut section, "region", region::read);
    let rules = FilterRules {
        bogons: names(&mut section, "bogons"),
        bogon_networks: networks(&mut section, "bogon_networks"),
        strict: names(&mut section, "strict"),
        loose: names(&mut section, "loose"),
        limits,
        connections,
        country_file: file(&mut section, "country_file"),
        asn_file: file(&mut section, "asn_file"),
        regions,
    };
    let databases = section.or("databases", &FOLDER, PathBuf::from(DATABASES));
    if !databases.is_absolute() {
        section.refuse("databases", "is no absolute path", "begin it with /");
    }
    let places = [
        ("/limits", limit_places),
        ("/connections", crowd_places),
        ("/regions", region_places),
    ];
    judge(&mut section, &rules, &places);
    section.finish();
    Filter {
        listed,
        databases,
        rules,
    }
}

/// The networks that are listed, here and in files.
fn read_lists(section: &mut Section<'_>) -> BTreeMap<Net, List> {
    let mut listed = BTreeMap::new();
    for (key, file, list) in [
        ("allow", "allow_file", List::Allow),
        ("deny", "deny_file", List::Deny),
        ("black_hole", "black_hole_file", List::BlackHole),
    ] {
        let networks = section.list::<Prefix>(key, &NETWORK);
        for (index, network) in networks.into_iter().flat_map(|(_, found)| found) {
            let pointer = format!("/{key}/{index}");
            add(&mut listed, network, list, |text, mend| {
                section.refuse_at(&pointer, text, mend);
            });
        }
        let path = section.optional::<String>(file, &Expected::Text("the path of a file"));
        if let Some(path) = path {
            read_file(Path::new(&path), list, &mut listed, |text, mend| {
                section.refuse(file, text, mend);
            });
        }
    }
    listed
}

/// Judges the rules, whose lists have these places in the file. Such a file has been good once: what does
/// nothing is told, and keeps nobody from starting.
fn judge(section: &mut Section<'_>, rules: &FilterRules, lists: &[(&str, Places)]) {
    let in_file = |pointer: String| {
        let mut lists = lists.iter();
        let found = lists.find_map(|(list, places)| Some((places, pointer.strip_prefix(list)?)));
        found.map_or(pointer.clone(), |(places, rest)| places.in_file(rest))
    };
    let is_idle = |pointer: &str| {
        let mut limits = rules.limits.iter().enumerate();
        limits.any(|(index, limit)| {
            limit.counts_nothing() && pointer == format!("/limits/{index}/of")
        })
    };
    let problems = validate_filter_rules(&rules.clone().without_idle_widths());
    let problems = problems
        .into_iter()
        .filter(|problem| !is_idle(&problem.pointer));
    for mut problem in problems {
        problem.pointer = in_file(problem.pointer);
        problem.other = problem.other.map(in_file);
        section.report(problem);
    }
}

fn add(
    listed: &mut BTreeMap<Net, List>,
    network: Prefix,
    list: List,
    refuse: impl Fn(String, &str),
) {
    if network.length == 0 && list == List::BlackHole {
        refuse(
            format!("{network} would take nothing from anybody"),
            "use deny, or a network",
        );
        return;
    }
    let addr = Addr::from(network.address);
    let outer = if addr.is_v4() { Net::V4_BITS } else { 0 };
    let net = Net::new(addr, outer + network.length);
    if listed.insert(net, list).is_some_and(|other| other != list) {
        refuse(
            format!("{network} is on another list too"),
            "name it on one",
        );
    }
}

/// A network a line; `#` begins a comment.
fn read_file(
    path: &Path,
    list: List,
    listed: &mut BTreeMap<Net, List>,
    refuse: impl Fn(String, &str),
) {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return refuse(format!("{}: {error}", path.display()), ""),
    };
    for (number, line) in text.lines().enumerate() {
        let word = line.split('#').next().unwrap_or_default().trim();
        if word.is_empty() {
            continue;
        }
        let place = format!("{}:{}", path.display(), number + 1);
        match word.parse() {
            Ok(network) => add(listed, network, list, |text, mend| {
                refuse(format!("{place}: {text}"), mend);
            }),
            Err(error) => return refuse(format!("{place}: {error}"), ""),
        }
    }
}

fn file(section: &mut Section<'_>, key: &'static str) -> Option<String> {
    let path = Expected::Text("the path of a file in the MaxMind DB format");
    let path = section.optional::<String>(key, &path)?;
    if let Err(error) = File::open(&path) {
        section.refuse(key, format!("{path}: {error}"), "");
    }
    Some(path)
}

fn names(section: &mut Section<'_>, key: &'static str) -> Vec<String> {
    let found = section.list(key, &INTERFACE);
    let values = found.into_iter().flat_map(|(_, values)| values);
    values.map(|(_, name)| name).collect()
}

fn networks(section: &mut Section<'_>, key: &'static str) -> Option<Vec<Prefix>> {
    let (_, values) = section.list(key, &NETWORK)?;
    Some(values.into_iter().map(|(_, network)| network).collect())
}

fn read_crowd(mut section: Section<'_>) -> Option<ConnectionLimit> {
    let name = section.required("name", &NAME, "name it, to find its counter");
    let most = Expected::Number(1..=i64::from(u32::MAX));
    let most = section.required("most", &most, "set so many connections");
    let per = section.or("per", &PER, LimitPer::Source);
    let prefix_v4 = section.or("prefix_v4", &V4, RateLimit::all_v4());
    let prefix_v6 = section.or("prefix_v6", &V6, RateLimit::link_v6());
    let service = section.optional("service", &SERVICE);
    section.finish();
    Some(ConnectionLimit {
        name: name?,
        most: most?,
        per,
        prefix_v4,
        prefix_v6,
        service,
    })
}

fn read_ban(mut section: Section<'_>) -> Option<BanPolicy> {
    let number = Expected::Number(1..=i64::from(u32::MAX));
    let over = section.required("over", &number, "set so many packets over the limit");
    let within = section.required("within", &number, "set so many seconds");
    let first = section.required("for", &number, "set so many seconds");
    let longest = section.or("longest", &number, BanPolicy::day());
    let list = Expected::Word(&["deny", "black-hole"]);
    let list = section.or("list", &list, BanPolicy::deny());
    section.finish();
    Some(BanPolicy {
        over: over?,
        within: within?,
        first: first?,
        longest,
        list,
    })
}

fn read_limit(mut section: Section<'_>) -> Option<RateLimit> {
    let number = Expected::Number(1..=i64::from(RateLimit::MAX_RATE));
    let name = section.required("name", &NAME, "name it, to find its counter");
    let of = Expected::Word(&["packets", "syns", "connections"]);
    let of = section.required("of", &of, "write packets, syns or connections");
    let per = section.required("per", &PER, "write source or service");
    let rate = section.required("rate", &number, "set so many a second");
    let burst = section.optional("burst", &number);
    let prefix_v4 = section.or("prefix_v4", &V4, RateLimit::all_v4());
    let prefix_v6 = section.or("prefix_v6", &V6, RateLimit::link_v6());
    let service = section.optional("service", &SERVICE);
    let bans = section.has("ban");
    let ban = bans.then(|| read_ban(section.section("ban"))).flatten();
    let region = section.optional("region", &Expected::Text("the name of a region"));
    section.finish();
    Some(RateLimit {
        name: name?,
        of: of?,
        per: per?,
        rate: rate?,
        burst,
        prefix_v4,
        prefix_v6,
        service,
        region,
        ban,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use adminapi::model::LimitOf;

    use super::super::Config;
    use super::*;

    fn parse(text: &str) -> Result<Config, Vec<String>> {
        let text = format!("[datapath]\ninterfaces = [\"eth0\"]\n[filter]\n{text}");
        let said = |errors: super::super::ConfigErrors| {
            let lines = errors.to_string();
            lines.lines().map(str::to_owned).collect()
        };
        Config::parse(&text, "f").map_err(said)
    }

    #[test]
    fn lists_files_and_limits_are_read() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"# bad ones\n203.0.113.0/24 # worst\n\n2001:db8::1\n")
            .unwrap();
        let text = format!(
            "allow = [\"192.0.2.1\"]\nbogons = [\"eth0\"]\ndeny_file = {:?}\n[[filter.limit]]\n\
             name = \"a\"\nof = \"syns\"\nper = \"source\"\nrate = 5\n\
             ban = {{ over = 9, within = 10, for = 60 }}\n\
             [[filter.connection_limit]]\nname = \"b\"\nmost = 7\n\
             [[filter.connection_limit]]\nname = \"c\"\nmost = 9\nper = \"service\"\n",
            file.path()
        );
        let filter = parse(&text).unwrap().filter.clone();
        let lists: Vec<_> = filter.listed.values().copied().collect();
        assert_eq!(lists, [List::Allow, List::Deny, List::Deny]);
        assert_eq!(filter.rules.bogons, ["eth0"]);
        let [limit] = &filter.rules.limits[..] else {
            panic!("{filter:?}");
        };
        assert_eq!((limit.rate, limit.prefix_v4, limit.burst), (5, 32, None));
        let ban = limit.ban.unwrap();
        assert_eq!((ban.over, ban.first, ban.longest), (9, 60, 86_400));
        let connections = filter.rules.connections.iter();
        let connections: Vec<_> = connections.map(|limit| (limit.most, limit.per)).collect();
        assert_eq!(connections, [(7, LimitPer::Source), (9, LimitPer::Service)]);
    }

    #[test]
    fn connections_in_a_second_are_limited_as_packets_are() {
        let limit = "[[filter.limit]]\nname = \"a\"\nof = \"connections\"\nper = \"service\"\n\
                     rate = 5\nburst = 9\nservice = \"udp:192.0.2.1:53\"\n";
        let filter = parse(limit).unwrap().filter.clone();
        let limit = &filter.rules.limits[0];
        assert_eq!((limit.of, limit.burst), (LimitOf::Connections, Some(9)));
        assert_eq!(filter.rules.idle_limits().count(), 0);
    }

    #[test]
    fn a_width_that_does_nothing_is_no_reason_not_to_start() {
        let limit = "[[filter.limit]]\nname = \"a\"\nof = \"syns\"\nper = \"service\"\nrate = 5\n\
                     prefix_v4 = 24\n";
        let filter = parse(limit).unwrap().filter.clone();
        assert_eq!(filter.rules.idly_wide().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_limit_that_counts_nothing_is_no_reason_not_to_start() {
        let limit = "[[filter.limit]]\nname = \"a\"\nof = \"syns\"\nper = \"source\"\nrate = 5\n\
                     service = \"udp:192.0.2.1:53\"\n";
        let filter = parse(limit).unwrap().filter.clone();
        assert_eq!(filter.rules.idle_limits().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, told) in [
            (
                "allow = [\"10.0.0.0/8\"]\ndeny = [\"10.0.0.0/8\"]",
                "f:5: filter.deny: 10.0.0.0/8 is on another list too; name it on one",
            ),
            (
                "black_hole = [\"0.0.0.0/0\"]",
                "would take nothing from anybody",
            ),
            (
                "deny_file = \"/nowhere\"",
                "f:4: filter.deny_file: /nowhere",
            ),
            (
                "country_file = \"/nowhere\"",
                "f:4: filter.country_file: /nowhere: No such file",
            ),
            (
                "databases = \"here\"",
                "f:4: filter.databases: is no absolute path; begin it with /",
            ),
            (
                "strict = [\"a\"]\nloose = [\"a\"]",
                "is checked strictly already",
            ),
            (
                "[[filter.limit]]\nname = \"a\"\nof = \"syn\"\nper = \"source\"\nrate = 1",
                "did you mean syns?",
            ),
            (
                "[[filter.limit]]\nname = \"a\"\nof = \"connection\"\nper = \"source\"\nrate = 1",
                "f:6: filter.limit.of: must be one of packets, syns, connections, not \"connection\"; did you mean connections?",
            ),
            (
                "[[filter.limit]]\nname = \"a\"\nper = \"source\"\nrate = 1",
                "write packets, syns or connections",
            ),
            (
                "[[filter.limit]]\nname = \"a\"\nof = \"connections\"\nper = \"service\"\nrate = 1\n\
                 ban = { over = 9, within = 10, for = 60 }",
                "f:9: filter.limit.ban: bans sources, which the limit does not know",
            ),
            (
                "[[filter.limit]]\nname = \"a\"\nof = \"syns\"\nper = \"source\"\nrate = 0\n\
                 [[filter.limit]]\nname = \"b\"\nof = \"syns\"\nper = \"source\"\nrate = 1\nregion = \"x\"",
                "f:14: filter.limit.region: ",
            ),
            (
                "[[filter.connection_limit]]\nname = \"a\"\nmost = 0\n\
                 [[filter.connection_limit]]\nname = \"b\"\nmost = 1\n\
                 [[filter.connection_limit]]\nname = \"b\"\nmost = 1",
                "f:11: filter.connection_limit.name: ",
            ),
            (
                "[[filter.connection_limit]]\nname = \"a\"\nmost = 1\nper = \"servise\"",
                "f:7: filter.connection_limit.per: must be one of source, service, not \"servise\"; did you mean service?",
            ),
            (
                "[[filter.connection_limit]]\nname = \"a\"\nmost = 1\nper = \"service\"\nprefix_v4 = 24",
                "f:8: filter.connection_limit.prefix_v4: does nothing where all sources share the limit; \
                 leave it out, or set the limit per source",
            ),
            (
                "[[filter.limit]]\nname = \"a b\"\nof = \"syns\"\nper = \"source\"\nrate = 1",
                "is no name",
            ),
        ] {
            let lines = parse(text).expect_err(text);
            assert!(lines.iter().any(|line| line.contains(told)), "{lines:?}");
        }
    }
}
