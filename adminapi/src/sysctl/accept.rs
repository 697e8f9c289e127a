//! What a write makes of a value: the rules of the kernel's `proc_dointvec` and of the handlers that
//! IPVS has beside it.

use std::fmt;

use super::table::{Kind, Sysctl};
use super::value::Value;

/// A value that a sysctl does not take (`EINVAL`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sysctl} takes {kind}, not {given:?}")]
pub struct BadValue {
    /// Of which.
    pub sysctl: Sysctl,
    /// What it takes.
    pub kind: Kind,
    /// What it was given.
    pub given: String,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(range) => write!(f, "a number from {} to {}", range.start(), range.end()),
            Self::Defence => f.write_str("0 (off), 1 or 2 (automatic) or 3 (on)"),
            Self::PowerOfTwo => f.write_str("a power of two"),
            Self::Threshold => f.write_str("a number, and a larger one or 0"),
            Self::CpuList => f.write_str("a list of CPUs, as in 0-3,8"),
        }
    }
}

/// The longest list of CPUs.
const LONGEST_LIST: usize = 256;

impl Sysctl {
    /// What the sysctl is after a write, when it was `old` before.
    ///
    /// # Errors
    /// What the kernel answers with `EINVAL`.
    pub fn accept(self, given: &Value, old: &Value) -> Result<Value, BadValue> {
        let kind = self.kind();
        let text = given.to_string();
        let accepted = match &kind {
            Kind::CpuList => cpus(text.trim()).map(Value::Text),
            Kind::Threshold => numbers(&text).and_then(|given| threshold(&given, old)),
            _ => single(&text).and_then(|number| kind.admit(number)),
        };
        accepted.ok_or(BadValue {
            sysctl: self,
            kind,
            given: text,
        })
    }
}

impl Kind {
    fn admit(&self, number: i64) -> Option<Value> {
        let good = match self {
            Self::Number(range) => range.contains(&number),
            Self::Defence => (0..=3).contains(&number),
            Self::PowerOfTwo => {
                i32::try_from(number).is_ok() && number > 0 && number.count_ones() == 1
            }
            Self::Threshold | Self::CpuList => false,
        };
        good.then_some(match (self, number) {
            (Self::Defence, 2) => Value::Number(1),
            _ => Value::Number(number),
        })
    }
}

fn single(text: &str) -> Option<i64> {
    match numbers(text)?.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

/// `sync_threshold`: what is left out stays (`proc_do_sync_threshold`).
fn threshold(given: &[i64], old: &Value) -> Option<Value> {
    let (first, second) = match (given, old) {
        ([first, second], _) => (*first, *second),
        ([first], Value::Pair([_, second])) => (*first, *second),
        _ => return None,
    };
    let numbers = 0..=i64::from(i32::MAX);
    let sound = numbers.contains(&first) && numbers.contains(&second);
    (sound && (second == 0 || first < second)).then_some(Value::Pair([first, second]))
}

/// The numbers of a text; at least one.
fn numbers(text: &str) -> Option<Vec<i64>> {
    let numbers: Option<Vec<_>> = text.split_ascii_whitespace().map(number).collect();
    numbers.filter(|numbers| !numbers.is_empty())
}

/// A number as `strtoul` reads it with base 0: `0x` is hexadecimal, a leading `0` octal.
fn number(word: &str) -> Option<i64> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let number = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(hex) if !hex.starts_with('+') => i64::from_str_radix(hex, 16),
        Some(_) => return None,
        None if digits.len() > 1 && digits.starts_with('0') => i64::from_str_radix(digits, 8),
        None => digits.parse(),
    };
    number
        .ok()
        .map(|number| if negative { -number } else { number })
}

/// A list of CPUs and ranges of them; empty for all.
fn cpus(text: &str) -> Option<String> {
    let cpu = |word: &str| word.parse::<u16>().ok();
    let is_range = |range: &str| match range.split_once('-') {
        Some((first, last)) => cpu(first) <= cpu(last) && cpu(first).is_some(),
        None => cpu(range).is_some(),
    };
    let sound = text.len() <= LONGEST_LIST && (text.is_empty() || text.split(',').all(is_range));
    sound.then(|| text.to_owned())
}
