//! The listings, to the byte.

use std::net::SocketAddr;

use adminapi::model::{
    Connection, Engine, Family, Five, ForwardingMethod, Numbers, RealRow, ServiceId, ServiceRow,
    SyncDaemon, Timeouts, Tunnel, TunnelChecksum, TunnelType,
};

use super::address::Style;
use super::flags;
use super::grammar::Transport;
use super::line::Line;
use super::request::Columns;
use super::spelling::{client_mask, protocol_name, signed, transport, transport_of};

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

const PROTOCOL_WIDTH: usize = 4;
const SERVICE_WIDTH: usize = 33;
const REAL_WIDTH: usize = 28;
const METHOD_WIDTH: usize = 7;
const NUMBER_WIDTH: usize = 9;

impl Columns {
    /// Which numbers it shows.
    pub(crate) const fn numbers(self) -> Numbers {
        match self {
            Self::Plain | Self::Tunnels | Self::Thresholds | Self::Persistent => Numbers::None,
            Self::Stats | Self::ExactStats => Numbers::Stats,
            Self::Rates | Self::ExactRates => Numbers::Rates,
        }
    }

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

/// Writes the lines of a service and its real servers behind `text`.
pub(crate) fn service(
    text: &mut Vec<u8>,
    service: &ServiceRow,
    columns: Columns,
    style: Style<'_>,
) {
    let mut line = Line::behind(text);
    match service.numbers {
        None => {
            name(&mut line, service.id, style, 0);
            line.cell(service.scheduler.name(), 0);
            if let Some(flags) = flags::shown(service.scheduler, service.scheduler_flags) {
                line.text(&format!(" ({flags})"));
            }
            line.text(&handling(service));
        }
        Some(numbers) => {
            name(&mut line, service.id, style, SERVICE_WIDTH);
            write_numbers(&mut line, numbers, columns);
        }
    }
    line.end();
    let kind = transport_of(service.id);
    for each in &service.reals {
        real(Line::behind(text), each, kind, columns, style);
    }
}

/// How it treats connections.
fn handling(service: &ServiceRow) -> String {
    let mut text = String::new();
    if let Some(persistence) = service.persistence {
        text += &format!(" persistent {}", persistence.timeout);
        let mask = client_mask(service.id.family(), persistence);
        text += &mask.map_or_else(String::new, |mask| format!(" mask {mask}"));
        let engine = persistence.engine.map(Engine::name);
        text += &engine.map_or_else(String::new, |name| format!(" pe {name}"));
    }
    if service.one_packet {
        text += " ops";
    }
    text
}

/// Writes what a service is called at the left of a column.
fn name(line: &mut Line<'_>, id: ServiceId, style: Style<'_>, width: usize) {
    match (id, style) {
        // By far the most of a long listing, and never longer than its column.
        (
            ServiceId::Address {
                protocol,
                vip: SocketAddr::V4(vip),
            },
            Style::Numeric,
        ) => {
            line.left(protocol_name(protocol), PROTOCOL_WIDTH);
            line.text(" ");
            line.endpoint(vip, width.saturating_sub(PROTOCOL_WIDTH + 1));
        }
        (ServiceId::Address { protocol, vip }, _) => {
            let (name, address) = (
                protocol_name(protocol),
                style.text(vip, Some(transport(protocol))),
            );
            let text = format!("{name:<PROTOCOL_WIDTH$} {address}");
            line.left(&cut(text, vip, SERVICE_WIDTH), width);
        }
        (ServiceId::Mark { mark, family }, _) => {
            let family = match family {
                Family::Ipv4 => "",
                Family::Ipv6 => " IPv6",
            };
            line.left(&format!("FWM  {}{family}", signed(mark)), width);
        }
    }
}

fn real(
    mut line: Line<'_>,
    real: &RealRow,
    kind: Option<Transport>,
    columns: Columns,
    style: Style<'_>,
) {
    line.text("  -> ");
    match (real.endpoint(), style) {
        (SocketAddr::V4(at), Style::Numeric) => line.endpoint(at, REAL_WIDTH),
        (at, _) => line.left(&cut(style.text(at, kind), at, REAL_WIDTH), REAL_WIDTH),
    }
    let cells: &[(u32, usize)] = match columns {
        Columns::Plain => {
            line.cell(method_name(real.method), METHOD_WIDTH);
            &[
                (real.weight, 6),
                (real.live.active, 10),
                (real.live.inactive, 10),
            ]
        }
        Columns::Tunnels => {
            line.cell(method_name(real.method), METHOD_WIDTH);
            line.cell(&tunnel_info(real.tun), 13);
            &[
                (real.weight, 6),
                (real.live.active, 10),
                (real.live.inactive, 10),
            ]
        }
        Columns::Thresholds => &[
            (real.upper, 10),
            (real.lower, 10),
            (real.live.active, 10),
            (real.live.inactive, 10),
        ],
        Columns::Persistent => &[
            (real.weight, 9),
            (real.live.persistent, 11),
            (real.live.active, 10),
            (real.live.inactive, 10),
        ],
        Columns::Stats | Columns::ExactStats | Columns::Rates | Columns::ExactRates => {
            write_numbers(&mut line, real.live.numbers.unwrap_or_default(), columns);
            &[]
        }
    };
    for (number, width) in cells {
        line.count(*number, *width);
    }
    line.end();
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

/// Writes what the columns of counters or rates show.
fn write_numbers(line: &mut Line<'_>, numbers: Five, columns: Columns) {
    for (column, value) in numbers.into_iter().enumerate() {
        match (columns, column) {
            // ipvsadm shortens rates of bytes only.
            (Columns::Rates, 0..3) | (Columns::ExactStats | Columns::ExactRates, _) => {
                line.text(" ");
                line.right(value, "", NUMBER_WIDTH - 1);
            }
            _ => {
                let (value, unit) = short(value);
                line.right(value, unit, NUMBER_WIDTH);
            }
        }
    }
}

/// From 9 digits on in thousands, millions, ...; cut, not rounded.
const fn short(value: u64) -> (u64, &'static str) {
    match value {
        0..100_000_000 => (value, ""),
        100_000_000..1_000_000_000 => (value / 1000, "K"),
        1_000_000_000..100_000_000_000 => (value / 1_000_000, "M"),
        100_000_000_000..100_000_000_000_000 => (value / 1_000_000_000, "G"),
        _ => (value / 1_000_000_000_000, "T"),
    }
}

/// The line of a connection.
pub(crate) fn connection(connection: &Connection, engines: bool, style: Style<'_>) -> String {
    let kind = connection.protocol.map(transport);
    let text = |at| style.text(at, kind);
    let expires = format!(
        "{:02}:{:02}",
        connection.expires / 60,
        connection.expires % 60
    );
    let ends = format!(
        "{:<3} {expires:<6} {:<11} {:<18} {:<18}",
        connection.protocol.map_or("IP", protocol_name),
        connection.state,
        text(connection.client),
        text(connection.vip),
    );
    let real = text(connection.real);
    match connection.engine.filter(|_| engines) {
        None => format!("{ends} {real}\n"),
        Some(engine) => {
            let (name, data) = (engine.name(), engine_data(connection));
            format!("{ends} {real:<16} {name:<18} {data}\n")
        }
    }
}

/// What a persistence engine has gone by.
pub(crate) fn engine_data(connection: &Connection) -> &str {
    connection.engine_data.as_deref().unwrap_or_default()
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

    fn written(value: u64, columns: Columns) -> String {
        let mut text = Vec::new();
        let mut line = Line::behind(&mut text);
        write_numbers(&mut line, [value, 0, 0, 0, value], columns);
        line.end();
        String::from_utf8(text).unwrap()
    }

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
            let zeros = "        0".repeat(3);
            let want = format!("{text}{zeros}{text}\n");
            assert_eq!(written(value, Columns::Stats), want);
            let want = format!(" {value:8}{zeros}{text}\n");
            assert_eq!(written(value, Columns::Rates), want);
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
            let want = format!("{text}{}{text}\n", "        0".repeat(3));
            assert_eq!(written(value, Columns::ExactStats), want);
        }
    }
}
