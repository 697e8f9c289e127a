//! How many workers there are, and which of them has which queues.
//!
//! A worker sends through its first queue of an interface, which has to be one to send through, too: so
//! no interface may have fewer queues of either kind than there are workers.

use tracing::warn;

use super::{DatapathError, Settings};
use crate::gate::Interface;
use crate::worker::{Inlet, Worker};
use crate::xsk::{Binding, CopyMode, Opener, RingSizes, Umem};

/// Queues of one kind that an interface has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Supply<'a> {
    interface: &'a str,
    kind: &'static str,
    queues: usize,
}

impl<'a> Supply<'a> {
    /// Those of which there are the fewest; none without an interface.
    fn shortest(interfaces: &'a [Interface]) -> Option<Self> {
        let both = interfaces
            .iter()
            .flat_map(|it| [Self::to_receive(it), Self::to_transmit(it)]);
        both.min_by_key(|supply| supply.queues)
    }

    fn to_receive(interface: &'a Interface) -> Self {
        Self {
            interface: &interface.name,
            kind: "receive",
            queues: interface.queues.receive as usize,
        }
    }

    fn to_transmit(interface: &'a Interface) -> Self {
        Self {
            interface: &interface.name,
            kind: "transmit",
            queues: interface.queues.transmit as usize,
        }
    }
}

/// Which worker has which queues.
pub(super) struct Plan<'a> {
    interfaces: &'a [Interface],
    settings: &'a Settings,
    workers: usize,
}

impl<'a> Plan<'a> {
    /// As many workers as are wanted, or one a receive queue, as far as there are queues for them. Says in
    /// the log when there are not.
    pub(super) fn of(interfaces: &'a [Interface], settings: &'a Settings) -> Self {
        let receiving = interfaces.iter().map(Supply::to_receive);
        let receiving = receiving.map(|supply| supply.queues).min().unwrap_or(1);
        let wanted = settings.workers.unwrap_or(receiving);
        let shortest = Supply::shortest(interfaces);
        let workers = wanted.clamp(1, shortest.map_or(1, |supply| supply.queues));
        if let Some(supply) = shortest.filter(|_| workers < wanted) {
            let Supply {
                interface,
                kind,
                queues,
            } = supply;
            warn!(
                "workers: {workers}, not {wanted}: each needs a {kind} queue of every interface, and {interface} has {queues} (ethtool -l {interface})"
            );
        }
        Self {
            interfaces,
            settings,
            workers,
        }
    }

    /// Makes them, with their sockets, and the ways by which they get further ones.
    ///
    /// # Errors
    /// See [`DatapathError`].
    pub(super) fn workers(
        &self,
        mode: CopyMode,
    ) -> Result<(Vec<Worker>, Vec<Inlet>), DatapathError> {
        (0..self.workers).map(|id| self.worker(id, mode)).collect()
    }

    fn worker(&self, id: usize, mode: CopyMode) -> Result<(Worker, Inlet), DatapathError> {
        let frames = self.settings.frames;
        let memory = |error| DatapathError::Memory { frames, error };
        let (umem, free) = Umem::new(frames).map_err(memory)?;
        let sizes = RingSizes {
            receive: self.settings.ring,
            transmit: self.settings.ring,
        };
        let mut opener = Opener::new(&umem);
        let mut ports = Vec::new();
        for interface in self.interfaces {
            let mut sockets = Vec::new();
            let queues = 0..interface.queues.receive;
            for queue in queues.filter(|queue| worker_of(*queue, self.workers) == id) {
                let binding = Binding {
                    ifindex: interface.index,
                    queue,
                    mode,
                };
                let socket = opener.open(binding, sizes);
                let failed = |error| DatapathError::socket(interface, queue, error);
                sockets.push((queue, socket.map_err(failed)?));
            }
            ports.push(sockets);
        }
        Ok(Worker::new(opener, free, ports, sizes))
    }
}

/// Which of so many workers has this queue, of every interface.
pub(super) const fn worker_of(queue: u32, workers: usize) -> usize {
    queue as usize % workers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::Mode;
    use crate::gate::Queues;

    fn interface(name: &str, receive: u32, transmit: u32) -> Interface {
        Interface {
            name: name.to_owned(),
            index: 1,
            queues: Queues { receive, transmit },
            is_device: false,
        }
    }

    fn settings(workers: Option<usize>) -> Settings {
        Settings {
            interfaces: Vec::new(),
            mode: Mode::Auto,
            workers,
            frames: 128,
            ring: 64,
            flows: 0,
            connections: 0,
            pin: None,
        }
    }

    #[test]
    fn there_are_as_many_workers_as_can_receive_and_send_everywhere() {
        let workers = |queues: &[(u32, u32)], wanted| {
            let queues = queues.iter();
            let interfaces: Vec<_> = queues
                .map(|(receive, transmit)| interface("eth0", *receive, *transmit))
                .collect();
            Plan::of(&interfaces, &settings(wanted)).workers
        };
        assert_eq!(workers(&[(4, 4), (4, 4)], None), 4);
        assert_eq!(workers(&[(4, 4), (2, 8)], None), 2);
        assert_eq!(workers(&[(4, 1), (4, 4)], None), 1);
        assert_eq!(workers(&[(4, 4), (4, 2)], None), 2);
        assert_eq!(workers(&[(4, 4), (4, 4)], Some(3)), 3);
        assert_eq!(workers(&[(4, 2), (4, 4)], Some(3)), 2);
        assert_eq!(workers(&[(4, 4), (2, 4)], Some(3)), 2);
        assert_eq!(workers(&[], Some(3)), 1);
    }

    #[test]
    fn queues_go_round_the_workers() {
        let workers = |workers| {
            (0..5)
                .map(|queue| worker_of(queue, workers))
                .collect::<Vec<_>>()
        };
        assert_eq!(workers(1), [0; 5]);
        assert_eq!(workers(2), [0, 1, 0, 1, 0]);
        assert_eq!(workers(5), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn the_shortest_supply_is_named() {
        let interfaces = [interface("eth0", 4, 4), interface("eth1", 3, 2)];
        let shortest = Supply::shortest(&interfaces).unwrap();
        assert_eq!(
            (shortest.interface, shortest.kind, shortest.queues),
            ("eth1", "transmit", 2)
        );
        assert_eq!(Supply::shortest(&interfaces[..1]).unwrap().kind, "receive");
    }
}
