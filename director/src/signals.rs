//! The signals that a director obeys. They are heard from its first moment: one that comes while it
//! starts waits until it can be obeyed, and does not end it.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// SIGHUP: read the files again.
    Reload,
    /// SIGTERM, SIGINT.
    End,
}

/// The signals that have come and those that will.
#[derive(Debug)]
pub struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Hears signals from now on; within a runtime.
    ///
    /// # Errors
    /// The system's.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// What the next one asks for; the end comes first.
    pub async fn next(&mut self) -> Order {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Order::End,
            _ = self.interrupt.recv() => Order::End,
            _ = self.hangup.recv() => Order::Reload,
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal, raise};

    use super::*;

    #[tokio::test]
    async fn what_comes_before_anybody_asks_is_not_lost_and_the_end_comes_first() {
        let mut signals = Signals::listen().unwrap();
        for signal in [Signal::SIGHUP, Signal::SIGHUP, Signal::SIGTERM] {
            raise(signal).unwrap();
        }
        assert_eq!(signals.next().await, Order::End);
        assert_eq!(signals.next().await, Order::Reload);
    }
}
