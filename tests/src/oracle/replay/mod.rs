//! Does what a capture did, and holds what is seen against what was seen.

mod acts;
mod chosen;
mod sights;

use std::collections::{BTreeSet, VecDeque};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::case::{Case, Command, Step};
use super::compare::Leeway;
use super::http::Http;
use super::lab::Lab;
use super::proc;
use super::script::{self, Act};
use super::talk::{Flow, Talk};
use crate::director::Director;

/// How long what should be seen may take to be so.
const PATIENCE: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(5);
/// The client's port when a capture does not say.
const PORT: u16 = 20_000;
/// TTL and DF of the captures' raw packets.
const HEADER: (u8, bool) = (64, false);
/// No line.
pub const ABSENT: &str = "(absent)";

/// What a test knows about the captures.
#[derive(Clone, Copy, Debug)]
pub struct Knowledge {
    /// Case, sentence (its beginning) or `$ ` and a command, what it sends.
    pub scripts: &'static [(&'static str, &'static str, &'static str)],
    /// What the director does otherwise than the kernel.
    pub differences: &'static [Difference],
}

/// A line that is not as in the capture, on purpose.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// The number of the case, and a sentence of it if only what follows that is meant.
    pub case: &'static str,
    /// The line in the capture.
    pub kernel: &'static str,
    /// The line here; [`ABSENT`] if there is none.
    pub ours: &'static str,
    /// Why that is better.
    pub why: &'static str,
}

/// Replays `case` with a director of its own.
///
/// # Errors
/// At the first step that is not as in the capture.
pub fn replay(lab: &Lab, case: &Case, knowledge: Knowledge) -> Result<()> {
    let web = case.may_vary("httpd");
    let _servers = if web { serve(lab)? } else { Vec::new() };
    let _agents = match Lab::is_tunnelled(case) {
        true => lab.unwrap_tunnels()?,
        false => Vec::new(),
    };
    let mut run = Run {
        lab,
        case,
        knowledge,
        director: lab.start_director()?,
        talk: Talk::default(),
        leeway: Leeway {
            web,
            ..Leeway::default()
        },
        began: Instant::now(),
        waited: Duration::ZERO,
        pending: VecDeque::new(),
        sentence: String::new(),
        expires_abandoned: false,
        service: 0,
        scripts_used: BTreeSet::new(),
        sniffed: vec![Vec::new(); 1 + lab.reals()],
        header: HEADER,
        port: PORT,
    };
    for (number, step) in case.steps.iter().enumerate() {
        run.step(number, step)
            .with_context(|| format!("step {number}: {step:#?}"))?;
    }
    Ok(())
}

fn serve(lab: &Lab) -> Result<Vec<Http>> {
    [
        ("s1", 80, "real1"),
        ("s1", 8080, "real1"),
        ("s2", 80, "real2"),
        ("s2", 8080, "real2"),
    ]
    .into_iter()
    .chain([("d", 8080, "real1")])
    .map(|(host, port, name)| Http::start(lab.namespace(host)?, port, name))
    .collect()
}

struct Run<'a> {
    lab: &'a Lab,
    case: &'a Case,
    knowledge: Knowledge,
    director: Director,
    talk: Talk,
    leeway: Leeway,
    began: Instant,
    /// What has passed since because the capture says so.
    waited: Duration,
    /// What the last sentence has still to send.
    pending: VecDeque<Act>,
    sentence: String,
    /// Whether connections end with their real server (`expire_nodest_conn`).
    expires_abandoned: bool,
    /// Port of the service last added.
    service: u16,
    scripts_used: BTreeSet<&'static str>,
    /// What has arrived at the client and at the real servers since the last sentence.
    sniffed: Vec<Vec<Vec<u8>>>,
    header: (u8, bool),
    /// The client's port of the flow that the sentences are about.
    port: u16,
}

impl Run<'_> {
    fn step(&mut self, number: usize, step: &Step) -> Result<()> {
        match step {
            Step::Sent(sentence) => {
                let is_chosen = self.comes_to_chosen(number);
                self.sent(sentence, is_chosen)
            }
            Step::Run(command) => {
                if let Some(script) = self.script(&format!("$ {}", command.line)) {
                    self.queue(script)?;
                }
                self.command(command)?;
                self.resume()
            }
            Step::Shows(what, lines) => self.shows(what, &self.ours(lines)),
        }
    }

    /// The flow that the sentences are about.
    fn flow(&self) -> Flow {
        script::flow((script::CLIENT, self.port).into(), self.service)
    }

    /// Whether the next block after a sentence lists who was chosen: then the clients in it are
    /// who sends.
    fn comes_to_chosen(&self, number: usize) -> bool {
        self.case.steps[number + 1..]
            .iter()
            .take_while(|step| !matches!(step, Step::Sent(_)))
            .any(|step| matches!(step, Step::Shows(what, _) if what.starts_with("chosen")))
    }

    fn sent(&mut self, sentence: &str, is_chosen: bool) -> Result<()> {
        self.sniff()?;
        self.sniffed.iter_mut().for_each(Vec::clear);
        sentence.clone_into(&mut self.sentence);
        self.header = HEADER;
        if let Some(script) = self.script(sentence) {
            return self.queue(script);
        }
        match script::of_sentence(sentence) {
            Some(script) => self.queue(&script),
            None if is_chosen => Ok(()),
            None => bail!("how to send that is not known"),
        }
    }

    /// The script of this test for a sentence or a command, at its first use.
    fn script(&mut self, words: &str) -> Option<&'static str> {
        let number = self.case.number.as_str();
        let unused = |beginning: &&str| {
            !beginning.starts_with('$') || !self.scripts_used.contains(beginning)
        };
        let (_, beginning, script) =
            self.knowledge.scripts.iter().find(|(case, beginning, _)| {
                *case == number && words.starts_with(beginning) && unused(beginning)
            })?;
        self.scripts_used.insert(beginning);
        Some(script)
    }

    fn queue(&mut self, script: &str) -> Result<()> {
        self.pending = script::parse(script, self.service)?.into();
        self.resume()
    }

    /// Sends what is pending, up to what comes after the next command.
    fn resume(&mut self) -> Result<()> {
        while let Some(act) = self.pending.pop_front() {
            if act == Act::Then {
                break;
            }
            self.act(act)?;
        }
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Result<()> {
        // The kernel's own listings: nothing of the director's is behind those names.
        if command.line.starts_with("cat /proc/net/ip_vs") {
            return Ok(());
        }
        // Who may open the kernel's files says nothing of the director.
        if command.line.contains("ls -l") {
            return Ok(());
        }
        let command = &proc::by_sysctl(command);
        self.note(&command.line);
        if !command.line.starts_with("ipvsadm -L") {
            return self.run_and_check(command);
        }
        eventually(|| self.run_and_check(command))
    }

    /// What may differ now: a slow machine has taken its time.
    fn leeway(&self) -> Leeway {
        Leeway {
            late: self.began.elapsed().saturating_sub(self.waited),
            ..self.leeway.clone()
        }
    }

    /// Notes what a command does to services and counters.
    fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["ipvsadm", "-A", "-t" | "-u" | "--sctp-service", service, ..] => {
                let port = service.rsplit_once(':').map(|(_, port)| port.parse());
                self.service = port.and_then(Result::ok).unwrap_or(self.service);
            }
            // The counters of its real servers live on with their connections.
            ["ipvsadm", "-D", _, service] => {
                self.leeway
                    .extra
                    .remove(&((*service).to_owned(), String::new()));
            }
            // Without connections there is nothing to live on with.
            ["ipvsadm", "-d", _, service, "-r", real] if self.expires_abandoned => {
                let row = ((*service).to_owned(), (*real).to_owned());
                self.leeway.extra.remove(&row);
            }
            ["ipvsadm", "-Z" | "-C", ..] => self.leeway.extra.clear(),
            ["sysctl", "-w", "net.ipv4.vs.expire_nodest_conn=1"] => self.expires_abandoned = true,
            _ => {}
        }
    }

    /// The lines of a capture as they are to be here.
    fn ours(&self, lines: &[String]) -> Vec<String> {
        let number = self.case.number.as_str();
        let is_here = |case: &str| match case.split_once(' ') {
            Some((case, sentence)) => case == number && sentence == self.sentence,
            None => case == number,
        };
        let differs = |line: &String| {
            let mut all = self.knowledge.differences.iter();
            all.find(|d| d.kernel == line && is_here(d.case))
        };
        lines
            .iter()
            .map(|line| differs(line).map_or(line.clone(), |d| d.ours.to_owned()))
            .filter(|line| line != ABSENT)
            .collect()
    }
}

/// Asks until `probe` is content, for what is about to become true.
fn eventually(mut probe: impl FnMut() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match probe() {
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => sleep(INTERVAL),
            Ok(()) => return Ok(()),
        }
    }
}
