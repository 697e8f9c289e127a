//! Users who come while it is flooded: each connects, asks for one page and goes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::namespace::Namespace;

/// Who comes.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// How many come side by side.
    pub visitors: u32,
    /// From one visit of a visitor to his next.
    pub interval: Duration,
}

impl Crowd {
    /// A few, who do not strain anybody.
    pub const FEW: Self = Self {
        visitors: 32,
        interval: Duration::from_millis(200),
    };
}

/// What a user waits for a connection, and for its answer: two SYNs may be lost.
const PATIENCE: Duration = Duration::from_secs(4);

/// A visit that was served.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// When the first SYN was sent.
    pub began: Instant,
    /// How long connecting took.
    pub took: Duration,
}

/// What became of the visits.
#[derive(Clone, Debug, Default)]
pub struct Visits {
    /// All.
    pub attempts: u64,
    /// Those that were served.
    pub connected: Vec<Visit>,
}

impl Visits {
    /// The share that was served.
    pub fn served(&self) -> f64 {
        self.connected.len() as f64 / (self.attempts as f64).max(1.0)
    }

    /// What `share` of those served stayed below, while connecting.
    pub fn percentile(&self, share: f64) -> Duration {
        let mut times: Vec<_> = self.connected.iter().map(|visit| visit.took).collect();
        times.sort();
        let last = times.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        times.get(index).copied().unwrap_or_default()
    }

    fn add(&mut self, other: Self) {
        self.attempts += other.attempts;
        self.connected.extend(other.connected);
    }
}

/// What became of all.
///
/// # Errors
/// When a visitor could not even start.
pub fn join(visitors: Vec<JoinHandle<Result<Visits>>>) -> Result<Visits> {
    let mut visits = Visits::default();
    for visitor in visitors {
        let of_one = visitor.join().ok().context("a visitor panicked")?;
        visits.add(of_one?);
    }
    Ok(visits)
}

/// Sends them to `server` for `length`; each is a thread.
///
/// # Errors
/// When the namespace is gone.
pub fn send(
    client: &Namespace,
    server: SocketAddr,
    length: Duration,
    crowd: Crowd,
) -> Result<Vec<JoinHandle<Result<Visits>>>> {
    let began = Instant::now();
    let visitor = |number| {
        let first = began + crowd.interval * number / crowd.visitors;
        let interval = crowd.interval;
        client.spawn(move || Ok(visit_often(server, first, began + length, interval)))
    };
    (0..crowd.visitors).map(visitor).collect()
}

fn visit_often(server: SocketAddr, first: Instant, end: Instant, interval: Duration) -> Visits {
    let mut visits = Visits::default();
    let mut next = first;
    while next < end {
        sleep(next.saturating_duration_since(Instant::now()));
        visits.attempts += 1;
        visits.connected.extend(come(server));
        next = (next + interval).max(Instant::now());
    }
    visits
}

/// Connects, and waits for an answer.
fn come(server: SocketAddr) -> Option<Visit> {
    let began = Instant::now();
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE).ok()?;
    let took = began.elapsed();
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: vip\r\nconnection: close\r\n\r\n")
        .ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    answer
        .starts_with(b"HTTP/1.1 200")
        .then_some(Visit { began, took })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Visit, Visits};

    #[test]
    fn shares_and_percentiles_are_of_all_visits_and_of_those_served() {
        let began = Instant::now();
        let times = (0..=100).rev().map(Duration::from_millis);
        let visits = Visits {
            attempts: 202,
            connected: times.map(|took| Visit { began, took }).collect(),
        };
        assert_eq!(visits.served(), 0.5);
        assert_eq!(visits.percentile(0.5), Duration::from_millis(50));
        assert_eq!(visits.percentile(0.99), Duration::from_millis(99));
        assert_eq!(Visits::default().served(), 0.0);
        assert_eq!(Visits::default().percentile(0.99), Duration::ZERO);
    }
}
