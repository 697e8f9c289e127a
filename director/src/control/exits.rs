//! Which interfaces deliver what the gate sends: packets of connections on the fast path, and answers to
//! SYNs.

use tracing::{info, warn};

use super::Director;
use crate::exits::{Lane, Station};
use crate::wire::Mac;

impl Director {
    /// Looks whether the interfaces deliver what the gate sends through them. To be called about
    /// once a second, and when links change.
    pub fn look_at_lanes(&self) {
        let links = self.neighbourhood.links().borrow().clone();
        let mut exits = self.exits.lock();
        for link in links.iter() {
            let Some(port) = link.port.map(usize::from) else {
                continue;
            };
            let station = Station {
                mac: link.mac.map(Mac),
                up: link.up,
            };
            if let Some(lane) = exits.look(port, station) {
                self.tell_lane(&link.name, lane);
            }
            exits.choose_way(port, link.ifindex);
        }
    }

    fn tell_lane(&self, interface: &str, lane: &Lane) {
        match (lane, &self.shared.fast) {
            (Lane::On, Some(_)) => info!(%interface, "fast path on"),
            (Lane::On, None) => info!(%interface, "the gate answers through it"),
            (why, Some(_)) => warn!(%interface, %why, "fast path off"),
            (why, None) => warn!(%interface, %why, "workers answer in the place of the gate"),
        }
    }

    /// Why packets that leave through an interface take the slow path, if they do.
    pub(super) fn slow_because(&self, lane: &Lane) -> Option<String> {
        if self.shared.fast.is_none() {
            return Some("fast_path = false".to_owned());
        }
        (*lane != Lane::On).then(|| lane.to_string())
    }
}
