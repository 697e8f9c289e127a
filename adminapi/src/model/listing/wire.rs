//! The bytes of a listing: before each row its length, then the row in postcard (numbers of variable
//! length, no names), what is configured before what changes with the traffic. So one end writes and
//! the other one reads while rows are still being made, and most of a row need not be made at all.

use std::net::{IpAddr, Ipv4Addr};

use hyper::body::Bytes;
use serde::de::DeserializeOwned;

use super::parts::Whole;
use super::{Five, Live, RealRow, ServiceRow};
use crate::error::ControlError;
use crate::model::{ForwardingMethod, Tunnel};

/// The media type of a listing.
pub const MEDIA_TYPE: &str = "application/vnd.bulwark.listing";

/// Bytes of a length, the lowest first.
const LENGTH: usize = size_of::<u32>();

/// The longest row that is read: a service with more real servers than there are addresses to reach
/// them by.
const LONGEST: usize = 64 << 20;

/// Why bytes are no listing.
#[derive(Debug, thiserror::Error)]
pub enum Unlisted {
    /// A row cannot be read, or not be written.
    #[error("{0}")]
    Row(#[from] postcard::Error),
    /// A row is said to be longer than any is.
    #[error("a row of {0} bytes")]
    TooLong(usize),
    /// A row cannot be written as JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// They end within a row.
    #[error("it ends within a row")]
    Short,
}

impl From<Unlisted> for ControlError {
    fn from(error: Unlisted) -> Self {
        Self::Internal(error.to_string())
    }
}

/// What of a row stays until something is configured, as its bytes.
#[derive(Debug)]
pub struct Fixed {
    row: Vec<u8>,
    /// What rows have had since they were first written, if they have it: who does not know of it
    /// reads the rest.
    since: Vec<u8>,
}

impl Fixed {
    /// That of `row`.
    ///
    /// # Errors
    /// Never with rows of this module.
    pub fn of(row: &ServiceRow) -> Result<Self, Unlisted> {
        let since = row.engine.as_ref().map(postcard::to_allocvec);
        Ok(Self {
            row: postcard::to_allocvec(row)?,
            since: since.transpose()?.unwrap_or_default(),
        })
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        self.row.capacity() + self.since.capacity()
    }

    /// The row with these numbers, and with what its real servers have, in their order.
    ///
    /// # Errors
    /// When it is longer than any row.
    pub fn with(
        &self,
        numbers: Option<Five>,
        live: impl IntoIterator<Item = Live>,
    ) -> Result<Vec<u8>, Unlisted> {
        let mut bytes = Vec::with_capacity(LENGTH + 2 * self.row.len());
        bytes.extend([0; LENGTH]);
        bytes.extend_from_slice(&self.row);
        let bytes = postcard::to_extend(&numbers, bytes)?;
        let mut bytes =
            (live.into_iter()).try_fold(bytes, |bytes, live| postcard::to_extend(&live, bytes))?;
        bytes.extend_from_slice(&self.since);
        let length = bytes.len() - LENGTH;
        let written = u32::try_from(length).map_err(|_| Unlisted::TooLong(length))?;
        bytes[..LENGTH].copy_from_slice(&written.to_le_bytes());
        Ok(bytes)
    }
}

/// The bytes of a row.
///
/// # Errors
/// Never with rows of this module.
pub fn encode(row: &ServiceRow) -> Result<Vec<u8>, Unlisted> {
    Fixed::of(row)?.with(row.numbers, row.reals.iter().map(|real| real.live))
}

/// The row of these bytes, of which there are no others.
///
/// # Errors
/// When it is none.
pub fn row(bytes: &[u8]) -> Result<ServiceRow, Unlisted> {
    decode(bytes.get(LENGTH..).ok_or(Unlisted::Short)?)
}

fn decode(bytes: &[u8]) -> Result<ServiceRow, Unlisted> {
    let mut parts = Parts(bytes);
    let mut row: ServiceRow = parts.take()?;
    let count: usize = parts.take()?;
    row.reals.reserve_exact(count.min(bytes.len()));
    for _ in 0..count {
        row.reals.push(RealRow::BLANK);
        parts.real(row.reals.last_mut().expect("it was pushed"))?;
    }
    if parts.is_some()? {
        parts.five(row.numbers.insert(Five::default()))?;
    }
    for real in &mut row.reals {
        parts.live(&mut real.live)?;
    }
    if !parts.0.is_empty() {
        row.engine = Some(parts.take()?);
    }
    Ok(row)
}

impl RealRow {
    /// What is written over.
    const BLANK: Self = Self {
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        port: 0,
        weight: 0,
        method: ForwardingMethod::Nat,
        tun: None,
        upper: 0,
        lower: 0,
        live: Live {
            active: 0,
            inactive: 0,
            persistent: 0,
            numbers: None,
        },
    };
}

/// What is left to read of a row. A real server is read number by number, each straight to its place:
/// as a whole it would be moved through memory several times, which takes longer than all the rest of
/// a listing.
struct Parts<'b>(&'b [u8]);

impl Parts<'_> {
    fn take<T: DeserializeOwned>(&mut self) -> Result<T, Unlisted> {
        let (part, rest) = postcard::take_from_bytes(self.0)?;
        self.0 = rest;
        Ok(part)
    }

    fn real(&mut self, real: &mut RealRow) -> Result<(), Unlisted> {
        self.address(&mut real.address)?;
        real.port = self.short()?;
        real.weight = self.short()?;
        real.method = self.take()?;
        if self.is_some()? {
            real.tun = Some(Tunnel::whole(self.take()?));
        }
        real.upper = self.short()?;
        real.lower = self.short()?;
        Ok(())
    }

    fn live(&mut self, live: &mut Live) -> Result<(), Unlisted> {
        live.active = self.short()?;
        live.inactive = self.short()?;
        live.persistent = self.short()?;
        if self.is_some()? {
            self.five(live.numbers.insert(Five::default()))?;
        }
        Ok(())
    }

    fn five(&mut self, five: &mut Five) -> Result<(), Unlisted> {
        for number in five {
            *number = self.short()?;
        }
        Ok(())
    }

    /// Whether an option has something behind it.
    #[inline]
    fn is_some(&mut self) -> Result<bool, Unlisted> {
        match self.0 {
            [0, rest @ ..] => {
                self.0 = rest;
                Ok(false)
            }
            _ => self.take(),
        }
    }

    /// An address: mostly one of IPv4.
    #[inline]
    fn address(&mut self, address: &mut IpAddr) -> Result<(), Unlisted> {
        match self.0 {
            [0, a, b, c, d, rest @ ..] => {
                self.0 = rest;
                *address = [*a, *b, *c, *d].into();
            }
            _ => *address = self.take()?,
        }
        Ok(())
    }

    /// A number: mostly one of a byte, which stands for itself.
    #[inline]
    fn short<T: DeserializeOwned + From<u8>>(&mut self) -> Result<T, Unlisted> {
        match self.0 {
            [number @ 0..0x80, rest @ ..] => {
                self.0 = rest;
                Ok(T::from(*number))
            }
            _ => self.take(),
        }
    }
}

/// Takes rows out of bytes that come in pieces. Only a row that lies in several of them is copied.
#[derive(Debug, Default)]
pub struct Reader {
    /// A row that began in earlier pieces, with its length.
    begun: Vec<u8>,
    /// What is left of the last piece.
    piece: Bytes,
}

impl Reader {
    /// Takes the next piece, when there is no row in those before.
    pub fn take(&mut self, piece: Bytes) {
        self.begun.extend_from_slice(&self.piece);
        self.piece = piece;
    }

    /// The next row, if all of it is there.
    ///
    /// # Errors
    /// When it is none.
    pub fn row(&mut self) -> Result<Option<ServiceRow>, Unlisted> {
        if !self.begun.is_empty() {
            return self.finish();
        }
        let Some(length) = length(&self.piece)? else {
            return Ok(None);
        };
        if self.piece.len() < length {
            return Ok(None);
        }
        let row = self.piece.split_to(length);
        decode(&row[LENGTH..]).map(Some)
    }

    /// The row that has begun, if its end is there.
    fn finish(&mut self) -> Result<Option<ServiceRow>, Unlisted> {
        self.fill(LENGTH);
        let Some(length) = length(&self.begun)? else {
            return Ok(None);
        };
        self.fill(length);
        if self.begun.len() < length {
            return Ok(None);
        }
        let row = decode(&self.begun[LENGTH..]);
        self.begun.clear();
        row.map(Some)
    }

    /// Has so many bytes of it together, as far as they are there.
    fn fill(&mut self, length: usize) {
        let missing = length.saturating_sub(self.begun.len());
        let there = self.piece.split_to(missing.min(self.piece.len()));
        self.begun.extend_from_slice(&there);
    }

    /// Nothing more comes.
    ///
    /// # Errors
    /// When there is a part of a row.
    pub fn end(&self) -> Result<(), Unlisted> {
        match self.begun.is_empty() && self.piece.is_empty() {
            true => Ok(()),
            false => Err(Unlisted::Short),
        }
    }
}

/// How long the first row of `bytes` is with what says so, if that is there.
fn length(bytes: &[u8]) -> Result<Option<usize>, Unlisted> {
    let Some((length, _)) = bytes.split_first_chunk::<LENGTH>() else {
        return Ok(None);
    };
    match u32::from_le_bytes(*length) as usize {
        length if length > LONGEST => Err(Unlisted::TooLong(length)),
        length => Ok(Some(LENGTH + length)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::super::*;
    use super::{Bytes, Unlisted};
    use crate::model::{Engine, Helper, SchedulerFlag, TunnelChecksum, TunnelType};

    #[test]
    fn a_listing_survives_its_bytes() {
        let plain = RealRow {
            address: [10, 0, 0, 1].into(),
            port: 80,
            weight: 1,
            method: ForwardingMethod::Nat,
            tun: None,
            upper: 0,
            lower: 0,
            live: Live {
                active: 1,
                inactive: 70_000,
                ..Live::default()
            },
        };
        let tunnelled = RealRow {
            address: Ipv6Addr::LOCALHOST.into(),
            method: ForwardingMethod::Tun,
            tun: Some(Tunnel {
                kind: TunnelType::Gue,
                port: Some(6080),
                checksum: TunnelChecksum::Csum,
            }),
            live: Live {
                numbers: Some([u64::MAX, 0, 1, 2, 3]),
                ..plain.live
            },
            ..plain.clone()
        };
        let row = |prefix| ServiceRow {
            id: "fwm6:7".parse().unwrap(),
            scheduler: Scheduler::Mh,
            scheduler_flags: SchedulerFlags::NONE.with(SchedulerFlag::Port),
            persistence: Some(Persistence {
                timeout: 5,
                prefix,
                engine: prefix.map(|_| Engine::Sip),
            }),
            engine: prefix.is_none().then_some(Engine::Sip),
            one_packet: false,
            helper: Helper::Ftp,
            numbers: prefix.map(|_| [1, 2, 3, 4, 5]),
            reals: vec![plain.clone(), tunnelled.clone()],
        };
        let rows = vec![row(None), row(Some(64))];
        let bytes: Vec<u8> = rows.iter().flat_map(|row| encode(row).unwrap()).collect();
        for size in [1, 7, bytes.len()] {
            let mut reader = Reader::default();
            let mut read = Vec::new();
            for piece in bytes.chunks(size) {
                reader.take(Bytes::copy_from_slice(piece));
                read.extend(std::iter::from_fn(|| reader.row().unwrap()));
            }
            reader.end().unwrap();
            assert_eq!(read, rows);
        }
    }

    #[test]
    fn what_is_no_listing_is_refused() {
        let read = |bytes: &[u8]| {
            let mut reader = Reader::default();
            reader.take(Bytes::copy_from_slice(bytes));
            let row = reader.row();
            row.and_then(|_| reader.end())
        };
        read(&[]).unwrap();
        assert!(matches!(read(&[3, 0, 0]), Err(Unlisted::Short)));
        assert!(matches!(read(&[3, 0, 0, 0, 1]), Err(Unlisted::Short)));
        assert!(matches!(
            read(&[3, 0, 0, 0, 1, 2, 3]),
            Err(Unlisted::Row(_))
        ));
        assert!(matches!(read(&[255; 9]), Err(Unlisted::TooLong(_))));
    }
}
