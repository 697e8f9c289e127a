//! The sysctls of IPVS, `net.ipv4.vs.*`: which there are, what each takes, and what it does here.
//!
//! Names, defaults and what a write is refused for are the kernel's (`vs_vars` in
//! `net/netfilter/ipvs/ip_vs_ctl.c`), so that a script finds what it knows. A sysctl that has no
//! effect here keeps what is written to it and says why it has none.

mod accept;
mod table;
mod value;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use accept::BadValue;
pub use table::{Effect, Kind, NoSysctl, Sysctl};
pub use value::Value;

/// [`Value`] by a name that the description of the API does not take for any JSON.
pub(crate) type SysctlValue = Value;

/// What all names begin with, as `sysctl` writes them.
pub const PREFIX: &str = "net.ipv4.vs.";

/// The values of all sysctls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysctls {
    values: [Value; Sysctl::COUNT],
}

impl Default for Sysctls {
    fn default() -> Self {
        Self {
            values: Sysctl::ALL.map(Sysctl::default_value),
        }
    }
}

impl Sysctls {
    /// The value of one.
    pub const fn get(&self, sysctl: Sysctl) -> &Value {
        &self.values[sysctl as usize]
    }

    /// The value of one that is a number; of a pair the first.
    #[inline]
    pub const fn number(&self, sysctl: Sysctl) -> i64 {
        self.get(sysctl).number()
    }

    /// Whether one that is a switch is on: anything but 0, as in the kernel.
    #[inline]
    pub const fn is_on(&self, sysctl: Sysctl) -> bool {
        self.number(sysctl) != 0
    }

    /// Writes one.
    ///
    /// # Errors
    /// What the kernel would refuse; nothing is changed then.
    pub fn set(&mut self, sysctl: Sysctl, value: &Value) -> Result<(), BadValue> {
        let accepted = sysctl.accept(value, self.get(sysctl))?;
        self.values[sysctl as usize] = accepted;
        Ok(())
    }

    /// Has one read as something that cannot be written: what a strategy has made of itself.
    pub fn show(&mut self, sysctl: Sysctl, value: Value) {
        self.values[sysctl as usize] = value;
    }

    /// One as the API shows it.
    pub fn view(&self, sysctl: Sysctl) -> SysctlView {
        SysctlView {
            name: sysctl.to_string(),
            value: self.get(sysctl).clone(),
            default: sysctl.default_value(),
            effective: sysctl.effect() == Effect::Works,
            reason: match sysctl.effect() {
                Effect::Works => None,
                Effect::None(reason) => Some(reason.to_owned()),
            },
        }
    }

    /// All of them as the API shows them, by name.
    pub fn views(&self) -> Vec<SysctlView> {
        Sysctl::ALL.map(|sysctl| self.view(sysctl)).into()
    }
}

/// A sysctl in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"name": "net.ipv4.vs.conn_reuse_mode", "value": 0, "default": 1, "effective": true}))]
pub struct SysctlView {
    /// Name, `net.ipv4.vs.conn_reuse_mode`.
    pub name: String,
    /// Value.
    #[schema(value_type = SysctlValue)]
    pub value: Value,
    /// What it is unless somebody writes to it.
    #[schema(value_type = SysctlValue)]
    pub default: Value,
    /// Whether the director does something with it.
    pub effective: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A write to a sysctl.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"value": 0}))]
pub struct SysctlWrite {
    /// The new value: as it is, or as text that is read as the kernel reads it.
    #[schema(value_type = SysctlValue)]
    pub value: Value,
}

#[cfg(test)]
mod tests;
