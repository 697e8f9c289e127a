//! A command: status 0 says that the real server is up. It learns from its environment whom it is
//! about, runs in a process group of its own, and when its time is up the group is killed.

use std::io;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use adminapi::model::Check;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStdout, Command};
use tokio::time::timeout;

use super::{Failure, Target, Verdict, shown};
use crate::health::Words;

/// The most that is read of what it says, bytes; it says why in its first line.
const LONGEST: usize = 4096;

/// How long its last words are waited for when it has ended.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// The path that commands find other programs in.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An exec check.
#[derive(Debug)]
pub(in crate::health) struct Exec {
    command: Vec<String>,
    environment: [(&'static str, String); 4],
}

/// Kills a process group unless its leader has ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may be gone already.
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

/// Takes all that a command says and keeps its beginning. That it cannot be heard says nothing of
/// the real server.
async fn listen(stdout: Option<ChildStdout>, said: &mut Vec<u8>) {
    let Some(mut stdout) = stdout else {
        return;
    };
    let mut part = [0; 1024];
    while let Ok(length @ 1..) = stdout.read(&mut part).await {
        let room = LONGEST.saturating_sub(said.len());
        said.extend_from_slice(part.get(..length.min(room)).unwrap_or_default());
    }
}

impl Exec {
    pub(super) fn new(check: &Check, target: &Target) -> Self {
        Self {
            command: check.command.clone(),
            environment: [
                ("PATH", PATH.to_owned()),
                ("BULWARK_SERVICE", target.service.to_string()),
                ("BULWARK_ADDRESS", target.real.ip().to_string()),
                ("BULWARK_PORT", target.real.port().to_string()),
            ],
        }
    }

    pub(super) async fn ask(&self) -> Verdict {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err("no command".into());
        };
        let spawned = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut child = spawned.map_err(|error| not_run(program, &error))?;
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        // Dropped before the child is waited for, so that the group is still its own.
        let mut group = Group(leader.map(Pid::from_raw));
        let stdout = child.stdout.take();
        let mut said = Vec::new();
        let status = {
            let mut listening = pin!(listen(stdout, &mut said));
            let (status, heard) = tokio::select! {
                status = child.wait() => (status, false),
                () = &mut listening => (child.wait().await, true),
            };
            group.0 = None;
            if !heard {
                // Something that it has started may hold the pipe open.
                let _ = timeout(LAST_WORDS, listening).await;
            }
            status
        };
        let status = status.map_err(|error| not_run(program, &error))?;
        let said = match shown(&said) {
            empty if empty.is_empty() => String::new(),
            line => format!(": {line}"),
        };
        match status.success() {
            true => Ok(format!("exit status 0{said}").into()),
            false => Err(format!("{status}{said}").into()),
        }
    }
}

fn not_run(program: &str, error: &io::Error) -> Failure {
    let named = |words: Words| format!("{program}: {words}");
    match error.into() {
        Failure::Ours(words) => Failure::Ours(named(words).into()),
        Failure::Theirs(words) => named(words).into(),
    }
}
