//! When a packet of a known connection is scheduled anew: a client port that comes again, and a
//! real server that is no more.

use adminapi::sysctl::Sysctl;

use super::view::View;
use crate::flow::Entry;
use crate::service::{Real, Standing};
use crate::tcp::State;
use crate::wire::tcp::Segment;
use crate::wire::{Protocol, Transport};

impl View<'_> {
    /// Whether a client's SYN leaves the connection that it has found behind.
    ///
    /// As `is_new_conn_expected`, and two things more: no mode keeps a SYN at a real server of
    /// weight 0 when its connection is over, since that would never end; and an established
    /// connection ends by what its ends say, not by a SYN that anyone can forge.
    #[inline(never)]
    pub(super) fn leaves(&self, entry: &Entry, real: &Real) -> bool {
        let mode = self.sysctls.number(Sysctl::ConnReuseMode);
        let quiescent = real.weight == 0;
        match entry.tracking.state {
            State::TimeWait | State::Close => mode != 0 || quiescent,
            State::Established => false,
            State::FinWait if mode & 2 != 0 && entry.is_one_way() => true,
            _ => quiescent && self.sysctls.is_on(Sysctl::ExpireNodestConn),
        }
    }

    /// Whether a client's packet that its connection's real server cannot get is given to
    /// another one: datagrams when the real server was removed, which have nothing to lose;
    /// segments only by `expire_nodest_conn`; and the SYN after the end of a connection.
    #[inline(never)]
    pub(super) fn moves_on(
        &self,
        entry: &Entry,
        real: &Real,
        frame: &[u8],
        packet: &Transport,
    ) -> bool {
        let removed = real.standing == Standing::Removed;
        match packet.tuple.protocol {
            Protocol::Udp => removed,
            Protocol::Tcp => {
                let segment = Segment::parse(packet.layout.segment(frame));
                removed && self.sysctls.is_on(Sysctl::ExpireNodestConn)
                    || entry.tracking.state.is_over() && segment.is_ok_and(|s| s.flags.opens())
            }
        }
    }
}
