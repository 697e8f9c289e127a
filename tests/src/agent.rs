//! `bulwarkd agent` on a real server.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::director::{binary, is_test};
use crate::namespace::Namespace;
use crate::process::{Process, Signal};
use crate::wait;

/// As long as a director may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Packets, or segments with cookies, by what became of them, as `docs/agent.md` names it.
pub type Outcomes = BTreeMap<String, u64>;

/// Where its lines of counters begin.
const PACKETS: &str = "packets: ";
const COOKIES: &str = "cookies: ";

/// A running agent, killed when dropped.
#[derive(Debug)]
pub struct Agent {
    process: Process,
    directory: TempDir,
}

impl Agent {
    /// Starts it with the configuration `text` and waits until it decapsulates.
    ///
    /// # Errors
    /// When it ends instead; what it says is in the message.
    pub fn start(namespace: &Namespace, text: &str) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("bulwark-agent-")
            .tempdir()?;
        let file = directory.path().join("agent.toml");
        fs::write(&file, text)?;
        let log = File::create(directory.path().join("log"))?;
        let mut command = namespace.command(binary("bulwarkd")?);
        command
            .args(["agent", "--config"])
            .arg(&file)
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut agent = Self {
            process: Process::spawn(&mut command)?,
            directory,
        };
        agent.wait_ready()?;
        Ok(agent)
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Its counters, which it logs when it is asked.
    ///
    /// # Errors
    /// When it does not.
    pub fn outcomes(&self) -> Result<Outcomes> {
        self.ask(PACKETS)
    }

    /// Those of segments that find a listener.
    ///
    /// # Errors
    /// When it takes no keys from anybody.
    pub fn welcomes(&self) -> Result<Outcomes> {
        self.ask(COOKIES)
    }

    fn ask(&self, what: &str) -> Result<Outcomes> {
        let before = self.reports(what).len();
        self.process.signal(Signal::Usr1)?;
        wait::until("the agent's counters", PATIENCE, || {
            let mut reports = self.reports(what);
            if reports.len() == before {
                bail!("no report")
            }
            reports.pop().context("no report")
        })
    }

    /// Gives it another configuration and waits until it says what it makes of it.
    ///
    /// # Errors
    /// When it says nothing.
    pub fn reload(&self, text: &str) -> Result<()> {
        let said = || self.log().matches("reloaded").count();
        let before = said();
        fs::write(self.directory.path().join("agent.toml"), text)?;
        self.process.signal(Signal::Hup)?;
        wait::until_true("the agent to reload", PATIENCE, || said() > before)
    }

    /// Ends it by a signal, and waits for it. Gives its last counters as well.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn end_by(&mut self, signal: Signal) -> Result<(ExitStatus, Option<Outcomes>)> {
        self.process.signal(signal)?;
        let status = self.process.wait(PATIENCE).with_context(|| self.log())?;
        Ok((status, self.reports(PACKETS).pop()))
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.process.wait(PATIENCE).with_context(|| self.log())
    }

    fn wait_ready(&mut self) -> Result<()> {
        wait::until("the agent to be ready", PATIENCE, || {
            if self.log().contains("decapsulating") {
                return Ok(None);
            }
            let ended = self.process.ended()?;
            ended.map(Some).context("it is not")
        })?
        .map_or(Ok(()), |status| bail!("{status}: {}", self.log()))
    }

    /// The whole lines with counters in its log.
    fn reports(&self, what: &str) -> Vec<Outcomes> {
        let log = self.log();
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let reports = whole.lines().filter_map(|line| line.split_once(what));
        reports
            .map(|(_, pairs)| {
                let pairs = pairs.split(' ').filter_map(|pair| pair.split_once('='));
                let number = |text: &str| text.parse().ok();
                pairs
                    .filter_map(|(name, packets)| Some((name.to_owned(), number(packets)?)))
                    .collect()
            })
            .collect()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if is_test() {
            eprintln!("--- agent ---\n{}", self.log());
        }
    }
}
