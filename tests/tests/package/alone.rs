//! Without systemd: what the scripts of the package do, and what is left of it.

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testbed::process::output;
use testbed::topology::Topology;

use crate::{can_be_had, package};

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
inside test -s /usr/share/zsh/vendor-completions/_bulwark

printf '[datapath]\ninterfaces = ["cl0", "rs0"]\n[api]\nunix_group = "bulwark"\n' >root/etc/bulwark/bulwark.toml
chroot root /usr/sbin/bulwarkd &
director=$!
for _ in $(seq 600); do inside bulwark status >status && break; sleep 0.1; done
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

#[test]
fn the_package_installs_runs_and_leaves_nothing() -> Result<()> {
    if !can_be_had() {
        return Ok(());
    }
    let package = package()?;
    let topology = Topology::with_one_real()?;
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
