//! When a packet of a known connection is scheduled anew: a client port that comes again, and a
//! real server that is no more.

use adminapi::sysctl::Sysctl;

use super::view::View;
use crate::flow::{Direction, Entry, Tracked};
use crate::service::{Real, Standing};
use crate::wire::Transport;
use crate::wire::tcp::Segment;
use crate::{sctp, tcp};

/// As `is_new_conn_expected`, and two things more: no mode keeps a client at a real server of
/// weight 0 when its connection is over, since that would never end; and an established connection
/// ends by what its ends say, not by a SYN that anyone can forge.
impl View<'_> {
    /// Whether the SYN of who has opened it leaves the connection behind that it has found.
    #[inline(never)]
    pub(super) fn leaves_tcp(&self, state: tcp::State, real: &Real) -> bool {
        // One whose tuple is held is never challenged, but stays where it is known.
        if real.cookies.answers() && real.weight > 0 {
            return false;
        }
        let after_fin = self.sysctls.number(Sysctl::ConnReuseMode) & 2 != 0;
        match state {
            tcp::State::TimeWait | tcp::State::Close => self.leaves_the_dead(real),
            tcp::State::FinWait if after_fin && real.method.is_one_way() => true,
            tcp::State::Established => false,
            _ => self.leaves_the_quiescent(real),
        }
    }

    /// Whether a client's INIT leaves the association behind that it has found.
    pub(super) fn leaves_sctp(&self, state: sctp::State, real: &Real) -> bool {
        match state {
            over if over.is_over() => self.leaves_the_dead(real),
            sctp::State::Established => false,
            _ => self.leaves_the_quiescent(real),
        }
    }

    /// Whether a packet that its connection's real server could get opens the next one, as
    /// [`View::judge`] has it.
    pub(super) fn reopens(
        &self,
        entry: &Entry,
        real: &Real,
        frame: &[u8],
        packet: &Transport,
        way: Direction,
    ) -> bool {
        let segment = packet.layout.segment(frame);
        match (&entry.tracked, entry.side(way)) {
            (Tracked::Tcp(tcp), Direction::Original) => {
                let opens = Segment::parse(segment).is_ok_and(|s| s.flags.opens());
                opens && self.leaves_tcp(tcp.state, real)
            }
            (Tracked::Sctp(sctp), Direction::Original) => {
                let packet = sctp::Packet::read(segment);
                let opens = packet.is_ok_and(|p| p.event == sctp::Event::Init);
                opens && self.leaves_sctp(sctp.state, real)
            }
            _ => false,
        }
    }

    fn leaves_the_dead(&self, real: &Real) -> bool {
        self.sysctls.is_on(Sysctl::ConnReuseMode) || real.weight == 0
    }

    fn leaves_the_quiescent(&self, real: &Real) -> bool {
        self.sysctls.is_on(Sysctl::ExpireNodestConn) && real.weight == 0
    }

    /// Whether a client's packet that its connection's real server cannot get is given to
    /// another one: datagrams when the real server was removed, which have nothing to lose;
    /// what belongs to a connection only by `expire_nodest_conn`; and what opens the next
    /// connection after the end of one.
    #[inline(never)]
    pub(super) fn moves_on(
        &self,
        entry: &Entry,
        real: &Real,
        frame: &[u8],
        packet: &Transport,
    ) -> bool {
        let removed = real.standing == Standing::Removed;
        let expires = removed && self.sysctls.is_on(Sysctl::ExpireNodestConn);
        let segment = packet.layout.segment(frame);
        match &entry.tracked {
            Tracked::Tcp(tcp) => {
                let opens = || Segment::parse(segment).is_ok_and(|s| s.flags.opens());
                expires || tcp.state.is_over() && opens()
            }
            Tracked::Sctp(sctp) => {
                let packet = || sctp::Packet::read(segment);
                let opens = || packet().is_ok_and(|p| p.event == sctp::Event::Init);
                expires || sctp.state.is_over() && opens()
            }
            Tracked::Udp | Tracked::Call(_) => removed,
        }
    }
}
