//! IPVS's own strategies, `drop_entry`, `drop_packet` and `secure_tcp`, and the memory that they go by.

use adminapi::sysctl::{Sysctl, Sysctls, Value};
use nix::unistd::{SysconfVar, sysconf};

/// The strategies of IPVS that turn themselves on when memory is short.
const STRATEGIES: [Sysctl; 3] = [Sysctl::DropEntry, Sysctl::DropPacket, Sysctl::SecureTcp];

/// What IPVS's own strategies do at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Strategies {
    /// Whether memory is below `amemthresh`.
    scarce: bool,
    /// `secure_tcp`.
    pub(super) secure_tcp: bool,
    /// `drop_packet`, as a share of the new connections.
    pub(super) drop_packet: f64,
    /// `drop_entry`.
    pub(super) drop_entry: bool,
}

impl Strategies {
    /// What `sysctls` ask for when so many pages of memory are left.
    pub(super) fn of(sysctls: &Sysctls, pages: u64) -> Self {
        let threshold = sysctls.number(Sysctl::Amemthresh).max(0) as f64;
        let want = (threshold - pages as f64) / threshold.max(1.0);
        let scarce = want > 0.0;
        let is_on = |sysctl| match sysctls.number(sysctl) {
            0 => false,
            3 => true,
            _ => scarce,
        };
        let every = sysctls.number(Sysctl::AmDroprate);
        let drop_packet = match (
            is_on(Sysctl::DropPacket),
            sysctls.number(Sysctl::DropPacket),
            every,
        ) {
            (false, ..) | (true, 3, 0) => 0.0,
            (true, 3, ..1) => 1.0,
            (true, 3, _) => 1.0 / every as f64,
            (true, ..) => want.clamp(0.0, 1.0),
        };
        Self {
            scarce,
            secure_tcp: is_on(Sysctl::SecureTcp),
            drop_packet,
            drop_entry: is_on(Sysctl::DropEntry),
        }
    }

    /// The sysctls as the kernel shows them: a strategy that has turned itself on is 2.
    pub(super) fn shown(&self, mut sysctls: Sysctls) -> Sysctls {
        for strategy in STRATEGIES {
            if self.scarce && sysctls.number(strategy) == 1 {
                sysctls.show(strategy, Value::Number(2));
            }
        }
        sysctls
    }
}

/// `MemAvailable`: what programs can still have, the page cache counted. (IPVS does not count it, so
/// that a host with a warm cache looks as if it were short of memory.)
pub(super) fn machine_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

pub(super) fn page_size() -> u64 {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok())
        .unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sysctls(values: &[(Sysctl, i64)]) -> Sysctls {
        let mut sysctls = Sysctls::default();
        for (sysctl, value) in values {
            sysctls.set(*sysctl, &Value::Number(*value)).unwrap();
        }
        sysctls
    }

    #[test]
    fn a_strategy_is_never_always_or_when_memory_is_short() {
        for (value, plenty, short) in [
            (0, false, false),
            (1, false, true),
            (2, false, true),
            (3, true, true),
        ] {
            let sysctls = sysctls(&STRATEGIES.map(|strategy| (strategy, value)));
            for (pages, expected) in [(1024, plenty), (1023, short)] {
                let strategies = Strategies::of(&sysctls, pages);
                let is = (
                    strategies.secure_tcp,
                    strategies.drop_entry,
                    strategies.drop_packet > 0.0,
                );
                assert_eq!(
                    is,
                    (expected, expected, expected),
                    "{value} with {pages} pages"
                );
            }
        }
    }

    #[test]
    fn the_rate_of_drop_packet_has_no_cliff() {
        let automatic = sysctls(&[(Sysctl::DropPacket, 1)]);
        let dropped = |pages| Strategies::of(&automatic, pages).drop_packet;
        assert_eq!(
            [2000, 1024, 768, 512, 256, 0].map(dropped),
            [0.0, 0.0, 0.25, 0.5, 0.75, 1.0]
        );
        for (every, expected) in [(10, 0.1), (1, 1.0), (0, 0.0), (-5, 1.0)] {
            let always = sysctls(&[(Sysctl::DropPacket, 3), (Sysctl::AmDroprate, every)]);
            assert_eq!(
                Strategies::of(&always, 1 << 20).drop_packet,
                expected,
                "{every}"
            );
        }
    }

    #[test]
    fn a_strategy_that_turned_itself_on_is_shown() {
        let sysctls = sysctls(&[(Sysctl::DropPacket, 1), (Sysctl::DropEntry, 3)]);
        for (pages, expected) in [(4096, [3, 1, 0]), (10, [3, 2, 0])] {
            let shown = Strategies::of(&sysctls, pages).shown(sysctls.clone());
            assert_eq!(STRATEGIES.map(|strategy| shown.number(strategy)), expected);
        }
    }
}
