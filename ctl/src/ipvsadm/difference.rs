//! What a new configuration changes, as lines that are gone (`-`) and lines that have come (`+`).

use std::collections::{HashMap, HashSet};

use adminapi::model::{Configuration, Service};

use super::address::Style;
use super::save::{self, Extent};

/// The difference, a service after the other: those of before in their order, then new ones.
/// Nothing when there is none.
pub(crate) fn difference(old: &Configuration, new: &Configuration) -> String {
    let mut text = String::new();
    let timeouts = |config: &Configuration| save::timeouts(config.timeouts);
    changes(&mut text, &timeouts(old), &timeouts(new));
    let kept: HashMap<_, _> = new.services.iter().map(|each| (each.id, each)).collect();
    for service in &old.services {
        let successor = kept.get(&service.id).map(|each| lines(each));
        changes(&mut text, &lines(service), &successor.unwrap_or_default());
    }
    let known: HashSet<_> = old.services.iter().map(|each| each.id).collect();
    for service in &new.services {
        if !known.contains(&service.id) {
            changes(&mut text, "", &lines(service));
        }
    }
    text
}

fn lines(service: &Service) -> String {
    save::service(service, Style::Numeric, Extent::Full)
}

fn changes(text: &mut String, old: &str, new: &str) {
    let (before, after): (HashSet<_>, HashSet<_>) = (old.lines().collect(), new.lines().collect());
    let gone = old.lines().filter(|line| !after.contains(line));
    let come = new.lines().filter(|line| !before.contains(line));
    gone.for_each(|line| *text += &format!("- {line}\n"));
    come.for_each(|line| *text += &format!("+ {line}\n"));
}
