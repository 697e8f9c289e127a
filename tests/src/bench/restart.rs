//! `bench restart`: what users notice of a director that is killed, or stopped, and started again
//! at once; without a flood and in the middle of one.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use super::report::{Report, Table, median};
use crate::flood::stage::Stage;
use crate::flood::storm::Storm;
use crate::flood::stream::Stream;
use crate::flood::visitors::{self, Crowd};
use crate::flood::{Mixture, Peer, Visits, Way};
use crate::haven::Haven;
use crate::process::Signal;

/// Who comes: somebody every 5 ms.
const CROWD: Crowd = Crowd {
    visitors: 200,
    interval: Duration::from_secs(1),
};
/// From the first of them until the director is ended, and from then on.
const BEFORE: Duration = Duration::from_secs(1);
const AFTER: Duration = Duration::from_secs(3);
/// What a flood needs until cookies answer it.
const RISE: Duration = Duration::from_secs(8);
/// Who connects faster has not lost a SYN.
const AT_ONCE: Duration = Duration::from_millis(500);
/// Until somebody has to be accepted again.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes a second of the download that goes on.
const STREAM: u64 = 50_000_000 / 8;

/// `bench restart`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// How often each is done; the median is shown, and the worst.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// SYNs a second of each flood; 0 is none.
    #[arg(long, value_delimiter = ',', default_value = "0,50000")]
    rates: Vec<u64>,
    /// By which method.
    #[arg(long, value_delimiter = ',', default_values_t = [Peer::Nat, Peer::Dr])]
    methods: Vec<Peer>,
}

/// What is done to a director.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Nothing, to compare with.
    Nothing,
    /// `kill -9`.
    Killed,
    /// Asked to end.
    Stopped,
}

impl Event {
    const ALL: [Self; 3] = [Self::Nothing, Self::Killed, Self::Stopped];

    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "left alone",
            Self::Killed => "killed",
            Self::Stopped => "stopped",
        }
    }

    /// Does it; when the director was gone.
    fn happen(self, stage: &mut Stage) -> Result<Instant> {
        match self {
            Self::Nothing => Ok(Instant::now()),
            Self::Killed => stage.restart(Signal::Kill),
            Self::Stopped => stage.restart(Signal::Term),
        }
    }
}

/// What users had of one.
struct Notice {
    /// From the director's end until somebody who came after it was connected.
    accepted: Duration,
    /// The longest that the download stood still.
    pause: Duration,
    /// Segments that the real servers had to send again.
    sent_again: u64,
    /// SYNs of the flood that got to them.
    let_by: u64,
    visits: Visits,
}

impl Options {
    /// Restarts each director in turns.
    ///
    /// # Errors
    /// When a part of the testbed does not come up, or nobody is accepted any more.
    pub fn run(&self) -> Result<Report> {
        let method = format!(
            "somebody connects every 5 ms, and a download of 50 Mbit/s goes on; 4 seconds each, {} \
             times in turns; the gate is pinned, and another director is started as soon as the first is gone",
            self.rounds
        );
        let mut report = Report::new("restart", method);
        for &rate in &self.rates {
            report.tables.push(self.table(rate)?);
        }
        Ok(report)
    }

    fn table(&self, rate: u64) -> Result<Table> {
        let columns = [
            ("accepts after ms", 0),
            ("at worst", 0),
            ("served %", 1),
            ("SYNs let by", 0),
            ("at worst", 0),
            ("sent again", 0),
            ("at worst", 0),
            ("longest pause ms", 0),
            ("at worst", 0),
        ];
        let title = match rate {
            0 => "calm".to_owned(),
            rate => format!("{rate} spoofed SYNs a second"),
        };
        let mut table = Table::new(title, &columns);
        for &peer in &self.methods {
            let notices = self.suffer(peer, rate)?;
            for (event, notices) in Event::ALL.into_iter().zip(notices) {
                let name = format!("{}, {}", peer.name(), event.name());
                table.add(&name, values(&notices).map(Some));
            }
        }
        Ok(table)
    }

    /// What was noticed of each event, round by round.
    fn suffer(&self, peer: Peer, rate: u64) -> Result<[Vec<Notice>; 3]> {
        let haven = Haven::new()?;
        let mut stage =
            Stage::set_with(peer, Way::Shared, Mixture::Syn, |bare| haven.shelter(bare))?;
        stage.count_strangers()?;
        let whole = (BEFORE + AFTER) * 2 * self.rounds * Event::ALL.len() as u32 + RISE;
        let stream = Stream::open(stage.client(), stage.vip(), STREAM, whole)?;
        let generators = stage.generators(Mixture::Syn)?;
        let storm = match rate {
            0 => None,
            rate => Some(Storm::start(generators, stage.client(), Some(rate))?),
        };
        if storm.is_some() {
            sleep(RISE);
        }
        let mut all = Event::ALL.map(|_| Vec::new());
        for _ in 0..self.rounds {
            for (event, notices) in Event::ALL.into_iter().zip(&mut all) {
                notices.push(notice(event, &mut stage, &stream)?);
            }
        }
        storm.map(Storm::end).transpose()?;
        Ok(all)
    }
}

fn notice(event: Event, stage: &mut Stage, stream: &Stream) -> Result<Notice> {
    let visitors = visitors::send(stage.client(), stage.vip(), BEFORE + AFTER, CROWD)?;
    sleep(BEFORE);
    let (sent_before, let_by_before) = (stage.sent_again()?, stage.strangers()?);
    stream.longest_pause();
    let gone = event.happen(stage)?;
    let visits = visitors::join(visitors)?;
    let mut accepted = accepted_after(gone, &visits);
    // On a busy machine a director may need longer than they came for.
    while accepted.is_none() {
        if gone.elapsed() > PATIENCE {
            bail!("nobody is accepted after it was {}", event.name());
        }
        let more = visitors::send(stage.client(), stage.vip(), BEFORE, CROWD)?;
        accepted = accepted_after(gone, &visitors::join(more)?);
    }
    Ok(Notice {
        accepted: accepted.unwrap_or_default(),
        pause: stream.longest_pause(),
        sent_again: stage.sent_again()? - sent_before,
        let_by: stage.strangers()? - let_by_before,
        visits,
    })
}

/// How long after that moment the first was connected who came later, and lost no SYN.
fn accepted_after(gone: Instant, visits: &Visits) -> Option<Duration> {
    let later = visits.connected.iter().filter(|visit| visit.began >= gone);
    let at_once = later.filter(|visit| visit.took < AT_ONCE);
    let first = at_once.map(|visit| visit.began + visit.took).min()?;
    Some(first - gone)
}

fn values(notices: &[Notice]) -> [f64; 9] {
    let of = |value: fn(&Notice) -> f64| {
        let values = notices.iter().map(value);
        (median(values.clone()), values.fold(0.0, f64::max))
    };
    let (accepted, accepted_most) = of(|notice| notice.accepted.as_secs_f64() * 1e3);
    let (pause, pause_most) = of(|notice| notice.pause.as_secs_f64() * 1e3);
    let (again, again_most) = of(|notice| notice.sent_again as f64);
    let (let_by, let_by_most) = of(|notice| notice.let_by as f64);
    let attempts: u64 = notices.iter().map(|notice| notice.visits.attempts).sum();
    let served: usize = (notices.iter().map(|notice| notice.visits.connected.len())).sum();
    let served = served as f64 * 100.0 / attempts as f64;
    [
        accepted,
        accepted_most,
        served,
        let_by,
        let_by_most,
        again,
        again_most,
        pause,
        pause_most,
    ]
}
