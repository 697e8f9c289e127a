//! What a sentence of a capture has sent, as a script.
//!
//! ```text
//! client FLAGS FLOW...        a segment of the client
//! real FLAGS FLOW...          a segment of its real server
//! open FLOW...                SYN, SYN+ACK, ACK
//! from PORT                   the client's port in sentences that say themselves what they send
//! chunk client|real TYPE      an SCTP packet with this chunk, of that flow
//! udp LENGTH FLOW...          a datagram of the client
//! sip LENGTH CALL FLOW...     a SIP message of the client, with so many bytes, of this call
//! answer LENGTH FLOW...       a datagram of its real server
//! ttl TTL DF                  of all that follow in this script
//! icmp HOST FROM>TO KIND/CODE/REST FROM:PORT>TO:PORT
//!                             an ICMP error about a segment, sent by host c, s1, s2...
//! stray HOST FROM:PORT>TO:PORT
//!                             an ACK that belongs to no connection, sent by host s1, s2...
//! say HOST LENGTH FROM:PORT>TO:PORT
//!                             a datagram that belongs to no connection, sent by a real server
//! echo FROM>TO                an echo request of the client
//! wait SECONDS
//! skip SECONDS                time that nothing here depends on
//! then                        the rest comes after the next command
//! ```
//!
//! Parts are parted by `;`. A FLOW is `PORT`, `PORT..LAST` or `CLIENT:PORT`, with `>PORT` if it
//! goes to another service than the one last added. `*N` before a FLOW is N times that.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::talk::{self, Flow};
use crate::topology::{VIP_V4, VIP_V6};

/// The client that the captures mean when they name only a port.
pub const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 16, 0, 1));

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A segment of each client.
    Client(u8, Vec<Flow>),
    /// A segment of each real server.
    Real(u8, Vec<Flow>),
    /// A handshake of each flow.
    Open(Vec<Flow>),
    /// A datagram of each client, with so many bytes.
    Datagram(usize, Vec<Flow>),
    /// A SIP message of each client, with so many bytes and this Call-ID.
    Sip(usize, String, Vec<Flow>),
    /// A datagram of each real server, with so many bytes.
    Answer(usize, Vec<Flow>),
    /// The client's port in what follows.
    From(u16),
    /// An SCTP packet of the client, with a chunk of this type.
    ClientChunk(u8),
    /// The same of its real server.
    RealChunk(u8),
    /// TTL and DF of what follows.
    Header(u8, bool),
    /// An ACK that belongs to no connection, sent by the host with this number, from 0.
    Stray(usize, SocketAddr, SocketAddr),
    /// A datagram that belongs to no connection, with so many bytes.
    Say(usize, usize, SocketAddr, SocketAddr),
    /// An ICMP error.
    Error(IcmpError),
    /// An echo request of the client.
    Echo(IpAddr, IpAddr),
    /// Time passes.
    Wait(Duration),
    /// Time that need not pass.
    Skip(Duration),
    /// The rest comes after the next command.
    Then,
}

/// An ICMP error about a TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// The number, from 0, of the real server's host that sends it; else the client.
    pub host: Option<usize>,
    /// Its source and destination.
    pub ends: (IpAddr, IpAddr),
    /// Type, code, and the second word of the header.
    pub kind: (u8, u8, u32),
    /// The ends of the segment.
    pub about: (SocketAddr, SocketAddr),
}

/// Reads a script; `service` is the port of the service last added.
///
/// # Errors
/// At a part that is not in the grammar.
pub fn parse(script: &str, service: u16) -> Result<Vec<Act>> {
    script
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| act(part, service).with_context(|| format!("in the script: {part}")))
        .collect()
}

fn act(part: &str, service: u16) -> Result<Act> {
    let words: Vec<&str> = part.split_whitespace().collect();
    let flows = |from: usize| flows(words.get(from..).unwrap_or_default(), service);
    let word = |at: usize| words.get(at).copied().context("a word is missing");
    Ok(match word(0)? {
        "client" => Act::Client(talk::flags(word(1)?.trim_matches('-'))?, flows(2)?),
        "real" => Act::Real(talk::flags(word(1)?)?, flows(2)?),
        "open" => Act::Open(flows(1)?),
        "from" => Act::From(word(1)?.parse()?),
        "chunk" => match word(1)? {
            "client" => Act::ClientChunk(word(2)?.parse()?),
            _ => Act::RealChunk(word(2)?.parse()?),
        },
        "udp" => Act::Datagram(word(1)?.parse()?, flows(2)?),
        "sip" => Act::Sip(word(1)?.parse()?, word(2)?.to_owned(), flows(3)?),
        "answer" => Act::Answer(word(1)?.parse()?, flows(2)?),
        "ttl" => Act::Header(word(1)?.parse()?, word(2)? == "1"),
        "icmp" => Act::Error(IcmpError {
            host: host(word(1)?)?,
            ends: pair(word(2)?)?,
            kind: kind(word(3)?)?,
            about: pair(word(4)?)?,
        }),
        "stray" => {
            let (from, to) = pair(word(2)?)?;
            Act::Stray(
                host(word(1)?)?.context("a real server is wanted")?,
                from,
                to,
            )
        }
        "say" => {
            let (from, to) = pair(word(3)?)?;
            let host = host(word(1)?)?.context("a real server is wanted")?;
            Act::Say(host, word(2)?.parse()?, from, to)
        }
        "echo" => {
            let (from, to) = pair(word(1)?)?;
            Act::Echo(from, to)
        }
        "wait" => Act::Wait(Duration::from_secs_f64(word(1)?.parse()?)),
        "skip" => Act::Skip(Duration::from_secs_f64(word(1)?.parse()?)),
        "then" => Act::Then,
        other => bail!("{other} is no act"),
    })
}

/// The number of a real server's host, from 0: `s1` is 0; none for `c`.
fn host(name: &str) -> Result<Option<usize>> {
    match name.strip_prefix('s') {
        Some(number) => {
            let number: usize = number.parse()?;
            Ok(Some(number.checked_sub(1).context("the first is s1")?))
        }
        None if name == "c" => Ok(None),
        None => bail!("{name} is no host"),
    }
}

fn pair<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    text: &str,
) -> Result<(T, T)> {
    let (from, to) = text.split_once('>').context("FROM>TO is wanted")?;
    Ok((from.parse()?, to.parse()?))
}

fn kind(text: &str) -> Result<(u8, u8, u32)> {
    let mut numbers = text.split('/');
    let mut next = || numbers.next().context("KIND/CODE/REST is wanted");
    Ok((next()?.parse()?, next()?.parse()?, next()?.parse()?))
}

fn flows(words: &[&str], service: u16) -> Result<Vec<Flow>> {
    let mut flows = Vec::new();
    let mut times = 1;
    for word in words {
        if let Some(count) = word.strip_prefix('*') {
            times = count.parse()?;
            continue;
        }
        let (client, service) = match word.split_once('>') {
            Some((client, service)) => (client, service.parse()?),
            None => (*word, service),
        };
        let clients = clients(client)?;
        for _ in 0..std::mem::replace(&mut times, 1) {
            flows.extend(clients.iter().map(|client| flow(*client, service)));
        }
    }
    Ok(flows)
}

/// `PORT`, `PORT..LAST` or `CLIENT:PORT`.
fn clients(text: &str) -> Result<Vec<SocketAddr>> {
    if let Ok(client) = text.parse() {
        return Ok(vec![client]);
    }
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let ports = first.parse::<u16>()?..=last.parse::<u16>()?;
    Ok(ports.map(|port| (CLIENT, port).into()).collect())
}

/// The flow of a client to a port of the VIP of its family.
pub fn flow(client: SocketAddr, service: u16) -> Flow {
    let vip: IpAddr = match client {
        SocketAddr::V4(_) => VIP_V4.into(),
        SocketAddr::V6(_) => VIP_V6.into(),
    };
    Flow {
        client,
        service: (vip, service).into(),
    }
}

/// A sentence that says itself what it has sent, as a script.
pub fn of_sentence(sentence: &str) -> Option<String> {
    let words: Vec<&str> = sentence
        .split([' ', ',', ';'])
        .filter(|word| !word.is_empty())
        .collect();
    match words.as_slice() {
        ["----", ..] => Some(String::new()),
        [end @ ("client" | "real"), "sends", "chunk", "type", kind] => {
            Some(format!("chunk {end} {kind}"))
        }
        ["client", "sends"] => Some("client - 20000".to_owned()),
        ["client", "sends", flags] => Some(format!("client {flags} 20000")),
        ["real", "answers", flags] => Some(format!("real {flags} 20000")),
        [seconds, "s", "pass", "(the", "listing", ..] => Some(format!("skip {seconds}")),
        [seconds, "s", "later"] => Some(format!("wait {seconds}")),
        [kind @ ("SYN" | "ACK"), "to", port, .., "from", "172.16.0.1"] => {
            let (flags, client) = match (*kind, sentence.contains("second")) {
                ("SYN", false) => ("S", 20_000),
                ("SYN", true) => ("S", 20_001),
                _ => ("A", 20_001),
            };
            Some(format!("client {flags} {client}>{port}"))
        }
        ["ACK", "without", "connection", "to", port, ..] => Some(format!("client A 20001>{port}")),
        [
            "SYN",
            "from",
            client,
            "to",
            service,
            "ttl",
            ttl,
            "DF",
            df,
            "real",
            ..,
        ] => {
            let (_, port) = service.rsplit_once(':')?;
            Some(format!("ttl {ttl} {df}; client S {client}>{port}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Act, flow, of_sentence, parse};

    #[test]
    fn ports_ranges_and_other_services() {
        let acts = parse("client SA 20000..20001 172.16.0.2:7>81; then", 80).unwrap();
        let expected = [
            ("172.16.0.1:20000", 80),
            ("172.16.0.1:20001", 80),
            ("172.16.0.2:7", 81),
        ]
        .map(|(client, service)| flow(client.parse().unwrap(), service));
        assert_eq!(acts, [Act::Client(0x12, expected.to_vec()), Act::Then]);
        assert!(parse("sing 20000", 80).is_err());
    }

    #[test]
    fn sentences_that_say_what_they_send() {
        let table = [
            ("client sends FA", Some("client FA 20000")),
            ("4 s later", Some("wait 4")),
            ("real sends chunk type 2", Some("chunk real 2")),
            (
                "SYN to 82 (weight 0) from 172.16.0.1",
                Some("client S 20000>82"),
            ),
            ("ACK to 81 (x) from 172.16.0.1", Some("client A 20001>81")),
            (
                "SYN from 172.16.0.1:20000 to 10.9.9.9:81, ttl 7, DF 0; real 10.2.1.1 -m",
                Some("ttl 7 0; client S 172.16.0.1:20000>81"),
            ),
            ("a second time", None),
        ];
        for (sentence, script) in table {
            assert_eq!(of_sentence(sentence).as_deref(), script, "{sentence}");
        }
    }
}
