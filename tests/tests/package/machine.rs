//! A machine that systemd has booted: a copy of this host's file system in namespaces of its own, with the
//! network of a director.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testbed::process::{Process, output, output_with_input};
use testbed::topology::Topology;
use testbed::wait;

use crate::package;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What it takes beside building the package.
pub(crate) const PROGRAMS: [&str; 3] = ["systemctl", "nsenter", "/lib/systemd/systemd"];

/// Becomes process 1. Its control groups are below the one that it is started in; nothing of `/sys` can be
/// written but BPF objects, so that it leaves the devices alone.
const BOOT: &str = r#"
echo $$ >"$GROUP/cgroup.procs"
exec ip netns exec "$NAMESPACE" \
    unshare --mount --propagation private --pid --fork --kill-child --cgroup --uts --ipc sh -euc '
mount -t tmpfs tmpfs "$FOLDER"
cd "$FOLDER"
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
mount -t proc proc root/proc
mount -t sysfs -o ro sysfs root/sys
mount -t bpf bpf root/sys/fs/bpf
mount -t cgroup2 cgroup2 root/sys/fs/cgroup
mount --rbind /dev root/dev
mount -t tmpfs tmpfs root/run
rm -f root/usr/sbin/policy-rc.d
cp "$PACKAGE" root/bulwark.deb
exec env -i container=bulwark PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot root \
    /lib/systemd/systemd --unit=basic.target --show-status=false --log-target=null
'
"#;

/// A group of the unified hierarchy, with all that is below it.
struct Group(PathBuf);

impl Group {
    fn new() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let unified = mounts.lines().find_map(|line| {
            let mut words = line.split(' ');
            let (place, kind) = (words.nth(1)?, words.next()?);
            (kind == "cgroup2").then_some(place)
        });
        let unified = unified.context("no unified hierarchy of control groups")?;
        let name = format!("bulwark-test-{}", std::process::id());
        let path = PathBuf::from(unified).join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let mut find = Command::new("find");
        let find = find.arg(&self.0);
        // In silence: it is looked at afterwards.
        let find = find.args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
        // A group is empty a moment after its last process has ended.
        let gone = wait::until("the control groups to be empty", PATIENCE, || {
            output(find)?;
            ensure!(!self.0.exists());
            Ok(())
        });
        drop(gone);
    }
}

/// The machine, running. Fields are dropped in their order.
pub(crate) struct Machine {
    /// The parent of process 1, which does not outlive it.
    _parent: Process,
    first: u32,
    _group: Group,
    _folder: TempDir,
}

impl Machine {
    /// Boots it in the network of `topology`'s director, the package at `/bulwark.deb`.
    pub(crate) fn boot(topology: &Topology) -> Result<Self> {
        let (package, group, folder) = (package()?, Group::new()?, TempDir::new()?);
        let mut command = Command::new("sh");
        command.args(["-euc", BOOT]).env("GROUP", &group.0);
        command.env("NAMESPACE", topology.director.name());
        command
            .env("FOLDER", folder.path())
            .env("PACKAGE", &package);
        let parent = Process::spawn(&mut command)?;
        let id = parent.id();
        let first = wait::until("process 1", PATIENCE, || {
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
            let first: u32 = children.trim().parse()?;
            let name = fs::read_to_string(format!("/proc/{first}/comm"))?;
            ensure!(name.trim() == "systemd", "it is {name}");
            Ok(first)
        })?;
        let machine = Self {
            _parent: parent,
            first,
            _group: group,
            _folder: folder,
        };
        wait::until("the machine to have booted", PATIENCE, || {
            machine.run("systemctl is-active basic.target")
        })?;
        Ok(machine)
    }

    /// What a line of shell says there.
    pub(crate) fn run(&self, line: &str) -> Result<String> {
        output(&mut self.command(line))
    }

    /// Writes a file there.
    pub(crate) fn write(&self, file: &str, text: &str) -> Result<()> {
        output_with_input(&mut self.command(&format!("cat >{file}")), text).map(drop)
    }

    /// A property of the director's unit.
    pub(crate) fn show(&self, property: &str) -> Result<String> {
        let said = self.run(&format!("systemctl show bulwarkd -p {property} --value"))?;
        Ok(said.trim().to_owned())
    }

    /// The log of the director.
    pub(crate) fn log(&self) -> String {
        self.run("journalctl --unit bulwarkd --output cat")
            .unwrap_or_default()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        let namespaces = ["mount", "net", "pid", "cgroup", "uts", "ipc"];
        command.arg(format!("--target={}", self.first));
        command.args(namespaces.map(|namespace| format!("--{namespace}")));
        command.args(["--root", "--wd", "sh", "-euc", line]);
        command
    }
}
