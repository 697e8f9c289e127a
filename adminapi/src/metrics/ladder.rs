//! Which steps of defence are taken, and why.

use super::Seen;
use super::text::Family;
use crate::model::{CookieStatus, CookieWay, DefenseResource};

/// The step that is taken for each service.
pub(super) fn rungs(seen: &Seen, family: &mut Family<'_>) {
    for (service, defense) in &seen.defended {
        let way = defense.cookies.as_ref().and_then(|cookies| cookies.way);
        let labels = [
            ("service", service.to_string()),
            ("rung", defense.rung.clone()),
            ("way", way.map_or("", CookieWay::name).to_owned()),
        ];
        let labels = labels
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        family.sample(&labels, 1);
    }
}

/// A figure of each resource that is known.
pub(super) fn resources(seen: &Seen, family: &mut Family<'_>, figure: fn(&DefenseResource) -> f64) {
    for resource in &seen.defense.resources {
        family.sample(&[("resource", &resource.name)], figure(resource));
    }
}

/// A figure of the cookies of each service that can have them.
pub(super) fn cookies(seen: &Seen, family: &mut Family<'_>, figure: fn(&CookieStatus) -> u64) {
    for (service, defense) in &seen.defended {
        if let Some(cookies) = &defense.cookies {
            family.sample(&[("service", &service.to_string())], figure(cookies));
        }
    }
}
