//! The command line against a running director: each command of ipvsadm that it has, by its effect
//! on real traffic and in the listing.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director, binary};
use testbed::process::{Process, output_with_input, said_with_input};
use testbed::require;
use testbed::servers::Nginx;
use testbed::topology::{Plan, Topology};
use testbed::traffic::{HttpConnection, fetch_names, tally};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(30);
const VIP: &str = "10.9.9.9:80";
const TITLES: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
";

struct Cli {
    director: Director,
    topology: Topology,
    _web: Vec<Nginx>,
}

impl Cli {
    fn start() -> Result<Self> {
        let plan = Plan {
            reals: 2,
            ..Plan::default()
        };
        let topology = Topology::build(plan)?;
        let web = topology
            .reals
            .iter()
            .map(Nginx::start)
            .collect::<Result<_>>()?;
        topology.meet_neighbours()?;
        let director = Director::start(
            &topology.director,
            &Configuration::new(topology.interfaces()),
        )?;
        Ok(Self {
            director,
            topology,
            _web: web,
        })
    }

    fn bulwark(&self) -> Result<Command> {
        let mut command = self.topology.director.command(binary("bulwark")?);
        let socket = self.director.socket();
        command.env("BULWARK_API", format!("unix:{}", socket.display()));
        Ok(command)
    }

    fn say(&self, words: &str) -> Result<String> {
        self.say_with(words, "")
    }

    fn say_with(&self, words: &str, input: &str) -> Result<String> {
        let mut command = self.bulwark()?;
        command.args(words.split_whitespace());
        output_with_input(&mut command, input).with_context(|| format!("bulwark {words}"))
    }

    fn served(&self, count: usize) -> Result<Vec<(String, u64)>> {
        let vip = VIP.parse()?;
        let names = tally(fetch_names(&self.topology.client, vip, count)?);
        Ok(names.into_iter().collect())
    }
}

fn counts(named: &[(&str, u64)]) -> Vec<(String, u64)> {
    named
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[test]
fn a_service_is_built_used_changed_saved_and_taken_down() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let cli = Cli::start()?;
    cli.say(&format!("-A -t {VIP} -s wrr"))?;
    cli.say(&format!("-a -t {VIP} -r 10.0.2.1:8080 -m -w 2"))?;
    cli.say(&format!("-a -t {VIP} -r 10.0.2.2:8080 -m"))?;
    assert_eq!(cli.served(6)?, counts(&[("rs1", 4), ("rs2", 2)]));

    let listing = cli.say("-Ln")?;
    assert!(listing.starts_with(TITLES), "{listing}");
    assert!(listing.contains(&format!(
        "TCP  {VIP} wrr\n  -> 10.0.2.1:8080                Masq    2 "
    )));
    let stats = cli.say("-Ln --stats")?;
    let row = stats
        .lines()
        .find(|line| line.contains("10.0.2.1"))
        .context("no row")?;
    assert_eq!(row.split_whitespace().nth(2), Some("4"), "{stats}");
    let mut open = HttpConnection::open(&cli.topology.client, VIP.parse()?)?;
    // Who is answered is known to be connected.
    open.ask_name()?;
    let connections = cli.say("-Lnc")?;
    assert!(
        connections.contains("ESTABLISHED 10.0.1.1:"),
        "{connections}"
    );

    let foreseen = cli.say(&format!("explain -t {VIP} --from 10.0.1.1:20000"))?;
    assert_eq!(
        cli.say(&format!("explain -t {VIP} --from 10.0.1.1:20000"))?,
        foreseen
    );
    for line in [
        "fate         forwarded",
        "scheduler    wrr",
        "real server  10.0.2.",
        "next hop     02:",
    ] {
        assert!(foreseen.contains(line), "{line}: {foreseen}");
    }
    let stray = cli.say(&format!(
        "explain -t {VIP} --from 10.0.1.1:20000 --flags ack"
    ))?;
    assert!(stray.contains("dropped: no_connection"), "{stray}");
    let datagram = format!("explain -u {VIP} --from 10.0.1.1:20000 --flags ack");
    assert!(cli.say(&datagram).is_err());
    let mut rows = connections.lines();
    let row = rows.find(|row| row.contains("ESTABLISHED"));
    let row = row.context("no connection")?;
    let client = row.split_whitespace().nth(3).context("no client")?;
    let known = cli.say(&format!("explain -t {VIP} --from {client}"))?;
    assert!(
        known.contains("connection   ESTABLISHED, expires in "),
        "{known}"
    );
    let limits = cli.say("limits")?;
    assert!(limits.contains("\nconnections "), "{limits}");
    let closed = cli.say(&format!("close -t {VIP} --from {client}"))?;
    assert_eq!(closed, format!("tcp:{client}-{VIP} closed\n"));
    assert!(open.ask_name().is_err(), "a closed connection answers");
    assert!(cli.say(&format!("close -t {VIP} --from {client}")).is_err());
    let passed = cli.say("explain -u 10.9.9.9:1 --from 10.0.1.1:20000")?;
    assert!(
        passed.contains("fate         left to the kernel"),
        "{passed}"
    );

    cli.say(&format!("-e -t {VIP} -r 10.0.2.1:8080 -m -w 0"))?;
    assert_eq!(cli.served(4)?, counts(&[("rs2", 4)]));
    cli.say(&format!("-E -t {VIP} -s rr"))?;
    cli.say("-Z")?;
    cli.say("--set 30 20 10")?;
    assert_eq!(
        cli.say("-L --timeout")?,
        "Timeout (tcp tcpfin udp): 30 20 10\n"
    );

    let saved = cli.say("-Sn")?;
    cli.say("-C")?;
    assert_eq!(cli.say("-Ln")?, TITLES);
    assert!(cli.served(1).is_err());
    cli.say_with("-R", &saved)?;
    assert_eq!(cli.say("-Sn")?, saved);
    assert_eq!(cli.served(2)?, counts(&[("rs2", 2)]));

    wait::until("the client among the sources", PATIENCE, || {
        cli.served(1)?;
        let sources = cli.say("sources")?;
        ensure!(sources.contains("\n10.0.1.1 "), "{sources}");
        Ok(())
    })?;

    cli.say(&format!("-d -t {VIP} -r 10.0.2.2:8080"))?;
    cli.say(&format!("-D -t {VIP}"))?;
    assert_eq!(cli.say("-Ln")?, TITLES);
    assert!(cli.say("status")?.starts_with("bulwarkd "));
    assert_accounts(&cli.director);
    Ok(())
}

/// What is set beside the defaults, in the order in which it is saved.
const SETTINGS: &str = "\
--set 800 100 200
sysctl -w net.ipv4.vs.drop_packet=1
sysctl -w net.ipv4.vs.sync_threshold=5 60
mark clear
mark add 7 --protocol tcp --destination 10.9.9.0/24 --dport 8000-8099 --interface cl0
-A -t 10.9.9.9:80 -s wrr
-a -t 10.9.9.9:80 -r 10.0.2.1:8080 -m -w 2 -x 100 -y 50
-A -f 7 -s rr -p 60
defense level 2
defense level 2 -f 7
";

#[test]
fn settings_are_saved_and_come_back() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let cli = Cli::start()?;
    for how in ["-R", "-R --atomic"] {
        cli.say_with(how, SETTINGS)?;
        assert_eq!(cli.say("-Sn --full")?, SETTINGS, "{how}");
        assert!(cli.say("defense")?.starts_with("level      2, pinned"));
        for line in [
            "-C",
            "--set 900 120 300",
            "sysctl -qw net.ipv4.vs.drop_packet=0",
            "mark clear",
            "defense level 0",
        ] {
            cli.say(line)?;
        }
        let mut threshold = cli.bulwark()?;
        threshold.args(["sysctl", "-qw", "net.ipv4.vs.sync_threshold=3 50"]);
        output_with_input(&mut threshold, "")?;
        let bare = "--set 900 120 300\nmark clear\n";
        assert_eq!(cli.say("-Sn --full")?, bare, "{how}");
    }
    assert_accounts(&cli.director);
    Ok(())
}

/// By lines that run at the same time, and while the lines of one come.
#[test]
fn what_others_change_meanwhile_is_kept() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let cli = Cli::start()?;
    let mut lines = Vec::new();
    for number in 0..8 {
        let mut command = cli.bulwark()?;
        let limit = format!("filter limit l{number} --of syns --per source --rate 100");
        lines.push(Process::spawn(command.args(limit.split(' ')))?);
    }
    for mut line in lines {
        ensure!(line.wait(PATIENCE)?.success());
    }
    let shown = cli.say("filter --json")?;
    for number in 0..8 {
        assert!(shown.contains(&format!("\"l{number}\"")), "{shown}");
    }

    cli.say(&format!("-A -t {VIP} -s rr"))?;
    let mut restore = cli.bulwark()?;
    restore.args(["-R", "--atomic"]).stdin(Stdio::piped());
    let mut restore = restore.stdout(Stdio::piped()).spawn()?;
    let mut input = restore.stdin.take().context("it has an input")?;
    writeln!(input, "-A -t {VIP} -s rr")?;
    cli.say(&format!("defense cookies always -t {VIP}"))?;
    cli.say("-A -t 10.9.9.10:80 -s rr")?;
    drop(input);
    let said = restore.wait_with_output()?;
    let printed = String::from_utf8(said.stdout)?;
    assert_eq!(printed, "- -A -t 10.9.9.10:80 -s rr\n");
    let saved = cli.say("-Sn --full")?;
    assert!(saved.contains("defense cookies always"), "{saved}");
    Ok(())
}

#[test]
fn what_cannot_be_written_is_told() -> Result<()> {
    for line in ["-h", "completions bash", "help", "status -h"] {
        let mut command = Command::new(binary("bulwark")?);
        command
            .args(line.split(' '))
            .stdout(File::create("/dev/full")?);
        let said = command.output()?;
        let stderr = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(1), "{line}");
        assert!(stderr.contains("No space left"), "{line}: {stderr:?}");
    }
    Ok(())
}

/// As ipvsadm without its kernel, even when there is nothing to do.
#[test]
fn without_a_director_every_command_says_so() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = binary("bulwark")?;
    let link = folder.path().join("ipvsadm");
    std::os::unix::fs::symlink(&program, &link)?;
    let nowhere = format!("unix:{}", folder.path().join("api.sock").display());
    let why = format!("{nowhere}: no such socket; is the director running?\n");
    let as_ipvsadm = format!(
        "Can't initialize ipvs: {why}\
         Are you sure that IP Virtual Server is built in the kernel or as module?\n"
    );
    for line in ["-Ln", "-Sn", "-R", "-C", "-Z", "--set 1 2 3", "-A -f 7"] {
        for (program, status, says) in [(&program, 3, why.clone()), (&link, 2, as_ipvsadm.clone())]
        {
            let mut command = Command::new(program);
            command.env("BULWARK_API", &nowhere);
            let said = said_with_input(command.args(line.split(' ')), "")?;
            let stderr = String::from_utf8(said.stderr)?;
            assert_eq!(
                (said.status.code(), stderr, said.stdout.len()),
                (Some(status), says, 0),
                "{line}"
            );
        }
    }
    Ok(())
}

/// As somebody types it.
#[test]
fn fish_completes_words_options_and_their_values() -> Result<()> {
    if !require::programs(&["fish"]) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("bulwark.fish");
    let said = Command::new(binary("bulwark")?)
        .args(["completions", "fish"])
        .output()?;
    std::fs::write(&script, said.stdout)?;
    for (typed, wanted) in [
        ("stat", &["status"][..]),
        ("--sch", &["--scheduler", "--sched-flags"]),
        ("-A -t 192.0.2.1:80 -s w", &["wrr", "wlc"]),
        ("--start-daemon m", &["master"]),
        ("defense level ", &["0", "1", "2"]),
        ("defense cookies a", &["auto", "always"]),
        ("proc ip_vs_s", &["ip_vs_stats"]),
    ] {
        let line = format!("source {}; complete -C 'bulwark {typed}'", script.display());
        let mut fish = Command::new("fish");
        let said = fish
            .args(["-c", &line])
            .env("HOME", folder.path())
            .output()?;
        let said = String::from_utf8(said.stdout)?;
        for word in wanted {
            let is_told = said
                .lines()
                .any(|line| line.split('\t').next() == Some(word));
            assert!(is_told, "{typed:?}: {word} is not among {said:?}");
        }
    }
    Ok(())
}
