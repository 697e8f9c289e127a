//! Locality-based least connections (`ip_vs_lblc.c`).

use std::sync::Arc;

use super::load::{least, overhead};
use super::locality::{ByLocality, Locality};
use crate::service::{Newcomer, Real, Reals};
use crate::wire::Endpoint;

/// A destination address keeps its real server, so that caches stay warm, until that one takes no
/// connections or has more active ones than its weight while another has less than half of its
/// own. Then, and for an address not seen for a day, weighted least connections choose.
pub(super) type LocalityLeastConnections = ByLocality<Endpoint>;

impl Locality for Endpoint {
    fn choose<'r>(
        kept: &mut Option<Self>,
        reals: &'r Reals,
        newcomer: &Newcomer<'_>,
    ) -> Option<&'r Arc<Real>> {
        let present = kept.and_then(|endpoint| reals.find(endpoint));
        let fits = |real: &&Arc<Real>| newcomer.may_have(real) && !is_crowded(real, reals);
        if let Some(real) = present.filter(fits) {
            return Some(real);
        }
        let chosen = least(newcomer.willing(reals), overhead)?;
        *kept = Some(chosen.endpoint);
        Some(chosen)
    }
}

/// Whether a real server has more active connections than its weight, while another has less than
/// half as many as its own.
pub(super) fn is_crowded(real: &Real, reals: &Reals) -> bool {
    let is_idle = |real: &Arc<Real>| 2 * u64::from(real.active()) < u64::from(real.weight);
    real.active() > real.weight && reals.iter().any(is_idle)
}
