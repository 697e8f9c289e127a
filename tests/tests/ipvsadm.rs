//! Every capture of what ipvsadm says, replayed through `bulwark` under that name against a running
//! director: standard output, standard error and exit status to the byte.

mod command_table;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use command_table::{CAPTURES, DIFFERENCES};
use testbed::director::{Configuration, Director};
use testbed::namespace::Namespace;
use testbed::oracle::case::{Case, Command};
use testbed::oracle::replay::ABSENT;
use testbed::oracle::shell::Shells;
use testbed::oracle::standing::{Results, Table, read_all};
use testbed::process::said_with_input;
use testbed::{oracle, require};

#[test]
fn ipvsadm_says_what_ipvsadm_says() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let Some(directory) = oracle::directory() else {
        return Ok(());
    };
    let cases = read_all(&directory.join("cases/cli"))?;
    let table = Table(&CAPTURES);
    table.covers(&cases)?;
    let desk = Desk::set_up(&directory.join("etc"))?;
    let replayed = table.wanted(&cases).into_iter().map(|case| {
        let result = desk.replay(case);
        (case.number.clone(), result)
    });
    table.judge(&replayed.collect::<Results>())
}

/// Not among the captures: found by saying random lines to both.
#[test]
fn a_service_is_looked_for_before_what_it_is_to_have_is_judged() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let Some(directory) = oracle::directory() else {
        return Ok(());
    };
    let desk = Desk::set_up(&directory.join("etc"))?;
    desk.reset()?;
    for (line, stderr, status) in [
        ("-E -t 192.0.2.11:53 -s mhh", "No such service", 255),
        ("-E -t 192.0.2.11:53 -p -M 24", "No such service", 255),
        (
            "-a -t 192.0.2.11:53 -r 0.0.0.0:80 -i",
            "Service not defined",
            255,
        ),
        (
            "-a -u 192.0.2.11:53 -r 10.0.0.13:0 -m",
            "Service not defined",
            255,
        ),
        (
            "-A --sctp-service www:http",
            "illegal virtual server address[:port] specified",
            2,
        ),
        ("-A -t 192.0.2.10:80 --pe ''", "", 0),
        (
            "-A -t 192.0.2.10:80 -p --pe xyz",
            "Service already exists",
            255,
        ),
        ("--start-daemon backup --mcast-interface ''", "", 0),
    ] {
        let said = desk.say(&format!("ipvsadm {line}"), "")?;
        let want = Said {
            stdout: String::new(),
            stderr: if stderr.is_empty() {
                String::new()
            } else {
                format!("{stderr}\n")
            },
            status: Some(status),
        };
        ensure!(said == want, "$ ipvsadm {line}\n{said:#?}");
    }
    Ok(())
}

/// Not among the captures: asked of the kernel by itself.
#[test]
fn an_engine_without_persistence_is_saved_and_not_listed() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let Some(directory) = oracle::directory() else {
        return Ok(());
    };
    let desk = Desk::set_up(&directory.join("etc"))?;
    for (line, stdout) in [
        ("-A -u 192.0.2.10:5060 -s rr --pe sip", ""),
        ("-Sn", "-A -u 192.0.2.10:5060 -s rr --pe sip\n"),
        ("-Ln -u 192.0.2.10:5060", "UDP  192.0.2.10:5060 rr\n"),
        ("-E -u 192.0.2.10:5060 -s rr -p 60", ""),
        ("-Sn", "-A -u 192.0.2.10:5060 -s rr -p 60\n"),
        ("-E -u 192.0.2.10:5060 -s rr --pe sip", ""),
        ("-Sn", "-A -u 192.0.2.10:5060 -s rr --pe sip\n"),
    ] {
        let said = desk.say(&format!("ipvsadm {line}"), "")?;
        let right = said.status == Some(0) && said.stdout.ends_with(stdout);
        ensure!(right, "$ ipvsadm {line}\n{said:#?}");
    }
    Ok(())
}

/// The captures' machine: its interfaces and addresses, its names, and a director.
struct Desk {
    shells: Shells,
    director: Director,
    machine: Namespace,
    _wire: Namespace,
}

/// What a command said, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    stdout: String,
    stderr: String,
    status: Option<i32>,
}

impl Desk {
    fn set_up(names: &Path) -> Result<Self> {
        let machine = Namespace::new("desk")?;
        let wire = Namespace::new("wire")?;
        let other = wire.name();
        machine.ip(&format!(
            "link add eth0 type veth peer name eth0 netns {other}\n\
             link add mc1 mtu 9000 type veth peer name mc1 netns {other}\n\
             addr add 192.168.50.1/24 dev eth0\n\
             addr add 2001:db8:50::1/64 dev eth0 nodad\n\
             addr add 192.168.51.1/24 dev mc1\n\
             link set eth0 up\nlink set mc1 up\n"
        ))?;
        wire.ip("link set eth0 up\nlink set mc1 up\n")?;
        Ok(Self {
            shells: Shells::new(names)?,
            director: Director::start(&machine, &Configuration::new(vec!["eth0".to_owned()]))?,
            machine,
            _wire: wire,
        })
    }

    fn replay(&self, case: &Case) -> Result<()> {
        self.reset()?;
        for command in case.commands() {
            let expected = ours(case, command);
            let got = self.say(&command.line, &command.input)?;
            ensure!(
                in_any_order(&command.line, &expected) == in_any_order(&command.line, &got),
                "$ {}\nexpected {expected:#?}\n     got {got:#?}",
                command.line
            );
        }
        Ok(())
    }

    /// What each capture begins with.
    fn reset(&self) -> Result<()> {
        for line in ["ipvsadm -C", "ipvsadm --set 900 120 300"] {
            let said = self.say(line, "")?;
            ensure!(said.status == Some(0), "$ {line}\n{said:#?}");
        }
        for role in ["master", "backup"] {
            self.say(&format!("ipvsadm --stop-daemon {role}"), "")?;
        }
        Ok(())
    }

    fn say(&self, line: &str, input: &str) -> Result<Said> {
        let mut shell = self.shells.named(&self.machine, line);
        self.shells.direct(&mut shell, &self.director.socket());
        let output = said_with_input(&mut shell, input)?;
        Ok(Said {
            stdout: String::from_utf8(output.stdout).context("standard output")?,
            stderr: String::from_utf8(output.stderr).context("standard error")?,
            status: output.status.code(),
        })
    }
}

/// What `command` is to say here.
fn ours(case: &Case, command: &Command) -> Said {
    let differs = |line: &str| {
        let mut all = DIFFERENCES.iter();
        let found = all.find(|d| d.case == case.number && d.kernel == line);
        found.map(|d| d.ours)
    };
    if let Some(refusal) = differs(&format!("$ {}", command.line)) {
        return Said {
            stdout: String::new(),
            stderr: format!("{refusal}\n"),
            status: Some(255),
        };
    }
    let text = |lines: &[String]| {
        let here = lines.iter().map(|line| differs(line).unwrap_or(line));
        let here = here.filter(|line| *line != ABSENT);
        here.map(|line| format!("{line}\n")).collect()
    };
    Said {
        stdout: text(&command.stdout),
        stderr: text(&command.stderr),
        status: Some(command.status),
    }
}

/// The kernel's own file has services in the order of a hash table.
fn in_any_order(line: &str, said: &Said) -> (Vec<String>, String, Option<i32>) {
    let mut blocks: Vec<String> = Vec::new();
    for line in said.stdout.split_inclusive('\n') {
        match blocks.last_mut() {
            Some(block) if line.starts_with("  ->") => block.push_str(line),
            _ => blocks.push(line.to_owned()),
        }
    }
    if line == "cat /proc/net/ip_vs" {
        blocks.sort();
    }
    (blocks, said.stderr.clone(), said.status)
}
