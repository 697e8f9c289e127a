//! Members that stand twice in an object (RFC 8259, section 4): a struct refuses its own, but a map,
//! and a document of any kind, would take the last.

use std::collections::HashSet;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};
use serde_json::{Map, Value};

use super::{MOST, escaped};
use crate::error::Problem;

/// The members of an object, up to the first that stands there a second time.
pub(super) struct Once<A> {
    members: A,
    names: HashSet<String>,
}

impl<A> Once<A> {
    pub(super) fn new(members: A) -> Self {
        Self {
            members,
            names: HashSet::new(),
        }
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Once<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let Some(name) = self.members.next_key::<String>()? else {
            return Ok(None);
        };
        if !self.names.insert(name.clone()) {
            return Err(Error::custom(format_args!("`{name}` stands twice")));
        }
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.members.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.members.size_hint()
    }
}

/// A document as it is without second members, and those, of which [`MOST`] are told.
///
/// # Errors
/// What makes it no JSON.
pub(super) fn document(bytes: &[u8]) -> serde_json::Result<(Value, Vec<Problem>)> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut twice = Vec::new();
    let place = Place {
        pointer: String::new(),
        twice: &mut twice,
    };
    let document = place.deserialize(&mut json)?;
    json.end()?;
    let problem = |pointer| Problem::new(pointer, "stands twice", "leave one of the two out");
    Ok((document, twice.into_iter().map(problem).collect()))
}

/// A value that is to be read.
struct Place<'a> {
    /// Where it stands.
    pointer: String,
    /// Where members stand twice, as far as it is known.
    twice: &'a mut Vec<String>,
}

impl Place<'_> {
    fn below(&mut self, step: &str) -> Place<'_> {
        Place {
            pointer: format!("{}/{step}", self.pointer),
            twice: self.twice,
        }
    }

    fn note_twice(&mut self, name: &str) {
        let pointer = format!("{}/{}", self.pointer, escaped(name));
        if self.twice.len() < MOST && !self.twice.contains(&pointer) {
            self.twice.push(pointer);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Value, D::Error> {
        value.deserialize_any(self)
    }
}

macro_rules! visit_plain {
    ($($method:ident($type:ty))*) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<Value, E> {
            Ok(value.into())
        })*
    };
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    visit_plain! {
        visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64)
        visit_str(&str) visit_string(String)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut from: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element_seed(self.below(&items.len().to_string()))? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut from: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            if members.contains_key(&name) {
                from.next_value::<IgnoredAny>()?;
                self.note_twice(&name);
            } else {
                let member = from.next_value_seed(self.below(&escaped(&name)))?;
                members.insert(name, member);
            }
        }
        Ok(members.into())
    }
}
