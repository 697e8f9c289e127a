//! The lines of a service.

use std::net::SocketAddr;

use super::{Columns, Line, Style, client_mask, flags, protocol_name, signed};
use crate::model::{
    Engine, Family, Five, ForwardingMethod, Live, Numbers, Protocol, RealRow, ServiceId,
    ServiceRow, Tunnel, TunnelChecksum, TunnelType,
};

const PROTOCOL_WIDTH: usize = 4;
const SERVICE_WIDTH: usize = 33;
const REAL_WIDTH: usize = 28;
const METHOD_WIDTH: usize = 7;
const NUMBER_WIDTH: usize = 9;

/// Writes the lines of a service and its real servers behind `text`.
pub fn service(text: &mut Vec<u8>, service: &ServiceRow, columns: Columns, style: Style<'_>) {
    let mut line = Line::behind(text);
    begin(&mut line, service, columns, style);
    end(line, service.numbers, columns);
    let protocol = service.id.protocol();
    for real in &service.reals {
        let mut line = Line::behind(text);
        begin_real(&mut line, real, protocol, columns, style);
        end_real(line, &real.live, columns);
    }
}

/// What a service's line has before the numbers of its traffic.
pub(super) fn begin(line: &mut Line<'_>, service: &ServiceRow, columns: Columns, style: Style<'_>) {
    if columns.numbers() != Numbers::None {
        return name(line, service.id, style, SERVICE_WIDTH);
    }
    name(line, service.id, style, 0);
    line.cell(service.scheduler.name(), 0);
    if let Some(flags) = flags::shown(service.scheduler, service.scheduler_flags) {
        line.text(&format!(" ({flags})"));
    }
    line.text(&handling(service));
}

/// These numbers, and the end of a service's line.
pub(super) fn end(mut line: Line<'_>, numbers: Option<Five>, columns: Columns) {
    if let Some(numbers) = numbers {
        write_numbers(&mut line, numbers, columns);
    }
    line.end();
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
            let (name, address) = (protocol_name(protocol), style.text(vip, Some(protocol)));
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

/// What a real server's line has before what changes with its traffic.
pub(super) fn begin_real(
    line: &mut Line<'_>,
    real: &RealRow,
    protocol: Option<Protocol>,
    columns: Columns,
    style: Style<'_>,
) {
    line.text("  -> ");
    match (real.endpoint(), style) {
        (SocketAddr::V4(at), Style::Numeric) => line.endpoint(at, REAL_WIDTH),
        (at, _) => line.left(&cut(style.text(at, protocol), at, REAL_WIDTH), REAL_WIDTH),
    }
    match columns {
        Columns::Plain => {
            line.cell(method_name(real.method), METHOD_WIDTH);
            line.count(real.weight, 6);
        }
        Columns::Tunnels => {
            line.cell(method_name(real.method), METHOD_WIDTH);
            line.cell(&tunnel_info(real.tun), 13);
            line.count(real.weight, 6);
        }
        Columns::Thresholds => {
            line.count(real.upper, 10);
            line.count(real.lower, 10);
        }
        Columns::Persistent => line.count(real.weight, 9),
        Columns::Stats | Columns::ExactStats | Columns::Rates | Columns::ExactRates => {}
    }
}

/// What its line ends with.
pub(super) fn end_real(mut line: Line<'_>, live: &Live, columns: Columns) {
    match columns.numbers() {
        Numbers::None => cells(&mut line, live, columns),
        _ => write_numbers(&mut line, live.numbers.unwrap_or_default(), columns),
    }
    line.end();
}

/// What changes of a real server, where that is no traffic: no number is wider than its column.
pub(super) fn cells(line: &mut Line<'_>, live: &Live, columns: Columns) {
    if columns == Columns::Persistent {
        line.count(live.persistent, 11);
    }
    line.count(live.active, 10);
    line.count(live.inactive, 10);
}

/// How a listing calls the way to a real server.
pub const fn method_name(method: ForwardingMethod) -> &'static str {
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
