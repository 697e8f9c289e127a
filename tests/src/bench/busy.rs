//! What this machine's CPUs have spent on anything at all.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Of `/proc/stat`, on every architecture that matters here (`USER_HZ`).
const TICKS_A_SECOND: u64 = 100;

/// From a moment on.
#[derive(Debug)]
pub struct Busy {
    since: Duration,
}

impl Busy {
    /// From now on.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn since_now() -> Result<Self> {
        Ok(Self { since: busy()? })
    }

    /// What all CPUs together have spent since.
    ///
    /// # Errors
    /// As above.
    pub fn spent(&self) -> Result<Duration> {
        Ok(busy()?.saturating_sub(self.since))
    }
}

fn busy() -> Result<Duration> {
    busy_in(&fs::read_to_string("/proc/stat")?).context("/proc/stat does not say how busy it was")
}

/// All but what was idle, or another machine's (proc_stat(5)): user, nice, system, idle, iowait, irq,
/// softirq.
fn busy_in(stat: &str) -> Option<Duration> {
    let all = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = all
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    let [user, nice, system, _, _, irq, softirq, ..] = ticks[..] else {
        return None;
    };
    let ticks = user + nice + system + irq + softirq;
    Some(Duration::from_millis(ticks * 1000 / TICKS_A_SECOND))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::busy_in;

    #[test]
    fn what_was_idle_does_not_count() {
        let stat = "cpu  100 2 30 4000 500 6 70 8 0 0\ncpu0 1 1 1 1 1 1 1 0 0 0\n";
        assert_eq!(busy_in(stat), Some(Duration::from_millis(2080)));
        assert_eq!(busy_in("intr 1 2 3\n"), None);
    }
}
