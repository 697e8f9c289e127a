//! Whether interfaces have the queues that the workers were made for: they may get others while a
//! director runs (`ethtool -L`), but a worker gets no other sockets.

use std::fmt;

use tracing::{info, warn};

use super::Director;
use crate::gate::Queues;

/// Why packets are lost at an interface whose queues have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Receive queues have come that no socket belongs to.
    Unheard {
        /// All of now.
        queues: u32,
        /// Those with a socket, the first ones.
        heard: u32,
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
            Self::Unheard { queues, heard } => write!(
                f,
                "{queues} receive queues, but only the first {heard} have a socket (no_socket); restart bulwarkd"
            ),
            Self::Gone { queues, workers } => write!(
                f,
                "{queues} transmit queues, but {workers} workers that send through one each; restart bulwarkd"
            ),
        }
    }
}

impl Misfit {
    /// What does not fit at an interface that has the queues of `now`, where `workers` were made for
    /// those of `then`.
    fn between(then: Queues, workers: u32, now: Queues) -> Option<Self> {
        if now.transmit < workers {
            return Some(Self::Gone {
                queues: now.transmit,
                workers,
            });
        }
        (now.receive > then.receive).then_some(Self::Unheard {
            queues: now.receive,
            heard: then.receive,
        })
    }
}

impl Director {
    /// Looks whether the interfaces have the queues that the workers were made for. To be called about
    /// once a second.
    pub fn look_at_queues(&self) {
        let links = self.neighbourhood.links().borrow().clone();
        let workers = self.facts.workers.len() as u32;
        for link in links.iter() {
            let Some(port) = link.port else {
                continue;
            };
            let Some(now) = Queues::of(&link.name) else {
                continue;
            };
            let (interface, _) = &self.facts.interfaces[usize::from(port)];
            let misfit = Misfit::between(interface.queues, workers, now);
            let before = self.note_misfit(port, misfit);
            match misfit {
                Some(why) if before != misfit => {
                    warn!(interface = %link.name, %why, "packets are lost");
                }
                None if before.is_some() => {
                    info!(interface = %link.name, "the workers have all of its queues again");
                }
                _ => {}
            }
        }
    }

    fn note_misfit(&self, port: u16, misfit: Option<Misfit>) -> Option<Misfit> {
        let mut misfits = self.misfits.lock();
        match misfit {
            Some(misfit) => misfits.insert(port, misfit),
            None => misfits.remove(&port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_that_come_are_not_heard_and_those_that_go_carry_nothing() {
        let queues = |receive, transmit| Queues { receive, transmit };
        let misfit = |now| Misfit::between(queues(4, 2), 2, now);
        assert_eq!(misfit(queues(4, 2)), None);
        assert_eq!(misfit(queues(4, 4)), None);
        assert_eq!(misfit(queues(2, 2)), None);
        let unheard = Misfit::Unheard {
            queues: 8,
            heard: 4,
        };
        assert_eq!(misfit(queues(8, 8)), Some(unheard));
        let gone = Misfit::Gone {
            queues: 1,
            workers: 2,
        };
        assert_eq!(misfit(queues(4, 1)), Some(gone));
    }
}
