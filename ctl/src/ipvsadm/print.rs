//! The listings, to the byte.

use std::net::{SocketAddr, SocketAddrV4};

use adminapi::model::{
    Connection, Engine, Family, Five, ForwardingMethod, Numbers, RealRow, ServiceId, ServiceRow,
    SyncDaemon, Timeouts, Tunnel, TunnelChecksum, TunnelType,
};

use super::address::Style;
use super::flags;
use super::grammar::Transport;
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

const SERVICE_WIDTH: usize = 33;
const REAL_WIDTH: usize = 28;

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
pub(crate) fn service(text: &mut String, service: &ServiceRow, columns: Columns, style: Style<'_>) {
    let name = service_name(service.id, style);
    match service.numbers {
        None => {
            let flags = flags::names(service.scheduler, service.scheduler_flags);
            let flags = flags.map_or_else(String::new, |flags| format!(" ({flags})"));
            let (scheduler, handling) = (service.scheduler.name(), handling(service));
            *text += &format!("{name} {scheduler}{flags}{handling}");
        }
        Some(numbers) => {
            pad(text, &name, SERVICE_WIDTH);
            write_numbers(text, numbers, columns);
        }
    }
    text.push('\n');
    let kind = transport_of(service.id);
    for each in &service.reals {
        real(text, each, kind, columns, style);
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

fn real(text: &mut String, real: &RealRow, kind: Transport, columns: Columns, style: Style<'_>) {
    let at = real.endpoint();
    text.push_str("  -> ");
    match (style, at) {
        // By far the most of a long listing, and never longer than its column.
        (Style::Numeric, SocketAddr::V4(at)) => endpoint(text, at, REAL_WIDTH),
        _ => pad(text, &cut(style.text(at, kind), at, REAL_WIDTH), REAL_WIDTH),
    }
    let cells: &[(usize, u32)] = match columns {
        Columns::Plain => {
            cell(text, method_name(real.method), 7);
            &[(6, real.weight), (10, real.active), (10, real.inactive)]
        }
        Columns::Tunnels => {
            cell(text, method_name(real.method), 7);
            cell(text, &tunnel_info(real.tun), 13);
            &[(6, real.weight), (10, real.active), (10, real.inactive)]
        }
        Columns::Thresholds => &[
            (10, real.upper),
            (10, real.lower),
            (10, real.active),
            (10, real.inactive),
        ],
        Columns::Persistent => &[
            (9, real.weight),
            (11, real.persistent),
            (10, real.active),
            (10, real.inactive),
        ],
        Columns::Stats | Columns::ExactStats | Columns::Rates | Columns::ExactRates => {
            write_numbers(text, real.numbers.unwrap_or_default(), columns);
            &[]
        }
    };
    for (width, number) in cells {
        cell(text, itoa::Buffer::new().format(*number), *width);
    }
    text.push('\n');
}

/// A blank and a cell of `width`.
fn cell(text: &mut String, value: &str, width: usize) {
    text.push(' ');
    pad(text, value, width);
}

/// Writes `value` at the left of a column.
fn pad(text: &mut String, value: &str, width: usize) {
    text.push_str(value);
    blanks(text, width.saturating_sub(value.chars().count()));
}

/// Writes an address at the left of a column, without the detour of the formatter: a long listing
/// is little else.
fn endpoint(text: &mut String, at: SocketAddrV4, width: usize) {
    let before = text.len();
    let mut number = itoa::Buffer::new();
    for (place, octet) in at.ip().octets().into_iter().enumerate() {
        if place > 0 {
            text.push('.');
        }
        text.push_str(number.format(octet));
    }
    text.push(':');
    text.push_str(number.format(at.port()));
    blanks(text, width.saturating_sub(text.len() - before));
}

fn blanks(text: &mut String, count: usize) {
    const BLANKS: &str = "                                        ";
    text.push_str(&BLANKS[..count.min(BLANKS.len())]);
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
fn write_numbers(text: &mut String, numbers: Five, columns: Columns) {
    for (column, value) in numbers.into_iter().enumerate() {
        *text += &match (columns, column) {
            // ipvsadm shortens rates of bytes only.
            (Columns::Rates, 0..3) => format!(" {value:8}"),
            (Columns::ExactStats | Columns::ExactRates, _) => exact(value),
            _ => short(value),
        };
    }
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
pub(crate) fn connection(connection: &Connection, engines: bool, style: Style<'_>) -> String {
    let kind = connection.protocol.map_or(Transport::Tcp, transport);
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
