//! What is in force, as it was asked for: by the configuration file, and by whom since then.

use std::collections::BTreeMap;

use adminapi::model::{
    Configuration, FilterRules, Levels, MarkRule, Prefix, Real, Service, ServiceId,
    StandingListing, SyncDaemon, Timeouts,
};
use adminapi::sysctl::{Sysctl, Sysctls, Value};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::cookie::Written;
use crate::defence::Level;
use crate::health::Chart;

/// What can be asked for both ways.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wishes {
    /// Virtual services.
    pub services: Vec<Service>,
    /// Rules that mark packets.
    pub marks: Vec<MarkRule>,
    /// How long idle connections are kept.
    pub timeouts: Timeouts,
    /// The sysctls that are not what they are by default.
    sysctls: Vec<(String, Value)>,
    /// The level of defence: what the file says, or what is in force.
    pub level: u8,
    /// What is filtered besides the lists; as the file says when it is not known.
    #[serde(default)]
    pub filter: Option<FilterRules>,
}

impl Wishes {
    /// What a file asks for.
    pub fn of(config: &Config) -> Self {
        Self {
            services: config.services.clone(),
            marks: config.marks.clone(),
            timeouts: config.timeouts,
            sysctls: written(&config.sysctls),
            level: config.defense.level.number(),
            filter: Some(config.filter.rules.clone()),
        }
    }

    /// What has been asked for over the API, and was kept.
    pub fn stored(state: &Configuration) -> Self {
        Self {
            services: state.services.clone(),
            marks: state.marks.clone().unwrap_or_default(),
            timeouts: state.timeouts,
            sysctls: state.sysctls.clone().into_iter().collect(),
            level: state.defense.level.unwrap_or_default(),
            filter: state.filter.clone(),
        }
    }

    /// The same with other sysctls.
    #[must_use]
    pub fn with_sysctls(self, sysctls: &Sysctls) -> Self {
        Self {
            sysctls: written(sysctls),
            ..self
        }
    }

    /// All sysctls.
    pub fn sysctls(&self) -> Sysctls {
        let mut all = Sysctls::default();
        for (name, value) in &self.sysctls {
            // One that another version does not know stays what it is by default.
            if let Ok(sysctl) = name.parse::<Sysctl>() {
                let _ = all.set(sysctl, value);
            }
        }
        all
    }
}

fn written(sysctls: &Sysctls) -> Vec<(String, Value)> {
    let changed = |sysctl: &Sysctl| *sysctls.get(*sysctl) != sysctl.default_value();
    let named = |sysctl: Sysctl| (sysctl.to_string(), sysctls.get(sysctl).clone());
    Sysctl::ALL.into_iter().filter(changed).map(named).collect()
}

/// A level of defence that is held, and since which tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Of a service; of the whole director without.
    pub service: Option<ServiceId>,
    /// The level.
    pub level: u8,
    /// The tick.
    pub since: u32,
    /// Whether cookies are its answer.
    #[serde(default)]
    pub cookies: bool,
}

impl Held {
    /// Whether it goes on where the whole director is to have the level `all`.
    pub fn goes_on_at(&self, all: u8) -> bool {
        self.service.is_some() || self.level == all
    }

    /// Whether it goes on where `kept` is what the API has set: what came by itself does, and what is
    /// pinned as long as that says so.
    pub fn goes_on_under(&self, kept: &Levels) -> bool {
        let set = match &self.service {
            None => kept.level,
            Some(id) => kept.services.get(id).copied(),
        };
        self.level != Level::Pinned.number() || set == Some(self.level)
    }
}

/// What the cookies of a service are made with, where no secret says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coined {
    /// The service.
    pub service: ServiceId,
    /// Its number in the MAC.
    pub number: u16,
    /// The keys.
    pub keys: Written,
}

/// A real server that takes connections that cookies have proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bearer {
    /// Its service.
    pub service: ServiceId,
    /// RIP and port.
    pub real: std::net::SocketAddr,
}

/// A real server that is being drained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Its service.
    pub service: ServiceId,
    /// RIP and port.
    pub real: std::net::SocketAddr,
    /// Since when, in seconds of Unix time.
    pub since: u64,
    /// For how long.
    pub seconds: u32,
    /// The tick at which it is over.
    pub until: u32,
}

/// What is known of the health of a real server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// Its service.
    pub service: ServiceId,
    /// RIP and port.
    pub real: std::net::SocketAddr,
    /// How it is.
    pub chart: Chart,
}

/// How large a table the scheduler of a service has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// The service.
    pub service: ServiceId,
    /// Its slots.
    pub slots: u32,
}

/// Somebody whose next ban is to be a longer one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offender {
    /// The network.
    pub network: Prefix,
    /// How often it was banned by itself.
    pub times: u32,
    /// Until when that is remembered, in seconds of Unix time.
    pub until: u64,
}

/// The file `running`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Another one for each that is written.
    #[serde(default)]
    pub number: u64,
    /// What the file said when it was last read.
    pub file: Wishes,
    /// What holds.
    pub now: Wishes,
    /// Levels of defence.
    pub levels: Vec<Held>,
    /// Keys of cookies.
    #[serde(default)]
    pub coined: Vec<Coined>,
    /// Who takes cookies.
    #[serde(default)]
    pub bearers: Vec<Bearer>,
    /// Drains.
    pub drains: Vec<Drained>,
    /// The health of real servers.
    #[serde(default)]
    pub health: Vec<Watched>,
    /// Tables of schedulers.
    #[serde(default)]
    pub spread: Vec<Spread>,
    /// Synchronisation daemons.
    pub daemons: Vec<SyncDaemon>,
    /// Networks that the API has listed.
    #[serde(default)]
    pub listed: Vec<StandingListing>,
    /// Networks that are banned by themselves.
    #[serde(default)]
    pub banned: Vec<StandingListing>,
    /// Networks that were so before, and are not forgiven.
    #[serde(default)]
    pub offenders: Vec<Offender>,
    /// The numbers of regions.
    #[serde(default)]
    pub regions: BTreeMap<String, u8>,
    /// The number of the latest event.
    #[serde(default)]
    pub events: u64,
}

impl Running {
    /// What is to hold when a file says `file` now: as to what it says anew, that; else what held.
    pub fn resume(&self, file: &Wishes) -> Wishes {
        let Self { file: old, now, .. } = self;
        Wishes {
            services: pick(&old.services, &file.services, &now.services),
            marks: pick(&old.marks, &file.marks, &now.marks),
            timeouts: pick(&old.timeouts, &file.timeouts, &now.timeouts),
            sysctls: pick(&old.sysctls, &file.sysctls, &now.sysctls),
            level: pick(&old.level, &file.level, &now.level),
            filter: pick_filter(&old.filter, &file.filter, &now.filter),
        }
    }

    /// The services of `wanted`, and with them the real servers that are being drained, which nobody
    /// wants any more.
    #[must_use]
    pub fn with_leaving(&self, mut wanted: Vec<Service>) -> Vec<Service> {
        for Drained { service, real, .. } in &self.drains {
            let at = |found: &Real| found.endpoint(service.port()) == *real;
            let now = self.now.services.iter().find(|now| now.id == *service);
            let leaving = now.and_then(|now| now.reals.iter().find(|real| at(real)));
            let wanted = wanted.iter_mut().find(|wanted| wanted.id == *service);
            if let (Some(leaving), Some(wanted)) = (leaving, wanted) {
                if !wanted.reals.iter().any(at) {
                    wanted.reals.push(leaving.clone());
                }
            }
        }
        wanted
    }
}

fn pick<T: Clone + PartialEq>(old: &T, new: &T, held: &T) -> T {
    match old == new {
        true => held.clone(),
        false => new.clone(),
    }
}

/// Each file by itself: former versions have not written down here which ones the file named.
fn pick_filter(
    old: &Option<FilterRules>,
    new: &Option<FilterRules>,
    held: &Option<FilterRules>,
) -> Option<FilterRules> {
    let [bare_old, bare_new, bare_held] = [old, new, held].map(|rules| rules.clone().map(bare));
    let picked = pick(&bare_old, &bare_new, &bare_held)?;
    let [old, new, held] = [old, new, held].map(|rules| rules.clone().unwrap_or_default());
    Some(FilterRules {
        country_file: pick(&old.country_file, &new.country_file, &held.country_file),
        asn_file: pick(&old.asn_file, &new.asn_file, &held.asn_file),
        ..picked
    })
}

fn bare(rules: FilterRules) -> FilterRules {
    FilterRules {
        country_file: None,
        asn_file: None,
        ..rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_anew_holds_and_else_what_held() {
        let timeouts = |tcp| Timeouts {
            tcp,
            ..Timeouts::default()
        };
        let wishes = |tcp, level| Wishes {
            timeouts: timeouts(tcp),
            level,
            ..Wishes::default()
        };
        let running = Running {
            file: wishes(100, 0),
            now: wishes(7, 2),
            ..Running::default()
        };
        assert_eq!(running.resume(&wishes(100, 0)), wishes(7, 2));
        assert_eq!(running.resume(&wishes(200, 0)), wishes(200, 2));
        assert_eq!(running.resume(&wishes(100, 1)), wishes(7, 1));
    }

    #[test]
    fn what_is_pinned_goes_on_as_long_as_what_is_kept_says_so() {
        let service: ServiceId = "tcp:192.0.2.10:80".parse().unwrap();
        let held = |service, level| Held {
            service,
            level,
            since: 0,
            cookies: false,
        };
        let kept = |level, of_service| Levels {
            level,
            services: [service].into_iter().zip(of_service).collect(),
        };
        for (of, level, kept, goes_on) in [
            (None, 1, kept(None, None), true),
            (None, 1, kept(Some(0), None), true),
            (None, 2, kept(None, Some(2)), false),
            (None, 2, kept(Some(1), None), false),
            (None, 2, kept(Some(2), None), true),
            (Some(service), 1, kept(None, None), true),
            (Some(service), 2, kept(Some(2), None), false),
            (Some(service), 2, kept(None, Some(2)), true),
        ] {
            let held = held(of, level);
            assert_eq!(held.goes_on_under(&kept), goes_on, "{held:?} {kept:?}");
        }
        let pinned = held(None, 2);
        assert!(pinned.goes_on_at(2) && !pinned.goes_on_at(0));
        assert!(held(Some(service), 2).goes_on_at(0));
    }

    #[test]
    fn files_that_say_where_networks_are_are_picked_one_by_one() {
        let wishes = |country: Option<&str>, asn: Option<&str>, strict: &str| Wishes {
            filter: Some(FilterRules {
                strict: vec![strict.to_owned()],
                country_file: country.map(str::to_owned),
                asn_file: asn.map(str::to_owned),
                ..FilterRules::default()
            }),
            ..Wishes::default()
        };
        let file = wishes(Some("c"), Some("a"), "eth0");
        let running = |old: Wishes| Running {
            file: old,
            now: wishes(Some("api"), Some(""), "eth1"),
            ..Running::default()
        };
        for (old, want) in [
            (file.clone(), wishes(Some("api"), Some(""), "eth1")),
            (
                wishes(Some("other"), Some("a"), "eth0"),
                wishes(Some("c"), Some(""), "eth1"),
            ),
            // By a version that did not know.
            (
                wishes(None, None, "eth0"),
                wishes(Some("c"), Some("a"), "eth1"),
            ),
            (
                wishes(Some("c"), Some("a"), "eth2"),
                wishes(Some("api"), Some(""), "eth0"),
            ),
        ] {
            assert_eq!(running(old).resume(&file).filter, want.filter);
        }
    }

    #[test]
    fn sysctls_are_kept_by_name() {
        let mut sysctls = Sysctls::default();
        sysctls
            .set(Sysctl::ConnReuseMode, &Value::Number(0))
            .unwrap();
        let kept = Wishes::default().with_sysctls(&sysctls);
        assert_eq!(kept.sysctls.len(), 1);
        assert_eq!(kept.sysctls(), sysctls);
        let strange = Wishes {
            sysctls: vec![("no_such".to_owned(), Value::Number(1))],
            ..Wishes::default()
        };
        assert_eq!(strange.sysctls(), Sysctls::default());
    }
}
