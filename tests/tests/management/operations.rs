//! What those who run a director rely on: what systemd is told, reloads, and whom it runs as.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use adminapi::model::{FilterRules, ForwardingMethod, Scheduler};
use anyhow::{Context, Result, bail, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director, binary, by, run_to_end};
use testbed::process::{Signal, output};
use testbed::require;
use testbed::scene::{Family, Scene, services};
use testbed::topology::{Plan, Topology};
use testbed::traffic::{HttpConnection, fetch_names, tally};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(30);

/// What systemd hears.
struct Systemd {
    socket: UnixDatagram,
}

impl Systemd {
    /// The next message that has `wanted`; the others are passed over.
    fn hear(&self, wanted: &str) -> Result<String> {
        let end = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.socket
                .set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let mut buffer = [0; 4096];
            let length = match self.socket.recv(&mut buffer) {
                Ok(length) => length,
                // A process that is stopped meanwhile and goes on hears so (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => bail!("{error}: no {wanted} in {passed:?}"),
            };
            let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if said.lines().any(|line| line.starts_with(wanted)) {
                return Ok(said);
            }
            passed.push(said);
        }
        bail!("no {wanted} in {passed:?}")
    }
}

#[test]
fn systemd_hears_how_it_goes() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = Topology::with_one_real()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("notify");
    let systemd = Systemd {
        socket: UnixDatagram::bind(&path)?,
    };
    let configuration = Configuration::new(topology.interfaces());
    let mut director = Director::start_with(&topology.director, &configuration, |command| {
        command
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "2000000");
    })?;
    systemd.hear("READY=1")?;
    let status = systemd.hear("STATUS=")?;
    assert!(status.contains("0 services, 0 of "), "{status}");
    for _ in 0..2 {
        systemd.hear("WATCHDOG=1")?;
    }
    director.process().signal(Signal::Hup)?;
    let reloading = systemd.hear("RELOADING=1")?;
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    systemd.hear("READY=1")?;
    assert!(director.stop()?.success());
    systemd.hear("STOPPING=1")?;
    Ok(())
}

#[test]
fn a_reload_by_the_api_changes_what_differs_and_says_what_is_wrong() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let http = Family::V4;
    let mut open = HttpConnection::open(&scene.topology.client, http.http())?;
    let name = open.ask_name()?;
    let file = scene.director.file();
    let good = fs::read_to_string(&file)?;
    let reload = || scene.director.api().call(async |api| api.reload().await);

    fs::write(&file, format!("{good}\n[defence]\n"))?;
    let refusal = reload().expect_err("a file with a mistake").to_string();
    assert!(
        refusal.contains("defence: unknown key; did you mean defense?"),
        "{refusal}"
    );
    assert_eq!(open.ask_name()?, name);

    let mut configuration = Configuration::new(scene.topology.interfaces());
    for service in services(&scene.topology, Scheduler::Rr, &[0, 1, 0]) {
        configuration = configuration.service(service);
    }
    fs::write(&file, configuration.text(&scene.director.socket())?)?;
    reload()?;
    assert_eq!(open.ask_name()?, name);
    let names = tally(fetch_names(&scene.topology.client, http.http(), 4)?);
    assert_eq!(names["rs2"], 4, "{names:?}");
    let events = scene.director.api().call(async |api| api.events(0).await)?;
    let change = events.events.iter().find_map(|event| event.change.as_ref());
    let change = change.context("the reload is no event")?;
    assert_eq!(change.what, "POST /v1/reload");
    assert!(change.before["service"].is_array(), "{change:?}");
    assert_accounts(&scene.director);
    Ok(())
}

/// What a director has as a user that may nothing else; the last one since the limit on locked
/// memory of whoever runs the tests is what it is.
const CAPABILITIES: &str = "+net_admin,+net_raw,+bpf,+perfmon,+ipc_lock";

/// Sends itself signals as soon as the API's socket is there, and becomes the director meanwhile.
const IMPATIENT: &str =
    r#"(until [ -S "$0/api.sock" ]; do :; done; kill -HUP $$; kill -HUP $$) & exec "$@""#;

#[test]
fn a_hangup_while_the_director_starts_is_obeyed_when_it_serves() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = Topology::with_one_real()?;
    let configuration = Configuration::new(topology.interfaces());
    let mut director = Director::start_by(&configuration, |folder| {
        let mut command = topology.director.command("sh");
        command.args(["-c", IMPATIENT]).arg(folder);
        command.arg(binary("bulwarkd")?);
        Ok(command)
    })?;
    wait::until_true("the reload", PATIENCE, || {
        director.log().contains("configuration reloaded")
    })?;
    director.api().health()?;
    ensure!(director.stop()?.success());
    Ok(())
}

#[test]
fn of_a_reload_that_is_refused_nothing_is_done() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    let config = || api.call(async |api| api.config().await);
    let [interface, ..] = &scene.topology.interfaces()[..] else {
        bail!("no interface");
    };
    let configuration = Configuration::new(scene.topology.interfaces());
    let changed = configuration.timeout("udp", 77).sysctl("pmtu_disc", 0);
    let changed = changed.text(&scene.director.socket())?;
    let file = scene.director.file();
    let good = format!("[filter]\ndeny = [\"203.0.113.0/24\"]\nstrict = [{interface:?}]\n");
    let bad = "[filter]\ndeny = [\"198.51.100.0/24\"]\nloose = [\"eth9\"]\n";
    fs::write(&file, format!("{}\n{good}", fs::read_to_string(&file)?))?;
    api.call(async |api| api.reload().await)?;
    let filter = || api.call(async |api| api.filter().await);
    let filtered = filter()?;
    ensure!(filtered.rules.strict == std::slice::from_ref(interface));
    let before = config()?;
    ensure!(before.services.len() > 1);

    fs::write(&file, format!("{changed}\n{bad}"))?;
    let refused = api.call(async |api| api.reload().await);
    let told = refused.expect_err("it names no interface").to_string();
    ensure!(told.contains("eth9"), "{told}");
    ensure!(config()? == before, "{:#?}\n{before:#?}", config()?);
    let after = filter()?;
    ensure!((after.rules, after.listed) == (filtered.rules, filtered.listed));
    fetch_names(&scene.topology.client, Family::V4.http(), 3)?;

    fs::write(&file, changed)?;
    api.call(async |api| api.reload().await)?;
    let after = config()?;
    ensure!(
        after.services.is_empty() && after.timeouts.udp == 77,
        "{after:#?}"
    );
    ensure!(filter()?.listed.is_empty());
    Ok(())
}

/// What is kept of the API's changes at `state` and does not go with `text`, another configuration
/// file: the check refuses it as the start does, and says where it is.
fn is_refused(
    topology: &Topology,
    director: &Director,
    (text, state, place): (&str, &Path, &str),
) -> Result<()> {
    fs::write(director.file(), text)?;
    let check = || director.ask(&topology.director, "--check");
    let (status, told) = check()?;
    ensure!(!status.success(), "{told}");
    let file = state.display();
    ensure!(told.starts_with(&format!("{file}: {place}")), "{told}");
    ensure!(
        told.contains(&format!("mend {file}, or remove it")),
        "{told}"
    );
    let (status, said) = run_to_end(&topology.director, &[], text)?;
    ensure!(!status.success(), "{said}");
    ensure!(said.ends_with(&format!("bulwarkd: {told}")), "{said}");
    fs::remove_file(state)?;
    let (status, told) = check()?;
    ensure!(status.success(), "{told}");
    Ok(())
}

#[test]
fn what_is_kept_and_does_not_fit_is_refused_by_the_check_and_by_the_start() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = Topology::with_one_real()?;
    let folder = tempfile::tempdir()?;
    let state = folder.path().join("state.json");
    let interfaces = topology.interfaces();
    let [.., last] = &interfaces[..] else {
        bail!("no interface");
    };
    let kept = |interfaces: &[String]| {
        let persist = state.display().to_string();
        Configuration::new(interfaces.to_vec()).api("persist", persist)
    };
    let plain = kept(&interfaces);

    let mut director = Director::start(&topology.director, &plain)?;
    let text =
        |configuration: &Configuration, director: &Director| configuration.text(&director.socket());
    let rules = FilterRules {
        strict: vec![last.clone()],
        ..FilterRules::default()
    };
    let api = director.api();
    api.put_filter(&rules)?;
    ensure!(director.stop()?.success());
    let narrow = text(&kept(&interfaces[..interfaces.len() - 1]), &director)?;
    let place = format!("/filter/strict/0: {last:?} is no interface");
    is_refused(&topology, &director, (&narrow, &state, &place))?;

    let speaking = plain
        .clone()
        .datapath("local_addresses", ["10.0.2.240"].to_vec());
    let mut director = Director::start(&topology.director, &speaking)?;
    let [served, ..] = &services(&topology, Scheduler::Rr, &[1])[..] else {
        bail!("no service");
    };
    let served = by(served.clone(), ForwardingMethod::FullNat, None);
    director.api().add_service(&served)?;
    ensure!(director.stop()?.success());
    let mute = text(&plain, &director)?;
    let place = "/service/0/real/0/method: the director has no";
    is_refused(&topology, &director, (&mute, &state, place))?;

    let mark = r#"{"service": [], "marks": [{"mark": 1, "region": "nowhere"}]}"#;
    fs::write(&state, mark)?;
    let place = "/marks/0/region: there is no region \"nowhere\"";
    is_refused(&topology, &director, (&mute, &state, place))
}

#[test]
fn the_check_refuses_what_no_start_takes_of_the_file_itself() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = Topology::with_one_real()?;
    let configuration = Configuration::new(topology.interfaces());
    let director = Director::start(&topology.director, &configuration)?;
    let file = director.file();
    let loose = configuration.clone().filter("loose", ["eth9"].to_vec());
    let group = configuration.clone().api("unix_group", "nosuchgrp");
    let place = format!("{}: /filter/loose/0: \"eth9\"", file.display());
    for (bad, wanted) in [
        (loose, place.as_str()),
        (group, "there is no group nosuchgrp"),
    ] {
        fs::write(&file, bad.text(&director.socket())?)?;
        let (status, told) = director.ask(&topology.director, "--check")?;
        ensure!(!status.success(), "{told}");
        ensure!(told.starts_with(wanted), "{told}");
    }
    fs::write(&file, configuration.text(&director.socket())?)?;
    let said = Command::new(binary("bulwarkd")?)
        .args(["--check", "--config"])
        .arg(&file)
        .stdout(File::options().write(true).open("/dev/full")?)
        .output()?;
    let told = String::from_utf8_lossy(&said.stderr);
    ensure!(said.status.code() == Some(1), "{told}");
    ensure!(
        told.starts_with("cannot write to standard output"),
        "{told}"
    );
    Ok(())
}

#[test]
fn a_director_needs_its_capabilities_only_and_not_to_be_root() -> Result<()> {
    if !require::programs(&[
        "ip", "ethtool", "nginx", "curl", "sysctl", "ping", "setpriv",
    ]) {
        return Ok(());
    }
    let topology = Topology::build(Plan::default())?;
    let web = topology.reals.iter().map(testbed::servers::Nginx::start);
    let _web = web.collect::<Result<Vec<_>>>()?;
    topology.meet_neighbours()?;
    let mut configuration = Configuration::new(topology.interfaces());
    for service in services(&topology, Scheduler::Rr, &[1, 1, 1]) {
        configuration = configuration.service(service);
    }
    // A copy, since a user may not get at the folder of the build. By a process of its own: what another
    // thread starts meanwhile has what this one writes open as well, and a program that is cannot run.
    let folder = tempfile::tempdir()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let program = folder.path().join("bulwarkd");
    output(Command::new("cp").arg(binary("bulwarkd")?).arg(&program))?;
    let mut director = Director::start_by(&configuration, |directory| {
        output(
            Command::new("chown")
                .args(["-R", "65534:65534"])
                .arg(directory),
        )?;
        let mut command = topology.director.command("setpriv");
        command.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--no-new-privs",
        ]);
        command.arg(format!("--inh-caps=-all,{CAPABILITIES}"));
        command.arg(format!("--ambient-caps=-all,{CAPABILITIES}"));
        command.arg(format!("--bounding-set=-all,{CAPABILITIES}"));
        command.arg(&program);
        Ok(command)
    })?;
    let status = fs::read_to_string(format!("/proc/{}/status", director.process().id()))?;
    ensure!(status.contains("Uid:\t65534"), "{status}");
    let names = tally(fetch_names(&topology.client, Family::V4.http(), 6)?);
    assert_eq!(
        names.values().copied().collect::<Vec<_>>(),
        [2, 2, 2],
        "{names:?}"
    );
    assert_accounts(&director);
    Ok(())
}

/// The most that `systemd-analyze security` may find, in tenths; 100 is no protection at all.
const EXPOSURE: &str = "--threshold=30";

#[test]
fn the_units_are_sound_and_hardened() -> Result<()> {
    if !require::programs(&["systemd-analyze"]) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf");
    for unit in ["bulwarkd.service", "bulwark-agent.service"] {
        let program = binary("bulwarkd")?.display().to_string();
        let text = fs::read_to_string(conf.join(unit))?;
        let path = folder.path().join(unit);
        fs::write(&path, text.replace("/usr/local/sbin/bulwarkd", &program))?;
        let drop_in = folder.path().join("bulwarkd.service.d");
        let verify = |path: &Path| {
            let mut command = Command::new("systemd-analyze");
            let result = command.args(["--man=no", "verify"]).arg(path).output()?;
            let said = String::from_utf8([result.stdout, result.stderr].concat())?;
            ensure!(
                result.status.success() && !said.contains(unit),
                "{unit}: {said}"
            );
            let mut command = Command::new("systemd-analyze");
            command
                .args(["security", "--offline=true", EXPOSURE])
                .arg(path);
            output(&mut command).map(drop)
        };
        verify(&path)?;
        if unit == "bulwarkd.service" {
            fs::create_dir(&drop_in)?;
            fs::copy(
                conf.join("bulwarkd-unprivileged.conf"),
                drop_in.join("unprivileged.conf"),
            )?;
            verify(&path)?;
        }
    }
    Ok(())
}
