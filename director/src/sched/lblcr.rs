//! Locality-based least connections with replication (`ip_vs_lblcr.c`).

use std::sync::Arc;

use super::lblc::is_crowded;
use super::load::{is_less, least, overhead};
use super::locality::{ByLocality, EXPIRATION, Locality};
use crate::service::{Newcomer, Real, Reals};
use crate::time::Tick;
use crate::wire::Endpoint;

/// A destination address keeps a set of real servers and uses the least loaded of them. When that
/// one is crowded (as for lblc), another joins the set; a set that has not changed for a day
/// loses its most loaded member.
pub(super) type ReplicatedLocality = ByLocality<Replicas>;

/// The real servers of one destination address; the one that joined last stands first.
#[derive(Clone, Debug)]
pub(super) struct Replicas {
    members: Vec<Endpoint>,
    changed: Tick,
}

impl Replicas {
    fn present<'r>(&self, reals: &'r Reals) -> impl Iterator<Item = &'r Arc<Real>> {
        self.members.iter().filter_map(|&member| reals.find(member))
    }

    /// Removed real servers make room, so that the set is never larger than the list.
    fn join(&mut self, real: &Real, reals: &Reals, now: Tick) {
        if !self.members.contains(&real.endpoint) {
            self.members.retain(|&member| reals.find(member).is_some());
            self.members.insert(0, real.endpoint);
            self.changed = now;
        }
    }

    fn shrink(&mut self, reals: &Reals, now: Tick) {
        if self.members.len() < 2 || self.changed.until(now) <= EXPIRATION {
            return;
        }
        let weighty = self.present(reals).filter(|real| real.weight > 0);
        let burdens = weighty.map(|real| (real, overhead(real)));
        let most = burdens.reduce(|most, next| if is_less(most, next) { next } else { most });
        if let Some((most, _)) = most {
            self.members.retain(|&member| member != most.endpoint);
            self.changed = now;
        }
    }
}

impl Locality for Replicas {
    fn choose<'r>(
        kept: &mut Option<Self>,
        reals: &'r Reals,
        newcomer: &Newcomer<'_>,
    ) -> Option<&'r Arc<Real>> {
        let now = newcomer.now;
        if let Some(replicas) = kept {
            let members = replicas
                .present(reals)
                .filter(|real| newcomer.may_have(real));
            let best = least(members, overhead);
            replicas.shrink(reals, now);
            if let Some(real) = best.filter(|real| !is_crowded(real, reals)) {
                return Some(real);
            }
        }
        let chosen = least(newcomer.willing(reals), overhead)?;
        let replicas = kept.get_or_insert_with(|| Self {
            members: Vec::new(),
            changed: now,
        });
        replicas.join(chosen, reals, now);
        Some(chosen)
    }
}
