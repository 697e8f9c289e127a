//! Which parts of a datagram have gone on. No byte goes twice, so that no two readings of a
//! datagram can be told apart by what overlaps (RFC 1858 §4, RFC 5722).

use crate::wire::Span;

/// Gaps between parts that are known at once. 40 parts of a datagram of 60 KB that come in any
/// order leave 20 at most.
const PARTS: usize = 24;

/// The parts so far: sorted, none touching another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Coverage {
    parts: [(u16, u16); PARTS],
    count: u8,
    /// Where the datagram ends, when its last part has gone.
    end: Option<u16>,
}

/// Why a part may not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// All of it has gone: the network has made two of one.
    Duplicate,
    /// Some of it has gone, or the datagram ends elsewhere.
    Overlap,
    /// The parts are more scattered than can be remembered.
    Scattered,
}

impl Coverage {
    /// Takes in a part; true when the datagram is complete with it.
    pub(super) fn add(&mut self, span: &Span) -> Result<bool, Misfit> {
        let at = self.place(span)?;
        self.check_end(span)?;
        self.insert(at, (span.start, span.end))?;
        if span.is_last {
            self.end = Some(span.end);
        }
        Ok(self.end.is_some_and(|end| self.known() == [(0, end)]))
    }

    /// The index of the first part behind `span`, which must be clear of all of them.
    fn place(&self, span: &Span) -> Result<usize, Misfit> {
        let known = self.known();
        let at = known.partition_point(|&(_, end)| end <= span.start);
        match known.get(at) {
            Some(&(start, end)) if start <= span.start && span.end <= end => Err(Misfit::Duplicate),
            Some(&(start, _)) if start < span.end => Err(Misfit::Overlap),
            _ => Ok(at),
        }
    }

    /// A datagram has one end, and nothing behind it.
    fn check_end(&self, span: &Span) -> Result<(), Misfit> {
        let highest = self.known().last().map_or(0, |&(_, end)| end);
        let beyond = self.end.is_some_and(|end| span.is_last || span.end > end);
        match beyond || span.is_last && highest > span.end {
            true => Err(Misfit::Overlap),
            false => Ok(()),
        }
    }

    /// Puts a part before the one at `at`, or makes one of it and those that it touches.
    fn insert(&mut self, at: usize, (start, end): (u16, u16)) -> Result<(), Misfit> {
        let after = self.known().get(at).is_some_and(|part| part.0 == end);
        let before = at > 0 && self.parts[at - 1].1 == start;
        match (before, after) {
            (true, true) => {
                self.parts[at - 1].1 = self.parts[at].1;
                self.parts.copy_within(at + 1..self.count.into(), at);
                self.count -= 1;
            }
            (true, false) => self.parts[at - 1].1 = end,
            (false, true) => self.parts[at].0 = start,
            (false, false) if self.known().len() == PARTS => return Err(Misfit::Scattered),
            (false, false) => {
                self.parts.copy_within(at..self.count.into(), at + 1);
                self.parts[at] = (start, end);
                self.count += 1;
            }
        }
        Ok(())
    }

    fn known(&self) -> &[(u16, u16)] {
        &self.parts[..self.count.into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(start: u16, end: u16) -> Span {
        Span {
            start,
            end,
            is_last: false,
        }
    }

    fn last(start: u16, end: u16) -> Span {
        Span {
            is_last: true,
            ..span(start, end)
        }
    }

    #[test]
    fn a_datagram_is_complete_with_its_last_part_in_whatever_order() {
        let parts = [span(0, 16), span(16, 24), last(24, 30)];
        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let mut coverage = Coverage::default();
            let done = order.map(|n| coverage.add(&parts[n]));
            assert_eq!(done, [Ok(false), Ok(false), Ok(true)], "{order:?}");
        }
    }

    #[test]
    fn what_overlaps_is_refused_and_what_is_there_is_known() {
        let mut coverage = Coverage::default();
        coverage.add(&span(16, 32)).unwrap();
        for (part, expected) in [
            (span(16, 32), Misfit::Duplicate),
            (span(16, 24), Misfit::Duplicate),
            (span(8, 24), Misfit::Overlap),
            (span(24, 40), Misfit::Overlap),
            (span(8, 40), Misfit::Overlap),
            (last(8, 12), Misfit::Overlap),
        ] {
            assert_eq!(coverage.add(&part), Err(expected), "{part:?}");
        }
        coverage.add(&last(40, 50)).unwrap();
        assert_eq!(coverage.add(&last(32, 40)), Err(Misfit::Overlap));
        assert_eq!(coverage.add(&span(56, 64)), Err(Misfit::Overlap));
        assert_eq!(coverage.add(&span(32, 40)), Ok(false));
        assert_eq!(coverage.add(&span(0, 16)), Ok(true));
    }

    #[test]
    fn too_many_gaps_are_refused() {
        let mut coverage = Coverage::default();
        for n in 0..PARTS as u16 {
            assert_eq!(coverage.add(&span(n * 16, n * 16 + 8)), Ok(false));
        }
        let next = PARTS as u16 * 16;
        assert_eq!(coverage.add(&span(next, next + 8)), Err(Misfit::Scattered));
        assert_eq!(coverage.add(&span(8, 16)), Ok(false), "one gap less");
        assert_eq!(coverage.add(&span(next, next + 8)), Ok(false));
    }

    proptest! {
        /// Held against a map of the bytes that have gone.
        #[test]
        fn no_byte_goes_twice(parts in proptest::collection::vec((0u16..40, 1u16..6, any::<bool>()), 1..40)) {
            let mut coverage = Coverage::default();
            let mut gone = [false; 50];
            let mut end = None;
            for (start, length, is_last) in parts {
                let part = Span { start, end: start + length, is_last };
                let bytes = usize::from(part.start)..usize::from(part.end);
                let covered = gone[bytes.clone()].iter().filter(|gone| **gone).count();
                let behind = gone[bytes.end..].iter().any(|gone| *gone);
                let expected = match covered {
                    n if n == bytes.len() => Err(Misfit::Duplicate),
                    1.. => Err(Misfit::Overlap),
                    0 if is_last && (behind || end.is_some()) => Err(Misfit::Overlap),
                    0 if end.is_some_and(|end| part.end > end) => Err(Misfit::Overlap),
                    0 => {
                        gone[bytes].fill(true);
                        end = end.or(is_last.then_some(part.end));
                        let complete = |end: u16| gone[..end.into()].iter().all(|gone| *gone);
                        Ok(end.is_some_and(complete))
                    }
                };
                prop_assert_eq!(coverage.add(&part), expected);
            }
        }
    }
}
