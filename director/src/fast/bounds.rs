//! What the gate and the director tell each other in a flow: when and how much it was used, and how far
//! its ways have come. Both write there; a bound only ever goes on.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use crate::direction::Direction;
use crate::flow::{Entry, Tracked};
use crate::gate::flows::{Course, Flow};
use crate::tcp::{Said, after};
use crate::time::Tick;

/// When the gate has last forwarded a packet of a flow; 0 when never.
pub(super) fn last_seen(flow: &Flow, is_one_way: bool) -> Tick {
    let [there, back] = &flow.courses;
    let seen = there.seen.load(Relaxed);
    Tick(match is_one_way {
        true => seen,
        false => seen.max(back.seen.load(Relaxed)),
    })
}

/// What the gate has forwarded of one way of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Begins at 0 again at the top.
    pub packets: u32,
    /// Of IP.
    pub bytes: u64,
}

pub(super) fn count_of(course: &Course) -> Count {
    Count {
        packets: course.packets.load(Relaxed),
        bytes: course.bytes.load(Relaxed),
    }
}

/// How far the gate has seen a way of a flow come.
pub(super) fn said_in(course: &Course) -> Said {
    Said {
        end: course.end.load(Relaxed),
        ack: course.ack.load(Relaxed),
        edge: course.edge.load(Relaxed),
        window: course.window.load(Relaxed),
    }
}

/// The ways of a connection, with what was said there.
fn sayings(entry: &Entry) -> impl Iterator<Item = (usize, Said, u8)> + use<'_> {
    let is_one_way = entry.is_one_way();
    let ways = [Direction::Original, Direction::Reply].into_iter();
    let ways = ways.take(if is_one_way { 1 } else { 2 });
    ways.filter_map(move |way| match &entry.tracked {
        Tracked::Tcp(tcp) => {
            let (said, shift) = tcp.said(entry.side(way), is_one_way);
            Some((way as usize, said, shift))
        }
        _ => None,
    })
}

/// Writes what was said into a flow that nobody can find yet.
pub(super) fn reset(flow: &Flow, entry: &Entry) {
    for (way, said, shift) in sayings(entry) {
        let course = &flow.courses[way];
        course.end.store(said.end, Relaxed);
        course.ack.store(said.ack, Relaxed);
        course.edge.store(said.edge, Relaxed);
        course.window.store(said.window, Relaxed);
        flow.ways[way].shift.store(shift, Relaxed);
    }
}

/// Moves the bounds of a flow on, where the gate has not moved them further.
pub(super) fn raise(flow: &Flow, entry: &Entry) {
    for (way, said, _) in sayings(entry) {
        go_on(&flow.courses[way], said);
    }
}

fn go_on(course: &Course, said: Said) {
    for (cell, said) in [
        (&course.end, said.end),
        (&course.ack, said.ack),
        (&course.edge, said.edge),
    ] {
        raise_to(cell, said, after);
    }
    raise_to(&course.window, said.window, |new, old| new > old);
}

fn raise_to(cell: &AtomicU32, new: u32, is_later: impl Fn(u32, u32) -> bool) {
    let _ = cell.fetch_update(Relaxed, Relaxed, |old| is_later(new, old).then_some(new));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(number: u32) -> Said {
        Said {
            end: number,
            ack: number,
            edge: number,
            window: 1000,
        }
    }

    #[test]
    fn a_bound_goes_on_as_far_as_tracking_takes_a_number_for_later() {
        const HALF: u32 = 1 << 31;
        for (from, to, goes_on) in [
            (7, 8, true),
            (7, 7, false),
            (7, 6, false),
            (u32::MAX, 0, true),
            (7, 7 + HALF - 1, true),
            (7, 7 + HALF, true),
            (7 + HALF, 7, true),
            (7, 7 + HALF + 1, false),
        ] {
            let course = Course::default();
            for cell in [&course.end, &course.ack, &course.edge] {
                cell.store(from, Relaxed);
            }
            go_on(&course, said(to));
            let reached = said(if goes_on { to } else { from });
            assert_eq!(said_in(&course), reached, "{from} to {to}");
        }
    }
}
