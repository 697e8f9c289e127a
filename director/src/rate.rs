//! Rates as IPVS estimates them (`ip_vs_est.c`): a moving average that every two seconds takes
//! in a quarter of what is new.

use std::time::Duration;

use crate::stats::TrafficSum;

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

#[cfg(test)]
mod tests {
    use super::*;

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
        for _ in 0..40 {
            now = now.plus(counted(200, 3_000_000));
            estimate.take_in(now);
            shown.push(estimate.per_second());
        }
        assert_eq!(shown[0], counted(25, 375_000));
        assert_eq!(shown[39].connections, 100);
        assert!(shown[39].in_bytes.abs_diff(1_500_000) <= 1);
        for _ in 0..60 {
            estimate.take_in(now);
        }
        assert_eq!(estimate.per_second(), counted(0, 0));
    }
}
