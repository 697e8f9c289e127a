//! Data connections that are expected, until they come or have been waited for long enough.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use parking_lot::Mutex;

use super::DATA_PORTS;
use crate::service::RealId;
use crate::time::{Tick, Ticks};
use crate::wire::{Addr, Endpoint, Protocol, Tuple};

/// The most that are expected at once; further ones are not.
const MOST: usize = 8192;

/// The most that are expected of one client: who names ports and never uses them keeps nobody else
/// waiting.
const MOST_OF_ONE: u32 = 256;

/// How long one is waited for: as IPVS does (TCP state LISTEN).
const PATIENCE: Ticks = Ticks::seconds(120);

/// Ports of a VIP that are tried for a client.
const TRIES: u16 = 16;

/// A data connection that is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The real server of the control connection.
    pub real: RealId,
    /// Its port.
    pub port: u16,
    /// The end that the client sees.
    pub vip: Endpoint,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Expectations(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    /// By the packet that opens one; where the client opens it, its port is 0.
    all: HashMap<Tuple, (Expected, Tick)>,
    /// How many there are of a client.
    of: HashMap<Addr, u32>,
    /// When those that were over were last taken out.
    swept: Tick,
}

impl Expectations {
    /// Expects `client` to open a connection to a port of `vip` that is to become `port` of
    /// `real`, and says which port; none when there is no room.
    pub fn passive(
        &self,
        client: Addr,
        vip: Addr,
        real: RealId,
        port: u16,
        now: Tick,
    ) -> Option<u16> {
        let count = DATA_PORTS.len() as u16;
        let offered = |n: u16| DATA_PORTS.start() + port.wrapping_add(n) % count;
        (0..TRIES).map(offered).find(|&offered| {
            let vip = Endpoint::new(vip, offered);
            self.expect(to_vip(client, vip), Expected { real, port, vip }, now)
        })
    }

    /// Expects a real server to open a connection whose first packet is of this tuple. False when
    /// there is no room.
    pub fn active(&self, tuple: Tuple, expected: Expected, now: Tick) -> bool {
        self.expect(tuple, expected, now)
    }

    /// Has `open` open what is expected of a client that opens a connection of this tuple; from then on it
    /// is not expected, unless that is refused: who is told nothing sends again. None when nothing is
    /// expected.
    pub fn fulfil_passive<T, E>(
        &self,
        tuple: &Tuple,
        now: Tick,
        open: impl FnOnce(&Expected) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        self.fulfil(to_vip(tuple.src.addr, tuple.dst), now, open)
    }

    /// The same of a real server that opens a connection of this tuple.
    pub fn fulfil_active<T, E>(
        &self,
        tuple: &Tuple,
        now: Tick,
        open: impl FnOnce(&Expected) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        self.fulfil(*tuple, now, open)
    }

    /// What is expected of a client that opens a connection of this tuple.
    pub fn peek_passive(&self, tuple: &Tuple, now: Tick) -> Option<Expected> {
        self.peek(&to_vip(tuple.src.addr, tuple.dst), now)
    }

    /// The same of a real server that opens a connection of this tuple.
    pub fn peek_active(&self, tuple: &Tuple, now: Tick) -> Option<Expected> {
        self.peek(tuple, now)
    }

    fn peek(&self, key: &Tuple, now: Tick) -> Option<Expected> {
        let book = self.0.lock();
        let (expected, until) = book.all.get(key)?;
        (!is_over(*until, now)).then_some(*expected)
    }

    /// Meanwhile it is expected by nobody: of two packets one opens it.
    fn fulfil<T, E>(
        &self,
        key: Tuple,
        now: Tick,
        open: impl FnOnce(&Expected) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        let (expected, until) = self.0.lock().remove(&key)?;
        if is_over(until, now) {
            return None;
        }
        let opened = open(&expected);
        if opened.is_err() {
            self.0.lock().expect(key, expected, until, now);
        }
        Some(opened)
    }

    fn expect(&self, key: Tuple, expected: Expected, now: Tick) -> bool {
        let until = now.after(PATIENCE);
        self.0.lock().expect(key, expected, until, now)
    }
}

fn is_over(until: Tick, now: Tick) -> bool {
    now.until(until) == Ticks(0)
}

/// Who is to open a connection, or to be called.
const fn client_of(key: &Tuple) -> Addr {
    match key.src.port {
        0 => key.src.addr,
        _ => key.dst.addr,
    }
}

impl Book {
    /// Takes one in, unless the place is another one's. One that is said again is the same.
    fn expect(&mut self, key: Tuple, expected: Expected, until: Tick, now: Tick) -> bool {
        match self.all.get(&key) {
            Some((old, until)) if *old != expected && !is_over(*until, now) => return false,
            Some(_) => drop(self.remove(&key)),
            None => {}
        }
        if !self.has_room(&key) {
            self.sweep(now);
        }
        let room = self.has_room(&key);
        if room {
            self.all.insert(key, (expected, until));
            *self.of.entry(client_of(&key)).or_default() += 1;
        }
        room
    }

    fn has_room(&self, key: &Tuple) -> bool {
        let of_client = self.of.get(&client_of(key));
        self.all.len() < MOST && of_client.is_none_or(|count| *count < MOST_OF_ONE)
    }

    fn remove(&mut self, key: &Tuple) -> Option<(Expected, Tick)> {
        let removed = self.all.remove(key)?;
        if let Entry::Occupied(mut count) = self.of.entry(client_of(key)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some(removed)
    }

    /// Takes out what is over, once a tick at most.
    fn sweep(&mut self, now: Tick) {
        if self.swept == now {
            return;
        }
        self.swept = now;
        self.all.retain(|_, (_, until)| !is_over(*until, now));
        self.of.clear();
        for key in self.all.keys() {
            *self.of.entry(client_of(key)).or_default() += 1;
        }
    }
}

/// A packet from any port of a client.
const fn to_vip(client: Addr, vip: Endpoint) -> Tuple {
    Tuple {
        protocol: Protocol::Tcp,
        src: Endpoint::new(client, 0),
        dst: vip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Addr = Addr::v4([10, 0, 1, 1]);
    const VIP: Addr = Addr::v4([10, 9, 9, 9]);

    fn syn(port: u16) -> Tuple {
        Tuple {
            protocol: Protocol::Tcp,
            src: Endpoint::new(CLIENT, 40_000),
            dst: Endpoint::new(VIP, port),
        }
    }

    fn accepted(expected: &Expected) -> Result<Expected, ()> {
        Ok(*expected)
    }

    #[test]
    fn what_is_expected_comes_once_and_in_time() {
        let all = Expectations::default();
        let passive = |real, now| all.passive(CLIENT, VIP, RealId(real), 5000, Tick(now));
        let first = passive(1, 0).unwrap();
        assert!(DATA_PORTS.contains(&first));
        assert_eq!(passive(1, 5), Some(first), "said again, it is the same");
        let second = passive(2, 5).unwrap();
        assert_ne!(second, first);
        let come = |port, now| all.fulfil_passive(&syn(port), now, accepted);
        let peek = |port, now| all.peek_passive(&syn(port), now).map(|e| e.real);
        assert_eq!(peek(first, Tick(9)), Some(RealId(1)));
        let taken = come(first, Tick(9)).unwrap().unwrap();
        assert_eq!((taken.real, taken.port), (RealId(1), 5000));
        assert_eq!(come(first, Tick(9)), None);
        assert_eq!(peek(first, Tick(9)), None);
        let late = Tick(5).after(PATIENCE);
        assert_eq!(peek(second, late), None);
        assert_eq!(come(second, late), None);
    }

    #[test]
    fn what_is_refused_is_expected_still_but_no_longer_than_before() {
        let all = Expectations::default();
        let port = all.passive(CLIENT, VIP, RealId(1), 5000, Tick(0)).unwrap();
        let last = Tick(PATIENCE.0 - 1);
        for now in [Tick(1), last] {
            let refused = all.fulfil_passive(&syn(port), now, |_| {
                let meanwhile = all.fulfil_passive(&syn(port), now, accepted);
                assert_eq!(meanwhile, None, "of two packets one opens it");
                Err::<(), _>("no room")
            });
            assert_eq!(refused, Some(Err("no room")));
        }
        let late = Tick(PATIENCE.0);
        assert_eq!(all.fulfil_passive(&syn(port), late, accepted), None);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let all = Expectations::default();
        let from = |n: u32, now| {
            let [_, b, c, d] = n.to_be_bytes();
            all.passive(Addr::v4([10, b, c, d]), VIP, RealId(1), 5000, Tick(now))
        };
        assert!((0..MOST as u32).all(|n| from(n, 0).is_some()));
        assert_eq!(from(1 << 20, 0), None);
        assert!(from(1 << 20, PATIENCE.0).is_some());
    }

    #[test]
    fn one_client_cannot_have_it_all() {
        let all = Expectations::default();
        let active = |client, port, now| {
            let vip = Endpoint::new(VIP, 20);
            let tuple = Tuple {
                protocol: Protocol::Tcp,
                src: vip,
                dst: Endpoint::new(client, port),
            };
            let expected = Expected {
                real: RealId(1),
                port: 20,
                vip,
            };
            (tuple, all.active(tuple, expected, Tick(now)))
        };
        let ports = 1..=MOST_OF_ONE as u16;
        assert!(ports.clone().all(|port| active(CLIENT, port, 1).1));
        assert!(
            ports.clone().all(|port| active(CLIENT, port, 1).1),
            "said again"
        );
        assert!(!active(CLIENT, 9000, 1).1);
        assert_eq!(all.passive(CLIENT, VIP, RealId(1), 5000, Tick(1)), None);
        assert!(active(Addr::v4([10, 0, 1, 2]), 9000, 1).1);
        let (first, _) = active(CLIENT, 1, 1);
        assert!(all.fulfil_active(&first, Tick(2), accepted).is_some());
        assert!(active(CLIENT, 9000, 2).1, "one has come");
        assert!(
            active(CLIENT, 9001, 2 + PATIENCE.0).1,
            "the others have been waited for"
        );
    }
}
