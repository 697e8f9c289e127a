//! Connections that have just been agreed on. Most of the short ones have little more to say, and to enter
//! a flow and take it out again costs the director more than the few packets that the gate would forward
//! meanwhile. So the gate is told of a connection with its client's fifth packet, or, of one that
//! says less, when it has lived for a moment: both ways at once, without a packet, for which there may be no
//! director any more.

use super::waiting::Patient;
use crate::flow::Entry;
use crate::time::Ticks;
use crate::wire::{Protocol, Tuple};

/// Packets that the client of a young connection has sent at most: SYN, ACK, what it asks for, and an ACK
/// of what it gets.
const FEW: u32 = 4;

/// One that is to be told of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Young {
    /// The tuple of its client's packets.
    pub(super) original: Tuple,
    /// Where they come in.
    pub(super) port: u16,
}

impl Patient for Young {
    const PATIENCE: Ticks = Ticks(1);
    /// One that is not kept in view is told of with its packets.
    const ROOM: usize = 65_536;
}

/// Whether the gate is not to be told of a connection with its packets yet. Of a spliced one they are
/// not counted.
#[inline]
pub(super) fn is_young(entry: &Entry) -> bool {
    entry.protocol() == Protocol::Tcp && !entry.is_spliced() && entry.packets <= FEW
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Class;
    use crate::service::RealId;
    use crate::time::Tick;
    use crate::wire::{Addr, Endpoint};

    #[test]
    fn who_has_sent_few_packets_is_young_and_of_udp_nobody() {
        for (protocol, packets, young) in [
            (Protocol::Tcp, 2, true),
            (Protocol::Tcp, 4, true),
            (Protocol::Tcp, 5, false),
            (Protocol::Tcp, u32::MAX, false),
            (Protocol::Udp, 1, false),
            (Protocol::Sctp, 1, false),
        ] {
            let end = |last| Endpoint::new(Addr::v4([192, 0, 2, last]), 80);
            let original = Tuple {
                protocol,
                src: end(1),
                dst: end(2),
            };
            let mut entry = Entry::new(&original, RealId(1), 80, Class::Established, Tick(9));
            entry.packets = packets;
            assert_eq!(is_young(&entry), young, "{protocol:?} {packets}");
        }
    }
}
