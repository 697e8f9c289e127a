//! The listings, to the byte.

use std::fmt::Write as _;
use std::net::SocketAddr;

use adminapi::model::{
    Connection, Family, ForwardingMethod, Persistence, Protocol, Rates, RealView, ServiceId,
    ServiceView, SyncDaemon, Timeouts, Traffic, Tunnel, TunnelChecksum, TunnelType,
};

use super::address::Style;
use super::flags;
use super::grammar::Transport;
use super::request::Columns;

/// First line of a listing of all services: the version of IPVS that this is compatible with and
/// the number of hash buckets that an IPVS of default size has.
pub(crate) const BANNER: &str = "IP Virtual Server version 1.2.1 (size=4096)\n";

/// First lines of a listing of connections.
pub(crate) const fn connections_title(engines: bool) -> &'static str {
    if engines {
        concat!(
            "IPVS connection entries\n",
            "pro expire state       source             virtual            destination        ",
            "pe name          pe_data\n"
        )
    } else {
        concat!(
            "IPVS connection entries\n",
            "pro expire state       source             virtual            destination\n"
        )
    }
}

const SERVICE_WIDTH: usize = 33;
const REAL_WIDTH: usize = 28;

impl Columns {
    /// The title lines.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Plain => concat!(
                "Prot LocalAddress:Port Scheduler Flags\n",
                "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
            ),
            Self::Tunnels => concat!(
                "Prot LocalAddress:Port Scheduler Flags\n",
                "  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n"
            ),
            Self::Thresholds => concat!(
                "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n",
                "  -> RemoteAddress:Port\n"
            ),
            Self::Persistent => concat!(
                "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n",
                "  -> RemoteAddress:Port\n"
            ),
            Self::Stats | Self::ExactStats => concat!(
                "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n",
                "  -> RemoteAddress:Port\n"
            ),
            Self::Rates | Self::ExactRates => concat!(
                "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n",
                "  -> RemoteAddress:Port\n"
            ),
        }
    }
}

/// How a protocol is written in an address.
pub(crate) const fn transport(protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Tcp => Transport::Tcp,
        Protocol::Udp => Transport::Udp,
        Protocol::Sctp => Transport::Sctp,
    }
}

/// A mark as ipvsadm writes it (`%d`).
pub(crate) const fn signed(mark: u32) -> i32 {
    mark as i32
}

/// How ports of a service are named: those of a mark as TCP's.
pub(crate) fn transport_of(id: ServiceId) -> Transport {
    id.protocol().map_or(Transport::Tcp, transport)
}

/// How a listing calls a protocol.
pub(crate) const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    }
}

/// The lines of a service and its real servers.
pub(crate) fn service(service: &ServiceView, columns: Columns, style: Style<'_>) -> String {
    let name = service_name(service.id, style);
    let numbers = numbers(service.stats.into(), service.rates.into(), columns);
    let mut text = match numbers {
        None => {
            let flags = flags::names(service.scheduler, service.scheduler_flags);
            let flags = flags.map_or_else(String::new, |flags| format!(" ({flags})"));
            let handling = handling(service);
            format!("{name} {}{flags}{handling}", service.scheduler.name())
        }
        Some(numbers) => format!("{name:<SERVICE_WIDTH$}{numbers}"),
    };
    text.push('\n');
    for each in &service.reals {
        real(&mut text, each, service, columns, style);
    }
    text
}

/// How it treats connections.
fn handling(service: &ServiceView) -> String {
    let mut text = String::new();
    if let Some(persistence) = service.persistence {
        text += &format!(" persistent {}", persistence.timeout);
        let mask = client_mask(service.id.family(), persistence);
        text += &mask.map_or_else(String::new, |mask| format!(" mask {mask}"));
    }
    if service.one_packet {
        text += " ops";
    }
    text
}

/// The mask of clients that count as one, unless each counts by itself.
pub(crate) fn client_mask(family: Family, persistence: Persistence) -> Option<String> {
    let prefix = persistence
        .prefix
        .filter(|prefix| *prefix < family.bits())?;
    Some(match family {
        Family::Ipv4 => Persistence::netmask(prefix).to_string(),
        Family::Ipv6 => prefix.to_string(),
    })
}

fn service_name(id: ServiceId, style: Style<'_>) -> String {
    match id {
        ServiceId::Address { protocol, vip } => {
            let address = style.text(vip, transport(protocol));
            cut(
                format!("{:<4} {address}", protocol_name(protocol)),
                vip,
                SERVICE_WIDTH,
            )
        }
        ServiceId::Mark { mark, family } => match family {
            Family::Ipv4 => format!("FWM  {}", signed(mark)),
            Family::Ipv6 => format!("FWM  {} IPv6", signed(mark)),
        },
    }
}

fn real(
    text: &mut String,
    real: &RealView,
    service: &ServiceView,
    columns: Columns,
    style: Style<'_>,
) {
    let at = SocketAddr::new(real.address, real.port);
    let name = cut(style.text(at, transport_of(service.id)), at, REAL_WIDTH);
    // Writing to a string can't fail.
    let _ = match columns {
        Columns::Plain => writeln!(
            text,
            "  -> {name:<REAL_WIDTH$} {:<7} {:<6} {:<10} {:<10}",
            method_name(real.method),
            real.weight,
            real.active,
            real.inactive
        ),
        Columns::Tunnels => writeln!(
            text,
            "  -> {name:<REAL_WIDTH$} {:<7} {:<13} {:<6} {:<10} {:<10}",
            method_name(real.method),
            tunnel_info(real.tun),
            real.weight,
            real.active,
            real.inactive
        ),
        Columns::Thresholds => writeln!(
            text,
            "  -> {name:<REAL_WIDTH$} {:<10} {:<10} {:<10} {:<10}",
            real.upper, real.lower, real.active, real.inactive
        ),
        Columns::Persistent => writeln!(
            text,
            "  -> {name:<REAL_WIDTH$} {:<9} {:<11} {:<10} {:<10}",
            real.weight, real.persistent, real.active, real.inactive
        ),
        Columns::Stats | Columns::ExactStats | Columns::Rates | Columns::ExactRates => {
            let numbers = numbers(real.stats.into(), real.rates.into(), columns);
            writeln!(
                text,
                "  -> {name:<REAL_WIDTH$}{}",
                numbers.unwrap_or_default()
            )
        }
    };
}

/// How a listing calls the way to a real server.
pub(crate) const fn method_name(method: ForwardingMethod) -> &'static str {
    match method {
        ForwardingMethod::Nat => "Masq",
        ForwardingMethod::Dr => "Route",
        ForwardingMethod::Tun => "Tunnel",
        ForwardingMethod::FullNat => "FullNat",
    }
}

fn tunnel_info(tun: Option<Tunnel>) -> String {
    let Some(tun) = tun else {
        return "n/a".to_owned();
    };
    let checksum = match tun.checksum {
        TunnelChecksum::None => "-c",
        TunnelChecksum::Csum => "+c",
        TunnelChecksum::Remcsum => "r+c",
    };
    let name = tun.kind.name();
    match tun.kind {
        TunnelType::Ipip => name.to_owned(),
        TunnelType::Gre => format!("{name}:{checksum}"),
        TunnelType::Gue => {
            let port = tun.port.unwrap_or(Tunnel::GUE_PORT);
            format!("{name}:{port}:{checksum}")
        }
    }
}

/// Only what is not IPv6 is cut to its column.
fn cut(text: String, at: SocketAddr, width: usize) -> String {
    match at {
        SocketAddr::V4(_) => text.chars().take(width).collect(),
        SocketAddr::V6(_) => text,
    }
}

/// Connections; packets in and out; bytes in and out.
struct Five([u64; 5]);

impl From<Traffic> for Five {
    fn from(stats: Traffic) -> Self {
        Self([
            stats.connections,
            stats.in_packets,
            stats.out_packets,
            stats.in_bytes,
            stats.out_bytes,
        ])
    }
}

impl From<Rates> for Five {
    fn from(rates: Rates) -> Self {
        Self([
            rates.connections,
            rates.in_packets,
            rates.out_packets,
            rates.in_bytes,
            rates.out_bytes,
        ])
    }
}

/// What the columns of counters or rates show; none for other columns.
fn numbers(stats: Five, rates: Five, columns: Columns) -> Option<String> {
    let write: fn(usize, u64) -> String = match columns {
        Columns::Plain | Columns::Tunnels | Columns::Thresholds | Columns::Persistent => {
            return None;
        }
        Columns::Stats => |_, value| short(value),
        Columns::ExactStats | Columns::ExactRates => |_, value| exact(value),
        // ipvsadm shortens rates of bytes only.
        Columns::Rates => |column, value| match column {
            0..3 => format!(" {value:8}"),
            _ => short(value),
        },
    };
    let Five(values) = match columns {
        Columns::Rates | Columns::ExactRates => rates,
        _ => stats,
    };
    let columns = values.into_iter().enumerate();
    Some(
        columns
            .map(|(column, value)| write(column, value))
            .collect(),
    )
}

/// Nine characters, from 9 digits on in thousands, millions, ...; cut, not rounded.
fn short(value: u64) -> String {
    match value {
        0..100_000_000 => format!("{value:9}"),
        100_000_000..1_000_000_000 => format!("{:8}K", value / 1000),
        1_000_000_000..100_000_000_000 => format!("{:8}M", value / 1_000_000),
        100_000_000_000..100_000_000_000_000 => format!("{:8}G", value / 1_000_000_000),
        _ => format!("{:8}T", value / 1_000_000_000_000),
    }
}

/// All digits, at least one blank before them.
fn exact(value: u64) -> String {
    let digits = value.to_string();
    let width = if digits.len() <= 8 {
        9
    } else {
        digits.len() + 1
    };
    format!("{digits:>width$}")
}

/// The line of a connection.
pub(crate) fn connection(connection: &Connection, style: Style<'_>) -> String {
    let kind = connection.protocol.map_or(Transport::Tcp, transport);
    let text = |at| style.text(at, kind);
    let expires = format!(
        "{:02}:{:02}",
        connection.expires / 60,
        connection.expires % 60
    );
    format!(
        "{:<3} {expires:<6} {:<11} {:<18} {:<18} {}\n",
        connection.protocol.map_or("IP", protocol_name),
        connection.state,
        text(connection.client),
        text(connection.vip),
        text(connection.real),
    )
}

/// The line of the timeouts.
pub(crate) fn timeouts(timeouts: &Timeouts) -> String {
    let Timeouts { tcp, tcpfin, udp } = timeouts;
    format!("Timeout (tcp tcpfin udp): {tcp} {tcpfin} {udp}\n")
}

/// The line of a synchronisation daemon; what is 0 is not shown.
pub(crate) fn daemon(daemon: &SyncDaemon) -> String {
    let SyncDaemon {
        role,
        interface,
        syncid,
        maxlen,
        group,
        port,
        ttl,
    } = daemon;
    let role = role.name();
    let maxlen = maxlen.map_or_else(String::new, |maxlen| format!(", maxlen={maxlen}"));
    format!(
        "{role} sync daemon (mcast={interface}, syncid={syncid}{maxlen}, group={group}, \
         port={port}, ttl={ttl})\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_nine_wide() {
        for (value, text) in [
            (0, "        0"),
            (99_999_999, " 99999999"),
            (100_000_000, "  100000K"),
            (123_456_789, "  123456K"),
            (999_999_999, "  999999K"),
            (1_000_000_000, "    1000M"),
            (99_999_999_999, "   99999M"),
            (100_000_000_000, "     100G"),
            (1_234_567_890_123, "    1234G"),
            (99_999_999_999_999, "   99999G"),
            (987_654_321_098_765, "     987T"),
            (u64::MAX, "18446744T"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn exact_counters_keep_a_blank() {
        for (value, text) in [
            (0, "        0"),
            (99_999_999, " 99999999"),
            (123_456_789, " 123456789"),
            (987_654_321_098_765, " 987654321098765"),
        ] {
            assert_eq!(exact(value), text);
        }
    }
}
