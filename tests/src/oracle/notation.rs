//! Packets in the notation of the captures:
//! `172.16.0.1 > 10.2.1.1 ttl=63 len=40 tos=0x0 df=1 TCP 20000>80 [PA] data=0`.

use crate::packet::{Packet, protocol};

/// IPv4 in IPv4 (RFC 2003).
const IPIP: u8 = 4;
/// RFC 2784.
const GRE: u8 = 47;
/// The port of GUE in the captures.
const GUE_PORT: u16 = 6080;
const IPV4_HEADER: usize = 20;
const TCP_HEADER: usize = 20;

/// An IPv4 packet, given from its header on.
pub fn describe(bytes: &[u8]) -> Option<String> {
    let packet = Packet::read(bytes)?;
    if bytes.first()? >> 4 != 4 {
        return None;
    }
    let header = format!(
        "{} > {} ttl={} len={} tos=0x{:x} df={}",
        packet.source,
        packet.destination,
        packet.hops,
        word(bytes, 2)?,
        bytes.get(1)?,
        bytes.get(6)? >> 6 & 1,
    );
    Some(format!("{header} {}", payload(&packet)?))
}

fn payload(packet: &Packet) -> Option<String> {
    let bytes = &packet.payload;
    match packet.protocol {
        protocol::TCP => tcp(bytes),
        protocol::UDP => udp(bytes),
        protocol::ICMP => icmp(bytes),
        IPIP => Some(format!("IPIP | {}", describe(bytes)?)),
        GRE => gre(bytes),
        other => Some(format!("protocol {other}")),
    }
}

fn tcp(bytes: &[u8]) -> Option<String> {
    let ports = format!("TCP {}>{}", word(bytes, 0)?, word(bytes, 2)?);
    if bytes.len() < TCP_HEADER {
        return Some(format!("{ports} (truncated)"));
    }
    let data = bytes.len().saturating_sub(usize::from(bytes[12] >> 4) * 4);
    Some(format!("{ports} [{}] data={data}", letters(bytes[13])))
}

/// The flags of a segment in the captures' order.
fn letters(flags: u8) -> String {
    [(2, 'S'), (1, 'F'), (4, 'R'), (8, 'P'), (16, 'A')]
        .into_iter()
        .filter_map(|(bit, letter)| (flags & bit != 0).then_some(letter))
        .collect()
}

fn udp(bytes: &[u8]) -> Option<String> {
    let (source, destination) = (word(bytes, 0)?, word(bytes, 2)?);
    let sum = if word(bytes, 6)? == 0 { "0" } else { "set" };
    // The source port of GUE varies.
    let port = match destination {
        GUE_PORT => "any".to_owned(),
        _ => source.to_string(),
    };
    let text = format!(
        "UDP {port}>{destination} len={} csum={sum}",
        word(bytes, 4)?
    );
    if destination != GUE_PORT {
        return Some(text);
    }
    let optional = usize::from(bytes.get(8)? & 31) * 4;
    let inner = describe(bytes.get(12 + optional..)?)?;
    let gue = hex(bytes.get(8..12)?);
    Some(format!("{text} {{GUE {gue}}} | {inner}"))
}

fn gre(bytes: &[u8]) -> Option<String> {
    let has_sum = bytes.first()? & 0x80 != 0;
    let (suffix, length) = if has_sum { ("+csum", 8) } else { ("", 4) };
    let inner = describe(bytes.get(length..)?)?;
    let fixed = hex(bytes.get(..4)?);
    Some(format!("{{GRE {fixed}{suffix}}} | {inner}"))
}

fn icmp(bytes: &[u8]) -> Option<String> {
    let (kind, code) = (bytes.first()?, bytes.get(1)?);
    let rest = hex(bytes.get(4..8)?);
    let text = format!("ICMP type={kind} code={code} rest={rest}");
    let quoted = bytes.get(8..)?;
    let is_error = matches!(kind, 3 | 4 | 5 | 11 | 12) && quoted.len() >= IPV4_HEADER;
    Some(if is_error {
        format!("{text} | inner: {}", describe(quoted)?)
    } else {
        text
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A line of a capture, with what may vary in it taken out.
pub fn normal(line: &str) -> String {
    let Some((before, after)) = line.split_once(">6080 ") else {
        return line.to_owned();
    };
    let fixed = before.trim_end_matches(|c: char| c.is_ascii_digit());
    format!("{fixed}any>6080 {after}")
}

#[cfg(test)]
mod tests {
    use super::{describe, normal};
    use crate::packet::{Segment, flag, icmp, tcp, udp};

    #[test]
    fn packets_are_written_as_in_the_captures() {
        let client = "172.16.0.1:20000".parse().unwrap();
        let vip: std::net::SocketAddr = "10.9.9.9:80".parse().unwrap();
        let segment = Segment {
            flags: flag::ACK | flag::PSH,
            payload: b"x",
            ..Segment::default()
        };
        let segment = tcp(client, vip, segment);
        let written = "172.16.0.1 > 10.9.9.9 ttl=64 len=41 tos=0x0 df=1 TCP 20000>80 [PA] data=1";
        assert_eq!(describe(&segment).unwrap(), written);
        let datagram = describe(&udp(client, vip, b"12345")).unwrap();
        assert!(datagram.ends_with("df=1 UDP 20000>80 len=13 csum=set"));
        let error = icmp(vip.ip(), client.ip(), (3, 4, 1400), &segment[..28]);
        let written = describe(&error).unwrap();
        assert!(written.contains("type=3 code=4 rest=00000578 | inner: 172.16.0.1 > 10.9.9.9"));
        assert!(written.ends_with("TCP 20000>80 (truncated)"), "{written}");
    }

    #[test]
    fn the_source_port_of_gue_is_left_out() {
        assert_eq!(normal("UDP 51291>6080 len=52"), "UDP any>6080 len=52");
        assert_eq!(normal("UDP 51291>53 len=52"), "UDP 51291>53 len=52");
    }
}
