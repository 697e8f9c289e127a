//! A flood of spoofed frames against a director, and what its users notice: who still gets in and how
//! fast, and what becomes of a stream that was there before. The same against the kernel's own NAT,
//! with and without its SYN proxy, on the same machine in the same run.

mod mixture;
mod options;
mod report;
pub(crate) mod stage;
pub(crate) mod storm;
pub(crate) mod stream;
pub mod visitors;

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;

pub use mixture::Mixture;
pub use options::Options;
pub use report::print;
pub use stage::Held;
pub use visitors::{Crowd, Visits};

use stage::Stage;
use storm::Storm;
use stream::Stream;

const LOOK: Duration = Duration::from_millis(100);
/// Longer than the level's dwell and what half-open connections live.
const RECOVERY: Duration = Duration::from_secs(180);

/// Who stands between clients and real servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// Bulwark, NAT.
    Nat,
    /// Bulwark, direct routing.
    Dr,
    /// Bulwark, IP in IP to an agent on each real server.
    Ipip,
    /// The kernel's DNAT with conntrack.
    Nftables,
    /// The same behind the kernel's SYN proxy.
    Synproxy,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Nat,
        Self::Dr,
        Self::Ipip,
        Self::Nftables,
        Self::Synproxy,
    ];

    /// As a table shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nat => "bulwark NAT",
            Self::Dr => "bulwark DR",
            Self::Ipip => "bulwark TUN, ipip, agent",
            Self::Nftables => "nftables DNAT, conntrack",
            Self::Synproxy => "nftables SYNPROXY, DNAT",
        }
    }
}

/// How the flood comes to the director.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// By the interface of the users: what its queue loses before anybody has seen it, they lose.
    Shared,
    /// By an interface of its own.
    Apart,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Shared => "by the interface of the users",
            Self::Apart => "by an interface of its own",
        }
    }
}

/// What is done to each peer.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// Length of the flood.
    pub flood: Duration,
    /// Length of the same without the flood.
    pub calm: Duration,
    /// What the flood is made of.
    pub mixture: Mixture,
    /// Frames a second; none: as many as one core makes.
    pub rate: Option<u64>,
    /// How they come.
    pub way: Way,
    /// Bytes a second of the stream that began before.
    pub stream: u64,
    /// How the directors are configured.
    pub pace: Pace,
}

impl Trial {
    /// A few seconds each: shows that it works, measures nothing.
    pub const QUICK: Self = Self {
        flood: Duration::from_secs(4),
        calm: Duration::from_secs(1),
        mixture: Mixture::Syn,
        rate: Some(10_000),
        way: Way::Shared,
        stream: 1 << 20,
        pace: Pace::Brisk,
    };
}

/// What the directors are configured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Their defaults.
    Default,
    /// Levels that change within seconds, and few places for half-open connections.
    Brisk,
}

/// What users have of it for a while.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// New connections.
    pub visits: Visits,
    /// Bytes a second of the stream.
    pub goodput: f64,
}

/// What was measured of one peer.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Without the flood.
    pub calm: Service,
    /// During the flood.
    pub flooded: Service,
    /// Frames a second that the generator sent.
    pub rate: f64,
    /// The most that was held at once.
    pub most: Held,
    /// From the first frame until level 1.
    pub raised: Option<Duration>,
    /// From the last frame until level 0.
    pub lowered: Option<Duration>,
}

/// Floods `peer` in a network of its own.
///
/// # Errors
/// When a part does not come up; not when users are refused, which is a result.
pub fn measure(peer: Peer, trial: &Trial) -> Result<Outcome> {
    let stage = Stage::set(peer, trial)?;
    let whole = trial.calm + trial.flood + Duration::from_secs(10);
    let stream = Stream::open(stage.client(), stage.vip(), trial.stream, whole)?;
    // Before the calm: their program on the client's interface is there in both.
    let generators = stage.generators(trial.mixture)?;
    let mut outcome = Outcome {
        calm: serve(&stage, &stream, trial.calm, || Ok(()))?,
        ..Outcome::default()
    };
    let storm = Storm::start(generators, stage.flooder(), trial.rate)?;
    let began = Instant::now();
    outcome.flooded = serve(&stage, &stream, trial.flood, || {
        let held = stage.held()?;
        if held.level > 0 {
            outcome.raised.get_or_insert_with(|| began.elapsed());
        }
        outcome.most = outcome.most.or_more(held);
        Ok(())
    })?;
    let (sent, took) = storm.end()?;
    outcome.rate = sent as f64 / took.as_secs_f64();
    if outcome.raised.is_some() {
        outcome.lowered = await_calm(&stage)?;
    }
    Ok(outcome)
}

/// Visitors come for `length`, while `look` looks.
fn serve(
    stage: &Stage,
    stream: &Stream,
    length: Duration,
    mut look: impl FnMut() -> Result<()>,
) -> Result<Service> {
    let (before, began) = (stream.received(), Instant::now());
    let visitors = visitors::send(stage.client(), stage.vip(), length, Crowd::FEW)?;
    let mut goodput = None;
    while !visitors.iter().all(|visitor| visitor.is_finished()) {
        look()?;
        if began.elapsed() >= length {
            goodput.get_or_insert_with(|| rate(stream.received() - before, began.elapsed()));
        }
        std::thread::sleep(LOOK);
    }
    let goodput = goodput.unwrap_or_else(|| rate(stream.received() - before, began.elapsed()));
    let visits = visitors::join(visitors)?;
    Ok(Service { visits, goodput })
}

fn rate(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / took.as_secs_f64()
}

/// How long it takes until level 0; none when it does not come.
fn await_calm(stage: &Stage) -> Result<Option<Duration>> {
    let began = Instant::now();
    while began.elapsed() < RECOVERY {
        if stage.held()?.level == 0 {
            return Ok(Some(began.elapsed()));
        }
        std::thread::sleep(LOOK);
    }
    Ok(None)
}
