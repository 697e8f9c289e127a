//! What a real server carries now.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use crate::{sctp, tcp};

/// As what a connection counts for its real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its handshake is under way; counts as active, too.
    HalfOpen,
    /// Active (ActiveConn).
    Active,
    /// Not active (InActConn).
    Inactive,
}

impl From<tcp::State> for Phase {
    #[inline]
    fn from(state: tcp::State) -> Self {
        match state {
            _ if state.is_half_open() => Self::HalfOpen,
            _ if state.is_active() => Self::Active,
            _ => Self::Inactive,
        }
    }
}

impl From<sctp::State> for Phase {
    #[inline]
    fn from(state: sctp::State) -> Self {
        match state {
            _ if state.is_active() => Self::Active,
            _ => Self::Inactive,
        }
    }
}

/// Connections that a real server has now, counted by all workers.
#[derive(Debug, Default)]
pub struct Load {
    half_open: AtomicU32,
    active: AtomicU32,
    inactive: AtomicU32,
    /// Whether the upper threshold has been reached and not left since.
    overloaded: AtomicBool,
    sticking: AtomicU32,
    /// Whether its agent is there, and takes connections that cookies have proved.
    takes_cookies: AtomicBool,
}

impl Load {
    /// So many connections.
    #[cfg(test)]
    pub(crate) fn of(active: u32, inactive: u32) -> Self {
        Self {
            half_open: 0.into(),
            active: active.into(),
            inactive: inactive.into(),
            overloaded: false.into(),
            sticking: 0.into(),
            takes_cookies: false.into(),
        }
    }

    /// Connections whose handshake is under way.
    pub fn half_open(&self) -> u32 {
        self.half_open.load(Relaxed)
    }

    /// Connections in a state that counts as active (ActiveConn), half-open ones among them.
    #[inline]
    pub fn active(&self) -> u32 {
        self.active.load(Relaxed).saturating_add(self.half_open())
    }

    /// Its other connections (InActConn).
    #[inline]
    pub fn inactive(&self) -> u32 {
        self.inactive.load(Relaxed)
    }

    /// All its connections.
    pub fn connections(&self) -> u32 {
        self.active().saturating_add(self.inactive())
    }

    /// Clients that stick to it (PersistConn).
    pub fn sticking(&self) -> u32 {
        self.sticking.load(Relaxed)
    }

    /// A client sticks to it from now on.
    pub fn stick(&self) {
        self.sticking.fetch_add(1, Relaxed);
    }

    /// A client does not stick to it any more.
    pub fn unstick(&self) {
        self.sticking.fetch_sub(1, Relaxed);
    }

    /// Whether the upper threshold has been reached and not left since.
    pub(super) fn is_overloaded(&self) -> bool {
        self.overloaded.load(Relaxed)
    }

    pub(super) fn set_overloaded(&self, is: bool) {
        self.overloaded.store(is, Relaxed);
    }

    /// Whether it takes connections that cookies have proved.
    pub fn takes_cookies(&self) -> bool {
        self.takes_cookies.load(Relaxed)
    }

    /// Says whether it does.
    pub fn set_takes_cookies(&self, takes: bool) {
        self.takes_cookies.store(takes, Relaxed);
    }

    /// Whether nothing in the director's tables leads to it.
    pub fn is_idle(&self) -> bool {
        self.connections() == 0 && self.sticking() == 0
    }

    /// A connection has come.
    #[inline]
    pub fn enter(&self, phase: Phase) {
        self.counter(phase).fetch_add(1, Relaxed);
    }

    /// A connection has gone.
    #[inline]
    pub fn leave(&self, phase: Phase) {
        self.counter(phase).fetch_sub(1, Relaxed);
    }

    /// The same at this moment, with one connection less.
    #[must_use]
    pub fn without(&self, phase: Phase) -> Self {
        let rest = Self {
            half_open: self.half_open().into(),
            active: self.active.load(Relaxed).into(),
            inactive: self.inactive().into(),
            overloaded: self.is_overloaded().into(),
            sticking: self.sticking().into(),
            takes_cookies: self.takes_cookies().into(),
        };
        let counter = rest.counter(phase);
        counter.store(counter.load(Relaxed).saturating_sub(1), Relaxed);
        rest
    }

    /// A connection has changed its state.
    #[inline]
    pub fn turn(&self, was: Phase, is: Phase) {
        if was != is {
            self.enter(is);
            self.leave(was);
        }
    }

    const fn counter(&self, phase: Phase) -> &AtomicU32 {
        match phase {
            Phase::HalfOpen => &self.half_open,
            Phase::Active => &self.active,
            Phase::Inactive => &self.inactive,
        }
    }
}
