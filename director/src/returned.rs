//! Clients' datagrams that have not got through their tunnels, on their way from who hears of them
//! (`control/outer.rs`) to a worker, which tells the clients (`path/returned.rs`).

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::forward::Tunnel;
use crate::forward::reply::{LONGEST_QUOTE, hand_back};
use crate::time::Tick;
use crate::wire::icmp::{Report, Repr};
use crate::wire::{Addr, Version};

/// How many may wait; of others nobody is told.
const ROOM: usize = 64;

/// A datagram that has come back, as far as it was quoted.
#[derive(Clone, Debug)]
pub struct Returned {
    /// The real server that it was on its way to.
    pub real: Addr,
    /// When.
    pub at: Tick,
    version: Version,
    why: Repr,
    quote: [u8; LONGEST_QUOTE],
    length: usize,
}

impl Returned {
    /// What was in the packet of `tunnel` that `report` is about; none when its sender is not to be told.
    pub fn of(report: &Report<'_>, tunnel: Tunnel, at: Tick) -> Option<Self> {
        let inside = tunnel.inside(report.payload)?;
        let version = match inside.first()? >> 4 {
            4 => Version::V4,
            6 => Version::V6,
            _ => return None,
        };
        let length = inside.len().min(LONGEST_QUOTE);
        let mut quote = [0; LONGEST_QUOTE];
        quote[..length].copy_from_slice(&inside[..length]);
        Some(Self {
            real: report.dst,
            at,
            version,
            why: report.for_sender(version)?,
            quote,
            length,
        })
    }

    /// Writes what its sender is told, from whom it was for, to the start of `buffer`; the stations are
    /// left to the caller. Returns the length of the frame, or nothing when too little was quoted.
    pub fn write(&self, buffer: &mut [u8]) -> Option<usize> {
        let quote = self.quote.get(..self.length)?;
        hand_back(buffer, self.version, &self.why, quote)
    }
}

/// Those that wait for a worker.
#[derive(Debug)]
pub struct Returns(Mutex<VecDeque<Returned>>);

impl Default for Returns {
    fn default() -> Self {
        Self(Mutex::new(VecDeque::with_capacity(ROOM)))
    }
}

impl Returns {
    /// Has the sender of one told.
    pub fn add(&self, returned: Returned) {
        let mut waiting = self.0.lock();
        if waiting.len() < ROOM {
            waiting.push_back(returned);
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.0.lock().len()
    }

    /// The next one.
    pub fn next(&self) -> Option<Returned> {
        self.0.lock().pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sample::Sample;
    use crate::wire::{Endpoint, Packet, Protocol, Tuple, ethernet, parse};

    const GRE: Tunnel = Tunnel::Gre { checksum: false };

    fn tuple() -> Tuple {
        let end = |host, port| Endpoint::new(Addr::v4([10, 0, host, 1]), port);
        Tuple {
            protocol: Protocol::Udp,
            src: end(1, 4000),
            dst: end(9, 80),
        }
    }

    /// What a router says of the first `length` bytes of a datagram that was in a tunnel.
    fn returned(length: usize) -> Option<Returned> {
        let frame = Sample::of(tuple()).frame();
        let payload = [&[0, 0, 8, 0], &frame[ethernet::LEN..]].concat();
        let report = Report {
            icmp_type: 3,
            code: 2,
            mtu: None,
            src: Addr::v4([10, 0, 2, 254]),
            dst: Addr::v4([10, 0, 2, 1]),
            protocol: 47,
            payload: &payload[..4 + length],
        };
        Returned::of(&report, GRE, Tick(7))
    }

    #[test]
    fn the_sender_is_told_of_its_own_datagram() {
        let mut buffer = [0xff; 1600];
        let returned = returned(28).unwrap();
        let length = returned.write(&mut buffer).unwrap();
        let Ok(Packet::IcmpError(error)) = parse(&buffer[..length]) else {
            panic!("{:?}", parse(&buffer[..length]));
        };
        assert_eq!((error.icmp_type, error.code), (3, 2));
        assert_eq!((error.src, error.dst), (tuple().dst.addr, tuple().src.addr));
        assert_eq!(error.quote.tuple, tuple());
        assert_eq!(returned.write(&mut [0; 60]), None);
    }

    #[test]
    fn of_too_little_nothing_is_made() {
        assert!(returned(0).is_none());
        let mut buffer = [0xff; 1600];
        assert_eq!(returned(19).unwrap().write(&mut buffer), None);
        let length = returned(27).unwrap().write(&mut buffer).unwrap();
        assert!(parse(&buffer[..length]).is_err());
    }

    #[test]
    fn so_many_wait_and_no_more() {
        let returns = Returns::default();
        for _ in 0..2 * ROOM {
            returns.add(returned(28).unwrap());
        }
        assert_eq!(returns.waiting(), ROOM);
        assert_eq!(
            returns.next().map(|next| next.real),
            Some(Addr::v4([10, 0, 2, 1]))
        );
        assert_eq!(returns.waiting(), ROOM - 1);
    }
}
