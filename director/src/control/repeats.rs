//! The UDP services whose clients have to come twice: those that a flood of new ones makes too much of.

use std::collections::BTreeSet;

use adminapi::model::{RepeatPolicy, RepeatStatus};
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use tracing::{info, warn};

use super::events::EventKind;
use super::unix::unix_now;
use super::{Director, translate};
use crate::gate::{MAX_REPEATING_SERVICES, Repeating};
use crate::service::{Service, ServiceKey};
use crate::wire::Protocol;

/// A service whose clients have had to come twice.
#[derive(Debug)]
struct Asked {
    slot: u16,
    /// What had been counted there before.
    before: u64,
    /// What the gate was told last.
    told: Option<Repeating>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Asking(FxHashMap<ServiceKey, Asked>);

/// Behind a lock of its own. Who has that of the watch does not take it.
pub(super) type Askings = Mutex<Asking>;

impl Asking {
    /// The smallest place that nobody has.
    fn free_slot(&self) -> Option<u16> {
        let taken: BTreeSet<_> = self.0.values().map(|asked| asked.slot).collect();
        (0..MAX_REPEATING_SERVICES).find(|slot| !taken.contains(slot))
    }
}

/// Whether the gate can have the clients of a service come twice: UDP, to one port.
fn can_ask(service: &Service) -> bool {
    matches!(service.key, ServiceKey::Address { protocol: Protocol::Udp, vip } if vip.port > 0)
}

impl Director {
    /// Looks whose clients have to come twice; to be called a few times a second.
    pub fn tend_repeats(&self) {
        let pool = self.shared.pool.load();
        let wanted: FxHashSet<_> = {
            let watch = self.watch.lock();
            let flooded = pool.iter().filter(|service| watch.wants_repeats(service));
            flooded.map(|service| service.key).collect()
        };
        let mut asking = self.asking.lock();
        asking.0.retain(|key, _| {
            let there = pool.service(key).is_some();
            if !there {
                self.tell_gate_of_repeats(key, None);
            }
            there
        });
        for service in pool.iter().filter(|service| can_ask(service)) {
            let wanted = wanted.contains(&service.key);
            if wanted && !asking.0.contains_key(&service.key) {
                self.make_room(&mut asking, service);
            }
            if let Some(asked) = asking.0.get_mut(&service.key) {
                let shared = || pool.overlaid_by(Protocol::Udp, service.key.vip()?);
                let repeating = Repeating {
                    slot: asked.slot,
                    shared: shared().is_some(),
                };
                self.ask(asked, service, wanted.then_some(repeating));
            }
        }
    }

    /// Gives a service a place among the counters, as long as there is one.
    fn make_room(&self, asking: &mut Asking, service: &Service) {
        if let Some(slot) = asking.free_slot() {
            let asked = Asked {
                slot,
                before: self.gate.first_datagrams(slot).unwrap_or_default(),
                told: None,
            };
            asking.0.insert(service.key, asked);
        }
    }

    /// Has the gate do what is wanted, if it does not yet.
    fn ask(&self, asked: &mut Asked, service: &Service, wanted: Option<Repeating>) {
        let told = std::mem::replace(&mut asked.told, wanted);
        if told == wanted {
            return;
        }
        self.tell_gate_of_repeats(&service.key, wanted);
        let message = match (told, wanted) {
            (None, Some(_)) => "clients that are not known have to come twice",
            (Some(_), None) => "clients need not come twice any more",
            _ => return,
        };
        info!(service = %translate::id(&service.key), "{message}");
        let mut watch = self.watch.lock();
        let key = Some(&service.key);
        watch
            .events
            .add(unix_now(), EventKind::Repeats, key, message.to_owned());
    }

    fn tell_gate_of_repeats(&self, key: &ServiceKey, wanted: Option<Repeating>) {
        let told = key
            .vip()
            .map(|vip| self.gate.endpoints().set_repeating(vip, wanted));
        if let Some(Err(error)) = told {
            let service = translate::id(key);
            warn!(%error, %service, "the gate does not have the clients of a service come twice");
        }
    }

    /// First datagrams that were dropped, of each service that has had that.
    pub(super) fn repeats_counted(&self) -> FxHashMap<ServiceKey, u64> {
        let asking = self.asking.lock();
        let all = asking.0.iter();
        all.map(|(key, asked)| (*key, self.dropped_first(asked)))
            .collect()
    }

    fn dropped_first(&self, asked: &Asked) -> u64 {
        let counted = self.gate.first_datagrams(asked.slot).unwrap_or_default();
        counted.saturating_sub(asked.before)
    }

    /// The services whose clients have to come twice now.
    pub(super) fn repeating(&self) -> FxHashSet<ServiceKey> {
        let asking = self.asking.lock();
        let now = asking.0.iter().filter(|(_, asked)| asked.told.is_some());
        now.map(|(key, _)| *key).collect()
    }

    /// The same, as the API shows it; nothing of a service that cannot have it.
    pub(super) fn repeat_status(&self, service: &Service) -> Option<RepeatStatus> {
        if !can_ask(service) {
            return None;
        }
        let policy = self.watch.lock().repeats(service);
        let says = service.handling.udp_repeats;
        let asking = self.asking.lock();
        let asked = asking.0.get(&service.key);
        let active = asked.is_some_and(|asked| asked.told.is_some());
        let reason = match (policy, active, says) {
            (RepeatPolicy::Off, _, Some(_)) => "set by the user",
            (RepeatPolicy::Off, _, None) => "udp_repeats of the director is off",
            (RepeatPolicy::Auto, true, _) => "under attack",
            (RepeatPolicy::Auto, false, _) => "nothing calls for it",
        };
        Some(RepeatStatus {
            policy,
            active,
            reason: reason.to_owned(),
            dropped: asked.map_or(0, |asked| self.dropped_first(asked)),
        })
    }
}
