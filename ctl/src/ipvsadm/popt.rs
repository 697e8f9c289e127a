//! Reads switches off a line the way popt does: `-Lnc` bundles, `-p60`, `-p=60`,
//! `--weight 3` and `--weight=3` carry values, `--` ends the switches, and what is not a switch
//! is kept for later, wherever it stands.

use super::switches::{Means, Switch, Takes};

/// A switch as it stands on the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    /// What it stands for.
    pub(crate) means: Means,
    /// Its value.
    pub(crate) value: Option<String>,
}

/// What popt says of a switch that it can't read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadSwitch(pub(crate) &'static str);

/// No such switch.
pub(crate) const UNKNOWN: BadSwitch = BadSwitch("unknown option");
const NO_VALUE: BadSwitch = BadSwitch("missing argument");
const UNWANTED_VALUE: BadSwitch = BadSwitch("option does not take an argument");

/// The reader of one line.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    tables: &'a [&'a [Switch]],
    args: &'a [String],
    /// Index of the next argument.
    next: usize,
    /// What is left of a bundle of short switches.
    bundle: &'a str,
    /// A `--` has been seen.
    ended: bool,
    /// What is not a switch.
    positional: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    /// A reader of `args`, without the program's name, by the spellings in `tables`.
    pub(crate) fn new(args: &'a [String], tables: &'a [&'a [Switch]]) -> Self {
        Self {
            tables,
            args,
            next: 0,
            bundle: "",
            ended: false,
            positional: Vec::new(),
        }
    }

    /// The argument read last, as messages quote it.
    pub(crate) fn culprit(&self) -> &'a str {
        self.next
            .checked_sub(1)
            .and_then(|last| self.args.get(last))
            .map_or("", String::as_str)
    }

    /// What is not a switch; complete once [`Self::read`] has returned `None`.
    pub(crate) fn positional(&self) -> &[&'a str] {
        &self.positional
    }

    /// The next switch.
    pub(crate) fn read(&mut self) -> Option<Result<Given, BadSwitch>> {
        loop {
            if !self.bundle.is_empty() {
                return Some(self.short());
            }
            let arg = self.args.get(self.next)?.as_str();
            self.next += 1;
            if self.ended || arg == "-" || !arg.starts_with('-') {
                self.positional.push(arg);
            } else if arg == "--" {
                self.ended = true;
            } else if let Some(long) = arg.strip_prefix("--") {
                return Some(self.long(long));
            } else {
                self.bundle = &arg[1..];
            }
        }
    }

    fn find(&self, wanted: impl Fn(&Switch) -> bool) -> Result<Switch, BadSwitch> {
        let mut all = self.tables.iter().flat_map(|table| table.iter());
        all.find(|switch| wanted(switch)).copied().ok_or(UNKNOWN)
    }

    fn long(&mut self, text: &'a str) -> Result<Given, BadSwitch> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let switch = self.find(|switch| switch.long == name)?;
        match (switch.takes, value) {
            (Takes::Nothing, Some(_)) => Err(UNWANTED_VALUE),
            (_, Some(value)) => Ok(given(switch, Some(value))),
            (_, None) => self.with_next(switch),
        }
    }

    fn short(&mut self) -> Result<Given, BadSwitch> {
        let mut letters = self.bundle.chars();
        let letter = letters.next();
        self.bundle = letters.as_str();
        let switch = self.find(|switch| switch.short.is_some() && switch.short == letter);
        let switch = switch.inspect_err(|_| self.bundle = "")?;
        if switch.takes == Takes::Nothing && self.bundle.starts_with('=') {
            self.bundle = "";
            return Err(UNWANTED_VALUE);
        }
        if switch.takes == Takes::Nothing || self.bundle.is_empty() {
            return self.with_next(switch);
        }
        let value = std::mem::take(&mut self.bundle);
        let value = value.strip_prefix('=').unwrap_or(value);
        Ok(given(switch, Some(value)))
    }

    /// The value of `switch` is not in its own argument: it has none or is the next one.
    fn with_next(&mut self, switch: Switch) -> Result<Given, BadSwitch> {
        let next = self.args.get(self.next).map(String::as_str);
        let value = match (switch.takes, next) {
            (Takes::Nothing, _) | (Takes::Maybe, None) => None,
            (Takes::Maybe, Some(next)) if next.starts_with('-') => None,
            (Takes::Value, None) => return Err(NO_VALUE),
            (Takes::Maybe | Takes::Value, Some(next)) => {
                self.next += 1;
                Some(next)
            }
        };
        Ok(given(switch, value))
    }
}

fn given(switch: Switch, value: Option<&str>) -> Given {
    Given {
        means: switch.means,
        value: value.map(str::to_owned),
    }
}
