//! The way back to a source where it is one of several: the gate hears of one of them from the
//! kernel, and cannot tell whether a packet came by another one.

use tracing::warn;

use super::Director;
use super::forwarding::is_forwarding;
use crate::wire::Version;

/// Ports, a bit each, whose strict check drops clients that are no forgers, as far as it has been
/// told.
#[derive(Debug, Default)]
pub(super) struct Doubts(u32);

impl Doubts {
    /// Those that are new. One that has been none in between is new again.
    fn news(&mut self, present: u32) -> impl Iterator<Item = usize> + use<> {
        let news = present & !std::mem::replace(&mut self.0, present);
        (0..u32::BITS as usize).filter(move |port| news & 1 << port != 0)
    }
}

impl Director {
    /// Warns of interfaces that are checked strictly and are one of several ways back, once for as
    /// long as they are. To be called now and then.
    pub fn look_at_ways_back(&self) {
        let fib = self.shared.fib.load();
        let mut filters = self.filters.lock();
        let doubtful = filters.rules.strict & fib.alternatives();
        let interfaces = self.facts.interfaces.iter().enumerate();
        let judging = interfaces.filter(|(port, (interface, _))| {
            let forwards = |version| is_forwarding(&fib, interface, version);
            doubtful & 1 << port != 0 && [Version::V4, Version::V6].into_iter().any(forwards)
        });
        let present = judging.fold(0, |sum, (port, _)| sum | 1 << port);
        for port in filters.doubts.news(present) {
            let interface = &self.facts.interfaces[port].0.name;
            warn!(
                interface,
                "checked strictly, and one of several ways back: clients whose answers the kernel \
                 would send another way are dropped; check it loosely"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_is_told_once_for_as_long_as_it_lasts() {
        let mut doubts = Doubts::default();
        for (present, news) in [
            (0b010, &[1][..]),
            (0b010, &[]),
            (0b111, &[0, 2]),
            (0b101, &[]),
            (0b111, &[1]),
            (1 << 31, &[31]),
            (0, &[]),
        ] {
            assert_eq!(doubts.news(present).collect::<Vec<_>>(), news);
        }
    }
}
