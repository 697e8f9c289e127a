//! `bulwark status`.

use std::fmt::Write as _;

use adminapi::model::{
    CertificateStatus, ConnectionUse, Defense, Drops, FastPathUse, InterfaceStatus, LocalAddress,
    Status, WorkerStatus,
};

/// The status for people, `now` seconds after 1970.
pub(super) fn text(status: &Status, defense: &Defense, now: u64) -> String {
    let mut text = format!(
        "bulwarkd {}, up {}\n",
        status.version,
        duration(status.uptime)
    );
    text += &level(defense);
    text += &connections(&status.connections);
    text += &status.fast_path.as_ref().map_or(String::new(), fast_path);
    text += &slow_interfaces(&status.interfaces);
    text += &losing_interfaces(&status.interfaces);
    text += &certificates(&status.certificates, now);
    text += &local_addresses(&status.local_addresses);
    text += &interfaces(&status.interfaces);
    text += &workers(&status.workers);
    text += &drops(&status.drops);
    text
}

fn level(defense: &Defense) -> String {
    let way = match defense.automatic {
        true => "automatic",
        false => "set",
    };
    format!(
        "defence level {} ({way}): {}\n",
        defense.level, defense.reason
    )
}

fn connections(table: &ConnectionUse) -> String {
    let ConnectionUse {
        entries,
        half_open,
        limit,
        half_open_limit,
        bytes,
    } = table;
    let mebibytes = *bytes as f64 / f64::from(1 << 20);
    format!(
        "connections: {entries} of {limit}, half-open {half_open} of {half_open_limit}, \
         {mebibytes:.1} MiB\n"
    )
}

fn fast_path(fast: &FastPathUse) -> String {
    let FastPathUse {
        flows,
        limit,
        refused,
        bytes,
    } = fast;
    let mebibytes = *bytes as f64 / f64::from(1 << 20);
    format!("fast path: {flows} of {limit} flows, {refused} refused, {mebibytes:.1} MiB\n")
}

/// The interfaces that packets leave through on the slow path only, and why.
fn slow_interfaces(interfaces: &[InterfaceStatus]) -> String {
    let slow = interfaces
        .iter()
        .filter_map(|interface| Some((&interface.name, interface.slow_because.as_ref()?)));
    slow.map(|(name, why)| format!("fast path off on {name}: {why}\n"))
        .collect()
}

/// The interfaces that lose packets because their queues have changed, and why.
fn losing_interfaces(interfaces: &[InterfaceStatus]) -> String {
    let losing = interfaces
        .iter()
        .filter_map(|interface| Some((&interface.name, interface.loses_because.as_ref()?)));
    losing
        .map(|(name, why)| format!("packets are lost on {name}: {why}\n"))
        .collect()
}

fn interfaces(interfaces: &[InterfaceStatus]) -> String {
    let titles = [
        "interface",
        "mode",
        "queues",
        "rx",
        "passed",
        "redirected",
        "answered",
        "dropped",
        "forwarded",
        "fast path",
    ];
    let rows = interfaces.iter().map(|interface| {
        [
            interface.name.clone(),
            interface.mode.to_string(),
            interface.queues.to_string(),
            interface.rx.to_string(),
            interface.passed.to_string(),
            interface.redirected.to_string(),
            interface.answered.to_string(),
            interface.dropped.to_string(),
            interface.forwarded.to_string(),
            if interface.fast_path { "on" } else { "off" }.to_owned(),
        ]
    });
    table(titles, rows)
}

fn local_addresses(addresses: &[LocalAddress]) -> String {
    let titles = ["local address", "assigned", "connections", "ports"];
    let rows = addresses.iter().map(|local| {
        [
            local.address.to_string(),
            if local.assigned { "yes" } else { "no" }.to_owned(),
            local.connections.to_string(),
            local.ports.to_string(),
        ]
    });
    table(titles, rows)
}

fn certificates(certificates: &[CertificateStatus], now: u64) -> String {
    let titles = ["certificate for", "file", "expires"];
    let rows = certificates.iter().map(|shown| {
        let when = match shown.expires.checked_sub(now) {
            Some(left) => format!("in {}", duration(left)),
            None => format!("{} ago", duration(now - shown.expires)),
        };
        [shown.listener.clone(), shown.file.clone(), when]
    });
    table(titles, rows)
}

fn workers(workers: &[WorkerStatus]) -> String {
    let titles = [
        "worker",
        "cpu",
        "received",
        "from host",
        "sent",
        "dropped",
        "missed",
        "answered",
        "routed",
        "frames",
        "free",
        "filling",
        "sending",
    ];
    let rows = workers.iter().map(|worker| {
        [
            worker.id.to_string(),
            worker.cpu.to_string(),
            worker.received.to_string(),
            worker.from_host.to_string(),
            worker.sent.to_string(),
            worker.dropped.to_string(),
            worker.missed.to_string(),
            worker.answered.to_string(),
            worker.routed.to_string(),
            worker.frames.total.to_string(),
            worker.frames.free.to_string(),
            worker.frames.filling.to_string(),
            worker.frames.sending.to_string(),
        ]
    });
    table(titles, rows)
}

/// The reasons that dropped something, the busiest first.
fn drops(drops: &Drops) -> String {
    let mut counted: Vec<_> = drops.iter().filter(|(_, count)| **count > 0).collect();
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let rows = counted
        .into_iter()
        .map(|(reason, count)| [reason.clone(), count.to_string()]);
    table(["drop reason", "packets"], rows)
}

/// An empty line and a table: the first column to the left, the others to the right. Nothing
/// without rows.
pub(super) fn table<const N: usize>(
    titles: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let mut lines = vec![titles.map(str::to_owned)];
    lines.extend(rows);
    if lines.len() == 1 {
        return String::new();
    }
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].len())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::from("\n");
    for line in &lines {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Writing to a string can't fail.
            let _ = match column {
                0 => write!(text, "{cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

/// The two largest units of a time in seconds.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use adminapi::model::{Frames, XdpMode};

    use super::*;

    fn normal() -> Defense {
        Defense {
            automatic: true,
            reason: "no attack".to_owned(),
            ..Defense::default()
        }
    }

    #[test]
    fn a_status_reads_like_this() {
        let status = Status {
            version: "0.1.0".to_owned(),
            uptime: 3725,
            interfaces: vec![InterfaceStatus {
                name: "eth0".to_owned(),
                ifindex: 2,
                mode: XdpMode::ZeroCopy,
                queues: 4,
                rx: 3000,
                passed: 10,
                redirected: 990,
                answered: 0,
                dropped: 0,
                forwarded: 2000,
                fast_path: false,
                slow_because: Some("a probe did not leave the interface".to_owned()),
                loses_because: Some("8 receive queues".to_owned()),
                drops: Drops::default(),
            }],
            workers: vec![WorkerStatus {
                id: 0,
                cpu: 3,
                received: 990,
                from_host: 0,
                sent: 988,
                dropped: 2,
                drops: Drops::default(),
                missed: 4,
                answered: 1,
                routed: 5,
                frames: Frames {
                    total: 4096,
                    free: 2000,
                    filling: 2090,
                    sending: 6,
                },
            }],
            drops: [("no_connection", 2), ("no_real", 0), ("truncated", 5)]
                .map(|(reason, count)| (reason.to_owned(), count))
                .into(),
            connections: ConnectionUse {
                entries: 12,
                half_open: 3,
                limit: 1_000_000,
                half_open_limit: 250_000,
                bytes: 128_000_000,
            },
            local_addresses: vec![LocalAddress {
                address: [10, 0, 2, 200].into(),
                assigned: true,
                connections: 7,
                ports: 64_512,
            }],
            fast_path: Some(FastPathUse {
                flows: 7,
                limit: 1000,
                refused: 1,
                bytes: 3 << 20,
            }),
            certificates: [("api", 1_900_000_000), ("agents", 1_799_990_000)]
                .map(|(listener, expires)| CertificateStatus {
                    listener: listener.to_owned(),
                    file: format!("/etc/bulwark/{listener}.pem"),
                    expires,
                })
                .into(),
        };
        assert_eq!(
            text(&status, &normal(), 1_800_000_000),
            "\
bulwarkd 0.1.0, up 1 h 2 min
defence level 0 (automatic): no attack
connections: 12 of 1000000, half-open 3 of 250000, 122.1 MiB
fast path: 7 of 1000 flows, 1 refused, 3.0 MiB
fast path off on eth0: a probe did not leave the interface
packets are lost on eth0: 8 receive queues

certificate for                     file         expires
api                 /etc/bulwark/api.pem   in 1157 d 9 h
agents           /etc/bulwark/agents.pem  2 h 46 min ago

local address  assigned  connections  ports
10.0.2.200          yes            7  64512

interface       mode  queues    rx  passed  redirected  answered  dropped  forwarded  fast path
eth0       zero-copy       4  3000      10         990         0        0       2000        off

worker  cpu  received  from host  sent  dropped  missed  answered  routed  frames  free  filling  sending
0         3       990          0   988        2       4         1       5    4096  2000     2090        6

drop reason    packets
truncated            5
no_connection        2
"
        );
    }

    #[test]
    fn a_director_that_does_nothing_yet_has_no_tables() {
        assert_eq!(text(&Status::default(), &normal(), 0).lines().count(), 3);
    }

    #[test]
    fn times_are_rounded_down() {
        for (seconds, want) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min 0 s"),
            (3599, "59 min 59 s"),
            (86_399, "23 h 59 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(seconds), want);
        }
    }
}
