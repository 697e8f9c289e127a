//! Commands that must succeed, and child processes that end with their handle.

use std::fs;
use std::io::{ErrorKind, Write};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::wait;

/// Runs `command` to its end and gives its standard output.
///
/// # Errors
/// When it cannot start or fails; its standard error is part of the message.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}: {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// As [`output`], with `input` on its standard input.
///
/// # Errors
/// As [`output`].
pub fn output_with_input(command: &mut Command, input: &str) -> Result<String> {
    let output = said_with_input(command, input)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}: {}\n{input}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command` to its end, with `input` on its standard input; it may fail, and need not read.
///
/// # Errors
/// When it cannot start.
pub fn said_with_input(command: &mut Command, input: &str) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(input.as_bytes()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error.into()),
            _ => {}
        }
    }
    Ok(child.wait_with_output()?)
}

/// The resident memory of a process, bytes.
///
/// # Errors
/// When it is gone.
pub fn resident(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    let kibibytes: u64 = number.context("no VmRSS")?.parse()?;
    Ok(kibibytes << 10)
}

/// What a process has had of processors, in and for it, hundredths of a second.
///
/// # Errors
/// When it is gone.
pub fn processor_time(process: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("no name")?;
    // proc_pid_stat(5): utime and stime, of which the first after the name is the third.
    let times = fields.split(' ').skip(11).take(2);
    let times: Vec<u64> = times.map(str::parse).collect::<Result<_, _>>()?;
    Ok(times.iter().sum())
}

/// A signal by its name in kill(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ask to end.
    Term,
    /// Ask to read the configuration again.
    Hup,
    /// Tell the counters.
    Usr1,
    /// End without a word.
    Kill,
    /// Stand still.
    Stop,
    /// Go on.
    Cont,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Hup => "HUP",
            Self::Usr1 => "USR1",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Cont => "CONT",
        }
    }
}

/// A child process; killed when this is dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts `command`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self(child))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is not there any more.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.id().to_string();
        output(Command::new("kill").args(["-s", signal.name(), &id])).map(drop)
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// What waitpid(2) says.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it is still alive after `patience`.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let id = self.id();
        wait::until(&format!("the end of process {id}"), patience, || {
            self.ended()?.context("it is alive")
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
