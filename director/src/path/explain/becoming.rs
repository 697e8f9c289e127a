//! What a TCP segment makes of the connection that it belongs to: judged as all are, on a copy.

use crate::drops::Cause;
use crate::flow::{Direction, Entry, Tracked};
use crate::path::judge::segment_of;
use crate::path::view::View;
use crate::service::Real;
use crate::tcp;
use crate::wire::Transport;

impl View<'_> {
    /// The state of a connection after a segment of these flags, with the numbers that its sender would
    /// give it next; none where it has no such state, or its numbers are others on each side.
    ///
    /// # Errors
    /// Why it is dropped whatever its numbers are.
    pub(super) fn becomes(
        &self,
        frame: &[u8],
        packet: &Transport,
        way: Direction,
        entry: &Entry,
        real: &Real,
    ) -> Result<Option<tcp::State>, Cause> {
        let Tracked::Tcp(mut tracking) = entry.tracked else {
            return Ok(None);
        };
        if tracking.is_spliced() {
            return Ok(None);
        }
        let side = entry.side(way);
        let segment = segment_of(packet.layout.segment(frame), packet.layout.piece)?;
        let segment = tracking.timely(side, segment);
        self.judge_tcp(&mut tracking, &segment, side, entry.class(), real)?;
        Ok(Some(tracking.state))
    }
}
