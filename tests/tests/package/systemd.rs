//! Under systemd, by the unit that the package brings, with all that it forbids.

use anyhow::{Context, Result, ensure};
use testbed::require;
use testbed::topology::Topology;
use testbed::wait;

use crate::can_be_had;
use crate::machine::{self, Machine, PATIENCE};

/// As much packet memory as a user may lock who may not raise that limit, which virtual machines
/// may not allow.
const CONFIGURATION: &str = r#"
[datapath]
interfaces = ["cl0", "rs0"]
workers = 1
ring = 256
frames = 1024
pin = "/sys/fs/bpf/bulwark"

[limits]
connections = 1024

[api]
persist = "/var/lib/bulwark/state.json"
"#;

#[test]
fn systemd_starts_reloads_restarts_and_stops_it() -> Result<()> {
    if !can_be_had() || !require::programs(&machine::PROGRAMS) {
        return Ok(());
    }
    let topology = Topology::with_one_real()?;
    let machine = Machine::boot(&topology)?;
    lives(&machine).with_context(|| machine.log())?;
    let links = topology.director.run("ip", &["link"])?;
    ensure!(!links.contains("xdp"), "the gate is still there: {links}");
    Ok(())
}

fn lives(machine: &Machine) -> Result<()> {
    machine.run("dpkg --install /bulwark.deb")?;
    ensure!(machine.show("ActiveState")? == "inactive");
    ensure!(
        machine.show("ConditionResult")? == "no",
        "nothing is configured"
    );
    machine.run("systemd-analyze verify bulwarkd.service bulwark-agent.service")?;

    is_started_until_it_runs(machine)?;
    // Ends when the director says that it is ready.
    machine.run("systemctl start bulwarkd")?;
    machine.run("bulwark -A -t 10.9.9.9:80")?;
    // In tenths, as docs/operation.md says.
    machine.run("systemd-analyze security --threshold=29 bulwarkd")?;
    wait::until("its status", PATIENCE, || {
        let status = machine.show("StatusText")?;
        ensure!(status.starts_with("1 service"), "{status}");
        Ok(())
    })?;
    let socket = machine.run("stat -c '%a %U' /run/bulwark/api.sock")?;
    ensure!(socket.trim() == "660 root", "{socket}");

    machine.run("systemctl reload bulwarkd")?;
    wait::until("the reload", PATIENCE, || {
        ensure!(machine.log().contains("configuration reloaded"));
        Ok(())
    })?;
    let first = machine.show("MainPID")?;
    is_upgraded(machine)?;
    ensure!(
        machine.show("MainPID")? == first,
        "an upgrade restarts nothing"
    );

    machine.run(&format!("kill -KILL {first}"))?;
    wait::until("another director", PATIENCE, || {
        // In this order: what is running then is the next one.
        let next = machine.show("MainPID")?;
        let state = machine.show("SubState")?;
        let is_next = next != first && next != "0";
        ensure!(is_next && state == "running", "{next} {state}");
        Ok(())
    })?;
    let listed = machine.run("bulwark -Ln")?;
    ensure!(listed.contains("10.9.9.9:80"), "{listed}");
    let next = machine.show("MainPID")?;
    let program = machine.run(&format!("readlink /proc/{next}/exe"))?;
    // As the host sees it: the name of a file that has gone would say so at its end.
    let is_there = program.trim().ends_with("/usr/sbin/bulwarkd");
    ensure!(is_there, "{program}");

    machine.run("systemctl stop bulwarkd")?;
    ensure!(machine.show("Result")? == "success");
    machine.run("systemctl start bulwarkd")?;
    machine.run("dpkg --remove bulwark")?;
    ensure!(machine.show("ActiveState")? == "inactive");
    ensure!(machine.show("LoadState")? != "loaded");
    machine.run("dpkg --purge bulwark")?;
    let left = "/etc/bulwark /var/lib/bulwark /run/bulwark /sys/fs/bpf/bulwark";
    for path in left.split(' ') {
        machine.run(&format!("test ! -e {path}"))?;
    }
    Ok(())
}

/// To a package of a later version, which brings the programs in files of their own. What the operator
/// has written stays.
fn is_upgraded(machine: &Machine) -> Result<()> {
    machine.run("dpkg-deb --raw-extract /bulwark.deb /later")?;
    machine.run("sed -i 's/^Version: .*/Version: 99.0-1/' /later/DEBIAN/control")?;
    machine.run("dpkg-deb --root-owner-group -Zgzip -z1 --build /later /later.deb")?;
    machine.run("dpkg --install /later.deb")?;
    let version = machine.run("dpkg-query --show --showformat '${Version}' bulwark")?;
    ensure!(version == "99.0-1", "{version}");
    let written = machine.run("cat /etc/bulwark/bulwark.toml")?;
    ensure!(written == CONFIGURATION, "{written}");
    Ok(())
}

/// However long what it needs is missing.
fn is_started_until_it_runs(machine: &Machine) -> Result<()> {
    let missing = CONFIGURATION.replace("rs0", "late0");
    machine.write("/etc/bulwark/bulwark.toml", &missing)?;
    ensure!(machine.run("systemctl start bulwarkd").is_err());
    // More than systemd allows by default.
    is_restarted(machine, 7)?;
    // As an editor may leave it for a moment.
    machine.write("/etc/bulwark/bulwark.toml", "")?;
    let so_far: u32 = machine.show("NRestarts")?.parse()?;
    is_restarted(machine, so_far + 3)?;
    machine.write("/etc/bulwark/bulwark.toml", CONFIGURATION)?;
    wait::until("the director", PATIENCE, || {
        let state = machine.show("SubState")?;
        ensure!(state == "running", "{state}");
        Ok(())
    })
}

fn is_restarted(machine: &Machine, times: u32) -> Result<()> {
    wait::until("the starts", PATIENCE, || {
        let restarts: u32 = machine.show("NRestarts")?.parse()?;
        ensure!(restarts >= times, "{restarts} of {times}");
        Ok(())
    })
}
