//! Who gets at a director over the network, what he may, and what is remembered of it.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use adminapi::model::{AuditEntry, Timeouts, TimeoutsPatch};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use testbed::certificates::{Authority, Files};
use testbed::director::{Configuration, Director, binary};
use testbed::process::{Signal, output};
use testbed::topology::{Plan, Topology};
use testbed::{require, wait};

const PATIENCE: Duration = Duration::from_secs(30);

/// The director as the client sees it.
const DIRECTOR: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 254);

/// Requests that a token may make at once, and a second: fewer than the slowest machine answers.
const BURST: i64 = 200;
const RATE: i64 = 5;

/// The service of the tests.
const WEB: &str = "/v1/services/tcp:10.9.9.9:80";

/// A director that other hosts reach, with one token of each role.
struct Guarded {
    director: Director,
    topology: Topology,
    _authority: Authority,
    files: Files,
    folder: TempDir,
    read: String,
    admin: String,
}

/// A new token, its hash added to a file.
fn token(file: &Path, role: &str) -> Result<String> {
    let mut command = Command::new(binary("bulwark")?);
    command.args(["token", "new", "--name", role, "--role", role, "--file"]);
    command.arg(file);
    Ok(output(&mut command)?.trim().to_owned())
}

impl Guarded {
    fn start() -> Result<Self> {
        let topology = Topology::with_one_real()?;
        let authority = Authority::new()?;
        let files = authority.certify("director", &[DIRECTOR.into()])?;
        let folder = tempfile::tempdir()?;
        let tokens = folder.path().join("tokens");
        let (read, admin) = (token(&tokens, "read")?, token(&tokens, "admin")?);
        let mut tls = toml::Table::new();
        for (key, file) in [("certificate", &files.certificate), ("key", &files.key)] {
            tls.insert(key.to_owned(), file.display().to_string().into());
        }
        let configuration = Configuration::new(topology.interfaces())
            .api("listen", format!("{DIRECTOR}:7070"))
            .api("token_file", tokens.display().to_string())
            .api("request_rate", RATE)
            .api("request_burst", BURST)
            .api("tls", toml::Value::Table(tls));
        let director = Director::start(&topology.director, &configuration)?;
        Ok(Self {
            director,
            topology,
            _authority: authority,
            files,
            folder,
            read,
            admin,
        })
    }

    /// The exit status of a line of `bulwark` on the client, and what it says.
    fn ask(&self, token: &str, line: &str) -> Result<(i32, String)> {
        let mut command = self.topology.client.command(binary("bulwark")?);
        command
            .args(line.split(' '))
            .env("BULWARK_API", format!("https://{DIRECTOR}:7070"))
            .env("BULWARK_CA", &self.files.authority)
            .env("BULWARK_TOKEN", token);
        let output = command.output()?;
        let status = output.status.code().context("ended by a signal")?;
        let said = [output.stdout, output.stderr].concat();
        Ok((status, String::from_utf8(said)?))
    }

    fn changes(&self) -> Result<Vec<AuditEntry>> {
        changes(&self.director)
    }
}

/// The changes that a director remembers.
fn changes(director: &Director) -> Result<Vec<AuditEntry>> {
    let events = director.api().call(async |api| api.events(0).await)?;
    Ok(events
        .events
        .into_iter()
        .filter_map(|event| event.change)
        .collect())
}

#[test]
fn over_the_network_a_token_opens_what_its_role_says() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let guarded = Guarded::start()?;
    let (read, admin) = (guarded.read.as_str(), guarded.admin.as_str());
    let other = Authority::new()?;
    let distrust = format!("-Ln --ca {}", other.file().display());
    let plain = format!("-Ln --api http://{DIRECTOR}:7070");
    for (token, line, want, word) in [
        (admin, "-A -t 10.9.9.9:80 -s rr", 0, ""),
        (read, "-Ln", 0, "10.9.9.9:80 rr"),
        (read, "-D -t 10.9.9.9:80", 4, "role"),
        ("", "-Ln", 4, "token"),
        ("bulwark_00", "-Ln", 4, "token"),
        (admin, &distrust, 7, "--ca"),
        (admin, "-Ln --ca /nonexistent", 2, "No such file"),
        (admin, &plain, 7, "https://"),
        (admin, "-E -t 10.9.9.9:80 -s wlc", 0, ""),
    ] {
        let (status, said) = guarded.ask(token, line)?;
        assert_eq!(status, want, "{line}: {said}");
        assert!(said.contains(word), "{line}: {said}");
    }
    let changes = guarded.changes()?;
    let [added, edited] = changes.as_slice() else {
        panic!("not two changes: {changes:?}");
    };
    assert!(
        added.who.starts_with("token admin from 10.0.1.1:"),
        "{added:?}"
    );
    assert_eq!(added.what, "POST /v1/changes");
    assert_eq!(added.before[WEB], Value::Null);
    assert_eq!(added.after[WEB]["id"], "tcp:10.9.9.9:80");
    assert_eq!(edited.before[WEB]["scheduler"], "rr");
    assert_eq!(edited.after[WEB]["scheduler"], "wlc");
    let log = guarded.director.log();
    assert!(log.contains("audit"), "{log}");
    for secret in [read, admin] {
        assert!(!log.contains(secret), "a token is in the log: {log}");
    }
    Ok(())
}

#[test]
fn a_removed_token_locks_its_holder_out_without_a_restart() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let guarded = Guarded::start()?;
    assert_eq!(guarded.ask(&guarded.read, "-Ln")?.0, 0);
    let file = guarded.folder.path().join("tokens");
    let tokens = std::fs::read_to_string(&file)?;
    let others = tokens.lines().filter(|line| !line.starts_with("read "));
    let others: String = others.map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, others)?;
    wait::until("the token to be forgotten", PATIENCE, || {
        let (status, said) = guarded.ask(&guarded.read, "-Ln")?;
        ensure!(status == 4, "status {status}: {said}");
        Ok(())
    })?;
    assert_eq!(guarded.ask(&guarded.admin, "-Ln")?.0, 0);
    Ok(())
}

#[test]
fn changes_by_the_socket_and_by_a_reload_are_remembered_too() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut guarded = Guarded::start()?;
    let patch = TimeoutsPatch {
        udp: Some(7),
        ..TimeoutsPatch::default()
    };
    let api = guarded.director.api();
    api.call(async |api| api.change_timeouts(patch).await)?;
    // The same again changes nothing.
    api.call(async |api| api.change_timeouts(patch).await)?;
    guarded.director.process().signal(Signal::Hup)?;
    let default = Timeouts::default().udp;
    wait::until("the reload", PATIENCE, || {
        let api = guarded.director.api();
        let timeouts = api.call(async |api| api.timeouts().await)?;
        ensure!(timeouts.udp == default, "{timeouts:?}");
        ensure!(guarded.changes()?.len() == 2, "{:?}", guarded.changes()?);
        Ok(())
    })?;
    let changes = guarded.changes()?;
    assert!(changes[0].who.starts_with("uid 0, pid "), "{changes:?}");
    assert_eq!(changes[0].what, "PATCH /v1/timeouts");
    assert_eq!(
        (changes[1].who.as_str(), changes[1].what.as_str()),
        ("SIGHUP", "reload")
    );
    assert_eq!(changes[1].before["timeouts"]["udp"], 7);
    assert_eq!(changes[1].after["timeouts"]["udp"], default);
    Ok(())
}

#[test]
fn what_clients_that_hang_up_have_changed_is_remembered() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = Topology::build(Plan::default())?;
    let folder = tempfile::tempdir()?;
    let state = folder.path().join("state.json").display().to_string();
    let configuration = Configuration::new(topology.interfaces()).api("persist", state);
    let director = Director::start(&topology.director, &configuration)?;
    for number in 1..=60 {
        let body = format!(r#"{{"protocol":"tcp","address":"10.9.9.{number}","port":80}}"#);
        let mut client = UnixStream::connect(director.socket())?;
        write!(
            client,
            "POST /v1/services HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        std::thread::sleep(Duration::from_micros(500 * (number % 30)));
    }
    wait::until("the audit", PATIENCE, || {
        let services = director.api().call(async |api| api.services().await)?;
        let (made, told) = (services.len(), changes(&director)?.len());
        ensure!(made > 0 && told == made, "{made} changes, {told} told of");
        Ok(())
    })
}

#[test]
fn a_token_that_asks_too_often_waits_and_locks_nobody_else_out() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let guarded = Guarded::start()?;
    let url = format!("https://{DIRECTOR}:7070/v1/timeouts#[1-2000]");
    let mut command = guarded.topology.client.command("curl");
    command.args(["-sS", "-o", "/dev/null", "--cacert"]);
    command.arg(&guarded.files.authority);
    command.args(["-w", "%{http_code} %header{retry-after}\\n"]);
    command
        .arg("-H")
        .arg(format!("Authorization: Bearer {}", guarded.read));
    let said = output(command.arg(url))?;
    let count = |line: &str| said.lines().filter(|told| *told == line).count();
    let (taken, refused) = (count("200 "), count("429 1"));
    ensure!(taken + refused == 2000, "{said}");
    ensure!(
        taken as i64 >= BURST && refused > 0,
        "{taken} taken, {refused} not"
    );
    let (status, said) = guarded.ask(&guarded.admin, "-Ln")?;
    ensure!(status == 0, "{said}");
    Ok(())
}
