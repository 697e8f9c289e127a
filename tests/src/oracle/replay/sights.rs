//! What is seen, held against what a capture shows.

use std::thread::sleep;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::{INTERVAL, PATIENCE, Run, eventually};
use crate::oracle::case::Command;
use crate::oracle::talk::Flow;
use crate::oracle::{compare, notation};
use crate::packet::{Packet, protocol};

const NOTHING: &str = "(none)";
pub(super) const NO_CONNECTION: &str = "(no connection)";

impl Run<'_> {
    pub(super) fn run_and_check(&self, command: &Command) -> Result<()> {
        let name = command.namespace.as_deref().unwrap_or("d");
        let output = self
            .lab
            .shell(name, &command.line, &self.director)?
            .output()?;
        if command.line.starts_with("ipvsadm -L") && is_refused(&output.stderr) {
            println!("{}: refused: {}", self.case.number, command.line);
            return Ok(());
        }
        let stdout = text_lines(&output.stdout);
        self.leeway()
            .check(&command.line, &self.ours(&command.stdout), &stdout)
            .with_context(|| {
                format!(
                    "standard error: {}",
                    String::from_utf8_lossy(&output.stderr)
                )
            })?;
        compare::lines(&self.ours(&command.stderr), &text_lines(&output.stderr))
            .context("standard error")?;
        let status = output.status.code();
        ensure!(status == Some(command.status), "it ended with {status:?}");
        Ok(())
    }

    pub(super) fn listing(&self, line: &str) -> Result<Vec<String>> {
        Ok(text_lines(
            &self.lab.shell("d", line, &self.director)?.output()?.stdout,
        ))
    }

    pub(super) fn shows(&mut self, what: &str, lines: &[String]) -> Result<()> {
        if what.starts_with("chosen real per new connection") {
            return self.chosen(lines);
        }
        if what.starts_with("chosen real per destination") {
            return self.chosen_by_destination(lines);
        }
        if let Some(host) = what.strip_prefix("packets arriving in ") {
            return self.packets(host, lines);
        }
        if what.starts_with("row in -Lnc") {
            return self.rows(lines);
        }
        // A second namespace of the captures' machine; a director has no such thing.
        if what == "init_net" {
            return Ok(());
        }
        bail!("how to see that is not known")
    }

    /// The row of the flow that the last sentence is about, and that of its real server in `-Ln`.
    fn rows(&mut self, lines: &[String]) -> Result<()> {
        let (expected, reals) = lines.split_first().context("no row")?;
        let flow = self.flow();
        eventually(|| {
            let rows = self.listing("ipvsadm -Lnc")?;
            let row = rows.iter().find(|row| of_flow(row, flow));
            self.leeway()
                .connection(expected, row.map_or(NO_CONNECTION, String::as_str))
        })?;
        let Some(real) = reals.first() else {
            return Ok(());
        };
        let listed = self.listing("ipvsadm -Ln")?;
        ensure!(
            listed.contains(real),
            "no line\n  |{real}| in\n{}",
            listed.join("\n")
        );
        Ok(())
    }

    fn packets(&mut self, host: &str, lines: &[String]) -> Result<()> {
        let at = match host.strip_prefix('s') {
            None => 0,
            Some(number) => number.parse::<usize>()?,
        };
        let mut expected: Vec<String> = lines
            .iter()
            .filter(|line| *line != NOTHING)
            .map(|line| notation::normal(line))
            .collect();
        expected.sort();
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.sniff()?;
            let arrived = self.sniffed.get(at).context("no such host")?;
            check_sums(arrived)?;
            let mut got: Vec<String> = arrived
                .iter()
                .filter_map(|bytes| notation::describe(bytes))
                .collect();
            got.sort();
            match compare::lines(&expected, &got) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => sleep(INTERVAL),
            }
        }
    }
}

/// What no capture shows, and has to be right all the same.
fn check_sums(packets: &[Vec<u8>]) -> Result<()> {
    for packet in packets.iter().filter_map(|bytes| Packet::read(bytes)) {
        let has_sum = matches!(
            packet.protocol,
            protocol::TCP | protocol::UDP | protocol::ICMP
        );
        ensure!(
            packet.header_intact,
            "the checksum of the header is wrong: {packet:?}"
        );
        let without = packet.protocol == protocol::UDP && packet.payload.get(6..8) == Some(&[0, 0]);
        ensure!(
            !has_sum || without || packet.payload_intact(),
            "the checksum is wrong: {packet:?}"
        );
    }
    Ok(())
}

/// `... SOURCE VIRTUAL DESTINATION`.
pub(super) fn of_flow(row: &str, flow: Flow) -> bool {
    let words: Vec<&str> = row.split_whitespace().collect();
    let [.., source, service, _] = words.as_slice() else {
        return false;
    };
    *source == flow.client.to_string() && *service == flow.service.to_string()
}

/// Whether the director says that it has no such listing yet.
fn is_refused(stderr: &[u8]) -> bool {
    String::from_utf8_lossy(stderr).contains("not supported by this director yet")
}

fn text_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(str::to_owned).collect()
}
