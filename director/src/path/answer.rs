//! What the director itself says to a packet that it drops: RST and ICMP errors, at a bounded
//! rate.

use super::reading::Reading;
use super::view::Refusal;
use crate::time::Tick;
use crate::xsk::{Frame, Umem};

/// How many answers may still be sent: a token bucket.
#[derive(Debug, Default)]
pub(super) struct Allowance {}

impl Allowance {
    pub(super) fn answer(
        &mut self,
        _umem: &Umem,
        _frame: &mut Frame,
        _reading: &Reading,
        _refusal: &Refusal<'_>,
        _now: Tick,
    ) -> bool {
        false
    }
}
