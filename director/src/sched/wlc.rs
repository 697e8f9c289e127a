//! Weighted least connections (`ip_vs_wlc.c`).

use std::sync::Arc;

use super::{Scheduler, overhead};
use crate::service::Real;
use crate::wire::Tuple;

/// The real server with the least overhead for its weight; of equals, the one added last.
#[derive(Debug)]
pub(super) struct WeightedLeastConnections;

impl Scheduler for WeightedLeastConnections {
    fn pick(&self, reals: &[Arc<Real>], _: &Tuple) -> Option<usize> {
        let willing = reals.iter().enumerate().filter(|(_, real)| real.weight > 0);
        let burdens = willing.map(|(place, real)| (place, overhead(real), real.weight));
        burdens
            .reduce(|least, next| if is_less(next, least) { next } else { least })
            .map(|(place, _, _)| place)
    }

    fn update(&self, _: &[Arc<Real>]) {}
}

/// `a.overhead / a.weight < b.overhead / b.weight`, without division. The overhead takes 41 bits
/// and a weight 32, hence the wide product.
fn is_less(a: (usize, u64, u32), b: (usize, u64, u32)) -> bool {
    u128::from(a.1) * u128::from(b.2) < u128::from(b.1) * u128::from(a.2)
}
