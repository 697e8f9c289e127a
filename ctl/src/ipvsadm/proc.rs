//! The files of IPVS under `/proc/net`, as the kernel writes them (`ip_vs_ctl.c`, `ip_vs_conn.c`):
//! for exporters that read those.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use adminapi::model::{
    Connection, Cursor, Family, ListingQuery, Live, Persistence, Rates, RealRow, ServiceId,
    ServiceRow, Stats, Traffic,
};
use adminapi::table::{BANNER, method_name, protocol_name};

use super::print::engine_data;
use crate::director::{Director, Result, Rows};

/// A file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum File {
    /// Services and real servers.
    #[value(name = "ip_vs")]
    Services,
    /// Connections.
    #[value(name = "ip_vs_conn")]
    Connections,
    /// Connections, and whether another director has told of them.
    #[value(name = "ip_vs_conn_sync")]
    Origins,
    /// Counters and rates of all services together.
    #[value(name = "ip_vs_stats")]
    Stats,
    /// Helpers of protocols.
    #[value(name = "ip_vs_app")]
    Apps,
}

const SERVICES_TITLE: &str = "\
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
";
const CONNECTIONS_TITLE: &str =
    "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n";
const ORIGINS_TITLE: &str =
    "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n";
const STATS_TITLE: &str = "   Total Incoming Outgoing         Incoming         Outgoing
   Conns  Packets  Packets            Bytes            Bytes
";
const RATES_TITLE: &str = " Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n";
const APPS: &str = "prot port    usecnt name\n";

/// The text of `file`.
pub(crate) async fn text<D: Director>(file: File, director: &D) -> Result<String> {
    Ok(match file {
        File::Services => services(director.listing(ListingQuery::default()).await?).await?,
        File::Connections => connections(director, CONNECTIONS_TITLE, row).await?,
        File::Origins => connections(director, ORIGINS_TITLE, row_of_origin).await?,
        File::Stats => stats(&director.stats().await?),
        File::Apps => APPS.to_owned(),
    })
}

async fn services(mut rows: impl Rows) -> Result<String> {
    let mut text = format!("{BANNER}{SERVICES_TITLE}");
    while let Some(row) = rows.next().await? {
        // The kernel names the real server first that was added last.
        let reals = row.reals.iter().rev().map(real);
        text.push_str(&service(&row));
        text.extend(reals);
    }
    Ok(text)
}

fn service(service: &ServiceRow) -> String {
    let scheduler = service.scheduler.name();
    let ops = if service.one_packet { "ops " } else { "" };
    let persistent = service
        .persistence
        .map(|p| persistent(service.id.family(), p));
    let persistent = persistent.unwrap_or_default();
    match service.id {
        ServiceId::Mark { mark, .. } => format!("FWM  {mark:08X} {scheduler} {ops}{persistent}\n"),
        ServiceId::Address { protocol, vip } => {
            let (name, at) = (protocol_name(protocol), address_and_port(vip));
            // For IPv6 the kernel has no room for `ops`.
            match service.id.family() {
                Family::Ipv4 => format!("{name}  {at} {scheduler} {ops} {persistent}\n"),
                Family::Ipv6 => format!("{name}  {at} {scheduler} {persistent}\n"),
            }
        }
    }
}

/// The timeout in ticks of the kernel (250 a second), and the netmask; for IPv6 the length, which the
/// kernel takes for one in the order of the network.
fn persistent(family: Family, persistence: Persistence) -> String {
    let prefix = persistence.prefix.unwrap_or(family.bits());
    let mask = match family {
        Family::Ipv4 => Persistence::netmask(prefix).to_bits(),
        Family::Ipv6 => u32::from(prefix).to_be(),
    };
    format!("persistent {} {mask:08X}", persistence.timeout * 250)
}

fn real(real: &RealRow) -> String {
    let RealRow { weight, live, .. } = real;
    let Live {
        active, inactive, ..
    } = live;
    let (at, method) = (address_and_port(real.endpoint()), method_name(real.method));
    format!("  -> {at}      {method:<7} {weight:<6} {active:<10} {inactive:<10}\n")
}

fn address_and_port(at: SocketAddr) -> String {
    let (address, port) = (address(at.ip()), at.port());
    match at {
        SocketAddr::V4(_) => format!("{address}:{port:04X}"),
        SocketAddr::V6(_) => format!("[{address}]:{port:04X}"),
    }
}

/// Eight hexadecimal digits, or eight groups of four (`%pI6`).
fn address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("{:08X}", v4.to_bits()),
        IpAddr::V6(v6) => v6.segments().map(|group| format!("{group:04x}")).join(":"),
    }
}

async fn connections<D: Director>(
    director: &D,
    title: &str,
    row: fn(&Connection) -> String,
) -> Result<String> {
    let mut text = title.to_owned();
    let mut from: Option<Cursor> = None;
    loop {
        let page = director.connections(from).await?;
        text.extend(page.connections.iter().map(row));
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(text),
        }
    }
}

fn row(connection: &Connection) -> String {
    let (ends, expires) = (ends_and_state(connection), connection.expires);
    let engine = connection.engine.map(|engine| {
        let (name, data) = (engine.name(), engine_data(connection));
        format!(" {name} {data}")
    });
    format!("{ends} {expires:>7}{}\n", engine.unwrap_or_default())
}

/// Nobody has told this director of a connection.
fn row_of_origin(connection: &Connection) -> String {
    let expires = connection.expires;
    format!("{} LOCAL  {expires:>7}\n", ends_and_state(connection))
}

fn ends_and_state(connection: &Connection) -> String {
    let mut text = format!("{:<3}", connection.protocol.map_or("IP", protocol_name));
    for end in [connection.client, connection.vip, connection.real] {
        // Writing to a string can't fail.
        let _ = write!(text, " {} {:04X}", address(end.ip()), end.port());
    }
    format!("{text} {:<11}", connection.state)
}

fn stats(stats: &Stats) -> String {
    let Traffic {
        connections,
        in_packets,
        out_packets,
        in_bytes,
        out_bytes,
    } = stats.traffic;
    let total = hexadecimal([connections, in_packets, out_packets, in_bytes, out_bytes]);
    let Rates {
        connections,
        in_packets,
        out_packets,
        in_bytes,
        out_bytes,
    } = stats.rates;
    let rates = hexadecimal([connections, in_packets, out_packets, in_bytes, out_bytes]);
    format!("{STATS_TITLE}{total}\n{RATES_TITLE}{rates}")
}

fn hexadecimal([connections, packets_in, packets_out, bytes_in, bytes_out]: [u64; 5]) -> String {
    format!("{connections:8X} {packets_in:8X} {packets_out:8X} {bytes_in:16X} {bytes_out:16X}\n")
}

#[cfg(test)]
mod tests {
    use adminapi::model::{Helper, Persistence, Scheduler, SchedulerFlags};

    use super::*;

    /// As Linux 6.1 writes them.
    #[test]
    fn services_are_written_as_the_kernel_does() {
        let kept = |prefix| Persistence {
            timeout: 360,
            prefix,
            engine: None,
        };
        for (id, persistence, want) in [
            ("tcp:192.0.2.10:80", None, "TCP  C000020A:0050 wlc  \n"),
            ("sctp:192.0.2.10:80", None, "SCTP  C000020A:0050 wlc  \n"),
            (
                "tcp:192.0.2.10:0",
                Some(kept(Some(24))),
                "TCP  C000020A:0000 wlc  persistent 90000 FFFFFF00\n",
            ),
            (
                "fwm6:2147483648",
                Some(kept(None)),
                "FWM  80000000 wlc persistent 90000 80000000\n",
            ),
            (
                "fwm:1",
                Some(kept(None)),
                "FWM  00000001 wlc persistent 90000 FFFFFFFF\n",
            ),
        ] {
            let row = ServiceRow {
                id: id.parse().unwrap(),
                scheduler: Scheduler::Wlc,
                scheduler_flags: SchedulerFlags::NONE,
                persistence,
                engine: None,
                one_packet: false,
                helper: Helper::Auto,
                numbers: None,
                reals: Vec::new(),
            };
            assert_eq!(service(&row), want, "{id}");
        }
    }
}
