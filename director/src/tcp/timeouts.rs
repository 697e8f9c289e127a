//! How long a connection lives after its last packet.

use super::State;
use crate::time::Ticks;

/// The longest timeout that can be set, seconds: 31 days, as ipvsadm has it.
const LONGEST: u32 = 31 * 24 * 60 * 60;

/// Timeouts by state, with the kernel's defaults (`tcp_timeouts`, `udp_timeouts`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Seconds, by state.
    tcp: [u32; State::COUNT],
    /// Seconds.
    udp: u32,
    /// The longest that a connection on probation lives under attack.
    brief: Brief,
}

/// The timeouts under attack of what is not proved, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brief {
    /// SYN_RECV: the real server has not answered.
    pub syn_recv: u32,
    /// SYNACK, and whatever else is not proved yet.
    pub syn_ack: u32,
    /// UDP of which the client was heard once.
    pub udp_once: u32,
}

impl Default for Brief {
    fn default() -> Self {
        Self {
            syn_recv: 10,
            syn_ack: 60,
            udp_once: 10,
        }
    }
}

/// A timeout above 2678400 seconds (31 days).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a timeout of {0} s is too long; the longest is {LONGEST} s (31 days)")]
pub struct TimeoutTooLong(pub u32);

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp: State::ALL.map(|state| match state {
                State::None => 2,
                State::Established => 15 * 60,
                State::SynSent
                | State::FinWait
                | State::TimeWait
                | State::Listen
                | State::SynAck => 2 * 60,
                State::SynRecv | State::CloseWait => 60,
                State::LastAck => 30,
                State::Close => 10,
            }),
            udp: 5 * 60,
            brief: Brief::default(),
        }
    }
}

impl Timeouts {
    /// Sets the timeouts under attack.
    pub fn set_brief(&mut self, brief: Brief) {
        self.brief = brief;
    }

    /// Sets what `ipvsadm --set tcp tcpfin udp` sets, in seconds: ESTABLISHED, FIN_WAIT and UDP;
    /// 0 leaves one as it is. Connections take their new timeout with their next packet.
    ///
    /// # Errors
    /// [`TimeoutTooLong`] when one is above 31 days; then nothing is changed.
    pub fn set(&mut self, tcp: u32, tcpfin: u32, udp: u32) -> Result<(), TimeoutTooLong> {
        if let Some(long) = [tcp, tcpfin, udp].into_iter().find(|&t| t > LONGEST) {
            return Err(TimeoutTooLong(long));
        }
        let or = |value, old| if value == 0 { old } else { value };
        let [old_tcp, old_tcpfin, old_udp] = self.shown();
        self.tcp[State::Established as usize] = or(tcp, old_tcp);
        self.tcp[State::FinWait as usize] = or(tcpfin, old_tcpfin);
        self.udp = or(udp, old_udp);
        Ok(())
    }

    /// The longest of those that connections have which the gate forwards.
    pub fn longest_of_cached(&self) -> Ticks {
        self.tcp(State::Established).max(self.udp())
    }

    /// What `ipvsadm -L --timeout` shows, in seconds: ESTABLISHED, FIN_WAIT, UDP.
    pub const fn shown(&self) -> [u32; 3] {
        [
            self.tcp[State::Established as usize],
            self.tcp[State::FinWait as usize],
            self.udp,
        ]
    }

    /// The timeout of a TCP connection in `state`.
    #[inline]
    pub const fn tcp(&self, state: State) -> Ticks {
        Ticks::seconds(self.tcp[state as usize])
    }

    /// The timeout in `state` of a connection that is on probation: never longer than that of a
    /// handshake.
    pub fn on_probation(&self, state: State) -> Ticks {
        let longest = self.tcp[State::SynAck as usize];
        Ticks::seconds(self.tcp[state as usize].min(longest))
    }

    /// The same under attack.
    pub fn on_brief_probation(&self, state: State) -> Ticks {
        let longest = match state {
            State::SynRecv => self.brief.syn_recv,
            _ => self.brief.syn_ack,
        };
        self.on_probation(state).min(Ticks::seconds(longest))
    }

    /// The timeout of a UDP flow.
    #[inline]
    pub const fn udp(&self) -> Ticks {
        Ticks::seconds(self.udp)
    }

    /// The same under attack, as long as its client was heard once only.
    #[inline]
    pub const fn udp_once(&self) -> Ticks {
        let (usual, brief) = (self.udp, self.brief.udp_once);
        Ticks::seconds(if brief < usual { brief } else { usual })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_kernels() {
        let timeouts = Timeouts::default();
        let seconds = State::ALL.map(|state| timeouts.tcp(state).as_seconds_ceil());
        assert_eq!(seconds, [2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120]);
        assert_eq!(timeouts.shown(), [900, 120, 300]);
    }

    #[test]
    fn set_changes_three_and_zero_changes_none() {
        let mut timeouts = Timeouts::default();
        timeouts.set(30, 20, 10).unwrap();
        assert_eq!(timeouts.shown(), [30, 20, 10]);
        timeouts.set(0, 0, 7).unwrap();
        assert_eq!(timeouts.shown(), [30, 20, 7]);
        assert_eq!(timeouts.tcp(State::TimeWait), Ticks::seconds(120));
        assert_eq!(timeouts.tcp(State::CloseWait), Ticks::seconds(60));
    }

    #[test]
    fn probation_is_never_longer_than_a_handshake_and_brief_under_attack() {
        let timeouts = Timeouts::default();
        for (state, peace, siege) in [
            (State::SynRecv, 60, 10),
            (State::SynAck, 120, 60),
            (State::Established, 120, 60),
            (State::FinWait, 120, 60),
            (State::CloseWait, 60, 60),
            (State::Close, 10, 10),
        ] {
            assert_eq!(
                timeouts.on_probation(state),
                Ticks::seconds(peace),
                "{state}"
            );
            assert_eq!(
                timeouts.on_brief_probation(state),
                Ticks::seconds(siege),
                "{state}"
            );
        }
    }

    #[test]
    fn a_timeout_above_31_days_changes_nothing() {
        let mut timeouts = Timeouts::default();
        assert_eq!(
            timeouts.set(1, 1, LONGEST + 1),
            Err(TimeoutTooLong(LONGEST + 1))
        );
        assert_eq!(timeouts, Timeouts::default());
        timeouts.set(LONGEST, 0, 0).unwrap();
        assert_eq!(timeouts.shown(), [LONGEST, 120, 300]);
    }
}
