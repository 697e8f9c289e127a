//! Does what a capture did, and holds what is seen against what was seen.

mod chosen;

use std::collections::{BTreeSet, VecDeque};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::case::{Case, Command, Step};
use super::compare::{self, Leeway};
use super::http::Http;
use super::lab::{self, Lab};
use super::notation;
use super::proc;
use super::script::{self, Act, IcmpError};
use super::talk::{Flow, Talk};
use crate::director::Director;
use crate::packet::{self, Packet, Segment, checksum, flag, protocol};

/// How long what should be seen may take to be so.
const PATIENCE: Duration = Duration::from_millis(700);
const INTERVAL: Duration = Duration::from_millis(5);
/// The client's port when a capture does not say.
const PORT: u16 = 20_000;
/// TTL and DF of the captures' raw packets.
const HEADER: (u8, bool) = (64, false);
const NOTHING: &str = "(none)";
/// No line.
pub const ABSENT: &str = "(absent)";
const NO_CONNECTION: &str = "(no connection)";

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

    fn act(&mut self, act: Act) -> Result<()> {
        match act {
            Act::Client(flags, flows) => {
                self.clients(&flows, |talk, flow| talk.client(flow, flags))
            }
            Act::Datagram(length, flows) => {
                self.clients(&flows, |talk, flow| talk.datagram(flow, length))
            }
            Act::Real(flags, flows) => self.reals(&flows, |talk, flow| talk.real(flow, flags)),
            Act::Answer(length, flows) => {
                self.reals(&flows, |talk, flow| talk.answer(flow, length))
            }
            Act::Open(flows) => flows.iter().try_for_each(|flow| self.open(*flow)),
            Act::From(port) => {
                self.port = port;
                Ok(())
            }
            Act::ClientChunk(kind) => {
                let flow = self.flow();
                self.clients(&[flow], |talk, flow| talk.client_chunk(flow, kind))
            }
            Act::RealChunk(kind) => {
                let flow = self.flow();
                self.reals(&[flow], |talk, flow| talk.real_chunk(flow, kind))
            }
            Act::Header(ttl, df) => {
                self.header = (ttl, df);
                Ok(())
            }
            Act::Error(error) => self.icmp_error(&error),
            Act::Stray(host, from, to) => {
                let segment = Segment {
                    flags: flag::ACK,
                    ..Segment::default()
                };
                self.by_host(host, &packet::tcp(from, to, segment))
            }
            Act::Say(host, length, from, to) => {
                self.by_host(host, &packet::udp(from, to, &vec![0; length]))
            }
            Act::Echo(from, to) => {
                let request = packet::icmp(from, to, (8, 0, 0x0001_0001), b"ping");
                self.by_client(&[request])
            }
            Act::Wait(time) => {
                sleep(time);
                Ok(())
            }
            // Counters are as of now here, and times are remaining ones: nothing to wait for.
            Act::Skip(time) => {
                self.leeway.behind += time;
                Ok(())
            }
            Act::Then => Ok(()),
        }
    }

    fn clients(
        &mut self,
        flows: &[Flow],
        mut make: impl FnMut(&mut Talk, Flow) -> Vec<u8>,
    ) -> Result<()> {
        let packets: Vec<_> = flows
            .iter()
            .map(|flow| make(&mut self.talk, *flow))
            .collect();
        self.by_client(&packets)
    }

    fn reals(
        &mut self,
        flows: &[Flow],
        mut make: impl FnMut(&mut Talk, Flow) -> Result<(usize, Vec<u8>)>,
    ) -> Result<()> {
        for flow in flows {
            let (host, packet) = make(&mut self.talk, *flow)?;
            self.by_host(host, &packet)?;
        }
        Ok(())
    }

    /// A handshake. The captures' real servers are silent, and the kernel believes the client
    /// alone; the director wants the real server's answer, which is then one packet more than in
    /// the capture.
    fn open(&mut self, flow: Flow) -> Result<()> {
        self.clients(&[flow], |talk, flow| talk.client(flow, flag::SYN))?;
        if let Ok(end) = self.talk.end(flow) {
            self.reals(&[flow], |talk, flow| talk.real(flow, flag::SYN | flag::ACK))?;
            for real in [end.address.to_string(), String::new()] {
                let row = (flow.service.to_string(), real);
                *self.leeway.extra.entry(row).or_default() += 1;
            }
        }
        self.clients(&[flow], |talk, flow| talk.client(flow, flag::ACK))
    }

    fn icmp_error(&mut self, error: &IcmpError) -> Result<()> {
        let (source, destination) = error.about;
        let sequence = self.talk.first_number(Flow {
            client: source,
            service: destination,
        });
        let segment = Segment {
            flags: flag::SYN,
            sequence,
            ..Segment::default()
        };
        let quoted = as_sent(packet::tcp(source, destination, segment), HEADER);
        let packet = packet::icmp(error.ends.0, error.ends.1, error.kind, &quoted[..28]);
        match error.host {
            None => self.by_client(&[packet]),
            Some(number) => self.by_host(number, &packet),
        }
    }

    fn by_client(&mut self, packets: &[Vec<u8>]) -> Result<()> {
        let before = lab::arrived(&self.director)?;
        for packet in packets {
            self.lab
                .send_from_client(&as_sent(packet.clone(), self.header))?;
        }
        lab::settle(&self.director, before, packets.len() as u64)?;
        self.sniff()
    }

    fn by_host(&mut self, host: usize, packet: &[u8]) -> Result<()> {
        let before = lab::arrived(&self.director)?;
        let packet = as_sent(packet.to_vec(), self.header);
        self.lab.send_from_real(host, &packet)?;
        lab::settle(&self.director, before, 1)?;
        self.sniff()
    }

    /// Takes in what has arrived at the hosts.
    fn sniff(&mut self) -> Result<()> {
        self.sniffed[0].extend(self.lab.at_client()?);
        for host in 0..self.lab.reals() {
            let packets = self.lab.at_real(host)?;
            for packet in packets.iter().filter_map(|bytes| Packet::read(bytes)) {
                self.talk.saw(host, &packet);
            }
            self.sniffed[host + 1].extend(packets);
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

    fn run_and_check(&self, command: &Command) -> Result<()> {
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
        self.leeway
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

    fn listing(&self, line: &str) -> Result<Vec<String>> {
        Ok(text_lines(
            &self.lab.shell("d", line, &self.director)?.output()?.stdout,
        ))
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

    fn shows(&mut self, what: &str, lines: &[String]) -> Result<()> {
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

    /// The flow that the sentences are about.
    fn flow(&self) -> Flow {
        script::flow((script::CLIENT, self.port).into(), self.service)
    }

    /// The row of the flow that the last sentence is about, and that of its real server in `-Ln`.
    fn rows(&mut self, lines: &[String]) -> Result<()> {
        let (expected, reals) = lines.split_first().context("no row")?;
        let flow = self.flow();
        eventually(|| {
            let rows = self.listing("ipvsadm -Lnc")?;
            let row = rows.iter().find(|row| of_flow(row, flow));
            self.leeway
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
fn of_flow(row: &str, flow: Flow) -> bool {
    let words: Vec<&str> = row.split_whitespace().collect();
    let [.., source, service, _] = words.as_slice() else {
        return false;
    };
    *source == flow.client.to_string() && *service == flow.service.to_string()
}

/// An IPv4 packet with another TTL and DF; IPv6 as it is.
fn as_sent(mut packet: Vec<u8>, (ttl, df): (u8, bool)) -> Vec<u8> {
    if packet.first().is_some_and(|byte| byte >> 4 == 4) {
        packet[6] = u8::from(df) << 6;
        packet[8] = ttl;
        packet[10..12].fill(0);
        let sum = checksum(&[&packet[..20]]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// Whether the director says that it has no such listing yet.
fn is_refused(stderr: &[u8]) -> bool {
    String::from_utf8_lossy(stderr).contains("not supported by this director yet")
}

fn text_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(str::to_owned).collect()
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
