//! Rates as IPVS estimates them (`ip_vs_est.c`): a moving average that every two seconds takes
//! in a quarter of what is new.

use std::time::Duration;

use super::TrafficSum;

/// How often [`Estimate::take_in`] is to be called.
pub const INTERVAL: Duration = Duration::from_secs(2);

/// Fixed point: packets and connections have ten bits below one, bytes five. What is counted in
/// two seconds is twice what is counted in one.
const COUNT_SHIFT: u32 = 10;
const BYTE_SHIFT: u32 = 5;

/// The rates of one service or real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    last: TrafficSum,
    /// In fixed point.
    average: TrafficSum,
}

impl Estimate {
    /// An estimate that starts from `counted` with nothing.
    pub fn starting(counted: TrafficSum) -> Self {
        Self {
            last: counted,
            average: TrafficSum::default(),
        }
    }

    /// Takes in what has been `counted` by now.
    pub fn take_in(&mut self, counted: TrafficSum) {
        let new = counted.since(&self.last);
        self.last = counted;
        self.average = TrafficSum {
            connections: moved(self.average.connections, new.connections, COUNT_SHIFT),
            in_packets: moved(self.average.in_packets, new.in_packets, COUNT_SHIFT),
            out_packets: moved(self.average.out_packets, new.out_packets, COUNT_SHIFT),
            in_bytes: moved(self.average.in_bytes, new.in_bytes, BYTE_SHIFT),
            out_bytes: moved(self.average.out_bytes, new.out_bytes, BYTE_SHIFT),
        };
    }

    /// What comes in a second.
    pub fn per_second(&self) -> TrafficSum {
        TrafficSum {
            connections: rounded(self.average.connections, COUNT_SHIFT),
            in_packets: rounded(self.average.in_packets, COUNT_SHIFT),
            out_packets: rounded(self.average.out_packets, COUNT_SHIFT),
            in_bytes: rounded(self.average.in_bytes, BYTE_SHIFT),
            out_bytes: rounded(self.average.out_bytes, BYTE_SHIFT),
        }
    }
}

fn moved(average: u64, new: u64, shift: u32) -> u64 {
    let rate = new << (shift - 1);
    average.wrapping_add_signed((rate.wrapping_sub(average) as i64) >> 2)
}

fn rounded(average: u64, shift: u32) -> u64 {
    (average + (1 << (shift - 1)) - 1) >> shift
}

/// What was counted a second, ten and sixty seconds ago, so that the rates of these times are what
/// has come since. To be told of each second; a minute is remembered in steps of ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// The last ten seconds, by the second modulo their number.
    seconds: [TrafficSum; 11],
    /// Every tenth second of the last minute.
    tens: [TrafficSum; 7],
    /// Seconds so far.
    told: usize,
}

impl Windows {
    /// Takes in what has been `counted` by now.
    pub fn take_in(&mut self, counted: TrafficSum) {
        if self.told == 0 {
            (self.seconds, self.tens) = ([counted; 11], [counted; 7]);
        }
        self.seconds[self.told % 11] = counted;
        if self.told % 10 == 0 {
            self.tens[self.told / 10 % 7] = counted;
        }
        self.told += 1;
    }

    /// What came in a second, over the last one, ten and sixty; over less when there was less.
    pub fn per_second(&self) -> [TrafficSum; 3] {
        let Some(now) = self.told.checked_sub(1) else {
            return [TrafficSum::default(); 3];
        };
        let latest = self.seconds[now % 11];
        let since = |seconds: usize| {
            let seconds = seconds.min(now);
            (self.seconds[(now - seconds) % 11], seconds)
        };
        let minute = match now / 10 {
            0 => since(10),
            // The oldest that is remembered: at least fifty seconds ago, unless it is the first.
            ten => {
                let first = ten.saturating_sub(6);
                (self.tens[first % 7], now - first * 10)
            }
        };
        [since(1), since(10), minute].map(|(then, seconds)| {
            let divided = |count: u64| count.checked_div(seconds as u64).unwrap_or(0);
            let new = latest.since(&then);
            TrafficSum {
                connections: divided(new.connections),
                in_packets: divided(new.in_packets),
                out_packets: divided(new.out_packets),
                in_bytes: divided(new.in_bytes),
                out_bytes: divided(new.out_bytes),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_sees_what_came_in_it() {
        let mut windows = Windows::default();
        let shown = |windows: &Windows| windows.per_second().map(|sum| sum.connections);
        assert_eq!(shown(&windows), [0, 0, 0]);
        windows.take_in(counted(5000, 0));
        assert_eq!(shown(&windows), [0, 0, 0], "what was before is not new");
        let mut now = counted(5000, 0);
        for second in 1..=200 {
            now = now.plus(counted(60, 0));
            windows.take_in(now);
            assert_eq!(shown(&windows), [60; 3], "second {second}");
        }
        now = now.plus(counted(660, 0));
        windows.take_in(now);
        assert_eq!(shown(&windows), [660, 120, 60 + 600 / 61]);
        for _ in 0..10 {
            windows.take_in(now);
        }
        assert_eq!(shown(&windows)[..2], [0, 0]);
        assert!(shown(&windows)[2] > 40);
        for _ in 0..70 {
            windows.take_in(now);
        }
        assert_eq!(shown(&windows), [0; 3]);
    }

    fn counted(connections: u64, in_bytes: u64) -> TrafficSum {
        TrafficSum {
            connections,
            in_bytes,
            ..TrafficSum::default()
        }
    }

    #[test]
    fn a_steady_stream_is_learned_and_forgotten() {
        let mut estimate = Estimate::starting(counted(1000, 0));
        let mut now = counted(1000, 0);
        let mut shown = Vec::new();
        for _ in 0..60 {
            now = now.plus(counted(200, 3_000_000));
            estimate.take_in(now);
            shown.push(estimate.per_second());
        }
        assert_eq!(shown[0], counted(25, 375_000));
        assert_eq!(shown[59].connections, 100);
        assert!(shown[59].in_bytes.abs_diff(1_500_000) <= 1);
        for _ in 0..60 {
            estimate.take_in(now);
        }
        assert_eq!(estimate.per_second(), counted(0, 0));
    }
}
