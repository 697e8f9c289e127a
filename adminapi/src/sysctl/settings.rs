//! The sysctls that somebody has set, by their names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Sysctl, Sysctls, Value};
use crate::error::Problem;

/// Values by name, without `net.ipv4.vs.`; those left out have their defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = BTreeMap<String, super::SysctlValue>)]
pub struct Settings(pub BTreeMap<String, Value>);

impl From<&Sysctls> for Settings {
    fn from(sysctls: &Sysctls) -> Self {
        let set = Sysctl::ALL
            .into_iter()
            .filter(|sysctl| *sysctls.get(*sysctl) != sysctl.default_value())
            .map(|sysctl| (sysctl.name().to_owned(), sysctls.get(sysctl).clone()));
        Self(set.collect())
    }
}

impl TryFrom<&Settings> for Sysctls {
    type Error = Vec<Problem>;

    /// # Errors
    /// Names that there are not, and values that they do not take; pointers are relative to the
    /// settings.
    fn try_from(settings: &Settings) -> Result<Self, Vec<Problem>> {
        let mut sysctls = Self::default();
        let mut problems = Vec::new();
        for (name, value) in &settings.0 {
            let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            match name.parse::<Sysctl>() {
                Err(none) => problems.push(Problem::new(pointer, none.to_string(), "")),
                Ok(sysctl) => {
                    if let Err(bad) = sysctls.set(sysctl, value) {
                        problems.push(Problem::new(pointer, bad.to_string(), ""));
                    }
                }
            }
        }
        match problems.is_empty() {
            true => Ok(sysctls),
            false => Err(problems),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_set_again() {
        let mut sysctls = Sysctls::default();
        for (name, value) in [("secure_tcp", "3"), ("sync_threshold", "4 60")] {
            let value = Value::Text(value.to_owned());
            sysctls.set(name.parse().unwrap(), &value).unwrap();
        }
        let settings = Settings::from(&sysctls);
        assert_eq!(settings.0.len(), 2);
        assert_eq!(Sysctls::try_from(&settings), Ok(sysctls));
        let bad = [("nothing", 1), ("secure_tcp", 9), ("drop_entry", 1)];
        let bad = bad.map(|(name, value)| (name.to_owned(), Value::Number(value)));
        let problems = Sysctls::try_from(&Settings(bad.into())).unwrap_err();
        let pointers: Vec<_> = problems.iter().map(|p| p.pointer.as_str()).collect();
        assert_eq!(pointers, ["/nothing", "/secure_tcp"]);
    }
}
