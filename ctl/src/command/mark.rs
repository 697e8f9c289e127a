//! `bulwark mark`: the rules that mark packets.

use adminapi::Client;
use adminapi::model::{MarkRule, PortRange, Prefix, Protocol};
use clap::{Args, Subcommand};

use super::said::{Form, Said};
use super::value::number;
use crate::director::{DirectorError, Setting};

#[derive(Debug, Args)]
pub(super) struct Line {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Lists the rules with their places; the first one that fits a packet marks it.
    List,
    /// Adds a rule behind the others.
    Add(Box<Rule>),
    /// Removes the rule at a place.
    Remove {
        /// As `list` shows it, from 0.
        #[arg(value_parser = number::<usize>)]
        place: usize,
    },
    /// Removes all rules.
    Clear,
}

#[derive(Debug, Args)]
struct Rule {
    /// The mark, 1 to 4294967295.
    #[arg(value_parser = number::<u32>)]
    mark: u32,
    /// tcp, udp or sctp; any when left out.
    #[arg(short, long, value_parser = protocol)]
    protocol: Option<Protocol>,
    /// Addresses that packets come from: 10.0.0.0/8, 2001:db8::1.
    #[arg(short, long, value_name = "PREFIX")]
    source: Option<Prefix>,
    /// Addresses that packets go to.
    #[arg(short, long, value_name = "PREFIX")]
    destination: Option<Prefix>,
    /// Source ports: 80, 8000-8099.
    #[arg(long, value_name = "PORTS")]
    sport: Option<PortRange>,
    /// Destination ports.
    #[arg(long, value_name = "PORTS")]
    dport: Option<PortRange>,
    /// The director's interface that packets come in through.
    #[arg(short, long, value_name = "NAME")]
    interface: Option<String>,
    /// The region that packets come from, one of `bulwark filter`.
    #[arg(short, long, value_name = "NAME")]
    region: Option<String>,
}

fn protocol(text: &str) -> Result<Protocol, String> {
    [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
        .into_iter()
        .find(|protocol| protocol.name() == text)
        .ok_or_else(|| "write tcp, udp or sctp".to_owned())
}

impl Line {
    /// What the line sets, as far as that can be set again.
    pub(super) fn setting(&self) -> Option<Setting> {
        match self.what.as_ref()? {
            What::Add(rule) => Some(Setting::Mark(rule.to_model())),
            What::Clear => Some(Setting::NoMarks),
            What::List | What::Remove { .. } => None,
        }
    }
}

/// Does what the line says.
pub(super) async fn run(line: &Line, director: &Client, form: Form) -> Result<Said, DirectorError> {
    match &line.what {
        Some(What::Add(rule)) => {
            director.add_mark(&rule.to_model()).await?;
            Ok(Said::default())
        }
        Some(What::Remove { place }) => {
            director.remove_mark(*place).await?;
            Ok(Said::default())
        }
        Some(What::Clear) => {
            director.put_marks(&[]).await?;
            Ok(Said::default())
        }
        None | Some(What::List) => {
            let rules = director.marks().await?;
            Ok(form.show(&rules, |rules| text(rules)).into())
        }
    }
}

impl Rule {
    fn to_model(&self) -> MarkRule {
        MarkRule {
            mark: self.mark,
            protocol: self.protocol,
            source: self.source,
            destination: self.destination,
            source_ports: self.sport,
            destination_ports: self.dport,
            interface: self.interface.clone(),
            region: self.region.clone(),
        }
    }
}

fn text(rules: &[MarkRule]) -> String {
    let lines = rules.iter().enumerate();
    lines
        .map(|(place, rule)| format!("{place}: {rule}\n"))
        .collect()
}
