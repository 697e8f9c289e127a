//! Captures of what the kernel's IPVS does, replayed against a running director.
//!
//! A capture ([`case`]) is a list of commands with their output, of packets sent, told in words
//! ([`script`]), and of packets seen. [`replay`] does the same in the captures' own topology
//! ([`lab`]) and [`compare`]s. The captures are not part of this tree: [`directory`] says where they
//! are looked for.

pub mod case;
pub mod compare;
pub mod http;
pub mod lab;
pub mod notation;
mod proc;
pub mod replay;
pub mod script;
pub mod shell;
pub mod standing;
pub mod talk;

use std::io::{self, Write as _};
use std::path::PathBuf;

/// Names the directory of the captures: it holds `cases/{cli,traffic}/*.case` and `etc`.
pub const VARIABLE: &str = "BULWARK_ORACLE";

/// Where the captures are: what [`VARIABLE`] names, else `shared/ipvs-oracle` beside the checkout.
/// Without them it says that their test is skipped.
pub fn directory() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/ipvs-oracle");
    let place = std::env::var_os(VARIABLE).map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let found = place.join("cases/traffic").is_dir().then_some(place);
    if found.is_none() {
        let why = "the captures of IPVS are not part of this tree, and not beside it";
        // Not by `eprintln!`, which the test runner keeps to itself.
        let _ = writeln!(io::stderr(), "SKIPPED: {why} ({VARIABLE} names them)");
    }
    found
}
