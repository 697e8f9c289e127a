//! How busy real servers are, and who is the least so for its weight.

use std::sync::Arc;

use crate::service::Real;

/// What a real server is burdened with: an active connection weighs as 256 inactive ones
/// (`ip_vs_dest_conn_overhead`).
pub(super) fn overhead(real: &Real) -> u64 {
    (u64::from(real.active()) << 8) + u64::from(real.inactive())
}

/// The active connections that it would have with one more (`ip_vs_sed_dest_overhead`).
pub(super) fn expected(real: &Real) -> u64 {
    u64::from(real.active()) + 1
}

/// The one with the least `burden` for its weight; of equals, the first.
pub(super) fn least<'r>(
    reals: impl Iterator<Item = &'r Arc<Real>>,
    burden: fn(&Real) -> u64,
) -> Option<&'r Arc<Real>> {
    reals
        .map(|real| (real, burden(real)))
        .reduce(|least, next| if is_less(next, least) { next } else { least })
        .map(|(real, _)| real)
}

/// The heaviest; of equals, the first.
pub(super) fn heaviest<'r>(reals: impl Iterator<Item = &'r Arc<Real>>) -> Option<&'r Arc<Real>> {
    reals.reduce(|best, next| {
        if next.weight > best.weight {
            next
        } else {
            best
        }
    })
}

/// Whether `a` has less to bear for its weight than `b`, without division. A burden takes 41
/// bits and a weight 32, hence the wide product.
pub(super) fn is_less(a: (&Arc<Real>, u64), b: (&Arc<Real>, u64)) -> bool {
    u128::from(a.1) * u128::from(b.0.weight) < u128::from(b.1) * u128::from(a.0.weight)
}
