//! Changes of objects within others.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Type};
use utoipa::openapi::{Object, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{Check, FilterRules, HealthPolicy, Persistence, Tunnel};
use crate::error::Problem;
use crate::json;

/// A change of an object, most often within another: a merge patch of it (RFC 7396), or `null`, which
/// takes it away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Merge<T> {
    patch: Value,
    #[serde(skip)]
    of: PhantomData<fn() -> T>,
}

// The description of the API does not see through generic types of fields.
pub(super) type CheckMerge = Merge<Check>;
pub(crate) type FilterRulesMerge = Merge<FilterRules>;
pub(super) type HealthMerge = Merge<HealthPolicy>;
pub(super) type PersistenceMerge = Merge<Persistence>;
pub(super) type TunnelMerge = Merge<Tunnel>;

impl<T> Merge<T> {
    const fn new(patch: Value) -> Self {
        Self {
            patch,
            of: PhantomData,
        }
    }
}

impl<T: Serialize + DeserializeOwned> Merge<T> {
    /// What it makes of `now`, which cannot be taken away.
    ///
    /// # Errors
    /// What makes it no `T`.
    pub fn applied_to(&self, now: &T) -> Result<T, Vec<Problem>> {
        // Whatever can be read as a `T` can be written.
        let now = serde_json::to_value(now).unwrap_or_default();
        json::patched(now, &self.patch)
    }

    /// What it makes of `now`.
    ///
    /// # Errors
    /// What makes it no `T`; pointers are relative to the object.
    pub fn applied(&self, now: Option<&T>) -> Result<Option<T>, Vec<Problem>> {
        if self.patch.is_null() {
            return Ok(None);
        }
        let now = serde_json::to_value(now).unwrap_or_default();
        json::patched(now, &self.patch).map(Some)
    }
}

/// What is wrong with `change`, if there is one, whatever the object is that stands at `pointer`.
pub(super) fn misshapen<T: DeserializeOwned>(
    pointer: &str,
    change: Option<&Merge<T>>,
) -> Vec<Problem> {
    let change = change.filter(|change| !change.patch.is_null());
    let found = change.map(|change| json::misshapen::<T>(&change.patch));
    let found = found.unwrap_or_default().into_iter();
    found.map(|problem| problem.below(pointer)).collect()
}

/// What `change`, if there is one, makes of the object `now`, which stands at `pointer`. What is wrong
/// with it is added to `problems`.
pub(super) fn merged<T: Serialize + DeserializeOwned + Clone>(
    pointer: &str,
    change: Option<Merge<T>>,
    now: &Option<T>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let Some(change) = change else {
        return now.clone();
    };
    change.applied(now.as_ref()).unwrap_or_else(|wrong| {
        problems.extend(wrong.into_iter().map(|problem| problem.below(pointer)));
        None
    })
}

impl<T: Serialize + ToSchema> From<Option<T>> for Merge<T> {
    /// To be `wanted`, whatever was there.
    fn from(wanted: Option<T>) -> Self {
        let mut patch = serde_json::to_value(wanted).unwrap_or_default();
        spell_out(&mut patch, &T::schema(), &within::<T>());
        Self::new(patch)
    }
}

impl<'de, T> Deserialize<'de> for Merge<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::new)
    }
}

impl<T: ToSchema> PartialSchema for Merge<T> {
    fn schema() -> RefOr<Schema> {
        let whole = T::schema();
        let mut patch = loosened(&whole, &within::<T>());
        if let (RefOr::T(Schema::Object(patch)), RefOr::T(Schema::Object(whole))) =
            (&mut patch, whole)
        {
            patch.example = whole.example;
        }
        patch
    }
}

impl<T: ToSchema> ToSchema for Merge<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Merge", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}

/// Schemas by name.
type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Those that the one of `T` refers to.
fn within<T: ToSchema>() -> Schemas {
    let mut schemas = Vec::new();
    T::schemas(&mut schemas);
    schemas.into_iter().collect()
}

/// The object that `schema` describes, if it is one of named fields.
fn object<'s>(schema: &'s RefOr<Schema>, within: &'s Schemas) -> Option<&'s Object> {
    match schema {
        RefOr::Ref(reference) => {
            let name = reference.ref_location.rsplit('/').next()?;
            object(within.get(name)?, within)
        }
        RefOr::T(Schema::Object(found)) => Some(found).filter(|found| !found.properties.is_empty()),
        // It may be null.
        RefOr::T(Schema::OneOf(one)) => one.items.iter().find_map(|one| object(one, within)),
        RefOr::T(_) => None,
    }
}

/// Puts a `null` wherever `document` leaves a field out, so that as a patch it leaves nothing of
/// what was there.
fn spell_out(document: &mut Value, schema: &RefOr<Schema>, within: &Schemas) {
    if let (Value::Object(fields), Some(object)) = (document, object(schema, within)) {
        for (name, schema) in &object.properties {
            let field = fields.entry(name).or_insert(Value::Null);
            spell_out(field, schema, within);
        }
    }
}

/// What a merge patch of what `schema` describes looks like.
fn loosened(schema: &RefOr<Schema>, within: &Schemas) -> RefOr<Schema> {
    let Some(object) = object(schema, within) else {
        return schema.clone();
    };
    let mut patch = object.clone();
    patch.required.clear();
    patch.example = None;
    for (name, field) in &mut patch.properties {
        let value = loosened(field, within);
        *field = match object.required.contains(name) {
            true => value,
            false => or_null(value),
        };
    }
    Schema::Object(patch).into()
}

fn or_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    AnyOfBuilder::new().item(null).item(schema).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T: DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_wanted_takes_the_place_of_all_that_was_there() {
        let was: HealthPolicy = read(json!({
            "check": {"type": "http", "path": "/up", "status": "200"}, "agent": {"port": 5555},
            "sorry": {"address": "10.0.2.9", "method": "tun", "tun": {"type": "gue", "port": 6081}},
        }));
        for wanted in [
            json!({"check": {"type": "tcp"}, "sorry": {"address": "10.0.2.8"}}),
            json!({"sorry": {"address": "10.0.2.9", "method": "tun", "tun": {"type": "gue"}}}),
            json!({}),
        ] {
            let wanted: HealthPolicy = read(wanted);
            let patch = serde_json::to_value(Merge::from(Some(wanted.clone()))).unwrap();
            let patch: Merge<HealthPolicy> = read(patch);
            assert_eq!(patch.applied(Some(&was)), Ok(Some(wanted.clone())));
            assert_eq!(patch.applied(None), Ok(Some(wanted)));
        }
        let nothing = Merge::<HealthPolicy>::from(None);
        assert_eq!(nothing.applied(Some(&was)), Ok(None));
    }

    #[test]
    fn what_a_patch_does_not_name_stays() {
        let was = Persistence {
            prefix: Some(24),
            ..Persistence::default()
        };
        let patch: Merge<Persistence> = read(json!({"timeout": 60}));
        let becomes = Persistence { timeout: 60, ..was };
        assert_eq!(patch.applied(Some(&was)), Ok(Some(becomes)));
        let patch: Merge<Persistence> = read(json!({"prefix": null}));
        assert_eq!(patch.applied(Some(&was)), Ok(Some(Persistence::default())));
    }
}
