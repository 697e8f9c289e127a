//! The Debian package: built of the programs under test, installed over a copy of this host's
//! file system, run, and removed without a trace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testbed::director::binary;
use testbed::process::output;
use testbed::require;
use testbed::topology::{Plan, Topology};

const PROGRAMS: [&str; 9] = [
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

/// Over this host's file system, in a mount namespace of its own: `root` is a copy of it, and what
/// is written there goes into `upper`. `lived` has what a purge leaves.
const LIFE: &str = r#"
mount -t tmpfs tmpfs "$FOLDER"
cd "$FOLDER"
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
for system in proc sys dev; do mount --rbind /$system root/$system; done
mount -t tmpfs tmpfs root/run
cp "$PACKAGE" root/bulwark.deb
inside() { chroot root "$@"; }

inside dpkg --install /bulwark.deb
inside getent group bulwark
test "$(inside stat -c '%a %G' /etc/bulwark)" = '750 bulwark'
inside /usr/sbin/bulwarkd --check --config /usr/share/doc/bulwark/bulwark.toml
inside test -L /etc/systemd/system/multi-user.target.wants/bulwarkd.service
inside test -s /usr/share/man/man8/bulwarkd.8.gz

printf '[datapath]\ninterfaces = ["cl0", "rs0"]\n[api]\nunix_group = "bulwark"\n' >root/etc/bulwark/bulwark.toml
chroot root /usr/sbin/bulwarkd &
director=$!
for _ in $(seq 100); do inside bulwark status >status && break; sleep 0.1; done
cat status
test "$(inside stat -c '%a %G' /run/bulwark/api.sock)" = '660 bulwark'
inside dpkg --install /bulwark.deb
kill -0 $director
kill -TERM $director
wait $director

inside dpkg --remove bulwark
inside test ! -e /usr/sbin/bulwarkd
inside test -s /etc/bulwark/bulwark.toml
inside dpkg --purge bulwark
rm root/bulwark.deb status
cd upper
find . -type f -o -type c -o -type l | grep -Ev '^./(var/(lib/dpkg|log|cache|lib/systemd/deb-systemd-helper)|etc/(group|gshadow|\.pwd\.lock))' || true
"#;

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

#[test]
fn the_package_installs_runs_and_leaves_nothing() -> Result<()> {
    if !require::programs(&PROGRAMS) {
        return Ok(());
    }
    let package = build()?;
    let topology = Topology::build(Plan {
        reals: 1,
        ..Plan::default()
    })?;
    let folder = TempDir::new()?;
    let mut command = topology.director.command("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-euc", LIFE]);
    command
        .env("FOLDER", folder.path())
        .env("PACKAGE", &package);
    let said = output(&mut command)?;
    assert!(said.contains("bulwarkd 0.1.0, up "), "{said}");
    let (_, left) = said
        .rsplit_once("Purging configuration files")
        .context("no purge")?;
    let left: Vec<&str> = left.lines().filter(|line| line.starts_with("./")).collect();
    ensure!(left.is_empty(), "a purge leaves {left:?}");
    Ok(())
}
