//! Fragmentation of IPv4 datagrams, as a router does it (RFC 791 §3.2, RFC 1812 §4.2.2.7).

use super::from;
use crate::wire::{Layout, Version, ipv4};

/// The fewest bytes of payload that a fragment may have: no link takes less (RFC 791 §3.2).
const LEAST: usize = 8;

/// Whether routers may fragment the datagram: IPv4 without DF.
#[inline(never)]
pub fn may_be_cut(frame: &[u8], layout: &Layout) -> bool {
    let header = ipv4::header(layout.datagram(frame));
    layout.version == Version::V4 && header.is_some_and(|header| !header.dont_fragment())
}

/// Lets routers fragment the datagram although its sender has not; `ident` is one that is free.
#[inline(never)]
pub fn lift_dont_fragment(frame: &mut [u8], layout: &Layout, ident: u16) {
    if layout.version != Version::V4 {
        return;
    }
    let header = ipv4::header_mut(from(frame, layout.network));
    if let Some(mut header) = header.filter(|header| header.dont_fragment()) {
        header.lift_dont_fragment(ident);
    }
}

/// How a datagram, or a fragment of one, is cut.
#[derive(Clone, Copy, Debug)]
pub struct Cuts {
    layout: Layout,
    header: usize,
    /// Payload of each fragment but the last, a multiple of eight bytes.
    step: usize,
    /// Where the payload stands in that of the whole datagram, bytes.
    offset: u16,
    /// Whether other fragments follow all of it.
    more: bool,
}

impl Cuts {
    /// The fragments of at most `mtu` bytes that the datagram of `frame` makes; none if it may not
    /// be cut so.
    pub fn of(frame: &[u8], layout: &Layout, mtu: u32) -> Option<Self> {
        if !may_be_cut(frame, layout) {
            return None;
        }
        let ip = ipv4::header(layout.datagram(frame))?;
        let header = ip.header_len().ok()?;
        let step = (mtu as usize).checked_sub(header)? & !7;
        (step >= LEAST).then_some(Self {
            layout: *layout,
            header,
            step,
            offset: ip.fragment_offset(),
            more: ip.more_fragments(),
        })
    }

    /// How many fragments there are.
    pub fn count(&self) -> usize {
        self.payload().div_ceil(self.step).max(1)
    }

    fn payload(&self) -> usize {
        usize::from(self.layout.datagram_len()) - self.header
    }

    /// Writes fragment `n`, not the first, into a frame of its own; returns how it stands there.
    pub fn write(&self, n: usize, from: &[u8], into: &mut [u8]) -> Layout {
        let network = usize::from(self.layout.network);
        let options = from.get(network + ipv4::LEN..network + self.header);
        let mut kept = [0; ipv4::MAX_OPTIONS];
        let kept = ipv4::copied_options(options.unwrap_or_default(), &mut kept);
        let start = network + self.header + n * self.step;
        let end = (start + self.step).min(self.layout.end.into());
        let parts = [
            from.get(..network + ipv4::LEN).unwrap_or_default(),
            kept,
            from.get(start..end).unwrap_or_default(),
        ];
        let mut at = 0;
        for part in parts {
            if let Some(place) = into.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
            at += part.len();
        }
        self.seal(n, into, ipv4::LEN + kept.len(), at)
    }

    /// Makes of the datagram its first fragment; returns how it stands there.
    pub fn keep_first(&self, frame: &mut [u8]) -> Layout {
        let end = usize::from(self.layout.network) + self.header + self.step;
        self.seal(0, frame, self.header, end.min(self.layout.end.into()))
    }

    /// Brings the header of fragment `n`, which ends at `end`, after its place.
    fn seal(&self, n: usize, frame: &mut [u8], header: usize, end: usize) -> Layout {
        let network = usize::from(self.layout.network);
        let offset = self.offset + (n * self.step) as u16;
        let more = self.more || n + 1 < self.count();
        if let Some(datagram) = frame.get_mut(network..end) {
            ipv4::set_fragment(datagram, header, offset, more);
        }
        Layout {
            transport: (network + header) as u16,
            end: end as u16,
            ..self.layout
        }
    }
}

#[cfg(test)]
mod tests;
