//! What a cookie says.
//!
//! ```text
//!  sequence number   22 MAC | 1 key | 2 MSS | 4 scale | 1 SACK | 1 ECN | 1 timestamps
//!  timestamp         24 MAC | 8 zero                              (when the client sent one)
//! ```
//!
//! The MAC is SipHash-2-4 over client, client's sequence number and service, so the same holds on a
//! real server that sees another destination. The nine bits behind the key's are masked with
//! bits of the same hash: nobody can guess them.

use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

use super::Hello;
use crate::wire::Endpoint;

/// Where the number of the key stands.
const KEY_BIT: u32 = 9;
const DATA_BITS: u32 = 0x1ff;
const NO_SCALE: u32 = 15;

/// A secret of the director and its real servers.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key(pub [u8; 16]);

impl Key {
    /// One that nobody knows.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The MAC of a cookie for `visitor`.
    pub fn mac(&self, visitor: &Visitor) -> Mac {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        let addr = &visitor.client.addr;
        match addr.to_v4() {
            Some(v4) => hasher.write(&v4),
            None => hasher.write(addr.octets()),
        }
        hasher.write(&visitor.client.port.to_be_bytes());
        hasher.write(&visitor.service.to_le_bytes());
        hasher.write(&visitor.isn.to_be_bytes());
        Mac(hasher.finish())
    }
}

/// Not what it is.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// Whom a cookie is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// The client.
    pub client: Endpoint,
    /// The service's number.
    pub service: u16,
    /// The client's initial sequence number.
    pub isn: u32,
}

/// What is kept of a client's SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The largest segment that it takes, rounded down.
    pub mss: u16,
    /// Its window scale.
    pub scale: Option<u8>,
    /// Whether it understands SACK.
    pub sack: bool,
    /// Whether it understands ECN.
    pub ecn: bool,
    /// Whether it sends timestamps.
    pub timestamps: bool,
}

/// The sizes that a cookie can say, of IPv4 and of IPv6.
const SIZES: [[u16; 4]; 2] = [[536, 1300, 1440, 1460], [1220, 1380, 1420, 1440]];

const fn sizes(v4: bool) -> &'static [u16; 4] {
    &SIZES[if v4 { 0 } else { 1 }]
}

impl Offer {
    /// What a cookie keeps of `hello`. The least size stands for less, which no link has.
    pub fn of(hello: &Hello, v4: bool) -> Self {
        let sizes = sizes(v4);
        let fits = sizes.iter().rev().find(|size| **size <= hello.mss);
        Self {
            mss: fits.copied().unwrap_or(sizes[0]),
            scale: hello.scale,
            sack: hello.sack,
            ecn: hello.ecn,
            timestamps: hello.timestamps.is_some(),
        }
    }

    fn bits(&self, v4: bool) -> u32 {
        let size = sizes(v4).iter().position(|size| *size == self.mss);
        (size.unwrap_or(0) as u32) << 7
            | self.scale.map_or(NO_SCALE, u32::from) << 3
            | u32::from(self.sack) << 2
            | u32::from(self.ecn) << 1
            | u32::from(self.timestamps)
    }

    fn read(bits: u32, v4: bool) -> Self {
        let scale = bits >> 3 & 0xf;
        Self {
            mss: sizes(v4)[(bits >> 7 & 3) as usize],
            scale: (scale != NO_SCALE).then_some(scale as u8),
            sack: bits >> 2 & 1 == 1,
            ecn: bits >> 1 & 1 == 1,
            timestamps: bits & 1 == 1,
        }
    }
}

/// What makes a cookie one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(u64);

impl Mac {
    /// The sequence number of a SYN+ACK to a client of this family.
    pub fn sequence(self, parity: u8, offer: &Offer, v4: bool) -> u32 {
        let (Self(hash), parity) = (self, u32::from(parity & 1));
        ((hash >> 42) as u32) << 10 | parity << KEY_BIT | self.masked(offer.bits(v4))
    }

    /// Its timestamp, if the client has sent one.
    pub const fn timestamp(self) -> u32 {
        (self.0 as u32) << 8
    }

    /// Its lowest 16 bits.
    pub(super) const fn low(self) -> u16 {
        self.0 as u16
    }

    /// What `sequence` says that the client has offered, if it is a cookie with this MAC. `echo`
    /// is the timestamp that the client has echoed.
    pub fn check(self, sequence: u32, echo: Option<u32>, v4: bool) -> Option<Offer> {
        if u64::from(sequence >> 10) != self.0 >> 42 {
            return None;
        }
        let offer = Offer::read(self.masked(sequence), v4);
        let echoed = || echo.map(|echo| echo >> 8) == Some(self.timestamp() >> 8);
        (!offer.timestamps || echoed()).then_some(offer)
    }

    const fn masked(self, data: u32) -> u32 {
        (data ^ (self.0 >> 33) as u32) & DATA_BITS
    }
}

/// Which of two keys has made a cookie.
pub(super) const fn parity_of(sequence: u32) -> u8 {
    (sequence >> KEY_BIT & 1) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Addr;

    fn visitor(host: u8, isn: u32) -> Visitor {
        Visitor {
            client: Endpoint::new(Addr::v4([10, 0, 0, host]), 40_000),
            service: 3,
            isn,
        }
    }

    fn offers() -> impl Strategy<Value = Offer> {
        let scale = prop::option::of(0u8..=14);
        (0usize..4, scale, any::<[bool; 3]>()).prop_map(|(size, scale, [sack, ecn, timestamps])| {
            Offer {
                mss: SIZES[0][size],
                scale,
                sack,
                ecn,
                timestamps,
            }
        })
    }

    proptest! {
        #[test]
        fn what_was_offered_comes_back(
            key: [u8; 16], isn: u32, parity in 0u8..2, offer in offers(), low: u8,
        ) {
            let mac = Key(key).mac(&visitor(1, isn));
            let sequence = mac.sequence(parity, &offer, true);
            prop_assert_eq!(parity_of(sequence), parity);
            // A real server's clock may have moved a little: its low bits are not the MAC's.
            let echo = offer.timestamps.then_some(mac.timestamp() | u32::from(low));
            prop_assert_eq!(mac.check(sequence, echo, true), Some(offer));
        }

        #[test]
        fn nothing_else_is_a_cookie(
            key: [u8; 16], isn: u32, offer in offers(), wrong in 0u32..32,
        ) {
            let mac = Key(key).mac(&visitor(1, isn));
            let sequence = mac.sequence(0, &offer, true);
            let echo = Some(mac.timestamp());
            let other = sequence ^ 1 << wrong;
            match wrong {
                // What is masked is not proved: with it a client could only lie to itself.
                1..=9 => {}
                0 => prop_assert_eq!(mac.check(other, None, true).is_some(), offer.timestamps),
                _ => prop_assert_eq!(mac.check(other, echo, true), None),
            }
            if offer.timestamps {
                prop_assert_eq!(mac.check(sequence, None, true), None);
                let late = Some(mac.timestamp() ^ 1 << 8);
                prop_assert_eq!(mac.check(sequence, late, true), None);
            }
        }
    }

    #[test]
    fn a_cookie_is_for_one_client_its_sequence_number_and_one_key() {
        let offer = Offer::of(&Hello::default(), true);
        let key = Key([7; 16]);
        let sequence = key.mac(&visitor(1, 5)).sequence(0, &offer, true);
        for mac in [
            key.mac(&visitor(2, 5)),
            key.mac(&visitor(1, 6)),
            key.mac(&Visitor {
                service: 4,
                ..visitor(1, 5)
            }),
            Key([8; 16]).mac(&visitor(1, 5)),
        ] {
            assert_eq!(mac.check(sequence, None, true), None);
        }
    }

    #[test]
    fn sizes_are_rounded_down() {
        let kept = |mss, v4| {
            let hello = Hello {
                mss,
                ..Hello::default()
            };
            Offer::of(&hello, v4).mss
        };
        assert_eq!(
            [9000, 1460, 1459, 1299, 100].map(|mss| kept(mss, true)),
            [1460, 1460, 1440, 536, 536]
        );
        assert_eq!(
            [9000, 1439, 1379, 100].map(|mss| kept(mss, false)),
            [1440, 1420, 1220, 1220]
        );
    }
}
