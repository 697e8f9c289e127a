//! What the host has to offer: Linux that is new enough, and the capabilities.

use anyhow::{Context, Result, bail};
use nix::sys::utsname::uname;

use crate::privilege::{self, Capability};

/// Oldest kernel that takes the gate: it checks functions that take pointers each by itself.
const OLDEST_KERNEL: (u32, u32) = (5, 13);

/// Says what is missing on this host, before anything is touched; `needed` are the capabilities.
///
/// # Errors
/// A capability that is missing, or a kernel that is too old.
pub fn check<'a>(needed: impl IntoIterator<Item = &'a Capability>) -> Result<()> {
    privilege::check(needed)?;
    let uname = uname().context("cannot ask for the kernel's version")?;
    let release = uname.release().to_string_lossy().into_owned();
    let numbers: Vec<u32> = release
        .split(['.', '-'])
        .map_while(|n| n.parse().ok())
        .collect();
    let [major, minor, ..] = numbers[..] else {
        return Ok(());
    };
    let (old_major, old_minor) = OLDEST_KERNEL;
    if (major, minor) < OLDEST_KERNEL {
        bail!("this kernel is {release}; bulwarkd needs Linux {old_major}.{old_minor} or newer");
    }
    Ok(())
}
