//! Reading the configuration file again: what differs is changed, all of it or nothing.

use std::path::PathBuf;

use adminapi::error::Result;
use adminapi::model::{AuditEntry, Reloaded};
use adminapi::{ControlError, Problem};
use tracing::{info, warn};

use super::Director;
use super::desired::Desired;
use super::filter::Filtering;
use super::unix::unix_now;
use crate::config::{Config, ConfigErrors, Datapath, Local};
use crate::keep::Wishes;

/// The file, and what it said when the director started.
#[derive(Debug)]
pub(super) struct Source {
    file: PathBuf,
    started: Config,
}

impl Director {
    /// Tells which file [`adminapi::Control::reload`] reads, and what it said at the start.
    pub fn set_source(&self, file: PathBuf, started: Config) {
        // There is one start.
        let _ = self.source.set(Source { file, started });
    }

    /// Makes services, marks, timeouts, sysctls, local addresses and the policy of defence those
    /// of `config`. What is kept of the API's changes stays as it is.
    ///
    /// # Errors
    /// What the director refuses; everything is as it was then.
    pub fn configure(&self, config: &Config) -> Result<()> {
        let file = Wishes::of(config);
        let stored = self.stored().as_ref().map(Wishes::stored);
        self.adopt(config, stored.as_ref().unwrap_or(&file))?;
        match stored {
            Some(_) => drop(self.adopt_policy(&config.defense)),
            None => self.adopt_defense(&config.defense),
        }
        self.note_file(file);
        self.assume()
    }

    /// Makes services, marks, timeouts and sysctls those of `wishes`, and of the rest of `config`
    /// what can change while the director runs.
    ///
    /// # Errors
    /// What the director refuses; everything is as it was then.
    pub fn adopt(&self, config: &Config, wishes: &Wishes) -> Result<()> {
        let local = &config.datapath.local;
        if !self.speaks_from(&local.ports) {
            return Err(invalid(Problem::new(
                "",
                "local_ports under [datapath] cannot be changed while the director runs",
                "restart it",
            )));
        }
        let filter = Filtering::of(&config.filter, wishes.filter.as_ref(), self);
        self.bring_about(&Desired {
            services: &wishes.services,
            speakers: Some(local.addresses.iter().map(|addr| (*addr).into()).collect()),
            marks: Some(&wishes.marks),
            timeouts: wishes.timeouts,
            sysctls: wishes.sysctls(),
            daemons: None,
            filter: filter.map_err(|error| error.below("/filter"))?,
            grace: config.datapath.drain,
        })?;
        for idle in config.idle_queues(&wishes.services) {
            warn!("{idle}");
        }
        self.set_grace(config.datapath.drain);
        self.set_brief(config.defense.brief);
        self.adopt_health(&config.health);
        self.set_databases(config.filter.databases.clone());
        self.set_cookie_period(config.cookies.rotation);
        self.set_cookie_secret(config.cookies.secret.clone());
        self.follow_cookies();
        Ok(())
    }

    /// [`adminapi::Control::reload`].
    pub(super) fn read_again(&self) -> Result<Reloaded> {
        let source = self.source.get();
        let source = source.ok_or_else(|| ControlError::Busy("the director starts".to_owned()))?;
        let config = Config::load(&source.file).map_err(told)?;
        self.configure(&config)?;
        // By an answer it is known to hold.
        self.keep_running();
        let late = needs_restart(&source.started, &config);
        let late =
            (!late.is_empty()).then(|| format!("changes of {} need a restart", late.join(", ")));
        let notes: Vec<_> = late.into_iter().chain(self.stays_stored()).collect();
        notes.iter().for_each(|note| warn!("{note}"));
        info!("configuration reloaded");
        Ok(Reloaded { notes })
    }

    /// [`adminapi::Control::record`].
    pub(super) fn remember(&self, change: AuditEntry) {
        let AuditEntry {
            who,
            what,
            before,
            after,
        } = &change;
        info!(target: "audit", who, what, %before, %after, "changed");
        self.watch.lock().events.add_change(unix_now(), change);
    }
}

/// The problems of a file, as the API tells of them.
fn told(errors: ConfigErrors) -> ControlError {
    let file = errors.file;
    let problem = |error: crate::config::ConfigError| {
        let place = error
            .line
            .map_or_else(String::new, |line| format!(":{line}"));
        let key = match error.key.is_empty() {
            true => String::new(),
            false => format!("{}: ", error.key),
        };
        Problem::new(
            "",
            format!("{file}{place}: {key}{}", error.message),
            error.mend,
        )
    };
    ControlError::Invalid(errors.errors.into_iter().map(problem).collect())
}

fn invalid(problem: Problem) -> ControlError {
    ControlError::Invalid(vec![problem])
}

/// The tables in which something has changed that only a restart takes.
fn needs_restart(started: &Config, now: &Config) -> Vec<&'static str> {
    // What a reload takes of [datapath].
    let settled = |config: &Config| Datapath {
        drain: started.datapath.drain,
        local: Local::clone(&started.datapath.local),
        ..config.datapath.clone()
    };
    [
        ("[datapath]", settled(started) != settled(now)),
        ("[api]", started.api != now.api),
        ("[limits]", started.limits != now.limits),
        ("[log]", started.log != now.log),
        ("[agents]", started.agents != now.agents),
    ]
    .into_iter()
    .filter_map(|(table, changed)| changed.then_some(table))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, "f").unwrap()
    }

    const AGENTS: &str = "[agents]\nlisten = \"10.0.2.254:7071\"\ncertificate = \"/c\"\n\
                          key = \"/k\"\nclient_ca = \"/a\"\n";

    #[test]
    fn other_agents_need_a_restart() {
        let with = |agents: &str| config(&format!("[datapath]\ninterfaces = [\"a\"]\n{agents}"));
        let elsewhere = AGENTS.replace("7071", "7099");
        for (started, now) in [("", AGENTS), (AGENTS, &elsewhere), (AGENTS, "")] {
            assert_eq!(needs_restart(&with(started), &with(now)), ["[agents]"]);
        }
        assert!(needs_restart(&with(AGENTS), &with(AGENTS)).is_empty());
    }

    #[test]
    fn what_only_a_restart_takes_is_named() {
        let started = config("[datapath]\ninterfaces = [\"a\"]\n");
        for (text, want) in [
            (
                "[datapath]\ninterfaces = [\"a\"]\ndrain = \"9s\"\n[timeouts]\nudp = 9\n",
                vec![],
            ),
            ("[datapath]\ninterfaces = [\"b\"]\n", vec!["[datapath]"]),
            (
                "[datapath]\ninterfaces = [\"a\"]\n[api]\nunix = \"/x\"\n[log]\nlevel = \"warn\"\n",
                vec!["[api]", "[log]"],
            ),
        ] {
            assert_eq!(needs_restart(&started, &config(text)), want, "{text}");
        }
    }

    #[test]
    fn a_bad_file_is_told_with_its_lines() {
        let errors =
            Config::parse("[datapath]\ninterfaces = [\"a\"]\nmood = 1\n", "f").unwrap_err();
        let ControlError::Invalid(problems) = told(errors) else {
            panic!("not invalid");
        };
        assert!(
            problems[0]
                .message
                .starts_with("f:3: datapath.mood: unknown key"),
            "{problems:?}"
        );
    }
}
