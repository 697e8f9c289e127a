//! TCP segments (RFC 9293 §3.1).

use std::borrow::{Borrow, BorrowMut};
use std::ops::Range;

use super::bytes::{put_u16, put_u32, u16_at, u32_at};
use super::{Malformed, view};

/// Length of the header without options, bytes.
pub const LEN: usize = 20;

mod field {
    pub(super) const SEQ: usize = 4;
    pub(super) const ACK: usize = 8;
    pub(super) const OFFSET: usize = 12;
    pub(super) const FLAGS: usize = 13;
    pub(super) const WINDOW: usize = 14;
    pub(super) const CHECKSUM: usize = 16;
    pub(super) const URGENT: usize = 18;
}

/// Where the checksum stands, bytes from the start of the header.
pub const CHECKSUM: usize = field::CHECKSUM;

view::header! {
    /// A view of the header without its options.
}

view::ports!();

/// The header of a whole segment at `bytes`, its data offset checked.
///
/// # Errors
/// [`Malformed::BadTcpOffset`], [`Malformed::Truncated`].
#[inline]
pub fn checked(bytes: &[u8]) -> Result<Header<&[u8; LEN]>, Malformed> {
    let header = header(bytes).ok_or(Malformed::Truncated)?;
    if (LEN..=bytes.len()).contains(&header.data_offset()) {
        Ok(header)
    } else {
        Err(Malformed::BadTcpOffset)
    }
}

impl<T: Borrow<[u8; LEN]>> Header<T> {
    /// Sequence number.
    #[inline]
    pub fn seq(&self) -> u32 {
        u32_at(self.0.borrow(), field::SEQ)
    }

    /// Acknowledgement number.
    #[inline]
    pub fn ack(&self) -> u32 {
        u32_at(self.0.borrow(), field::ACK)
    }

    /// Length of the header with options, bytes.
    #[inline]
    pub fn data_offset(&self) -> usize {
        usize::from(self.0.borrow()[field::OFFSET] >> 4) * 4
    }

    /// Control bits.
    #[inline]
    pub fn flags(&self) -> Flags {
        Flags(self.0.borrow()[field::FLAGS])
    }

    /// Window, unscaled.
    #[inline]
    pub fn window(&self) -> u16 {
        u16_at(self.0.borrow(), field::WINDOW)
    }

    /// Checksum.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16_at(self.0.borrow(), field::CHECKSUM)
    }
}

impl<T: BorrowMut<[u8; LEN]>> Header<T> {
    /// Sets the length of the header, whole words.
    pub fn set_data_offset(&mut self, bytes: usize) {
        self.0.borrow_mut()[field::OFFSET] = (bytes as u8 / 4) << 4;
    }

    /// Sets the window, unscaled.
    pub fn set_window(&mut self, window: u16) {
        put_u16(self.0.borrow_mut(), field::WINDOW, window);
    }

    /// Sets the sequence number, and not the checksum.
    pub fn set_seq(&mut self, seq: u32) {
        put_u32(self.0.borrow_mut(), field::SEQ, seq);
    }

    /// Sets the acknowledgement number, and not the checksum.
    pub fn set_ack(&mut self, ack: u32) {
        put_u32(self.0.borrow_mut(), field::ACK, ack);
    }

    /// Sets the checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put_u16(self.0.borrow_mut(), field::CHECKSUM, checksum);
    }
}

/// What a segment of our own says; it has no options, no payload and a window of zero.
#[derive(Clone, Copy, Debug)]
pub struct Repr {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
}

impl Repr {
    /// Writes the header, its checksum zero.
    pub fn write(&self, header: &mut [u8; LEN]) {
        Header(&mut *header).set_ports(self.src_port, self.dst_port);
        put_u32(header, field::SEQ, self.seq);
        put_u32(header, field::ACK, self.ack);
        header[field::OFFSET] = (LEN as u8 / 4) << 4;
        header[field::FLAGS] = self.flags.0;
        put_u16(header, field::WINDOW, 0);
        put_u16(header, field::CHECKSUM, 0);
        put_u16(header, field::URGENT, 0);
    }
}
/// The control bits of a segment, as on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u8);

/// What one segment says, read once and checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Sequence number of the first payload byte (or of the SYN).
    pub seq: u32,
    /// Acknowledgement number; meaningless unless ACK is set.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// Window as it stands on the wire, unscaled.
    pub window: u16,
    /// Payload, bytes.
    pub payload: u32,
    /// Window scale option (RFC 7323 §2.2), clamped to 14.
    pub scale: Option<u8>,
    /// Highest right edge of the SACK blocks (RFC 2018), if any.
    pub sack: Option<u32>,
}

impl Flags {
    /// FIN.
    pub const FIN: u8 = 0x01;
    /// SYN.
    pub const SYN: u8 = 0x02;
    /// RST.
    pub const RST: u8 = 0x04;
    /// PSH.
    pub const PSH: u8 = 0x08;
    /// ACK.
    pub const ACK: u8 = 0x10;
    /// URG.
    pub const URG: u8 = 0x20;

    /// Whether all bits of `mask` are set.
    pub const fn has(self, mask: u8) -> bool {
        self.0 & mask == mask
    }

    /// Whether no TCP sends these bits together: null, SYN+FIN, SYN+RST, FIN without ACK, xmas.
    ///
    /// PSH, ECE and CWR may stand beside any of the sets that make sense.
    #[inline]
    pub const fn is_nonsense(self) -> bool {
        let set = self.0 & (Self::FIN | Self::SYN | Self::RST | Self::ACK | Self::URG);
        SENSIBLE & (1 << set) == 0
    }

    /// Whether a segment with these bits opens a connection: a SYN without ACK.
    #[inline]
    pub const fn opens(self) -> bool {
        self.has(Self::SYN) && !self.has(Self::ACK) && !self.is_nonsense()
    }
}

/// The sets of control bits that a TCP sends, one bit for each: the same ones that conntrack
/// lets through (`tcp_valid_flags` of `net/netfilter/nf_conntrack_proto_tcp.c`).
const SENSIBLE: u64 = {
    let (fin, syn, rst) = (Flags::FIN, Flags::SYN, Flags::RST);
    let (ack, urg) = (Flags::ACK, Flags::URG);
    (1 << syn)
        | (1 << (syn | urg))
        | (1 << (syn | ack))
        | (1 << rst)
        | (1 << (rst | ack))
        | (1 << (fin | ack))
        | (1 << (fin | ack | urg))
        | (1 << ack)
        | (1 << (ack | urg))
};

impl std::fmt::Debug for Flags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (bit, name) in [
            (Self::SYN, 'S'),
            (Self::FIN, 'F'),
            (Self::RST, 'R'),
            (Self::PSH, 'P'),
            (Self::ACK, 'A'),
            (Self::URG, 'U'),
        ] {
            if self.has(bit) {
                write!(f, "{name}")?;
            }
        }
        Ok(())
    }
}

/// The options of the segment that `bytes` hold from its header on, kind and data, as far as they
/// can be walked.
pub fn options(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let end = checked(bytes).map_or(LEN, |header| header.data_offset());
    let mut rest = bytes.get(LEN..end).unwrap_or_default();
    std::iter::from_fn(move || {
        while let [option::NOP, tail @ ..] = rest {
            rest = tail;
        }
        let &[kind, length @ 2..=255, ..] = rest else {
            return None;
        };
        let (option, tail) = rest.split_at_checked(length.into())?;
        rest = tail;
        (kind != option::END).then(|| (kind, &option[2..]))
    })
}

impl Segment {
    /// Reads the segment that `bytes` hold from its header to its last payload byte.
    ///
    /// Options that cannot be walked to their end are taken as far as they go, as end hosts do.
    ///
    /// # Errors
    /// [`Malformed::BadTcpOffset`], [`Malformed::Truncated`].
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let header = checked(bytes)?;
        let offset = header.data_offset();
        let mut segment = Self {
            seq: header.seq(),
            ack: header.ack(),
            flags: header.flags(),
            window: header.window(),
            payload: (bytes.len() - offset) as u32,
            scale: None,
            sack: None,
        };
        match bytes.get(LEN..offset).unwrap_or_default() {
            [] => {}
            options if is_timestamp_only(options) => {}
            options => segment.read_options(options),
        }
        Ok(segment)
    }

    fn read_options(&mut self, options: &[u8]) {
        let mut rest = options;
        loop {
            rest = match *rest {
                [] | [option::END, ..] => return,
                [option::NOP, ref tail @ ..] => tail,
                [kind, length @ 2..=255, ..] => {
                    let Some((option, tail)) = rest.split_at_checked(length.into()) else {
                        return;
                    };
                    self.read_option(kind, &option[2..]);
                    tail
                }
                _ => return,
            };
        }
    }

    fn read_option(&mut self, kind: u8, data: &[u8]) {
        match (kind, data) {
            (option::WINDOW_SCALE, &[shift]) if self.flags.has(Flags::SYN) => {
                self.scale = Some(shift.min(MAX_SCALE));
            }
            (option::SACK, blocks) if blocks.len() % 8 == 0 => {
                for block in blocks.chunks_exact(8) {
                    let &[_, _, _, _, ref right @ ..] = block else {
                        return;
                    };
                    self.sack = later(self.sack, right);
                }
            }
            _ => {}
        }
    }

    /// Sequence numbers that the segment takes up: payload, plus one each for SYN and FIN.
    pub const fn length(&self) -> u32 {
        self.payload + self.flags.has(Flags::SYN) as u32 + self.flags.has(Flags::FIN) as u32
    }

    /// The sequence number after the segment's last.
    pub const fn end(&self) -> u32 {
        self.seq.wrapping_add(self.length())
    }

    /// The same that ends nothing.
    pub const fn without_fin(self) -> Self {
        Self {
            flags: Flags(self.flags.0 & !Flags::FIN),
            ..self
        }
    }
}

/// The edges of the SACK blocks (RFC 2018) in the options of a segment.
pub fn sack_edges(options: &mut [u8]) -> impl Iterator<Item = &mut [u8; 4]> {
    let blocks = sack_blocks(options).unwrap_or_default();
    let blocks = options.get_mut(blocks).unwrap_or_default();
    blocks
        .chunks_exact_mut(4)
        .filter_map(<[u8]>::first_chunk_mut)
}

/// The sender's clock and its echo of the other one (RFC 7323 §3), in the options of a segment.
pub fn clocks(options: &mut [u8]) -> Option<&mut [u8; 8]> {
    let clocks = data_of(options, option::TIMESTAMPS)?;
    options.get_mut(clocks)?.first_chunk_mut()
}

fn sack_blocks(options: &[u8]) -> Option<Range<usize>> {
    data_of(options, option::SACK)
}

/// Where the data of the first option of this kind stand.
fn data_of(options: &[u8], wanted: u8) -> Option<Range<usize>> {
    let mut at = 0;
    loop {
        at = match *options.get(at..)? {
            [] | [option::END, ..] => return None,
            [option::NOP, ..] => at + 1,
            [kind, length @ 2..=255, ..] if kind == wanted => {
                return Some(at + 2..at + usize::from(length));
            }
            [_, length @ 2..=255, ..] => at + usize::from(length),
            _ => return None,
        };
    }
}

/// Option kinds (RFC 9293 §3.1, RFC 7323, RFC 2018).
mod option {
    pub(super) const END: u8 = 0;
    pub(super) const NOP: u8 = 1;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK: u8 = 5;
    pub(super) const TIMESTAMPS: u8 = 8;
}

/// The largest shift count (RFC 7323 §2.3).
const MAX_SCALE: u8 = 14;

/// The options of nearly every segment of an established connection: NOP, NOP, timestamps
/// (RFC 7323 appendix A).
#[inline]
fn is_timestamp_only(options: &[u8]) -> bool {
    options.len() == 12 && options.starts_with(&[option::NOP, option::NOP, 8, 10])
}

/// The later of two sequence numbers, the second as its four bytes.
#[inline]
fn later(best: Option<u32>, edge: &[u8]) -> Option<u32> {
    let edge = u32::from_be_bytes(edge.try_into().ok()?);
    match best {
        Some(best) if (edge.wrapping_sub(best) as i32) < 0 => Some(best),
        _ => Some(edge),
    }
}

#[cfg(test)]
mod tests;
