//! `bench memory`: how long the machine takes to read from somewhere in so many bytes; what depends
//! on the number of flows follows it.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use rand::seq::SliceRandom;

use super::report::{Report, Table, median};
use crate::floor;

/// Reads of a measurement.
const READS: u32 = 1 << 20;
const LINE: usize = 64;

/// `bench memory`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Measurements of each size, in turns; the median is shown.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// KiB that are read in.
    #[arg(long, value_delimiter = ',', default_value = "512,1024,2048,3072,4096,6144,8192,16384,32768,65536,131072", value_parser = clap::value_parser!(u32).range(1..))]
    kibibytes: Vec<u32>,
}

/// A line of the cache, which says where the next is that is read.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line {
    next: u32,
}

impl Options {
    /// Measures all sizes.
    ///
    /// # Errors
    /// When the last CPU is not to be had.
    pub fn run(&self) -> Result<Report> {
        floor::pin_to_cpu(std::thread::available_parallelism()?.get() - 1)?;
        let rings: Vec<_> = (self.kibibytes.iter())
            .map(|&size| (size, ring((size as usize) << 10)))
            .collect();
        let mut times = vec![Vec::new(); rings.len()];
        for _ in 0..self.rounds {
            for ((_, ring), times) in rings.iter().zip(&mut times) {
                times.push(nanoseconds_a_read(ring));
            }
        }
        let mut table = Table::new("read at random", &[("ns", 0), ("least", 0), ("most", 0)]);
        for ((size, _), times) in rings.iter().zip(&times) {
            let least = times.iter().copied().fold(f64::INFINITY, f64::min);
            let most = times.iter().copied().fold(0.0, f64::max);
            let name = format!("{:.1} MiB", f64::from(*size) / 1024.0);
            let values = [median(times.iter().copied()), least, most];
            table.add(&name, values.map(Some));
        }
        let method = format!(
            "a line of the cache after the other, each of which says which is next; small pages; {} rounds, the median",
            self.rounds
        );
        let mut report = Report::new("memory", method);
        report.tables.push(table);
        Ok(report)
    }
}

/// Lines of so many bytes, all of which are met before the first comes again.
fn ring(bytes: usize) -> Vec<Line> {
    let mut order: Vec<u32> = (0..(bytes / LINE).max(1) as u32).collect();
    order.shuffle(&mut rand::rng());
    let mut lines = vec![Line { next: 0 }; order.len()];
    for (at, &line) in order.iter().enumerate() {
        lines[line as usize].next = order[(at + 1) % order.len()];
    }
    lines
}

fn nanoseconds_a_read(ring: &[Line]) -> f64 {
    let mut at = 0;
    // Once around, so that what the caches can hold they do.
    for _ in 0..ring.len() {
        at = ring[at as usize].next;
    }
    let began = Instant::now();
    for _ in 0..READS {
        at = ring[at as usize].next;
    }
    black_box(at);
    began.elapsed().as_secs_f64() * 1e9 / f64::from(READS)
}

#[cfg(test)]
mod tests {
    use super::{LINE, ring};

    #[test]
    fn a_ring_meets_all_its_lines() {
        let ring = ring(100 * LINE);
        let mut met = vec![false; ring.len()];
        let mut at = 0;
        for _ in 0..ring.len() {
            met[at] = true;
            at = ring[at].next as usize;
        }
        assert_eq!(at, 0);
        assert!(met.into_iter().all(|met| met));
    }
}
