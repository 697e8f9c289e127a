//! What a capture sends, sent.

use std::thread::sleep;

use anyhow::Result;

use super::{HEADER, Run};
use crate::oracle::lab;
use crate::oracle::script::{Act, IcmpError};
use crate::oracle::talk::{Flow, Talk};
use crate::packet::{self, Packet, Segment, checksum, flag};

impl Run<'_> {
    pub(super) fn act(&mut self, act: Act) -> Result<()> {
        match act {
            Act::Client(flags, flows) => {
                self.clients(&flows, |talk, flow| talk.client(flow, flags))
            }
            Act::Datagram(length, flows) => {
                self.clients(&flows, |talk, flow| talk.datagram(flow, length))
            }
            Act::Sip(length, call, flows) => {
                self.clients(&flows, |talk, flow| talk.invite(flow, &call, length))
            }
            Act::Real(flags, flows) => self.reals(&flows, |talk, flow| talk.real(flow, flags)),
            Act::Answer(length, flows) => {
                self.reals(&flows, |talk, flow| talk.answer(flow, length))
            }
            Act::Open(flows) => flows.iter().try_for_each(|flow| self.open(*flow)),
            Act::From(port) => {
                self.port = port;
                Ok(())
            }
            Act::ClientChunk(kind) => {
                let flow = self.flow();
                self.clients(&[flow], |talk, flow| talk.client_chunk(flow, kind))
            }
            Act::RealChunk(kind) => {
                let flow = self.flow();
                self.reals(&[flow], |talk, flow| talk.real_chunk(flow, kind))
            }
            Act::Header(ttl, df) => {
                self.header = (ttl, df);
                Ok(())
            }
            Act::Error(error) => self.icmp_error(&error),
            Act::Stray(host, from, to) => {
                let segment = Segment {
                    flags: flag::ACK,
                    ..Segment::default()
                };
                self.by_host(host, &packet::tcp(from, to, segment))
            }
            Act::Say(host, length, from, to) => {
                self.by_host(host, &packet::udp(from, to, &vec![0; length]))
            }
            Act::Echo(from, to) => {
                let request = packet::icmp(from, to, (8, 0, 0x0001_0001), b"ping");
                self.by_client(&[request])
            }
            Act::Wait(time) => {
                sleep(time);
                self.waited += time;
                Ok(())
            }
            // Counters are as of now here, and times are remaining ones: nothing to wait for.
            Act::Skip(time) => {
                self.leeway.behind += time;
                Ok(())
            }
            Act::Then => Ok(()),
        }
    }

    fn clients(
        &mut self,
        flows: &[Flow],
        mut make: impl FnMut(&mut Talk, Flow) -> Vec<u8>,
    ) -> Result<()> {
        let packets: Vec<_> = flows
            .iter()
            .map(|flow| make(&mut self.talk, *flow))
            .collect();
        self.by_client(&packets)
    }

    fn reals(
        &mut self,
        flows: &[Flow],
        mut make: impl FnMut(&mut Talk, Flow) -> Result<(usize, Vec<u8>)>,
    ) -> Result<()> {
        for flow in flows {
            let (host, packet) = make(&mut self.talk, *flow)?;
            self.by_host(host, &packet)?;
        }
        Ok(())
    }

    /// A handshake. The captures' real servers are silent, and the kernel believes the client
    /// alone; the director wants the real server's answer, which is then one packet more than in
    /// the capture.
    fn open(&mut self, flow: Flow) -> Result<()> {
        self.clients(&[flow], |talk, flow| talk.client(flow, flag::SYN))?;
        if let Ok(end) = self.talk.end(flow) {
            self.reals(&[flow], |talk, flow| talk.real(flow, flag::SYN | flag::ACK))?;
            for real in [end.address.to_string(), String::new()] {
                let row = (flow.service.to_string(), real);
                *self.leeway.extra.entry(row).or_default() += 1;
            }
        }
        self.clients(&[flow], |talk, flow| talk.client(flow, flag::ACK))
    }

    fn icmp_error(&mut self, error: &IcmpError) -> Result<()> {
        let (source, destination) = error.about;
        let sequence = self.talk.first_number(Flow {
            client: source,
            service: destination,
        });
        let segment = Segment {
            flags: flag::SYN,
            sequence,
            ..Segment::default()
        };
        let quoted = as_sent(packet::tcp(source, destination, segment), HEADER);
        let packet = packet::icmp(error.ends.0, error.ends.1, error.kind, &quoted[..28]);
        match error.host {
            None => self.by_client(&[packet]),
            Some(number) => self.by_host(number, &packet),
        }
    }

    fn by_client(&mut self, packets: &[Vec<u8>]) -> Result<()> {
        let before = lab::arrived(&self.director)?;
        for packet in packets {
            self.lab
                .send_from_client(&as_sent(packet.clone(), self.header))?;
        }
        lab::settle(&self.director, before, packets.len() as u64)?;
        self.sniff()
    }

    fn by_host(&mut self, host: usize, packet: &[u8]) -> Result<()> {
        let before = lab::arrived(&self.director)?;
        let packet = as_sent(packet.to_vec(), self.header);
        self.lab.send_from_real(host, &packet)?;
        lab::settle(&self.director, before, 1)?;
        self.sniff()
    }

    /// Takes in what has arrived at the hosts.
    pub(super) fn sniff(&mut self) -> Result<()> {
        self.sniffed[0].extend(self.lab.at_client()?);
        for host in 0..self.lab.reals() {
            let packets = self.lab.at_real(host)?;
            for packet in packets.iter().filter_map(|bytes| Packet::read(bytes)) {
                self.talk.saw(host, &packet);
            }
            self.sniffed[host + 1].extend(packets);
        }
        Ok(())
    }
}

/// An IPv4 packet with another TTL and DF; IPv6 as it is.
fn as_sent(mut packet: Vec<u8>, (ttl, df): (u8, bool)) -> Vec<u8> {
    if packet.first().is_some_and(|byte| byte >> 4 == 4) {
        packet[6] = u8::from(df) << 6;
        packet[8] = ttl;
        packet[10..12].fill(0);
        let sum = checksum(&[&packet[..20]]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}
