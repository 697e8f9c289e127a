//! How the cookies of a service are made, and which are still good.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::format::parity_of;
use super::hello::Timestamps;
use super::{Hello, Key, Offer, Visitor, WINDOW};
use crate::wire::Endpoint;
use crate::wire::tcp::{Flags, Segment};

/// What all real servers that cookies are made for can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// SACK.
    pub sack: bool,
    /// Window scaling.
    pub scale: bool,
    /// Timestamps.
    pub timestamps: bool,
    /// ECN.
    pub ecn: bool,
}

impl Abilities {
    /// All of it.
    pub const ALL: Self = Self {
        sack: true,
        scale: true,
        timestamps: true,
        ecn: true,
    };

    /// What both can do.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            sack: self.sack && other.sack,
            scale: self.scale && other.scale,
            timestamps: self.timestamps && other.timestamps,
            ecn: self.ecn && other.ecn,
        }
    }

    /// Of what a client offers, that which is taken up.
    fn of(self, hello: &Hello) -> Hello {
        Hello {
            mss: hello.mss,
            scale: hello.scale.filter(|_| self.scale),
            sack: hello.sack && self.sack,
            timestamps: hello.timestamps.filter(|_| self.timestamps),
            ecn: hello.ecn && self.ecn,
        }
    }
}

/// How the cookies of a service are made at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The service's place among the gate's counters.
    pub slot: u16,
    /// Its number in the MAC.
    pub service: u16,
    /// The keys that are good, by their parity.
    pub keys: [Option<Key>; 2],
    /// Which of them makes cookies.
    pub parity: u8,
    /// Whether SYNs are answered with cookies.
    pub mints: bool,
    /// Whether they are answered so that the client resets that, and comes again.
    pub resets: bool,
    /// The largest segment that is advertised.
    pub mss: u16,
    /// What is taken up of a client's offer.
    pub abilities: Abilities,
    /// What is no cookie may be a connection of another director's (`sloppy_tcp`).
    pub lenient: bool,
    /// Whether the real servers are asked after the client: it has to wait for them.
    pub splices: bool,
    /// Whether some of its clients bear a mark that is another service's: those get no answer.
    pub shared: bool,
}

/// A SYN+ACK with a cookie, as far as the client decides on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minted {
    /// Sequence number.
    pub sequence: u32,
    /// What is said of the clock, if the client has one.
    pub timestamps: Option<[u32; 2]>,
    /// What is agreed on.
    pub offer: Offer,
}

/// A cookie that has come back: the client is where it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What it has offered.
    pub offer: Offer,
    /// Its initial sequence number.
    pub isn: u32,
    /// The one that it was told, which is the cookie.
    pub told: u32,
    /// What its segment says of the clocks.
    pub timestamps: Option<Timestamps>,
}

impl Recipe {
    /// What the SYN of `client` in `bytes` is answered with.
    pub fn mint(&self, client: Endpoint, syn: &Segment, bytes: &[u8]) -> Option<Minted> {
        let key = self.keys[usize::from(self.parity & 1)]?;
        let v4 = client.addr.is_v4();
        let hello = self.abilities.of(&Hello::read(bytes));
        let offer = Offer::of(&hello, v4);
        let mac = key.mac(&self.visitor(client, syn.seq));
        Some(Minted {
            sequence: mac.sequence(self.parity, &offer, v4),
            timestamps: hello.timestamps.map(|said| [mac.timestamp(), said.value]),
            offer,
        })
    }

    /// Whether the segment of `client` in `bytes` brings a cookie back: the ACK of a SYN+ACK, or
    /// the data behind it when the ACK was lost.
    pub fn verify(&self, client: Endpoint, segment: &Segment, bytes: &[u8]) -> Option<Proof> {
        let flags = segment.flags.0 & (Flags::SYN | Flags::RST | Flags::ACK);
        if flags != Flags::ACK {
            return None;
        }
        let told = segment.ack.wrapping_sub(1);
        let key = self.keys[usize::from(parity_of(told))]?;
        let timestamps = Hello::read(bytes).timestamps;
        let echo = timestamps.map(|said| said.echo);
        self.starts(segment).find_map(|isn| {
            let mac = key.mac(&self.visitor(client, isn));
            let offer = mac.check(told, echo, client.addr.is_v4())?;
            Some(Proof {
                offer,
                isn,
                told,
                timestamps,
            })
        })
    }

    /// The window that a SYN+ACK advertises: none to who has to wait.
    pub const fn window(&self) -> u16 {
        match self.splices {
            true => 0,
            false => WINDOW,
        }
    }

    /// The initial sequence numbers that a segment with a cookie can have begun with. A client that
    /// waits for a window asks for it with the number before its first byte, without data
    /// (`tcp_xmit_probe_skb` of Linux): so does one whose ACK was lost.
    fn starts(&self, segment: &Segment) -> impl Iterator<Item = u32> + use<> {
        let probes = self.splices && segment.payload == 0;
        let first = segment.seq.wrapping_sub(1);
        std::iter::once(first).chain(probes.then_some(segment.seq))
    }

    /// Whether SYNs are answered before there is a connection.
    pub const fn answers(&self) -> bool {
        self.mints || self.resets
    }

    /// Whether a cookie speaks for all who open a connection.
    pub const fn vouches(&self) -> bool {
        self.mints && !self.lenient
    }

    pub(super) const fn visitor(&self, client: Endpoint, isn: u32) -> Visitor {
        Visitor {
            client,
            service: self.service,
            isn,
        }
    }
}

/// The recipe of a service, if it has cookies: written by the control side, read by the workers
/// when a segment belongs to no connection.
#[derive(Debug, Default)]
pub struct Cookies(ArcSwapOption<Recipe>);

impl Cookies {
    /// As it is now.
    pub fn recipe(&self) -> Option<Arc<Recipe>> {
        self.0.load_full()
    }

    /// Whether SYNs are answered before there is a connection.
    pub fn answers(&self) -> bool {
        let recipe = self.0.load();
        recipe.as_ref().is_some_and(|recipe| recipe.answers())
    }

    /// Whether a cookie speaks for all who open a connection.
    pub fn vouch(&self) -> bool {
        let recipe = self.0.load();
        recipe.as_ref().is_some_and(|recipe| recipe.vouches())
    }

    /// Makes it another one.
    pub fn set(&self, recipe: Option<Recipe>) {
        self.0.store(recipe.map(Arc::new));
    }
}
