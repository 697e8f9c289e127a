//! What a segment is to the state machine.

use crate::wire::tcp::Flags;

/// The class of a segment by its flags. A class hides those below it: SYN+ACK is a SYN, FIN+ACK
/// a FIN (`tcp_state_idx` of IPVS).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Event {
    /// SYN, with or without ACK.
    Syn,
    /// FIN+ACK.
    Fin,
    /// ACK alone.
    Ack,
    /// RST, with or without ACK.
    Rst,
}

impl Event {
    /// How many there are.
    pub const COUNT: usize = 4;

    /// All of them, in the order of the rows of a state table.
    pub const ALL: [Self; Self::COUNT] = [Self::Syn, Self::Fin, Self::Ack, Self::Rst];

    /// The class of a segment with these flags; `None` for combinations that no TCP sends: two of
    /// SYN, FIN and RST at once, or none of SYN, RST and ACK.
    pub const fn of(flags: Flags) -> Option<Self> {
        match flags.0 & (Flags::SYN | Flags::FIN | Flags::RST) {
            Flags::RST => Some(Self::Rst),
            Flags::SYN => Some(Self::Syn),
            Flags::FIN if flags.has(Flags::ACK) => Some(Self::Fin),
            0 if flags.has(Flags::ACK) => Some(Self::Ack),
            _ => None,
        }
    }

    /// The name of its row.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::Fin => "fin",
            Self::Ack => "ack",
            Self::Rst => "rst",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_has_the_class_of_its_strongest_flag_or_none() {
        for bits in 0..=u8::MAX {
            let flags = Flags(bits);
            let [syn, fin, rst, ack] =
                [Flags::SYN, Flags::FIN, Flags::RST, Flags::ACK].map(|f| flags.has(f));
            let expected = match (rst, syn, fin, ack) {
                (true, false, false, _) => Some(Event::Rst),
                (false, true, false, _) => Some(Event::Syn),
                (false, false, true, true) => Some(Event::Fin),
                (false, false, false, true) => Some(Event::Ack),
                _ => None,
            };
            assert_eq!(Event::of(flags), expected, "{flags:?}");
        }
    }
}
