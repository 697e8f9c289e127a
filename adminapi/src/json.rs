//! JSON into types, with everything that is wrong with it and not only the first: what cannot be
//! read is noted and taken out, and the rest is read again.

mod merge;
mod strict;
mod twice;

use std::collections::{HashMap, HashSet};

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::error::Problem;
pub use merge::{merge, misshapen, patched};
use strict::Strict;

/// Problems of one document that are told at most.
const MOST: usize = 32;

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// It is no JSON, from some line and column on.
    #[error("{0}")]
    Malformed(serde_json::Error),
    /// It is JSON of something else.
    #[error("{}", crate::error::join(.0))]
    Invalid(Vec<Problem>),
}

/// Reads a document.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unread> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    match T::deserialize(Strict(&mut json)) {
        Ok(value) => json.end().map(|()| value).map_err(Unread::Malformed),
        // Where a word is expected, null is called malformed too, so the document is asked itself.
        Err(_) => Err(unread::<T>(bytes)),
    }
}

/// Why a document that is no `T` is none.
fn unread<T: DeserializeOwned>(bytes: &[u8]) -> Unread {
    match twice::document(bytes) {
        Ok((document, mut found)) => {
            found.extend(problems::<T>(document));
            found.truncate(MOST);
            Unread::Invalid(found)
        }
        Err(error) => Unread::Malformed(error),
    }
}

/// A document as a `T`.
///
/// # Errors
/// Everything that is wrong with it.
fn settle<T: DeserializeOwned>(document: Value) -> Result<T, Vec<Problem>> {
    T::deserialize(Strict(&document)).map_err(|_| problems::<T>(document))
}

/// A step towards a value.
#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

/// The way to where reading stopped.
fn steps(path: &Path) -> Vec<Step> {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } | Segment::Enum { variant: key } => Some(Step::Key(key.clone())),
        Segment::Unknown => None,
    };
    path.iter().filter_map(step).collect()
}

/// RFC 6901, section 3: `~` and `/` in a key are escaped.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// What has been taken out of a document so far, by where it stood in the whole one.
#[derive(Debug, Default)]
struct Taken {
    pointers: HashSet<String>,
    /// Of each list the places of what is gone, in order.
    places: HashMap<String, Vec<usize>>,
}

impl Taken {
    /// The pointer into the whole document.
    fn pointer(&self, steps: &[Step]) -> String {
        let mut pointer = String::new();
        for step in steps {
            let part = match step {
                Step::Key(key) => escaped(key),
                Step::Index(index) => self.place(&pointer, *index).to_string(),
            };
            pointer = format!("{pointer}/{part}");
        }
        pointer
    }

    fn place(&self, list: &str, index: usize) -> usize {
        let gone = self.places.get(list).map_or(&[][..], Vec::as_slice);
        gone.iter()
            .fold(index, |index, gone| index + usize::from(*gone <= index))
    }

    /// Whether an error at `pointer` comes of what was taken out, and not of what was sent.
    fn explains(&self, pointer: &str, message: &str) -> bool {
        // A type that is made of others says more than that when it misses one.
        let missing = message
            .strip_prefix("missing field `")
            .and_then(|rest| rest.strip_suffix('`'));
        match missing {
            Some(field) => self
                .pointers
                .contains(&format!("{pointer}/{}", escaped(field))),
            None => self.pointers.iter().any(|gone| {
                let below = gone.strip_prefix(pointer);
                below.is_some_and(|rest| rest.rfind('/') == Some(0))
            }),
        }
    }

    /// Takes out the value at `steps`; false when that is all there is.
    fn take(&mut self, document: &mut Value, steps: &[Step]) -> bool {
        let Some((last, before)) = steps.split_last() else {
            return false;
        };
        let holder = before
            .iter()
            .try_fold(document, |value, step| match (value, step) {
                (Value::Object(fields), Step::Key(key)) => fields.get_mut(key),
                (Value::Array(items), Step::Index(index)) => items.get_mut(*index),
                _ => None,
            });
        self.pointers.insert(self.pointer(steps));
        match (holder, last) {
            (Some(Value::Object(fields)), Step::Key(key)) => fields.remove(key).is_some(),
            (Some(Value::Array(items)), Step::Index(index)) if *index < items.len() => {
                let list = self.pointer(before);
                let place = self.place(&list, *index);
                let gone = self.places.entry(list).or_default();
                gone.push(place);
                gone.sort_unstable();
                items.remove(*index);
                true
            }
            _ => false,
        }
    }
}

fn problems<T: DeserializeOwned>(mut document: Value) -> Vec<Problem> {
    let mut taken = Taken::default();
    let mut problems = Vec::new();
    while problems.len() < MOST {
        let Err(error) = serde_path_to_error::deserialize::<_, T>(Strict(&document)) else {
            break;
        };
        let steps = steps(error.path());
        let pointer = taken.pointer(&steps);
        let message = error.inner().to_string();
        if !taken.explains(&pointer, &message) {
            problems.push(Problem::new(pointer, message, ""));
        }
        if !taken.take(&mut document, &steps) {
            break;
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{
        Change, Configuration, FilterRules, MarkRule, RealPatch, Service, ServicePatch, Timeouts,
    };

    fn found<T: DeserializeOwned>(text: &str) -> Vec<Problem> {
        match read::<T>(text.as_bytes()) {
            Err(Unread::Invalid(problems)) => problems,
            Err(other) => panic!("{other}"),
            Ok(_) => Vec::new(),
        }
    }

    fn pointers<T: DeserializeOwned>(document: &Value) -> Vec<String> {
        let found = found::<T>(&document.to_string());
        found.into_iter().map(|problem| problem.pointer).collect()
    }

    #[test]
    fn a_list_is_no_object() {
        let change =
            |patch: Value| json!([{"change_service": {"service": "fwm:1", "patch": patch}}]);
        let pointers = pointers::<Vec<Change>>;
        assert_eq!(pointers(&change(json!({"scheduler": "lc"}))), [""; 0]);
        assert_eq!(
            pointers(&change(json!(["lc", []]))),
            ["/0/change_service/patch"]
        );
        assert_eq!(
            pointers(&json!([{"remove_service": ["fwm:1"]}])),
            ["/0/remove_service"]
        );
    }

    #[test]
    fn all_that_is_wrong_is_told_where_it_stood() {
        let service = json!({
            "protocol": "dccp", "address": "10.0.0", "port": 70_000, "x/y": 1,
            "real": [
                {"address": "10.0.2.1", "weight": "heavy"},
                {"weight": 1},
                {"address": "10.0.2.3"},
                {"address": 7, "port": -1},
                "10.0.2.5",
                {"address": "10.0.2.6", "tun": {"type": "vxlan", "port": "a"}},
            ],
        });
        let mut found = pointers::<Service>(&service);
        found.sort_unstable();
        let mut expected = [
            "/address",
            "/port",
            "/protocol",
            "/real/0/weight",
            "/real/1",
            "/real/3/address",
            "/real/3/port",
            "/real/4",
            "/real/5/tun/port",
            "/real/5/tun/type",
            "/x~1y",
        ];
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_missing_is_told_unless_it_was_there_and_wrong() {
        assert_eq!(pointers::<Service>(&json!({})), [""]);
        assert_eq!(pointers::<RealPatch>(&json!({"drain": null})), ["/drain"]);
        let wrong = json!({"weight": "x", "method": 1});
        let mut found = pointers::<RealPatch>(&wrong);
        found.sort_unstable();
        assert_eq!(found, ["/method", "/weight"]);
        assert_eq!(pointers::<Service>(&json!(7)), [""]);
        let config = json!({"service": [{"port": 1}, {"fwmark": "x"}, {"fwmark": 7}],
                            "timeouts": {"tcp": 1, "udp": 2}});
        let found = pointers::<Configuration>(&config);
        assert_eq!(found.len(), 3, "{found:?}");
        for pointer in ["/service/0", "/service/1/fwmark", "/timeouts"] {
            assert!(found.iter().any(|found| found == pointer), "{found:?}");
        }
    }

    #[test]
    fn problems_are_bounded() {
        let fields: Value = (0..1000).map(|n| (format!("f{n}"), json!(1))).collect();
        assert_eq!(pointers::<Service>(&fields).len(), MOST);
    }

    #[test]
    fn a_member_that_stands_twice_is_refused_where_it_stands() {
        type Body = (
            fn(&str) -> Vec<Problem>,
            &'static str,
            &'static [&'static str],
        );
        let bodies: [Body; 15] = [
            (
                found::<RealPatch>,
                r#"{"weight":1,"weight":2}"#,
                &["/weight"],
            ),
            (
                found::<RealPatch>,
                r#"{"weight":1,"weight":1,"weight":"x"}"#,
                &["/weight"],
            ),
            (
                found::<RealPatch>,
                r#"{"weight":1,"w\u0065ight":2}"#,
                &["/weight"],
            ),
            (
                found::<RealPatch>,
                r#"{"tun":{"port":1,"port":2}}"#,
                &["/tun/port"],
            ),
            (
                found::<ServicePatch>,
                r#"{"health":{"quorum":1,"quorum":2}}"#,
                &["/health/quorum"],
            ),
            (
                found::<ServicePatch>,
                r#"{"health":{"check":{"type":"http","path":"/","path":null}}}"#,
                &["/health/check/path"],
            ),
            (
                found::<ServicePatch>,
                r#"{"health":null,"health":null}"#,
                &["/health"],
            ),
            (
                found::<ServicePatch>,
                r#"{"health":{"~/":[{"a":1,"a":1}],"~/":2}}"#,
                &["/health/~0~1/0/a", "/health/~0~1"],
            ),
            (
                found::<Service>,
                r#"{"protocol":"tcp","address":"10.0.0.1","port":80,"port":"x","protocol":"udp",
                    "real":[{"address":"10.0.2.1","weight":"x"}]}"#,
                &["/port", "/protocol", "/real/0/weight"],
            ),
            (
                found::<Timeouts>,
                r#"{"tcp":1,"tcp":1,"tcpfin":1,"udp":1}"#,
                &["/tcp"],
            ),
            (
                found::<FilterRules>,
                r#"{"limits":[],"limits":[]}"#,
                &["/limits"],
            ),
            (
                found::<MarkRule>,
                r#"{"mark":1,"protocol":"tcp","mark":2}"#,
                &["/mark"],
            ),
            (
                found::<Configuration>,
                r#"{"service":[],"sysctls":{"drop_entry":1,"drop_entry":2}}"#,
                &["/sysctls/drop_entry"],
            ),
            (
                found::<Vec<Change>>,
                r#"[{"remove_services":{}},
                    {"change_real":{"service":"fwm:1","real":"10.0.2.1:80",
                                    "patch":{"weight":1,"weight":2}}}]"#,
                &["/1/change_real/patch/weight"],
            ),
            (
                found::<Vec<Change>>,
                r#"[{"remove_services":{},"remove_services":{}}]"#,
                &["/0/remove_services"],
            ),
        ];
        for (found, body, expected) in bodies {
            let found = found(body);
            let pointers: Vec<_> = found.iter().map(|p| p.pointer.as_str()).collect();
            assert_eq!(pointers, expected, "{body}");
            assert_eq!(found[0].message, "stands twice", "{body}");
        }
        let many: String = (0..1000)
            .map(|n| format!(r#""f{n}":1,"f{n}":1,"#))
            .collect();
        assert_eq!(found::<Service>(&format!(r#"{{{many}"a":1}}"#)).len(), MOST);
    }

    #[test]
    fn what_is_no_json_is_so_whatever_stands_in_it_before() {
        for (body, why) in [
            (r#"{"weight":1,}"#, "trailing comma at line 1 column 13"),
            (
                r#"{"weight":1,"weight":2"#,
                "EOF while parsing an object at line 1 column 22",
            ),
            (
                r#"{"tun":{"port":1,"port":2]}"#,
                "expected `,` or `}` at line 1 column 26",
            ),
            (
                r#"{"weight":1} x"#,
                "trailing characters at line 1 column 14",
            ),
            (r#"{"weight":nul}"#, "expected ident at line 1 column 14"),
            ("", "EOF while parsing a value at line 1 column 0"),
        ] {
            match read::<RealPatch>(body.as_bytes()) {
                Err(Unread::Malformed(error)) => assert_eq!(error.to_string(), why, "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }
}
