//! ICMP errors about a connection: they go to the end that sent the quoted packet, in that
//! end's own addresses.

use super::view::{Refusal, View};
use crate::drops::Cause;
use crate::flow::{Direction, Place};
use crate::wire::IcmpError;

impl<'s> View<'s> {
    pub(super) fn icmp_error(
        &self,
        _frame: &mut [u8],
        _error: &IcmpError,
        _way: Direction,
        _place: &Place,
    ) -> Result<u16, Refusal<'s>> {
        Err(Cause::ErrorWithoutConnection.into())
    }
}
