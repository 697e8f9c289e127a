//! `bulwark sysctl`: the sysctls of IPVS, in the words of `sysctl`.

use std::fmt::Write as _;

use adminapi::client::ClientError;
use adminapi::sysctl::{PREFIX, SysctlView, Value};
use adminapi::{Client, ProblemDocument, ProblemKind};
use clap::Args;

use super::said::{Form, Said};
use crate::director::{DirectorError, Setting};

/// `sysctl`'s options that make sense for one subtree.
#[derive(Debug, Args)]
pub(super) struct Line {
    /// Writes: every argument is NAME=VALUE.
    #[arg(short = 'w', long)]
    write: bool,
    /// Shows values without names.
    #[arg(short = 'n', long)]
    values: bool,
    /// Does not show what was written.
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Shows all of them, as without arguments.
    #[arg(short = 'a', long)]
    all: bool,
    /// net.ipv4.vs.NAME to show one, net.ipv4.vs.NAME=VALUE to write it.
    #[arg(value_name = "NAME[=VALUE]")]
    names: Vec<String>,
}

impl Line {
    /// What the line writes, if it does nothing else. The second number of a pair stands behind a
    /// blank, since a saved line has no quotes.
    pub(super) fn settings(&self) -> Option<Vec<Setting>> {
        let mut written: Vec<(&str, String)> = Vec::new();
        for argument in &self.names {
            match (argument.split_once('='), written.last_mut()) {
                (Some((name, value)), _) => written.push((name, value.to_owned())),
                (None, Some((_, value))) => *value += &format!(" {argument}"),
                (None, None) => return None,
            }
        }
        let setting =
            |(name, value): (&str, String)| Setting::Sysctl(name.to_owned(), Value::Text(value));
        let settings: Vec<_> = written.into_iter().map(setting).collect();
        (!settings.is_empty()).then_some(settings)
    }
}

/// Does what the line says, one argument after the other; one that fails does not keep the
/// others from being done.
pub(super) async fn run(line: &Line, director: &Client, form: Form) -> Result<Said, DirectorError> {
    let mut said = Said::default();
    let mut shown = Vec::new();
    if line.all || line.names.is_empty() {
        shown = director.sysctls().await?;
        said.err += &without_effect(&shown);
    }
    for argument in &line.names {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (argument.as_str(), None),
        };
        let answer = match value {
            Some(value) => {
                director
                    .change_sysctl(name, Value::Text(value.to_owned()))
                    .await
            }
            None if line.write => {
                said.fail(&format!("sysctl: {name:?} must be of the form name=value"));
                continue;
            }
            None => director.sysctl(name).await,
        };
        match answer {
            Ok(view) => {
                if let (Some(reason), Some(_)) = (&view.reason, value) {
                    let _ = writeln!(said.err, "{} has no effect here: {reason}", view.name);
                }
                if value.is_none() || !line.quiet {
                    shown.push(view);
                }
            }
            Err(ClientError::Problem(document)) => said.fail(&refusal(name, *document)?),
            Err(error) => return Err(error.into()),
        }
    }
    said.out = form.show(&shown, |shown| {
        shown.iter().map(|view| text(view, line.values)).collect()
    });
    Ok(said)
}

fn text(view: &SysctlView, value_only: bool) -> String {
    match value_only {
        true => format!("{}\n", view.value),
        false => format!("{} = {}\n", view.name, view.value),
    }
}

/// Which of those shown do nothing here; nothing when all do something.
fn without_effect(shown: &[SysctlView]) -> String {
    let idle = shown.iter().filter(|view| !view.effective);
    let names: Vec<_> = idle
        .map(|view| view.name.strip_prefix(PREFIX).unwrap_or(&view.name))
        .collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("no effect here (--json says why): {}\n", names.join(" ")),
    }
}

/// How `sysctl` tells of what the director refused.
fn refusal(name: &str, document: ProblemDocument) -> Result<String, DirectorError> {
    match document.kind() {
        ProblemKind::NoSuchSysctl => Ok(format!(
            "sysctl: cannot stat /proc/sys/{}: No such file or directory",
            name.replace('.', "/")
        )),
        ProblemKind::Invalid => {
            let mend = document.errors.first().map_or("", |problem| &problem.mend);
            Ok(format!(
                "sysctl: setting key \"{name}\": Invalid argument; {mend}"
            ))
        }
        _ => Err((&document).into()),
    }
}

#[cfg(test)]
mod tests {
    use adminapi::ControlError;
    use adminapi::sysctl::{Sysctl, Sysctls};

    use super::*;

    #[test]
    fn values_are_shown_as_sysctl_shows_them() {
        let sysctls = Sysctls::default();
        for (sysctl, value_only, want) in [
            (
                Sysctl::ConnReuseMode,
                false,
                "net.ipv4.vs.conn_reuse_mode = 1\n",
            ),
            (
                Sysctl::SyncThreshold,
                false,
                "net.ipv4.vs.sync_threshold = 3\t50\n",
            ),
            (Sysctl::EstCpulist, false, "net.ipv4.vs.est_cpulist = \n"),
            (Sysctl::AmDroprate, true, "10\n"),
        ] {
            assert_eq!(text(&sysctls.view(sysctl), value_only), want);
        }
    }

    #[test]
    fn what_does_nothing_is_named() {
        let sysctls = Sysctls::default();
        let idle = without_effect(&sysctls.views());
        assert!(idle.contains(" sync_ports "), "{idle}");
        let effective = sysctls.views().into_iter().filter(|view| view.effective);
        assert_eq!(without_effect(&effective.collect::<Vec<_>>()), "");
    }

    #[test]
    fn refusals_are_told_as_sysctl_tells_them() {
        let bad = Sysctls::default()
            .set(Sysctl::SyncVersion, &Value::Number(2))
            .unwrap_err();
        let invalid = ProblemDocument::from(ControlError::from(bad));
        assert_eq!(
            refusal("net.ipv4.vs.sync_version", invalid).unwrap(),
            "sysctl: setting key \"net.ipv4.vs.sync_version\": Invalid argument; \
             net.ipv4.vs.sync_version takes a number from 0 to 1"
        );
        let missing = ProblemDocument::new(ProblemKind::NoSuchSysctl, "");
        assert_eq!(
            refusal("net.ipv4.vs.x", missing).unwrap(),
            "sysctl: cannot stat /proc/sys/net/ipv4/vs/x: No such file or directory"
        );
        assert!(refusal("x", ProblemDocument::new(ProblemKind::Busy, "")).is_err());
    }
}
