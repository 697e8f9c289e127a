//! Metrics, dashboard and alerts, as Prometheus judges them.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use adminapi::model::{Protocol, Scheduler};
use anyhow::{Result, ensure};
use serde_json::Value;
use testbed::director::service;
use testbed::process::{output, said_with_input};
use testbed::require;
use testbed::scene::Family;

use crate::bed::Bed;

fn conf(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "conf", path]
        .iter()
        .collect()
}

/// The metrics that a text names.
fn named(text: &str) -> HashSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let words = text.split(word).filter(|word| word.starts_with("bulwark_"));
    words.map(str::to_owned).collect()
}

/// All expressions below a value of the dashboard, and the queries of its variables.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), field) {
                    ("expr" | "query", Value::String(text)) => found.push(text.clone()),
                    _ => expressions(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[test]
fn alerts_say_what_is_the_matter() -> Result<()> {
    if !require::programs(&["promtool"]) {
        return Ok(());
    }
    // Rules are looked for beside their tests.
    let folder = tempfile::tempdir()?;
    let tests = [env!("CARGO_MANIFEST_DIR"), "tests", "api", "alerts.yml"];
    let tests: PathBuf = tests.iter().collect();
    fs::copy(tests, folder.path().join("alerts.yml"))?;
    let rules = conf("prometheus/bulwark.rules.yml");
    fs::copy(rules, folder.path().join("bulwark.rules.yml"))?;
    let mut command = Command::new("promtool");
    command.args(["test", "rules", "alerts.yml"]);
    output(command.current_dir(folder.path()))?;
    Ok(())
}

#[test]
fn metrics_dashboard_and_alerts_agree() -> Result<()> {
    if !require::programs(&["ip", "ethtool", "promtool"]) {
        return Ok(());
    }
    let bed = Bed::start(|configuration| {
        let reals = [(std::net::SocketAddr::from(([10, 0, 2, 1], 80)), 1)];
        let web = service(Protocol::Tcp, Family::V4.http(), Scheduler::Rr, reals);
        configuration.service(web)
    })?;
    let metrics = bed.get("/metrics")?;
    let judged = said_with_input(
        Command::new("promtool").args(["check", "metrics"]),
        &metrics,
    )?;
    let said = String::from_utf8_lossy(&judged.stderr);
    ensure!(
        judged.status.success() && said.is_empty(),
        "{said}{metrics}"
    );

    let exposed: HashSet<String> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    ensure!(exposed.len() > 30, "{exposed:?}");

    let rules = conf("prometheus/bulwark.rules.yml");
    output(
        Command::new("promtool")
            .args(["check", "rules"])
            .arg(&rules),
    )?;
    let dashboard: Value = serde_json::from_slice(&fs::read(conf("grafana/bulwark.json"))?)?;
    let mut drawn = Vec::new();
    expressions(&dashboard, &mut drawn);
    ensure!(drawn.len() > 20, "{drawn:?}");
    for text in [drawn.join("\n"), fs::read_to_string(&rules)?] {
        let named = named(&text);
        ensure!(named.len() > 10, "{named:?}");
        let unknown: Vec<_> = named.difference(&exposed).collect();
        ensure!(unknown.is_empty(), "nobody exposes {unknown:?}");
    }
    Ok(())
}
