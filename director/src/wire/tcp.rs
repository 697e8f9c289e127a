//! TCP segments (RFC 9293 §3.1).

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
}

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

impl Segment {
    /// Sequence numbers that the segment takes up: payload, plus one each for SYN and FIN.
    pub const fn length(&self) -> u32 {
        self.payload + self.flags.has(Flags::SYN) as u32 + self.flags.has(Flags::FIN) as u32
    }

    /// The sequence number after the segment's last.
    pub const fn end(&self) -> u32 {
        self.seq.wrapping_add(self.length())
    }
}
