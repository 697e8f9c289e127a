//! `[datapath]`: interfaces, workers and their memory.

use std::collections::HashMap;
use std::fmt;

use adminapi::Problem;
use adminapi::model::span;
use serde::Deserialize;

use super::local::{self, Local};
use super::read::{Expected, Section};
use super::survive::{self, Survive};

/// Receives and sends packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datapath {
    /// The interfaces to take packets from; at least one, each once.
    pub interfaces: Vec<InterfaceName>,
    /// How packets get into user space.
    pub mode: ModeChoice,
    /// Worker threads; one a receive queue when `None`.
    pub workers: Option<u32>,
    /// UMEM frames of each worker, a power of two.
    pub frames: u32,
    /// Descriptors of each ring, a power of two.
    pub ring: u32,
    /// Whether the MSS of a SYN that goes through a tunnel is lowered to what fits.
    pub clamp_mss: bool,
    /// Whether the sender of what is too long for its way is told the MTU.
    pub path_mtu_answers: bool,
    /// What the director speaks from to the real servers of FullNAT.
    pub local: Local,
    /// For how long real servers are drained that a reload takes away, in seconds.
    pub drain: Option<u32>,
    /// Connections that the gate may forward by itself at a time; 0 = it does not do that.
    pub flows: u32,
    /// What outlives the daemon; nothing when `None`.
    pub survive: Option<Survive>,
}

impl Datapath {
    /// Frames of each worker unless the file says otherwise.
    pub const DEFAULT_FRAMES: u32 = 16_384;
    /// The most frames of a worker: 4 GiB of 4 KiB.
    pub const MAX_FRAMES: u32 = 1 << 20;
    /// Descriptors of each ring unless the file says otherwise, as in libxdp.
    pub const DEFAULT_RING: u32 = 2048;
    /// The smallest ring: one batch.
    pub const MIN_RING: u32 = 64;
    /// The largest ring.
    pub const MAX_RING: u32 = 32_768;
    /// Flows of the fast path unless the file says otherwise: 60 MiB.
    pub const DEFAULT_FLOWS: u32 = 262_144;
    /// The most flows: 960 MiB.
    pub const MAX_FLOWS: u32 = 1 << 22;
    /// The most workers.
    pub const MAX_WORKERS: u32 = 256;
}

/// How packets are to get into user space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModeChoice {
    /// The best that the driver has.
    #[default]
    Auto,
    /// The driver puts them into the UMEM itself, or the start fails.
    ZeroCopy,
    /// The driver runs the gate, the kernel copies.
    Copy,
    /// The network stack runs the gate.
    Generic,
}

impl ModeChoice {
    const WORDS: &[&str] = &["auto", "zero-copy", "copy", "generic"];
}

/// The name of a network interface as the kernel takes it (`dev_valid_name`): 1 to 15 bytes
/// without `/`, `:` and white space, and not `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// The longest name, in bytes (IFNAMSIZ without its zero).
    const LONGEST: usize = 15;

    /// `None` when the kernel would not take it.
    pub fn new(name: &str) -> Option<Self> {
        let plain = |c: char| !(c == '/' || c == ':' || c == '\0' || c.is_whitespace());
        let valid = (1..=Self::LONGEST).contains(&name.len())
            && name != "."
            && name != ".."
            && name.chars().all(plain);
        valid.then(|| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) fn read(mut section: Section<'_>) -> Option<Datapath> {
    let interfaces = read_interfaces(&mut section);
    let mode = section.or("mode", &Expected::Word(ModeChoice::WORDS), ModeChoice::Auto);
    let workers = Expected::Number(1..=i64::from(Datapath::MAX_WORKERS));
    let workers = section.optional("workers", &workers);
    let ring = power_of_two(Datapath::MIN_RING, Datapath::MAX_RING);
    let ring = section.or("ring", &ring, Datapath::DEFAULT_RING);
    let frames = power_of_two(2 * Datapath::MIN_RING, Datapath::MAX_FRAMES);
    let frames = section.or("frames", &frames, Datapath::DEFAULT_FRAMES);
    let local = local::read(&mut section);
    let drain = read_drain(&mut section);
    let flows = read_flows(&mut section);
    let survive = survive::read(&mut section);
    let clamp_mss = section.or("clamp_mss", &Expected::BOOLEAN, true);
    let path_mtu_answers = section.or("path_mtu_answers", &Expected::BOOLEAN, true);
    let interfaces = interfaces.filter(|interfaces| !interfaces.is_empty());
    let needed = interfaces
        .as_ref()
        .map(|all| needed_frames(ring, all.len()));
    if let Some(needed) = needed.filter(|needed| *needed > u64::from(frames)) {
        section.refuse(
            "frames",
            format!("{frames} frames cannot fill the rings of all interfaces"),
            format!("use {needed} or a smaller ring"),
        );
    }
    section.finish();
    Some(Datapath {
        interfaces: interfaces?,
        mode,
        workers,
        frames,
        ring,
        clamp_mss,
        path_mtu_answers,
        local,
        drain,
        flows,
        survive,
    })
}

fn read_flows(section: &mut Section<'_>) -> u32 {
    let flows = Expected::Number(1..=i64::from(Datapath::MAX_FLOWS));
    let flows = section.or("flows", &flows, Datapath::DEFAULT_FLOWS);
    match section.or("fast_path", &Expected::BOOLEAN, true) {
        true => flows,
        false => 0,
    }
}

fn read_drain(section: &mut Section<'_>) -> Option<u32> {
    let expected = Expected::Text("a time, as in \"60s\"");
    let text: String = section.optional("drain", &expected)?;
    let seconds = span(&text);
    if seconds.is_none() {
        let message = format!("{text:?} is no time to drain for");
        section.refuse("drain", message, "write 90s, 15m, 2h; 31 days at most");
    }
    seconds
}

fn power_of_two(least: u32, most: u32) -> Expected {
    Expected::PowerOfTwo(i64::from(least)..=i64::from(most))
}

/// One fill ring and one transmit ring an interface, all full, as a power of two.
fn needed_frames(ring: u32, interfaces: usize) -> u64 {
    (2 * u64::from(ring) * interfaces as u64).next_power_of_two()
}

fn read_interfaces(section: &mut Section<'_>) -> Option<Vec<InterfaceName>> {
    const KEY: &str = "interfaces";
    const MEND: &str = "name at least one, as in interfaces = [\"eth0\"]";
    if !section.has(KEY) {
        section.refuse(KEY, "is missing", MEND);
    }
    let (length, names) =
        section.list::<String>(KEY, &Expected::Text("the name of an interface"))?;
    if length == 0 {
        section.refuse(KEY, "is empty", MEND);
    }
    let mut first = HashMap::new();
    let mut interfaces = Vec::new();
    for (index, name) in names {
        let place = format!("/{KEY}/{index}");
        let Some(valid) = InterfaceName::new(&name) else {
            let message = format!("{name:?} cannot be the name of an interface");
            section.refuse_at(&place, message, "`ip link` shows their names");
            continue;
        };
        if let Some(first) = first.insert(valid.clone(), index) {
            let message = format!("{name} is there already");
            let problem = Problem::new(place, message, "name it once");
            section.report(problem.with_other(format!("/{KEY}/{first}")));
            continue;
        }
        interfaces.push(valid);
    }
    Some(interfaces)
}
