//! Merge patches (RFC 7396): what a patch names is put in the place of what was there, `null` takes
//! it away, and objects are merged with those that were there.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{problems, settle};
use crate::error::Problem;

/// RFC 7396, section 2.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    let mut fields = match target.take() {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
    *target = fields.into();
}

/// `now` as `patch` makes it.
///
/// # Errors
/// Everything that makes it no `T`, also names that no `T` has.
pub fn patched<T: DeserializeOwned>(mut now: Value, patch: &Value) -> Result<T, Vec<Problem>> {
    merge(&mut now, patch);
    let strangers = strangers::<T>(&now, patch);
    match settle(now) {
        Ok(value) if strangers.is_empty() => Ok(value),
        Ok(_) => Err(strangers),
        Err(others) => Err([strangers, others].concat()),
    }
}

/// What is wrong with `patch` whatever it is a patch of: names that no `T` has, and values that no
/// field takes. What an object misses may be there already.
pub fn misshapen<T: DeserializeOwned>(patch: &Value) -> Vec<Problem> {
    let mut alone = Value::Null;
    merge(&mut alone, patch);
    let mut found = problems::<T>(alone);
    found.retain(|problem| {
        !problem.message.starts_with("missing field") || takes_away(patch, problem)
    });
    found
}

/// Whether what `problem` says is missing is what `patch` takes away.
fn takes_away(patch: &Value, problem: &Problem) -> bool {
    let missing = problem.message.strip_prefix("missing field `");
    let field = missing.and_then(|rest| rest.strip_suffix('`'));
    let object = patch.pointer(&problem.pointer);
    let said = object
        .zip(field)
        .and_then(|(object, field)| object.get(field));
    said.is_some_and(Value::is_null)
}

/// What `patch` takes away although no `T` has it.
fn strangers<T: DeserializeOwned>(merged: &Value, patch: &Value) -> Vec<Problem> {
    let mut named = merged.clone();
    if !name_what_goes(&mut named, patch) {
        return Vec::new();
    }
    let mut found = problems::<T>(named.clone());
    found.retain(|problem| {
        let gone = named.pointer(&problem.pointer).is_some_and(Value::is_null);
        gone && problem.message.starts_with("unknown field")
    });
    found
}

/// Puts a `null` wherever `patch` has one; whether there is any.
fn name_what_goes(merged: &mut Value, patch: &Value) -> bool {
    let (Value::Object(fields), Value::Object(patch)) = (merged, patch) else {
        return false;
    };
    let mut any = false;
    for (name, value) in patch {
        any |= match fields.get_mut(name) {
            Some(field) => name_what_goes(field, value),
            None => fields.insert(name.clone(), Value::Null).is_none(),
        };
    }
    any
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Check, HealthPolicy, Tunnel};

    #[test]
    fn the_examples_of_the_rfc_come_out_as_it_says() {
        // RFC 7396, appendix A: original, patch, result.
        for (original, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (
                json!({"a": "b", "b": "c"}),
                json!({"a": null}),
                json!({"b": "c"}),
            ),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (
                json!({"a": [{"b": "c"}]}),
                json!({"a": [1]}),
                json!({"a": [1]}),
            ),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (
                json!({"e": null}),
                json!({"a": 1}),
                json!({"e": null, "a": 1}),
            ),
            (
                json!([1, 2]),
                json!({"a": "b", "c": null}),
                json!({"a": "b"}),
            ),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            let mut target = original.clone();
            merge(&mut target, &patch);
            assert_eq!(target, result, "{original} with {patch}");
        }
    }

    #[test]
    fn what_comes_out_is_judged_where_it_stands() {
        let now = json!({"check": {"type": "http", "path": "/up"}, "quorum": 2});
        let pointers = |patch: Value| match patched::<HealthPolicy>(now.clone(), &patch) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.into_iter().map(|p| p.pointer).collect(),
        };
        assert_eq!(
            pointers(json!({"check": {"path": null}, "quorum": null})),
            [""; 0]
        );
        for (patch, expected) in [
            (json!({"check": {"paht": "/x"}}), "/check/paht"),
            (json!({"check": {"paht": null}}), "/check/paht"),
            (json!({"chekc": null}), "/chekc"),
            (json!({"check": {"type": null}}), "/check"),
            (json!({"check": ["http"]}), "/check"),
            (json!({"agent": {"interval": "1s"}}), "/agent"),
            (json!({"quorum": "two"}), "/quorum"),
            (json!([1]), ""),
        ] {
            assert_eq!(pointers(patch.clone()), [expected], "{patch}");
        }
    }

    #[test]
    fn what_no_object_could_make_right_is_known_without_one() {
        let pointers = |patch: Value| -> Vec<_> {
            let found = misshapen::<HealthPolicy>(&patch);
            found.into_iter().map(|problem| problem.pointer).collect()
        };
        for patch in [
            json!({"check": {"path": "/up"}}),
            json!({"check": {"path": null}, "quorum": null}),
            json!({}),
        ] {
            assert_eq!(pointers(patch.clone()), [""; 0], "{patch}");
        }
        let wrong = json!({"chekc": {}, "quorum": "two", "check": {"interval": [], "paht": "/"}});
        let mut found = pointers(wrong);
        found.sort();
        assert_eq!(
            found,
            ["/check/interval", "/check/paht", "/chekc", "/quorum"]
        );
        assert_eq!(pointers(json!([1])), [""]);
        assert_eq!(pointers(json!({"check": {"type": null}})), ["/check"]);
        for (kind, pointer) in [
            (json!({}), "/type"),
            (json!({"gre": 1}), "/type/gre"),
            (json!("x"), "/type"),
            (json!(1), "/type"),
        ] {
            let found = misshapen::<Tunnel>(&json!({"type": kind, "port": 0}));
            let found: Vec<_> = found.into_iter().map(|problem| problem.pointer).collect();
            assert_eq!(found, [pointer], "{kind}");
        }
    }

    #[test]
    fn what_is_taken_away_is_what_it_is_when_left_out() {
        let now = json!({"type": "http", "path": "/up", "rise": 7, "status": "200"});
        let patch = json!({"path": null, "rise": null, "interval": "5s"});
        let check: Check = patched(now, &patch).unwrap();
        let expected = json!({"type": "http", "interval": "5s", "status": "200"});
        assert_eq!(check, serde_json::from_value(expected).unwrap());
    }
}
