//! What two states of a resource differ in.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::model::{AuditEntry, Configuration};

/// What comes and goes by itself and is nobody's change.
const LIVE: [&str; 24] = [
    "accepted",
    "active",
    "at",
    "banned",
    "condition",
    "drop_rate",
    "dropped",
    "drops",
    "expires",
    "half_open",
    "inactive",
    "local_ports",
    "next",
    "overloaded",
    "packets",
    "persistent",
    "rates",
    "refused",
    "resources",
    "sent",
    "short",
    "signals",
    "since",
    "stats",
];

/// What is not told to anybody.
const SECRET: [&str; 5] = ["key", "keys", "password", "secret", "token"];

/// The longest side of a change that is kept as it is, in bytes of JSON.
const LONGEST: usize = 4096;

/// The change from `before` to `after`; none when nothing has changed. What neither of them could
/// show is a change.
pub(crate) fn change(
    who: String,
    what: String,
    before: Option<Value>,
    after: Option<Value>,
) -> Option<AuditEntry> {
    let (mut before, mut after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let is_shown = !(before.is_null() && after.is_null());
    for side in [&mut before, &mut after] {
        settle(side);
    }
    if is_shown && before == after {
        return None;
    }
    reduce(&mut before, &mut after);
    Some(AuditEntry {
        who,
        what,
        before: shortened(before),
        after: shortened(after),
    })
}

/// The change of a whole configuration by somebody who is no client of the API.
pub(crate) fn of_config(
    who: &str,
    what: &str,
    before: &Configuration,
    after: &Configuration,
) -> Option<AuditEntry> {
    let [before, after] = [before, after].map(|config| serde_json::to_value(config).ok());
    change(who.to_owned(), what.to_owned(), before, after)
}

/// Whether a field lives by itself. Some names are those of counters here and of settings there, which
/// their kinds tell apart.
fn is_live(name: &str, value: &Value) -> bool {
    match name {
        // How many there are; else limits, or listings.
        "connections" | "listed" => !value.is_array(),
        // What was above each limit; else the number of packets that a ban takes.
        "over" => value.is_object(),
        _ => LIVE.contains(&name),
    }
}

/// Takes out what lives by itself, and covers what is secret.
fn settle(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, field| !is_live(name, field));
            for (name, field) in fields {
                match SECRET.contains(&name.as_str()) {
                    true => *field = "(not told)".into(),
                    false => settle(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        _ => {}
    }
}

/// Takes out what is the same on both sides. What names an item stays.
fn reduce(before: &mut Value, after: &mut Value) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let same: Vec<String> = (before.iter())
                .filter(|(name, value)| after.get(*name) == Some(value))
                .map(|(name, _)| name.clone())
                .collect();
            for name in &same {
                before.remove(name);
                after.remove(name);
            }
            reduce_fields(before, after);
        }
        (Value::Array(before), Value::Array(after)) => {
            let texts = |items: &[Value]| items.iter().map(Value::to_string).collect();
            let (old, new): (HashSet<String>, HashSet<String>) = (texts(before), texts(after));
            before.retain(|item| !new.contains(&item.to_string()));
            after.retain(|item| !old.contains(&item.to_string()));
        }
        _ => {}
    }
}

fn reduce_fields(before: &mut Map<String, Value>, after: &mut Map<String, Value>) {
    for (name, old) in before {
        if let Some(new) = after.get_mut(name) {
            reduce(old, new);
        }
    }
}

fn shortened(value: Value) -> Value {
    let text = value.to_string();
    if text.len() <= LONGEST {
        return value;
    }
    let mut end = LONGEST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Value::String(format!("{}... ({} bytes)", &text[..end], text.len()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn between(before: Value, after: Value) -> Option<(Value, Value)> {
        let change = change(String::new(), String::new(), Some(before), Some(after))?;
        Some((change.before, change.after))
    }

    #[test]
    fn only_what_differs_is_told() {
        let real = |port: u16, weight: u32| json!({"port": port, "weight": weight, "active": port});
        for (before, after, want) in [
            (
                json!({"weight": 1, "upper": 0, "stats": {"connections": 3}}),
                json!({"weight": 2, "upper": 0, "stats": {"connections": 4}}),
                Some((json!({"weight": 1}), json!({"weight": 2}))),
            ),
            (
                json!({"id": "a", "reals": [real(1, 1), real(2, 1)]}),
                json!({"id": "a", "reals": [real(2, 1), real(3, 7)]}),
                Some((
                    json!({"reals": [{"port": 1, "weight": 1}]}),
                    json!({"reals": [{"port": 3, "weight": 7}]}),
                )),
            ),
            (
                json!({"udp": 3, "rates": 1}),
                json!({"udp": 3, "rates": 2}),
                None,
            ),
            (
                json!(null),
                json!({"id": "a"}),
                Some((json!(null), json!({"id": "a"}))),
            ),
            (
                json!({"over": {"syns": 1}, "rules": {"connections": [{"name": "web", "most": 5}]}}),
                json!({"over": {"syns": 2}, "rules": {"connections": [{"name": "web", "most": 9}]}}),
                Some((
                    json!({"rules": {"connections": [{"name": "web", "most": 5}]}}),
                    json!({"rules": {"connections": [{"name": "web", "most": 9}]}}),
                )),
            ),
            (
                json!({"listed": {"deny": 1}, "ban": {"over": 10}}),
                json!({"listed": {"deny": 2}, "ban": {"over": 20}}),
                Some((json!({"ban": {"over": 10}}), json!({"ban": {"over": 20}}))),
            ),
            (
                json!({"level": 0, "signals": [{"name": "half_open_pool", "value": 1.0}]}),
                json!({"level": 0, "signals": [{"name": "half_open_pool", "value": 2.0}]}),
                None,
            ),
            (json!(null), json!(null), Some((json!(null), json!(null)))),
        ] {
            assert_eq!(between(before, after), want);
        }
    }

    #[test]
    fn secrets_are_covered() {
        let (before, after) = between(json!(null), json!({"peer": {"key": "abc"}})).unwrap();
        assert_eq!(before, json!(null));
        assert_eq!(after, json!({"peer": {"key": "(not told)"}}));
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let long = "é".repeat(LONGEST);
        let (_, after) = between(json!(null), json!({ "name": long })).unwrap();
        let text = after.as_str().unwrap();
        assert!(
            text.len() < LONGEST + 40 && text.ends_with("bytes)"),
            "{text}"
        );
    }
}
