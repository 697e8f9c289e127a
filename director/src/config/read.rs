//! Reading a table key by key: a value that is wrong is reported and reading goes on, and a key
//! that nobody asked for is reported at the end.

use std::ops::RangeInclusive;

use adminapi::Problem;
use serde::de::{DeserializeOwned, IntoDeserializer};
use toml_edit::{Item, Table, TableLike, Value};

use super::error::Report;
use super::outline::{child, key_of};
use super::suggest;

/// What a value must be, for the message when it is not.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// In words, `true or false`.
    Text(&'static str),
    /// One of these.
    Word(&'static [&'static str]),
    /// A whole number.
    Number(RangeInclusive<i64>),
    /// A whole number that is a power of two.
    PowerOfTwo(RangeInclusive<i64>),
}

impl Expected {
    /// `true` or `false`.
    pub(super) const BOOLEAN: Self = Self::Text("true or false");

    fn describe(&self) -> String {
        match self {
            Self::Text(text) => (*text).to_owned(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Number(range) => {
                format!("a whole number from {} to {}", range.start(), range.end())
            }
            Self::PowerOfTwo(range) => {
                format!("a power of two from {} to {}", range.start(), range.end())
            }
        }
    }

    /// What the type of the value alone does not exclude.
    fn admits(&self, value: &Value) -> bool {
        let number = value.as_integer();
        match self {
            Self::Text(_) | Self::Word(_) => true,
            Self::Number(range) => number.is_some_and(|n| range.contains(&n)),
            Self::PowerOfTwo(range) => {
                number.is_some_and(|n| range.contains(&n) && n.count_ones() == 1)
            }
        }
    }

    fn mend(&self, value: &Value) -> String {
        let (Self::Word(words), Some(word)) = (self, value.as_str()) else {
            return String::new();
        };
        let near = suggest::nearest(word, words);
        near.map_or_else(String::new, |near| format!("did you mean {near}?"))
    }
}

/// One table of the file; empty when the file leaves it out.
pub(super) struct Section<'a> {
    table: Option<&'a dyn TableLike>,
    pointer: String,
    report: &'a Report,
    /// The keys that were asked for.
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(table: &'a Table, report: &'a Report) -> Self {
        Self::new(Some(table), String::new(), report)
    }

    fn new(table: Option<&'a dyn TableLike>, pointer: String, report: &'a Report) -> Self {
        Self {
            table,
            pointer,
            report,
            known: Vec::new(),
        }
    }

    fn item(&mut self, key: &'static str) -> Option<&'a Item> {
        self.known.push(key);
        self.table?.get(key)
    }

    /// True when the file has `key` here.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Whether `key` is one table.
    pub(super) fn is_table(&self, key: &str) -> bool {
        let item = self.table.and_then(|table| table.get(key));
        item.is_some_and(Item::is_table_like)
    }

    /// Reports a problem with `key`.
    pub(super) fn refuse(&self, key: &str, message: impl Into<String>, mend: impl Into<String>) {
        self.refuse_at(&child("", key), message, mend);
    }

    /// Reports a problem with what stands at `pointer` from here.
    pub(super) fn refuse_at(
        &self,
        pointer: &str,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.report(Problem::new(pointer, message, mend));
    }

    /// Reports what [`adminapi::validate`] found.
    pub(super) fn report(&self, problem: Problem) {
        self.report.add(problem.below(&self.pointer));
    }

    /// The value of `key`; `None` when it is absent, or wrong, which is reported.
    pub(super) fn optional<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
        expected: &Expected,
    ) -> Option<T> {
        let item = self.item(key)?;
        self.value(&child("", key), item.as_value(), item.type_name(), expected)
    }

    /// The value of `key`, `default` when it is absent or wrong.
    pub(super) fn or<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
        expected: &Expected,
        default: T,
    ) -> T {
        self.optional(key, expected).unwrap_or(default)
    }

    /// The value of `key`; that it is absent is reported with `mend`.
    pub(super) fn required<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
        expected: &Expected,
        mend: &str,
    ) -> Option<T> {
        if !self.has(key) {
            self.refuse(key, "is missing", mend);
        }
        self.optional(key, expected)
    }

    /// The length of the list `key`, and its values with their places; wrong ones are reported
    /// and left out.
    pub(super) fn list<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
        expected: &Expected,
    ) -> Option<(usize, Vec<(usize, T)>)> {
        let item = self.item(key)?;
        let Some(array) = item.as_array() else {
            let found = item
                .as_value()
                .map_or_else(|| with_article(item.type_name()), shown);
            self.refuse(key, format!("must be a list, not {found}"), "");
            return None;
        };
        let values = array.iter().enumerate().filter_map(|(index, value)| {
            let value = self.value(
                &format!("/{key}/{index}"),
                Some(value),
                value.type_name(),
                expected,
            )?;
            Some((index, value))
        });
        Some((array.len(), values.collect()))
    }

    fn value<T: DeserializeOwned>(
        &self,
        pointer: &str,
        value: Option<&Value>,
        type_name: &str,
        expected: &Expected,
    ) -> Option<T> {
        let read = value
            .filter(|value| expected.admits(value))
            .and_then(|value| T::deserialize(value.clone().into_deserializer()).ok());
        if read.is_none() {
            let found = value.map_or_else(|| with_article(type_name), shown);
            let message = format!("must be {}, not {found}", expected.describe());
            let mend = value.map_or_else(String::new, |value| expected.mend(value));
            self.refuse_at(pointer, message, mend);
        }
        read
    }

    /// The table `key`, empty when it is absent.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        let item = self.item(key);
        let table = item.and_then(Item::as_table_like);
        if let (Some(item), None) = (item, table) {
            let message = format!("must be a table, not {}", with_article(item.type_name()));
            self.refuse(key, message, format!("write [{key}]"));
        }
        Section::new(table, child(&self.pointer, key), self.report)
    }

    /// The tables `[[key]]`, or the elements of a list of inline tables, with their places.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<(usize, Section<'a>)> {
        let Some(item) = self.item(key) else {
            return Vec::new();
        };
        let pointer = child(&self.pointer, key);
        let tables: Option<Vec<&'a dyn TableLike>> = match item {
            Item::ArrayOfTables(tables) => {
                Some(tables.iter().map(|table| table as &dyn TableLike).collect())
            }
            Item::Value(Value::Array(array)) => array
                .iter()
                .map(|value| value.as_inline_table().map(|table| table as &dyn TableLike))
                .collect(),
            _ => None,
        };
        let Some(tables) = tables else {
            let mend = format!("write [[{}]]", key_of(&pointer));
            self.refuse(key, "must be a list of tables", mend);
            return Vec::new();
        };
        let section = |(index, table)| {
            let pointer = format!("{pointer}/{index}");
            (index, Section::new(Some(table), pointer, self.report))
        };
        tables.into_iter().enumerate().map(section).collect()
    }

    /// Reports the keys that nobody has asked for.
    pub(super) fn finish(mut self) {
        self.known.sort_unstable();
        let keys = self.table.into_iter().flat_map(|table| table.iter());
        for (key, _) in keys {
            if self.known.contains(&key) {
                continue;
            }
            let mend = match suggest::nearest(key, &self.known) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            self.refuse(key, "unknown key", mend);
        }
    }
}

/// A value in one short line.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 40;
    match value {
        Value::String(text) => {
            let text = text.value();
            let short: String = text.chars().take(LONGEST).collect();
            let more = if short.len() < text.len() { "..." } else { "" };
            format!("{:?}", short + more)
        }
        Value::Integer(number) => number.value().to_string(),
        Value::Float(number) => number.value().to_string(),
        Value::Boolean(truth) => truth.value().to_string(),
        other => with_article(other.type_name()),
    }
}

fn with_article(type_name: &str) -> String {
    let article = if type_name.starts_with(['a', 'i']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {type_name}")
}
