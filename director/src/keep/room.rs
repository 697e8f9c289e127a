//! Whether the tables fit the tmpfs. While a director takes over, what it takes over is there twice.

/// Bytes of a tmpfs, before anything is taken over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// That nobody uses.
    pub(super) free: u64,
    /// Of the generation that is taken over, and removed when that is done.
    pub(super) former: u64,
    /// That the tables may come to.
    pub(super) needed: u64,
}

impl Room {
    /// What there will be when the former generation is removed.
    pub(super) const fn all(&self) -> u64 {
        self.free.saturating_add(self.former)
    }

    /// What is written while the former generation is still there.
    pub(super) fn copied(&self) -> u64 {
        self.former.min(self.needed)
    }

    /// Whether full tables have no place.
    pub(super) const fn is_small(&self) -> bool {
        self.needed > self.all()
    }

    /// Whether what there is to take over has no place beside itself.
    pub(super) fn is_full(&self) -> bool {
        self.copied() > self.free
    }

    /// Whether full tables could not be taken over by the next one.
    pub(super) const fn is_scarce(&self) -> bool {
        self.needed.saturating_mul(2) > self.all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small, full, scarce.
    fn judge(free: u64, former: u64) -> [bool; 3] {
        let needed = 18;
        let room = Room {
            free,
            former,
            needed,
        };
        [room.is_small(), room.is_full(), room.is_scarce()]
    }

    #[test]
    fn what_is_taken_over_makes_room_and_needs_it_before() {
        assert_eq!(judge(17, 0), [true, false, true]);
        assert_eq!(judge(18, 0), [false, false, true]);
        assert_eq!(judge(36, 0), [false, false, false]);
        assert_eq!(judge(15, 3), [false, false, true], "it goes");
        assert_eq!(judge(14, 3), [true, false, true]);
        assert_eq!(judge(9, 9), [false, false, true]);
        assert_eq!(judge(8, 10), [false, true, true], "it does not fit twice");
        assert_eq!(judge(18, 18), [false, false, false]);
        assert_eq!(judge(20, 90), [false, false, false], "lower limits");
        assert_eq!(judge(u64::MAX, 5), [false, false, false], "no limit");
    }
}
