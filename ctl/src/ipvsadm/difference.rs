//! What a new configuration changes, as lines that are gone (`-`) and lines that have come (`+`).

use std::collections::{HashMap, HashSet};

use adminapi::model::{Configuration, Service};

use super::save::{self, Extent};
use super::spelling::Spelling;

/// The difference, a service after the other: those of before in their order, then new ones.
/// Nothing when there is none.
pub(crate) fn difference(old: &Configuration, new: &Configuration) -> String {
    let mut text = String::new();
    let timeouts = |config: &Configuration| save::timeouts(config.timeouts);
    changes(&mut text, &timeouts(old), &timeouts(new));
    // What the new one does not set stays.
    let come = |now: String, then: String| missing(&now, &then, '+');
    text += &come(save::settings(old), save::settings(new));
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
    text += &come(save::levels(&old.defense), save::levels(&new.defense));
    let cookies = |config: &Configuration| save::cookies(&config.services);
    changes(&mut text, &cookies(old), &cookies(new));
    let repeats = |config: &Configuration| save::repeats(&config.services);
    changes(&mut text, &repeats(old), &repeats(new));
    text
}

fn lines(service: &Service) -> String {
    let mut text = Vec::new();
    save::service(&mut text, &service.into(), Spelling::Numeric, Extent::Full);
    String::from_utf8_lossy(&text).into_owned()
}

fn changes(text: &mut String, old: &str, new: &str) {
    *text += &missing(new, old, '-');
    *text += &missing(old, new, '+');
}

/// The lines of `other` that `text` does not have, after a sign.
fn missing(text: &str, other: &str, sign: char) -> String {
    let there: HashSet<_> = text.lines().collect();
    let missing = other.lines().filter(|line| !there.contains(line));
    missing.map(|line| format!("{sign} {line}\n")).collect()
}
