//! The tables of a flood.

use std::fs;
use std::time::Duration;

use super::{Outcome, Pace, Peer, Service, Trial};

/// Prints what came of the floods.
pub fn print(trial: &Trial, outcomes: &[(Peer, Outcome)]) {
    let rate = trial
        .rate
        .map_or("as fast as one core can".to_owned(), |rate| {
            format!("{rate} a second")
        });
    println!(
        "\n{}, {rate}, {}, for {} s against 3 nginx (syncookies {}); beside it {} s without; \
         a download of {:.0} Mbit/s; {} CPUs for generator, director, servers and users; \
         conntrack holds {}",
        trial.mixture.name(),
        trial.way.name(),
        trial.flood.as_secs(),
        kernel("net/ipv4/tcp_syncookies"),
        trial.calm.as_secs(),
        trial.stream as f64 * 8e-6,
        std::thread::available_parallelism().map_or(0, usize::from),
        kernel("net/netfilter/nf_conntrack_max"),
    );
    if trial.pace == Pace::Brisk {
        println!("A quick run: these are no figures.");
    }
    print_users(outcomes);
    print_directors(outcomes);
}

fn kernel(name: &str) -> String {
    let value = fs::read_to_string(format!("/proc/sys/{name}"));
    value.map_or("?".to_owned(), |value| value.trim().to_owned())
}

/// What users notice.
fn print_users(outcomes: &[(Peer, Outcome)]) {
    println!(
        "\n{:26} | {:^29} | {:^29} | {:^15}",
        "", "new connections, calm", "new connections, flooded", "flooded/calm"
    );
    println!(
        "{:26} | {:>8} {:>9} {:>10} | {:>8} {:>9} {:>10} | {:>6} {:>8}",
        "users", "served", "p50 ms", "p99 ms", "served", "p50 ms", "p99 ms", "served", "download"
    );
    for (peer, outcome) in outcomes {
        let (calm, flooded) = (&outcome.calm, &outcome.flooded);
        println!(
            "{:26} | {} | {} | {:>6.2} {:>8.2}",
            peer.name(),
            visits(calm),
            visits(flooded),
            ratio(flooded.visits.served(), calm.visits.served()),
            ratio(flooded.goodput, calm.goodput),
        );
    }
}

fn visits(Service { visits, .. }: &Service) -> String {
    let milliseconds = |share| visits.percentile(share).as_secs_f64() * 1e3;
    format!(
        "{:>7.1}% {:>9.2} {:>10.2}",
        visits.served() * 100.0,
        milliseconds(0.5),
        milliseconds(0.99)
    )
}

fn ratio(one: f64, other: f64) -> f64 {
    if other > 0.0 { one / other } else { 0.0 }
}

/// What the flooded ones hold and do.
fn print_directors(outcomes: &[(Peer, Outcome)]) {
    println!(
        "\n{:26} | {:>9} | {:>12} {:>10} | {:>9} {:>9} {:>10}",
        "directors", "kpps", "most entries", "MiB", "level 1 s", "level 0 s", "drop most"
    );
    for (peer, outcome) in outcomes {
        let drop_most = match peer {
            Peer::Nat | Peer::Dr | Peer::Ipip => format!("{:.0}%", outcome.most.drop_rate * 100.0),
            Peer::Nftables | Peer::Synproxy => "-".to_owned(),
        };
        println!(
            "{:26} | {:>9.1} | {:>12} {:>10.1} | {:>9} {:>9} {drop_most:>10}",
            peer.name(),
            outcome.rate / 1e3,
            outcome.most.entries,
            outcome.most.bytes as f64 / f64::from(1 << 20),
            seconds(outcome.raised),
            seconds(outcome.lowered),
        );
    }
    println!(
        "entries: half-open connections; conntrack: all. MiB: of the daemon; conntrack: of its entries."
    );
}

fn seconds(duration: Option<Duration>) -> String {
    duration.map_or("-".to_owned(), |time| format!("{:.1}", time.as_secs_f64()))
}
