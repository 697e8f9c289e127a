//! What became of the packets: `enum outcome` of `bpf/agent/maps.h`.

use std::fmt;

/// Packets by what became of them; each is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes([u64; Self::NAMES.len()]);

impl Outcomes {
    /// In the order of `enum outcome`.
    const NAMES: [&str; 11] = [
        "passed",
        "source",
        "destination",
        "form",
        "ipip",
        "gre",
        "gue",
        "malformed",
        "checksum",
        "congestion",
        "no_room",
    ];

    /// How many there are.
    pub(super) const COUNT: usize = Self::NAMES.len();

    pub(super) const fn new(packets: [u64; Self::COUNT]) -> Self {
        Self(packets)
    }

    /// The outcomes and their packets.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Self::NAMES.into_iter().zip(self.0)
    }
}

/// `passed=7 source=0 ...`
impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, packets)) in self.iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            write!(f, "{gap}{name}={packets}")?;
        }
        Ok(())
    }
}

/// What became of segments that found a listener, or an old connection, where there are keys:
/// `enum welcome` of `bpf/agent/cookie.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Welcomes {
    /// With a cookie: connections of the kernel's now.
    pub welcomed: u64,
    /// Without.
    pub stray: u64,
    /// With a cookie, but the kernel took none.
    pub declined: u64,
    /// With a cookie, to an old connection, which has ended for it.
    pub recycled: u64,
}

/// `welcomed=7 stray=0 declined=0 recycled=0`
impl fmt::Display for Welcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            welcomed,
            stray,
            declined,
            recycled,
        } = self;
        write!(
            f,
            "welcomed={welcomed} stray={stray} declined={declined} recycled={recycled}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names are those of the program, in its order.
    #[test]
    fn the_names_are_those_of_the_program() {
        let source = include_str!("../../bpf/agent/maps.h");
        let (_, list) = source.split_once("enum outcome {").unwrap();
        let (list, _) = list.split_once("OUTCOMES,").unwrap();
        let names = list
            .lines()
            .filter_map(|line| line.trim().split_once(',').map(|(name, _)| name))
            .filter(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
        let names: Vec<_> = names.map(str::to_lowercase).collect();
        assert_eq!(names, Outcomes::NAMES);
    }

    #[test]
    fn as_text_they_are_pairs() {
        let mut packets = [0; Outcomes::COUNT];
        packets[4] = 12;
        let text = Outcomes::new(packets).to_string();
        assert!(text.starts_with("passed=0 source=0 "), "{text}");
        assert!(text.contains(" ipip=12 "), "{text}");
    }
}
