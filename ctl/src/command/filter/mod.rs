//! `bulwark filter`, `bulwark ban` and `bulwark unban`: whose packets are taken.

mod file;
mod limit;
mod network;
mod region;
mod text;

use adminapi::model::{FilterRules, Prefix};
use adminapi::{Client, Problem};
use clap::{Args, Subcommand, ValueEnum};

use super::said::{Form, Said};
use crate::director::DirectorError;
use network::ListName;

pub(super) use network::{Network, Unban, ban, unban};

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
    Add(network::Entry),
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
    /// Says which networks are bogons.
    BogonNetworks(network::Bogons),
    /// Drops what comes through an interface from where no answer would go.
    ReversePath {
        /// The director's interface.
        interface: String,
        /// strict: answers must leave through the same interface; loose: through any.
        #[arg(value_enum)]
        check: Check,
    },
    /// Sets a limit, or changes the one of this name.
    Limit(limit::Limit),
    /// Sets how many connections a source may have, or all together to a service, or changes the limit
    /// of this name.
    Connections(limit::Connections),
    /// Takes a limit away.
    Unlimit {
        /// Its name.
        name: String,
    },
    /// Says in which file of the director's host it stands in which countries networks are.
    CountryFile(file::Line),
    /// Says in which one it stands of which autonomous systems they are.
    AsnFile(file::Line),
    /// Sets a region, or changes the one of this name: countries and autonomous systems.
    Region(region::Line),
    /// Takes a region away.
    Unregion {
        /// Its name.
        name: String,
    },
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

/// Does what the line says.
pub(super) async fn run(line: &Line, director: &Client, form: Form) -> Result<Said, DirectorError> {
    match &line.what {
        None | Some(What::Show) => {
            let filter = director.filter().await?;
            Ok(form.show(&filter, text::whole).into())
        }
        Some(What::List { list }) => {
            let listings = network::all(director, list.map(Into::into)).await?;
            Ok(form
                .show(&listings, |listings| {
                    listings.iter().map(text::listed).collect()
                })
                .into())
        }
        Some(What::Add(entry)) => {
            director.put_network(&entry.to_model()).await?;
            Ok(Said::default())
        }
        Some(What::Remove { network }) => {
            director.remove_network(*network).await?;
            Ok(Said::default())
        }
        Some(change) => loop {
            match make(change, director).await {
                Err(DirectorError::Changed) => {}
                made => return made,
            }
        },
    }
}

/// Makes a change of the rules, unless somebody else does so in between.
async fn make(change: &What, director: &Client) -> Result<Said, DirectorError> {
    let seen = director.see_filter().await?;
    let mut rules = seen.value.rules;
    let mut said = Said::default();
    match changed(&mut rules, change) {
        Ok(()) => {
            let put = director.put_filter_as_seen(&rules, &seen.tag).await;
            drop(put.map_err(|error| of_another(error.into(), &rules, change))?);
        }
        Err(problem) => said.fail(&problem),
    }
    Ok(said)
}

fn changed(rules: &mut FilterRules, change: &What) -> Result<(), String> {
    match change {
        What::Bogons { interface, switch } => {
            set(&mut rules.bogons, interface, *switch == Switch::On);
        }
        What::BogonNetworks(line) => rules.bogon_networks = line.to_model(),
        What::ReversePath { interface, check } => {
            set(&mut rules.strict, interface, *check == Check::Strict);
            set(&mut rules.loose, interface, *check == Check::Loose);
        }
        What::Limit(limit) => {
            let limit = limit.to_model();
            rules.limits.retain(|other| other.name != limit.name);
            rules.limits.push(limit);
        }
        What::Unlimit { name } => {
            let all = |rules: &FilterRules| rules.limits.len() + rules.connections.len();
            let before = all(rules);
            rules.limits.retain(|limit| limit.name != *name);
            rules.connections.retain(|limit| limit.name != *name);
            return there_was(before > all(rules), "limit", name);
        }
        What::Connections(limit) => {
            let limit = limit.to_model();
            rules.connections.retain(|other| other.name != limit.name);
            rules.connections.push(limit);
        }
        What::CountryFile(line) => rules.country_file = Some(line.to_model()),
        What::AsnFile(line) => rules.asn_file = Some(line.to_model()),
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

/// The error, with a name for a limit or a region that the line is not about.
fn of_another(error: DirectorError, rules: &FilterRules, change: &What) -> DirectorError {
    let DirectorError::BadValues(problems) = error else {
        return error;
    };
    let own = match change {
        What::Limit(limit) => Some(limit.to_model().name),
        What::Connections(limit) => Some(limit.to_model().name),
        What::Region(region) => Some(region.name.clone()),
        _ => None,
    };
    let named = problems.into_iter().map(|problem| {
        let pointer = match entry(rules, &problem.pointer) {
            Some((kind, name, rest)) if rest.is_empty() => format!("{kind} {name:?}"),
            Some((kind, name, rest)) if own.as_deref() != Some(name) => {
                format!("{kind} {name:?}: {rest}")
            }
            _ => problem.pointer.clone(),
        };
        Problem { pointer, ..problem }
    });
    DirectorError::BadValues(named.collect())
}

/// The kind and name of what a pointer leads into, and the rest of it.
fn entry<'a>(rules: &'a FilterRules, pointer: &'a str) -> Option<(&'static str, &'a str, String)> {
    let mut parts = pointer.strip_prefix('/')?.split('/');
    let (list, place) = (parts.next()?, parts.next()?.parse::<usize>().ok()?);
    let (kind, name) = match list {
        "limits" => ("limit", &rules.limits.get(place)?.name),
        "connections" => ("limit", &rules.connections.get(place)?.name),
        "regions" => ("region", &rules.regions.get(place)?.name),
        _ => return None,
    };
    Some((kind, name, parts.collect::<Vec<_>>().join(" ")))
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::limit::testing::limit;
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Words {
        #[command(subcommand)]
        what: What,
    }

    fn what(word: &str, rest: &str) -> What {
        let words = ["filter", word].into_iter().chain(rest.split(' '));
        Words::try_parse_from(words).unwrap().what
    }

    #[test]
    fn either_values_or_the_word_for_none() {
        for line in [
            "bogon-networks",
            "bogon-networks 10.0.0.0/8 --built-in",
            "country-file",
            "country-file /a --none",
            "asn-file /a /b",
        ] {
            let words = std::iter::once("filter").chain(line.split(' '));
            assert!(Words::try_parse_from(words).is_err(), "{line}");
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
        for (line, networks) in [("10.0.0.0/8 fc00::/7", Some(2)), ("--built-in", None)] {
            changed(&mut rules, &what("bogon-networks", line)).unwrap();
            let bogons = rules.bogon_networks.as_ref();
            assert_eq!(bogons.map(Vec::len), networks, "{line}");
        }
        changed(&mut rules, &what("country-file", "/c.mmdb")).unwrap();
        changed(&mut rules, &what("asn-file", "--none")).unwrap();
        assert_eq!(rules.country_file.as_deref(), Some("/c.mmdb"));
        assert_eq!(rules.asn_file.as_deref(), Some(""));
        let unlimit = |name: &str| What::Unlimit {
            name: name.to_owned(),
        };
        changed(&mut rules, &unlimit("a")).unwrap();
        assert_eq!(rules.limits, [limit("b")]);
        assert!(changed(&mut rules, &unlimit("a")).is_err());
    }

    #[test]
    fn what_stands_in_the_way_of_a_line_is_named() {
        let rules = FilterRules {
            limits: vec![limit("a"), limit("b")],
            ..FilterRules::default()
        };
        let missing = Problem::new("/limits/1/region", "there is no region \"home\"", "");
        let error = DirectorError::BadValues(vec![missing]);
        let gone = What::Unregion {
            name: "home".to_owned(),
        };
        let told = of_another(error, &rules, &gone).to_string();
        assert_eq!(told, "limit \"b\": region: there is no region \"home\"");
        let whole = DirectorError::BadValues(vec![Problem::new("/limits/0", "is bad", "")]);
        let told = of_another(whole, &rules, &gone).to_string();
        assert_eq!(told, "limit \"a\": is bad");
    }
}
