//! The raw conversations of the captures: what each end would send next.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};

use crate::packet::{self, Packet, Segment, flag};

/// The first sequence numbers of clients and of real servers.
const CLIENT_START: u32 = 1_000;
const REAL_START: u32 = 5_000_000;
/// The chunk type that opens an SCTP association. The first numbers above are the tags.
const INIT: u8 = 1;
/// How far the first number of a client's next connection on the same port is ahead.
const NEXT_CONNECTION: u32 = 1_000_000;

/// A client's endpoint and the virtual service that it talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Where the client sends from.
    pub client: SocketAddr,
    /// Where it sends to.
    pub service: SocketAddr,
}

/// Where a real server's end of a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealEnd {
    /// Number of the host, from 0.
    pub host: usize,
    /// Its endpoint.
    pub address: SocketAddr,
}

#[derive(Clone, Copy, Debug)]
struct Numbers {
    first: u32,
    next: u32,
}

impl Numbers {
    const fn new(first: u32) -> Self {
        Self { first, next: first }
    }
}

#[derive(Clone, Copy, Debug)]
struct Conversation {
    client: Numbers,
    real: Option<Numbers>,
    end: Option<RealEnd>,
    over: bool,
}

/// All conversations of a capture.
#[derive(Debug, Default)]
pub struct Talk(BTreeMap<Flow, Conversation>);

/// The bits of the captures' letters.
///
/// # Errors
/// At a letter that is not a flag.
pub fn flags(letters: &str) -> Result<u8> {
    letters.chars().try_fold(0, |bits, letter| {
        Ok(bits
            | match letter {
                'S' => flag::SYN,
                'F' => flag::FIN,
                'R' => flag::RST,
                'P' => flag::PSH,
                'A' => flag::ACK,
                other => bail!("no flag is called {other}"),
            })
    })
}

/// Numbers that a segment takes: data, SYN and FIN (RFC 9293, 3.4).
fn length(flags: u8) -> u32 {
    let bit = |wanted: u8| u32::from(flags & wanted != 0);
    bit(flag::SYN) + bit(flag::FIN) + bit(flag::PSH)
}

/// A pushed segment carries one byte, as in the captures.
fn payload(flags: u8) -> &'static [u8] {
    if flags & flag::PSH == 0 { b"" } else { b"x" }
}

impl Talk {
    /// The client's next segment with these flags. A SYN is repeated as it was while its
    /// connection lives, and opens another one afterwards.
    pub fn client(&mut self, flow: Flow, flags: u8) -> Vec<u8> {
        let talk = self.conversation(flow);
        let is_syn = flags & flag::SYN != 0;
        if is_syn && talk.over {
            talk.client = Numbers::new(talk.client.first + NEXT_CONNECTION);
            talk.real = None;
            talk.over = false;
        }
        let sequence = if is_syn {
            talk.client.first
        } else {
            talk.client.next
        };
        let segment = Segment {
            flags,
            sequence,
            acknowledgement: match talk.real {
                Some(real) if flags & flag::ACK != 0 => real.next,
                _ => 0,
            },
            payload: payload(flags),
        };
        let after = sequence + length(flags);
        talk.client.next = talk.client.next.max(after);
        talk.over |= flags & (flag::FIN | flag::RST) != 0;
        packet::tcp(flow.client, flow.service, segment)
    }

    /// The real server's next segment with these flags, and the host that sends it.
    ///
    /// # Errors
    /// When nothing of this flow has been seen to arrive at a real server.
    pub fn real(&mut self, flow: Flow, flags: u8) -> Result<(usize, Vec<u8>)> {
        let end = self.end(flow)?;
        let talk = self.conversation(flow);
        let first = REAL_START + talk.client.first;
        let mut numbers = talk.real.unwrap_or(Numbers::new(first));
        let sequence = match flags & flag::SYN {
            0 => numbers.next,
            _ => numbers.first,
        };
        let segment = Segment {
            flags,
            sequence,
            acknowledgement: talk.client.next,
            payload: payload(flags),
        };
        numbers.next = numbers.next.max(sequence + length(flags));
        talk.real = Some(numbers);
        talk.over |= flags & (flag::FIN | flag::RST) != 0;
        Ok((end.host, packet::tcp(end.address, flow.client, segment)))
    }

    /// An SCTP packet of the client, with a chunk of this type.
    pub fn client_chunk(&mut self, flow: Flow, kind: u8) -> Vec<u8> {
        self.conversation(flow);
        let tag = if kind == INIT { 0 } else { REAL_START };
        packet::sctp(
            flow.client,
            flow.service,
            tag,
            &[(kind, 0, &packet::init(CLIENT_START))],
        )
    }

    /// The same of the real server, and the host that sends it.
    ///
    /// # Errors
    /// As [`Self::real`].
    pub fn real_chunk(&self, flow: Flow, kind: u8) -> Result<(usize, Vec<u8>)> {
        let end = self.end(flow)?;
        let value = packet::init(REAL_START);
        let chunks: [(u8, u8, &[u8]); 1] = [(kind, 0, &value)];
        let bytes = packet::sctp(end.address, flow.client, CLIENT_START, &chunks);
        Ok((end.host, bytes))
    }

    /// A datagram of the client.
    pub fn datagram(&mut self, flow: Flow, length: usize) -> Vec<u8> {
        self.conversation(flow);
        packet::udp(flow.client, flow.service, &vec![b'q'; length])
    }

    /// A SIP message of the client about a call.
    pub fn invite(&mut self, flow: Flow, call: &str, length: usize) -> Vec<u8> {
        self.conversation(flow);
        let mut message = packet::invite(call);
        message.resize(length.max(message.len()), b' ');
        packet::udp(flow.client, flow.service, &message)
    }

    /// A datagram of the real server, and the host that sends it.
    ///
    /// # Errors
    /// As [`Self::real`].
    pub fn answer(&self, flow: Flow, length: usize) -> Result<(usize, Vec<u8>)> {
        let end = self.end(flow)?;
        let bytes = packet::udp(end.address, flow.client, &vec![b'a'; length]);
        Ok((end.host, bytes))
    }

    /// Learns from a packet that arrived at a host where the real server's end of its flow is.
    pub fn saw(&mut self, host: usize, packet: &Packet) {
        let Some((source, address)) = packet.sockets() else {
            return;
        };
        for (flow, talk) in &mut self.0 {
            if flow.client == source && flow.service.port() == address.port() {
                talk.end = Some(RealEnd { host, address });
            }
        }
    }

    /// Where the real server's end of a flow is.
    ///
    /// # Errors
    /// As [`Self::real`].
    pub fn end(&self, flow: Flow) -> Result<RealEnd> {
        self.0
            .get(&flow)
            .and_then(|talk| talk.end)
            .with_context(|| format!("nothing of {flow:?} has arrived at a real server"))
    }

    /// The first sequence number of the client of a flow.
    pub fn first_number(&mut self, flow: Flow) -> u32 {
        self.conversation(flow).client.first
    }

    fn conversation(&mut self, flow: Flow) -> &mut Conversation {
        self.0.entry(flow).or_insert(Conversation {
            client: Numbers::new(CLIENT_START),
            real: None,
            end: None,
            over: false,
        })
    }
}
