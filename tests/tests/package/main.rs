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
use testbed::require;

/// What building and installing it takes.
const PROGRAMS: [&str; 10] = [
    "ip",
    "ethtool",
    "make",
    "strip",
    "dpkg",
    "dpkg-deb",
    "dpkg-shlibdeps",
    "deb-systemd-helper",
    "unshare",
    "chroot",
];

/// Whether this machine can build it and install it.
pub(crate) fn can_be_had() -> bool {
    require::programs(&PROGRAMS) && require::tool("cargo-deb").is_some()
}

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
    command
        .arg(profile)
        .args(["--compress-type=gz", "--fast", "--compress-system"]);
    output(&mut command)?;
    let mut built = fs::read_dir(top.join("target/deb"))?;
    let package = built.next().context("no package")??;
    Ok(package.path().canonicalize()?)
}
