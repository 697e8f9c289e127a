//! What a level of defence depends on: what was measured, and the marks to hold it against.

use std::fmt;

use super::shortage::Resource;
use crate::time::Ticks;

/// What was measured at one moment, of the whole director or of one service.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Signals {
    /// Memory left for connections that are not half-open, in the budget; of the whole director
    /// only.
    pub budget: Option<Left>,
    /// Memory left on the machine, bytes; of the whole director only.
    pub machine: Option<u64>,
    /// Half-open connections.
    pub half_open: u64,
    /// How many more of them there are than a second before.
    pub filling: u64,
    /// All connections, half-open ones among them.
    pub connections: u64,
    /// Places for half-open connections, of all services together.
    pub pool: u64,
    /// Places for all the others.
    pub places: u64,
    /// Half-open connections a second that have to leave a full pool for others.
    pub displaced: f64,
    /// Percent of what came that had no room in the rings of workers.
    pub missed: f64,
    /// ACKs a second that belong to no connection or do not fit their handshake.
    pub rejected: f64,
    /// Cookies a second that nobody has brought back; of a service only.
    pub lost_cookies: Option<f64>,
    /// Datagrams a second that belong to no connection yet; of a UDP service only.
    pub new_udp: Option<f64>,
}

/// What is left of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Bytes that are free.
    pub free: u64,
    /// Bytes in all.
    pub all: u64,
}

/// One of the things that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// MiB left for connections, of the budget.
    Budget,
    /// MiB left on the machine.
    Machine,
    /// Percent of the half-open pool that is taken.
    HalfOpenPool,
    /// Percent of the connections that are half-open.
    HalfOpenShare,
    /// Rejected ACKs a second.
    RejectedAcks,
    /// Cookies a second that nobody has brought back.
    LostCookies,
    /// Datagrams a second that belong to no connection yet.
    NewUdp,
}

/// Where a signal calls for defence, and where it no longer does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marks {
    /// At this one it begins.
    pub enter: f64,
    /// At this one it ends; the other side of `enter`.
    pub leave: f64,
}

/// When the level changes, and what is dropped then.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// MiB left, of the budget and on the machine. Of a small budget no more than a 16th and an 8th
    /// count.
    pub memory: Marks,
    /// Percent of the half-open pool.
    pub half_open_pool: Marks,
    /// Percent of the connections.
    pub half_open_share: Marks,
    /// Fewer half-open connections than this are no share worth to speak of.
    pub half_open_least: u64,
    /// A second.
    pub rejected_acks: Marks,
    /// A second.
    pub lost_cookies: Marks,
    /// A second.
    pub new_udp: Marks,
    /// How long all signals have to be below their leave marks.
    pub dwell: Ticks,
    /// Percent of the half-open pool from which SYNs are answered with cookies.
    pub cookies_from: f64,
    /// Percent of the half-open pool that one who fills it has to have for his SYNs to be dropped.
    pub drop_from: f64,
    /// The most that is dropped, as a share of the SYNs.
    pub drop_most: f64,
}

impl Default for Policy {
    fn default() -> Self {
        let marks = |enter, leave| Marks { enter, leave };
        Self {
            memory: marks(10.0, 20.0),
            half_open_pool: marks(25.0, 12.0),
            half_open_share: marks(50.0, 25.0),
            half_open_least: 1000,
            rejected_acks: marks(1000.0, 250.0),
            lost_cookies: marks(1000.0, 250.0),
            new_udp: marks(5000.0, 1250.0),
            dwell: Ticks::seconds(30),
            cookies_from: 50.0,
            drop_from: 75.0,
            drop_most: 0.5,
        }
    }
}

const MIB: f64 = 1_048_576.0;

/// How far ahead cookies look, seconds. Until they begin everybody queues behind the flood; of a minute
/// that is to be less than a hundredth.
const FORESIGHT: u64 = 4;

/// How long a half-open connection is to last on average in a pool where each newcomer takes the
/// place of another, seconds: of clients whose handshake takes 100 ms that costs one in twenty a try.
const LIFE: f64 = 2.0;

/// How long a UDP connection is reckoned to stay whose client is heard once, seconds: as it does under
/// attack.
const ONCE: f64 = 10.0;

/// `part` of `whole` in percent; of nothing it is nothing.
fn percent(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        _ => 100.0 * part as f64 / whole as f64,
    }
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Budget,
        Self::Machine,
        Self::HalfOpenPool,
        Self::HalfOpenShare,
        Self::RejectedAcks,
        Self::LostCookies,
        Self::NewUdp,
    ];

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Budget => "memory_budget",
            Self::Machine => "memory_machine",
            Self::HalfOpenPool => "half_open_pool",
            Self::HalfOpenShare => "half_open_share",
            Self::RejectedAcks => "rejected_acks",
            Self::LostCookies => "lost_cookies",
            Self::NewUdp => "new_udp",
        }
    }

    /// What it is counted in.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Budget | Self::Machine => "MiB",
            Self::HalfOpenPool | Self::HalfOpenShare => "%",
            Self::RejectedAcks | Self::LostCookies | Self::NewUdp => "/s",
        }
    }

    /// Whether it is bad when there is little of it.
    const fn is_of_want(self) -> bool {
        matches!(self, Self::Budget | Self::Machine)
    }

    /// Whether `value` is at `mark` or worse.
    fn reaches(self, value: f64, mark: f64) -> bool {
        match self.is_of_want() {
            true => value < mark,
            false => value >= mark,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Budget => "memory left of the budget",
            Self::Machine => "memory left on the machine",
            Self::HalfOpenPool => "half-open pool taken",
            Self::HalfOpenShare => "half-open share of the connections",
            Self::RejectedAcks => "rejected ACKs",
            Self::LostCookies => "cookies that nobody brought back",
            Self::NewUdp => "datagrams of no connection yet",
        })
    }
}

impl Signals {
    /// The value of a signal; `None` when it was not measured here.
    pub fn value(&self, signal: Signal) -> Option<f64> {
        match signal {
            Signal::Budget => self.budget.map(|left| left.free as f64 / MIB),
            Signal::Machine => self.machine.map(|bytes| bytes as f64 / MIB),
            Signal::HalfOpenPool => Some(percent(self.half_open, self.pool)),
            Signal::HalfOpenShare => Some(percent(self.half_open, self.connections)),
            Signal::RejectedAcks => Some(self.rejected),
            Signal::LostCookies => self.lost_cookies,
            Signal::NewUdp => self.new_udp,
        }
    }
}

impl Policy {
    /// The marks of a signal, here and now.
    pub fn marks(&self, signal: Signal, signals: &Signals) -> Marks {
        match signal {
            Signal::Budget => self.budget_marks(signals),
            Signal::Machine => self.memory,
            Signal::HalfOpenPool => self.half_open_pool,
            Signal::HalfOpenShare => self.half_open_share,
            Signal::RejectedAcks => self.rejected_acks,
            Signal::LostCookies => self.lost_cookies,
            Signal::NewUdp => self.new_udp,
        }
    }

    fn budget_marks(&self, signals: &Signals) -> Marks {
        let all = signals
            .budget
            .map_or(f64::INFINITY, |left| left.all as f64 / MIB);
        Marks {
            enter: self.memory.enter.min(all / 16.0),
            leave: self.memory.leave.min(all / 8.0),
        }
    }

    /// The first signal that calls for defence.
    pub fn alarm(&self, signals: &Signals) -> Option<Reason> {
        self.beyond(signals, |marks| marks.enter)
    }

    /// The first signal that has not come back below its leave mark.
    pub fn unrest(&self, signals: &Signals) -> Option<Reason> {
        self.beyond(signals, |marks| marks.leave)
    }

    fn beyond(&self, signals: &Signals, which: impl Fn(Marks) -> f64) -> Option<Reason> {
        Signal::ALL.into_iter().find_map(|signal| {
            let few = signals.half_open < self.half_open_least;
            if signal == Signal::HalfOpenShare && few {
                return None;
            }
            let value = signals.value(signal)?;
            let mark = which(self.marks(signal, signals));
            signal.reaches(value, mark).then_some(Reason {
                signal,
                value,
                mark,
            })
        })
    }

    /// Whether these signals call for cookies: because the pool fills so fast that they soon will, before
    /// a SYN is dropped, or because SYNs are lost that no worker has seen. Of a UDP service, to have its
    /// clients come twice: because its datagrams are lost in this way, or would fill half of the table.
    pub fn calls_for_cookies(&self, signals: &Signals) -> bool {
        let soon = signals.half_open + FORESIGHT * signals.filling;
        percent(soon, signals.pool) >= self.cookies_from
            || signals.missed >= Resource::Ring.mark()
            || self.wanted(signals, 0.0) > 0.0
            || signals.new_udp.unwrap_or(0.0) * ONCE > signals.places as f64 / 2.0
    }

    /// The share of the SYNs that these signals call to drop when `dropped` are: with the memory
    /// that is missing it grows evenly to the most; where the pool is full it is as much as has
    /// those who are in it last long enough, and no more.
    pub fn wanted(&self, signals: &Signals, dropped: f64) -> f64 {
        let scarcity = [Signal::Budget, Signal::Machine].into_iter().map(|signal| {
            let left = signals.value(signal).unwrap_or(f64::INFINITY);
            let mark = self.marks(signal, signals).enter;
            if mark > 0.0 {
                (mark - left) / mark
            } else {
                0.0
            }
        });
        let pressure = scarcity.fold(0.0, f64::max).clamp(0.0, 1.0) * self.drop_most;
        pressure.max(self.excess(signals, dropped))
    }

    /// What of all that comes has to stay out of the pool, so that the others are not displaced
    /// too soon.
    fn excess(&self, signals: &Signals, dropped: f64) -> f64 {
        let fullness = percent(signals.half_open, signals.pool);
        let bearable = signals.pool as f64 / LIFE;
        let coming = signals.displaced / (1.0 - dropped).max(f64::EPSILON);
        match fullness >= self.drop_from && coming > bearable {
            true => (1.0 - bearable / coming).min(self.drop_most),
            false => 0.0,
        }
    }
}

/// A signal that is beyond a mark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reason {
    /// Which.
    pub signal: Signal,
    /// How much.
    pub value: f64,
    /// The mark.
    pub mark: f64,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            signal,
            value,
            mark,
        } = self;
        let unit = signal.unit();
        write!(
            f,
            "{signal}: {value:.1} {unit}, the mark is {mark:.1} {unit}"
        )
    }
}

#[cfg(test)]
mod tests;
