//! The examples of `docs/api.md` do what they say.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testbed::require;

use crate::bed::Bed;

/// A command of the documentation, and the answer that stands below it.
#[derive(Debug)]
struct Example {
    /// Whether it stands among the problems, and is to fail.
    fails: bool,
    command: String,
    answer: String,
}

/// All examples, in their order. Code is indented by four; a command begins with `api`, with or
/// without a prompt, and goes on until its quotes are closed.
fn examples(text: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut fails = false;
    let mut is_open = false;
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            fails = title == "Problems";
        }
        let Some(code) = line.strip_prefix("    ") else {
            // An answer ends where its block ends.
            is_open = false;
            continue;
        };
        let command = code.strip_prefix("$ ").unwrap_or(code);
        if command.starts_with("api ") {
            examples.push(Example {
                fails,
                command: command.to_owned(),
                answer: String::new(),
            });
            is_open = true;
        } else if let Some(example) = examples.last_mut().filter(|_| is_open) {
            let is_whole = example.command.matches('\'').count() % 2 == 0;
            let goes_on = !is_whole || example.command.ends_with('\\');
            let part = if goes_on {
                &mut example.command
            } else {
                &mut example.answer
            };
            part.push('\n');
            part.push_str(code);
        }
    }
    examples
}

/// The names of the fields of a value, those of fields below with a dot.
fn fields(value: &Value, before: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let name = format!("{before}.{name}");
                found.push(name.clone());
                fields(member, &name, found);
            }
        }
        Value::Array(items) => items
            .iter()
            .take(1)
            .for_each(|item| fields(item, before, found)),
        _ => {}
    }
}

#[test]
fn the_examples_of_the_documentation_work() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::start(|configuration| configuration.fast_path(true))?;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md");
    let examples = examples(&fs::read_to_string(path)?);
    ensure!(examples.len() > 20, "only {} examples", examples.len());
    let socket = bed.director.socket();
    for example in &examples {
        let script = format!(
            "api() {{ curl -sS -g -w '\\n%{{http_code}}' --max-time 30 --unix-socket {} \"$@\"; }}\n{}",
            socket.display(),
            example.command
        );
        let output = Command::new("bash").args(["-c", &script]).output()?;
        let said = String::from_utf8(output.stdout)?;
        let (body, status) = said.rsplit_once('\n').context("no status")?;
        let status: u16 = status.trim().parse().unwrap_or(0);
        let expected = if example.fails { 400..600 } else { 200..300 };
        ensure!(expected.contains(&status), "{example:#?}\n{status} {body}");
        if example.answer.trim().starts_with(['{', '[']) {
            let told: Value = serde_json::from_str(&example.answer)
                .with_context(|| format!("not JSON: {}", example.answer))?;
            let answer: Value = serde_json::from_str(body)?;
            let (mut documented, mut answered) = (Vec::new(), Vec::new());
            fields(&told, "", &mut documented);
            fields(&answer, "", &mut answered);
            // Below `drops` are the reasons that there were.
            documented.retain(|name| !answered.contains(name) && !name.contains(".drops."));
            ensure!(
                documented.is_empty(),
                "{example:#?} answers no {documented:?}: {body}"
            );
        }
    }
    Ok(())
}
