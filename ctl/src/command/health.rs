//! `bulwark health`: how the real servers are.

use adminapi::Client;
use adminapi::model::{CheckCounts, Condition, RealView, ServiceCondition, ServiceId, ServiceView};
use clap::Args;
use serde::Serialize;

use super::defense::utc;
use super::said::{Form, Said};
use super::selector::Selector;
use super::status::table;
use crate::director::DirectorError;

/// Of which service; of all that are watched without.
#[derive(Debug, Args)]
pub(super) struct Line {
    #[command(flatten)]
    service: Selector,
}

/// A service as it is shown.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    id: ServiceId,
    condition: Option<ServiceCondition>,
    sorry: Option<String>,
    reals: Vec<ShownReal<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownReal<'a> {
    real: String,
    weight: u32,
    condition: Option<&'a Condition>,
}

pub(super) async fn run(line: &Line, director: &Client, form: Form) -> Result<Said, DirectorError> {
    let only = line.service.id();
    let services = match only {
        Some(id) => vec![director.service(id).await?],
        None => director.services().await?,
    };
    let is_watched = |service: &&ServiceView| only.is_some() || service.condition.is_some();
    let watched: Vec<_> = services.iter().filter(is_watched).map(shown).collect();
    Ok(form.show(&watched, |watched| text(watched)).into())
}

fn shown(service: &ServiceView) -> Shown<'_> {
    let real = |real: &RealView| real.endpoint().to_string();
    Shown {
        id: service.id,
        condition: service.condition,
        sorry: service.sorry.as_ref().map(real),
        reals: service
            .reals
            .iter()
            .map(|view| ShownReal {
                real: real(view),
                weight: view.weight,
                condition: view.condition.as_ref(),
            })
            .collect(),
    }
}

const TITLES: [&str; 10] = [
    "real server",
    "state",
    "weight",
    "of",
    "since",
    "checks",
    "failed",
    "ms",
    "downs",
    "reason",
];

fn text(services: &[Shown<'_>]) -> String {
    if services.is_empty() {
        return "no service is watched\n".to_owned();
    }
    let blocks: Vec<_> = services.iter().map(block).collect();
    blocks.join("\n")
}

fn block(service: &Shown<'_>) -> String {
    let state = match service.condition {
        None => "not watched".to_owned(),
        Some(ServiceCondition { up, well, quorum }) => {
            let word = if up { "up" } else { "down" };
            format!(
                "{word}, {well} of {} well, quorum {quorum}",
                service.reals.len()
            )
        }
    };
    let sorry = service.sorry.as_ref();
    let sorry = sorry.map_or_else(String::new, |real| format!(", sorry server {real}"));
    let rows = service.reals.iter().map(row);
    format!(
        "{}: {state}{sorry}\n{}",
        service.id,
        table(TITLES, rows).trim_start()
    )
}

fn row(real: &ShownReal<'_>) -> [String; TITLES.len()] {
    let (name, of) = (real.real.clone(), real.weight.to_string());
    let Some(condition) = real.condition else {
        let unknown = ["-", &of, &of, "-", "-", "-", "-", "-", "not watched"];
        let [
            state,
            weight,
            of,
            since,
            checks,
            failed,
            took,
            downs,
            reason,
        ] = unknown.map(str::to_owned);
        return [
            name, state, weight, of, since, checks, failed, took, downs, reason,
        ];
    };
    let weight = match condition.removed {
        true => "out".to_owned(),
        false => condition.weight.to_string(),
    };
    let CheckCounts { passed, failed, .. } = condition.checks;
    [
        name,
        condition.state.name().to_owned(),
        weight,
        of,
        utc(condition.since),
        (passed + failed).to_string(),
        failed.to_string(),
        mean(&condition.checks),
        condition.downs.to_string(),
        reason(condition),
    ]
}

/// Why it is as it is, and why it has not its whole weight, if its listen queue is why.
fn reason(condition: &Condition) -> String {
    let queue = condition.queue.as_ref();
    match queue.filter(|queue| queue.is_felt()) {
        Some(queue) => format!("{}; {}", condition.reason, queue.said()),
        None => condition.reason.clone(),
    }
}

/// How long a check takes, in milliseconds.
fn mean(checks: &CheckCounts) -> String {
    match checks.passed + checks.failed {
        0 => "-".to_owned(),
        all => format!("{:.1}", checks.took as f64 / all as f64),
    }
}

#[cfg(test)]
mod tests {
    use adminapi::model::{QueueCondition, RealState};

    use super::*;

    #[test]
    fn health_reads_like_this() {
        let condition = |state, weight, reason: &str, removed| Condition {
            state,
            since: 1_795_254_979,
            reason: reason.to_owned(),
            weight,
            removed,
            checks: CheckCounts {
                passed: 1200,
                failed: 34,
                took: 2221,
            },
            downs: 2,
            ..Condition::default()
        };
        let up = condition(RealState::Up, 3, "HTTP 200 OK", false);
        let down = condition(RealState::Down, 0, "connection refused", true);
        let relieved = Condition {
            queue: Some(QueueCondition {
                full: Some(80),
                leaves: 25,
                of: 3,
                ..QueueCondition::default()
            }),
            ..condition(RealState::Up, 1, "HTTP 200 OK", false)
        };
        let real = |real: &str, condition| ShownReal {
            real: real.to_owned(),
            weight: 3,
            condition,
        };
        let shown = Shown {
            id: "tcp:192.0.2.10:80".parse().unwrap(),
            condition: Some(ServiceCondition {
                up: false,
                well: 1,
                quorum: 2,
            }),
            sorry: Some("10.0.2.99:80".to_owned()),
            reals: vec![
                real("10.0.2.1:8080", Some(&up)),
                real("10.0.2.2:8080", Some(&down)),
                real("10.0.2.3:8080", None),
                real("10.0.2.4:8080", Some(&relieved)),
            ],
        };
        assert_eq!(
            text(&[shown]),
            "\
tcp:192.0.2.10:80: down, 1 of 4 well, quorum 2, sorry server 10.0.2.99:80
real server    state  weight  of                 since  checks  failed   ms  downs                               reason
10.0.2.1:8080     up       3   3  2026-11-21 09:56:19Z    1234      34  1.8      2                          HTTP 200 OK
10.0.2.2:8080   down     out   3  2026-11-21 09:56:19Z    1234      34  1.8      2                   connection refused
10.0.2.3:8080      -       3   3                     -       -       -    -      -                          not watched
10.0.2.4:8080     up       1   3  2026-11-21 09:56:19Z    1234      34  1.8      2  HTTP 200 OK; listen queue 80 % full
"
        );
        assert_eq!(text(&[]), "no service is watched\n");
    }
}
