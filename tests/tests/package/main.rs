//! The Debian package: built of the programs under test, installed over a copy of this host's
//! file system, run, and removed without a trace.

mod alone;
mod machine;
mod systemd;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result};
use testbed::director::binary;
use testbed::process::output;

/// What building and installing it takes.
pub(crate) const PROGRAMS: [&str; 9] = [
    "ip",
    "ethtool",
    "make",
    "strip",
    "dpkg",
    "dpkg-deb",
    "deb-systemd-helper",
    "unshare",
    "chroot",
];

static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);

/// The package, built once for all tests.
pub(crate) fn package() -> Result<PathBuf> {
    let mut built = BUILT.lock().expect("nobody panics while he builds");
    if built.is_none() {
        *built = Some(build()?);
    }
    built.clone().context("it is built")
}

fn build() -> Result<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let programs = binary("bulwarkd")?;
    let profile = programs.parent().and_then(Path::file_name);
    let profile = profile.context("the programs are in no folder")?;
    let mut command = Command::new(top.join("packaging/deb/build"));
    // Small is not what is tested.
    command.arg(profile).env("DPKG_DEB_COMPRESSOR_TYPE", "gzip");
    output(&mut command)?;
    let mut built = fs::read_dir(top.join("target/deb"))?;
    let package = built.next().context("no package")??;
    Ok(package.path().canonicalize()?)
}
