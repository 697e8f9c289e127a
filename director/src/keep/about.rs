//! Who has written a generation, and how it is laid out.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::KeepError;
use crate::flow::{self, Shape};
use crate::time::Clock;

/// Goes up with each change of a file beside the tables, whose entries have a layout of their own.
const FORMAT: u32 = 1;

/// What every version can read of the file `about`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    format: u32,
    /// The version that wrote it, to be told.
    program: String,
    /// [`flow::layout`].
    entries: u64,
}

/// The file `about`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    #[serde(flatten)]
    written: Written,
    /// Of which boot of the machine, and in which network namespace.
    boot: String,
    network: u64,
    /// [`Clock::zero`], nanoseconds.
    pub(super) zero: u64,
    /// How the connection table lies in its file.
    pub connections: Shape,
    /// How that of the templates does.
    pub templates: Shape,
}

impl About {
    pub(super) fn now(clock: &Clock, [connections, templates]: [Shape; 2]) -> Self {
        Self {
            written: Written {
                format: FORMAT,
                program: env!("CARGO_PKG_VERSION").to_owned(),
                entries: flow::layout(),
            },
            boot: boot(),
            network: network(),
            zero: clock.zero().as_nanos() as u64,
            connections,
            templates,
        }
    }

    /// Whether it is of this boot and of this network namespace.
    pub(super) fn is_of_here(&self) -> bool {
        self.boot == boot() && self.network == network()
    }
}

impl Written {
    /// Whether this program can read what is there.
    pub(super) fn check(&self, directory: &Path) -> Result<(), KeepError> {
        match self.format == FORMAT && self.entries == flow::layout() {
            true => Ok(()),
            false => Err(KeepError::OtherLayout {
                directory: directory.to_owned(),
                program: self.program.clone(),
            }),
        }
    }
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

fn network() -> u64 {
    fs::metadata("/proc/self/ns/net").map_or(0, |file| file.ino())
}
