//! `bench command-line`: how long the command line takes with many services, beside what printing
//! the same bytes takes.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tempfile::TempDir;

use crate::director::{Configuration, Director, binary};
use crate::topology::{Plan, Topology};

/// How much there is to list.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Services.
    #[arg(long, default_value_t = 1000)]
    services: u32,
    /// Real servers of each.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=50))]
    reals: u32,
    /// Runs of each command; the median is shown.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

/// What is timed: listings, and the start of the program without any.
const LISTINGS: [&str; 6] = [
    "-Ln",
    "-Ln --stats",
    "-Ln --rate",
    "-Sn",
    "-Ln --json",
    "-v",
];

/// Ways to restore what `-Sn` has saved.
const RESTORES: [&str; 2] = ["-R", "-R --atomic"];

impl Options {
    /// Times it and prints what came of it.
    ///
    /// # Errors
    /// When a command fails.
    pub fn run(&self) -> Result<()> {
        let Self {
            services,
            reals,
            runs,
            ..
        } = self;
        println!("{services} services x {reals} real servers, medians of {runs} runs\n");
        let counter = Counter::set_up()?;
        self.time_restores(&counter)?;
        self.time_listings(&counter)
    }

    fn time_restores(&self, counter: &Counter) -> Result<()> {
        let lines = counter.file("lines", &self.lines())?;
        println!("{:24} {:>9}", "restore", "ms");
        for how in RESTORES {
            let mut times = Vec::new();
            for _ in 0..self.runs.min(5) {
                counter.time(counter.bulwark("-C"))?;
                let mut command = counter.bulwark(how);
                command.stdin(File::open(&lines)?);
                times.push(counter.time(command)?.took);
            }
            println!("{how:24} {:>9.1}", milliseconds(median(&mut times)));
        }
        Ok(())
    }

    /// Each listing in turn with `cat` of what it has printed: a slow moment meets both.
    fn time_listings(&self, counter: &Counter) -> Result<()> {
        println!(
            "\na listing, and beside it `cat` of a file with the same bytes: each a whole process that \
             writes to a pipe\n{:24} {:>9} {:>9} {:>9} {:>7}",
            "", "bytes", "ms", "cat, ms", "ratio"
        );
        for listing in LISTINGS {
            let printed = counter.time(counter.bulwark(listing))?.printed;
            let file = counter.file("listing", &printed)?;
            let (mut own, mut cat) = (Vec::new(), Vec::new());
            for _ in 0..self.runs {
                own.push(counter.time(counter.bulwark(listing))?.took);
                let mut command = Command::new("cat");
                command.arg(&file);
                cat.push(counter.time(command)?.took);
            }
            let (own, cat) = (median(&mut own), median(&mut cat));
            println!(
                "{listing:24} {:>9} {:>9.2} {:>9.2} {:>7.2}",
                printed.len(),
                milliseconds(own),
                milliseconds(cat),
                own.as_secs_f64() / cat.as_secs_f64()
            );
        }
        Ok(())
    }

    /// What makes the services, as `-R` takes it.
    fn lines(&self) -> Vec<u8> {
        let mut lines = String::new();
        for service in 0..self.services {
            let [high, low] = [service / 250, service % 250];
            let vip = format!("10.{}.{low}.1:80", 100 + high);
            lines += &format!("-A -t {vip} -s wlc\n");
            for real in 1..=self.reals {
                lines += &format!(
                    "-a -t {vip} -r 172.{}.{low}.{real}:8080 -m -w {real}\n",
                    16 + high
                );
            }
        }
        lines.into_bytes()
    }
}

/// A director without traffic, and what its command line is asked.
struct Counter {
    director: Director,
    _topology: Topology,
    directory: TempDir,
    /// The program as it is installed: a linker writes a file here and there, and the kernel then keeps
    /// it in smaller pieces than one that was copied, as `cat` was.
    bulwark: PathBuf,
}

/// How a command went.
struct Timed {
    /// From its start to its end.
    took: Duration,
    /// Its standard output.
    printed: Vec<u8>,
}

impl Counter {
    fn set_up() -> Result<Self> {
        let topology = Topology::build(Plan::default())?;
        let configuration = Configuration::new(topology.interfaces());
        let directory = tempfile::tempdir()?;
        let bulwark = directory.path().join("bulwark");
        fs::copy(binary("bulwark")?, &bulwark)?;
        Ok(Self {
            director: Director::start(&topology.director, &configuration)?,
            _topology: topology,
            directory,
            bulwark,
        })
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.directory.path().join(name);
        fs::write(&path, bytes)?;
        Ok(path)
    }

    /// Its socket is reached from any namespace.
    fn bulwark(&self, words: &str) -> Command {
        let mut command = Command::new(&self.bulwark);
        let socket = self.director.socket();
        command.env("BULWARK_API", format!("unix:{}", socket.display()));
        command.args(words.split_whitespace());
        command
    }

    /// Runs `command` and reads all that it prints through a pipe.
    fn time(&self, mut command: Command) -> Result<Timed> {
        let began = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut printed = Vec::new();
        let mut stdout = child.stdout.take().context("no standard output")?;
        stdout.read_to_end(&mut printed)?;
        let status = child.wait()?;
        let took = began.elapsed();
        ensure!(status.success(), "{command:?}: {status}");
        Ok(Timed { took, printed })
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
