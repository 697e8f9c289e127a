//! Whether interfaces have the queues that the workers have sockets for: they may get others while a
//! director runs (`ethtool -L`), and these get sockets then.

use std::fmt;

use tracing::{info, warn};

use super::Director;
use crate::datapath::DatapathError;
use crate::gate::{Interface, Queues};

/// How the queues of an interface are served.
#[derive(Clone, Debug)]
pub(super) struct Served {
    /// Receive queues with a socket.
    pub(super) queues: u32,
    /// Why packets are lost, if they are.
    pub(super) misfit: Option<Misfit>,
}

/// Why packets are lost at an interface whose queues have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Receive queues have come, and not all could get a socket.
    Unheard {
        /// All of now.
        queues: u32,
        /// Those without.
        unheard: u32,
        /// Why the first of them is.
        why: String,
    },
    /// Transmit queues have gone that workers send through. `ethtool -L` refuses to take one away that has
    /// a socket; a driver may.
    Gone {
        /// Those of now.
        queues: u32,
        /// Workers, each of which needs one.
        workers: u32,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unheard {
                queues,
                unheard,
                why,
            } => write!(
                f,
                "{queues} receive queues, {unheard} of them without a socket (no_socket): {why}"
            ),
            Self::Gone { queues, workers } => write!(
                f,
                "{queues} transmit queues, but {workers} workers that send through one each; restart bulwarkd"
            ),
        }
    }
}

impl Misfit {
    /// Of an interface with so many transmit queues, which `workers` send through.
    fn gone(queues: u32, workers: u32) -> Option<Self> {
        (queues < workers).then_some(Self::Gone { queues, workers })
    }

    /// Of an interface with so many receive queues, of which so many have a socket.
    fn unheard(queues: u32, heard: u32, why: &DatapathError) -> Self {
        Self::Unheard {
            queues,
            unheard: queues - heard,
            why: why.to_string(),
        }
    }
}

impl Served {
    /// All queues that `interface` has had from the start.
    pub(super) fn of(interface: &Interface) -> Self {
        Self {
            queues: interface.queues.receive,
            misfit: None,
        }
    }

    /// Says in the log what is not as it was before.
    fn tell_since(&self, before: &Self, interface: &str) {
        if self.queues > before.queues {
            let (before, queues) = (before.queues, self.queues);
            info!(interface, before, queues, "further queues have sockets");
        }
        match &self.misfit {
            Some(why) if before.misfit != self.misfit => {
                warn!(interface, %why, "packets are lost");
            }
            None if before.misfit.is_some() => {
                info!(interface, "the workers have all of its queues again");
            }
            _ => {}
        }
    }
}

impl Director {
    /// Looks whether the interfaces have the queues that there are sockets for, and opens those that are
    /// missing, which blocks. To be called about once a second.
    pub fn look_at_queues(&self) {
        let links = self.neighbourhood.links().borrow().clone();
        for link in links.iter() {
            if let (Some(port), Some(now)) = (link.port, Queues::of(&link.name)) {
                self.serve_queues(port.into(), now);
            }
        }
    }

    fn serve_queues(&self, port: usize, now: Queues) {
        let (interface, _) = &self.facts.interfaces[port];
        let mut sockets = self.sockets.lock();
        let opened = sockets.serve(&self.gate, port, interface, now.receive);
        let heard = sockets.count(port, now.receive);
        let unheard = opened.err();
        let unheard = unheard.map(|why| Misfit::unheard(now.receive, heard, &why));
        let workers = self.facts.workers.len() as u32;
        let served = Served {
            queues: sockets.count(port, u32::MAX),
            misfit: Misfit::gone(now.transmit, workers).or(unheard),
        };
        let before = std::mem::replace(&mut self.served.lock()[port], served.clone());
        served.tell_since(&before, &interface.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_needs_a_queue_to_send_through() {
        assert_eq!(Misfit::gone(2, 2), None);
        assert_eq!(Misfit::gone(4, 2), None);
        let gone = Misfit::gone(1, 2).unwrap();
        assert!(
            gone.to_string()
                .starts_with("1 transmit queues, but 2 workers")
        );
    }

    #[test]
    fn queues_without_a_socket_are_told_of_with_the_reason() {
        let why = DatapathError::NoFrames {
            worker: 1,
            interface: "eth0".to_owned(),
            queue: 5,
        };
        let told = Misfit::unheard(8, 5, &why).to_string();
        let whole = format!("8 receive queues, 3 of them without a socket (no_socket): {why}");
        assert_eq!(told, whole);
    }
}
