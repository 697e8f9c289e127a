//! The rounds: each real server that is looked after has a task for its check and one for its
//! agent, which sleep, ask, and write down the answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use adminapi::model::{AgentCheck, Check, CheckKind, Pace};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::warn;

use super::cadence::{self, Grid};
use super::patient::{Finding, Patient, Words};
use super::probe::{Agent, Failure, Probe, Switchboard, Target, Verdict};
use crate::service::ServiceKey;
use crate::wire::Endpoint;

/// What names a real server of a service.
pub type Place = (ServiceKey, Endpoint);

/// How a real server is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regimen {
    /// Whom it is about.
    pub target: Target,
    /// Its check.
    pub check: Option<Check>,
    /// Its agent.
    pub agent: Option<AgentCheck>,
}

/// A real server that is looked after, and how.
#[derive(Debug)]
pub struct Bed {
    /// How it is asked.
    pub regimen: Regimen,
    /// What is known of it.
    pub patient: Mutex<Patient>,
}

impl Bed {
    /// One that nothing is known of.
    pub fn new(regimen: Regimen, now: Instant) -> Self {
        Self {
            regimen,
            patient: Mutex::new(Patient::new(now)),
        }
    }

    /// The same real server, asked in another way.
    #[must_use]
    pub fn changed(&self, regimen: Regimen) -> Self {
        Self::going_on(regimen, &self.patient.lock())
    }

    /// One that is asked so from now on, and was looked after before.
    pub fn going_on(regimen: Regimen, patient: &Patient) -> Self {
        let checked = regimen
            .check
            .as_ref()
            .is_some_and(|check| check.kind != CheckKind::None);
        let patient = patient.anew(checked, regimen.agent.is_some());
        Self {
            regimen,
            patient: Mutex::new(patient),
        }
    }
}

/// The tasks that go round.
#[derive(Debug)]
pub struct Rounds {
    tasks: HashMap<Place, (Arc<Bed>, JoinSet<()>)>,
    means: Means,
    /// Who operates the switchboard.
    _operator: JoinSet<()>,
}

/// What all tasks share.
#[derive(Clone, Debug)]
struct Means {
    lines: Arc<Switchboard>,
    grid: Grid,
    woken: Arc<Notify>,
}

impl Rounds {
    /// Nobody to look after yet. Calls go over `lines`; `woken` is told when a state may have changed.
    pub fn new(lines: Arc<Switchboard>, woken: Arc<Notify>) -> Self {
        let mut operator = JoinSet::new();
        operator.spawn(Arc::clone(&lines).operate());
        let grid = Grid::from(Instant::now());
        Self {
            tasks: HashMap::new(),
            means: Means { lines, grid, woken },
            _operator: operator,
        }
    }

    /// Goes to these beds from now on: tasks of those that stay go on.
    pub fn visit<'a>(&mut self, beds: impl Iterator<Item = (&'a Place, &'a Arc<Bed>)>) {
        let mut old = std::mem::take(&mut self.tasks);
        for (place, bed) in beds {
            let kept = old
                .remove(place)
                .filter(|(known, _)| Arc::ptr_eq(known, bed));
            let tasks = kept.unwrap_or_else(|| (Arc::clone(bed), self.start(bed)));
            self.tasks.insert(*place, tasks);
        }
    }

    fn start(&self, bed: &Arc<Bed>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let Regimen {
            target,
            check,
            agent,
        } = &bed.regimen;
        let probe = check
            .as_ref()
            .and_then(|check| Some((check, Probe::of(check, target)?)));
        if let Some((check, probe)) = probe {
            let (bed, means) = (Arc::clone(bed), self.means.clone());
            tasks.spawn(check_on(bed, probe, check.pace(), means));
        }
        if let Some(agent) = agent {
            let (bed, means) = (Arc::clone(bed), self.means.clone());
            tasks.spawn(listen_to(
                bed,
                Agent::new(agent, target),
                agent.pace(),
                means,
            ));
        }
        tasks
    }
}

impl Means {
    async fn sleep(&self, due: Instant, pace: &Pace) {
        tokio::time::sleep_until(self.grid.near(due, pace).into()).await;
    }
}

async fn check_on(bed: Arc<Bed>, probe: Probe, pace: Pace, means: Means) {
    let mut due = Instant::now() + cadence::first(&pace, rand::random());
    loop {
        means.sleep(due, &pace).await;
        let begun = Instant::now();
        let verdict = probe.ask(&means.lines, pace.timeout.into()).await;
        match finding(begun, verdict) {
            Ok(finding) => {
                if bed.patient.lock().checked(finding, &pace) {
                    means.woken.notify_one();
                }
            }
            Err(why) => warn!(real = %bed.regimen.target.real, "health: cannot check: {why}"),
        }
        due = (begun + cadence::next(&pace, rand::random())).max(Instant::now());
    }
}

async fn listen_to(bed: Arc<Bed>, agent: Agent, pace: Pace, means: Means) {
    let mut due = Instant::now() + cadence::first(&pace, rand::random());
    loop {
        means.sleep(due, &pace).await;
        let begun = Instant::now();
        let line = agent.ask(&means.lines, pace.timeout.into()).await;
        if line.is_ok_and(|line| bed.patient.lock().reported(&line)) {
            means.woken.notify_one();
        }
        due = (begun + cadence::next(&pace, rand::random())).max(Instant::now());
    }
}

/// What a probe has found.
///
/// # Errors
/// Why it has found nothing.
fn finding(begun: Instant, verdict: Verdict) -> Result<Finding, Words> {
    let at = Instant::now();
    let (passed, said) = match verdict {
        Ok(said) => (true, said),
        Err(Failure::Theirs(said)) => (false, said),
        Err(Failure::Ours(why)) => return Err(why),
    };
    Ok(Finding {
        passed,
        said,
        took: at - begun,
        at,
    })
}

#[cfg(test)]
mod tests;
