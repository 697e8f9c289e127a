//! What a flood uses up, and what is done about it: for those who watch, and for the events.

use std::fmt;

use super::{Level, Posture, Share};

/// Something that there is only so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Room in the workers' rings: the share of what came that the kernel had to drop there.
    Ring,
    /// The time of the busiest worker's core.
    Core,
    /// Places for half-open connections.
    Pool,
    /// Places in the fullest listen queue of a real server, as its agent tells.
    Backlog,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ring, Self::Core, Self::Pool, Self::Backlog];

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Core => "core",
            Self::Pool => "pool",
            Self::Backlog => "backlog",
        }
    }

    /// From so many percent on it is short.
    pub const fn mark(self) -> f64 {
        match self {
            Self::Ring => 0.1,
            Self::Core => 90.0,
            Self::Pool => 50.0,
            Self::Backlog => 75.0,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ring => "packets missed at the workers' rings",
            Self::Core => "the busiest worker's core",
            Self::Pool => "half-open pool taken",
            Self::Backlog => "the fullest listen queue of a real server",
        })
    }
}

/// How much of each is used, in percent; none of what nobody has told of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Supplies {
    /// Of each, in their order.
    pub used: [Option<f64>; Resource::ALL.len()],
}

impl Supplies {
    /// How much of one is used.
    pub const fn used(&self, resource: Resource) -> Option<f64> {
        self.used[resource as usize]
    }

    /// Says how much of one is used.
    pub const fn set(&mut self, resource: Resource, percent: Option<f64>) {
        self.used[resource as usize] = percent;
    }

    /// Whether one is short.
    pub fn is_short(&self, resource: Resource) -> bool {
        self.used(resource)
            .is_some_and(|used| used >= resource.mark())
    }

    /// The one that is shortest, if any is: the furthest beyond its mark.
    pub fn shortest(&self) -> Option<Resource> {
        let short = Resource::ALL.into_iter().filter(|r| self.is_short(*r));
        let beyond = |resource: &Resource| self.used(*resource).unwrap_or(0.0) / resource.mark();
        short.max_by(|a, b| beyond(a).total_cmp(&beyond(b)))
    }
}

/// The steps of defence, of which each is taken when the one before is not enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// Nothing out of the ordinary.
    #[default]
    Ordinary,
    /// Handshakes are judged by the tables for attacks, and live briefly.
    Tables,
    /// SYNs are answered, and forgotten until their clients come back.
    Cookies,
    /// UDP clients that are not known have to come twice.
    Repeats,
    /// A share of the new connections is dropped.
    Share,
}

impl Rung {
    /// The highest one that is taken, where newcomers are `met` in this way at the gate.
    pub fn of(level: Level, posture: &Posture, met: Self) -> Self {
        let drops = posture.syns.max(posture.all) > Share::NONE;
        let inside = match () {
            () if drops => Self::Share,
            () if level > Level::Calm || posture.wary => Self::Tables,
            () => Self::Ordinary,
        };
        inside.max(met)
    }

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ordinary => "none",
            Self::Tables => "tables",
            Self::Cookies => "cookies",
            Self::Repeats => "repeats",
            Self::Share => "share",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_furthest_beyond_its_mark_is_the_shortest() {
        let mut supplies = Supplies::default();
        assert_eq!(supplies.shortest(), None);
        supplies.set(Resource::Core, Some(89.0));
        supplies.set(Resource::Pool, Some(49.0));
        assert_eq!(supplies.shortest(), None);
        supplies.set(Resource::Core, Some(99.0));
        assert_eq!(supplies.shortest(), Some(Resource::Core));
        supplies.set(Resource::Pool, Some(100.0));
        assert_eq!(supplies.shortest(), Some(Resource::Pool));
        supplies.set(Resource::Ring, Some(5.0));
        assert_eq!(supplies.shortest(), Some(Resource::Ring));
        assert!(!supplies.is_short(Resource::Backlog), "nobody has told");
    }

    #[test]
    fn the_highest_rung_counts() {
        let calm = Posture::default();
        let dropping = Posture {
            syns: Share::of(0.1),
            ..calm
        };
        for (level, posture, met, rung) in [
            (Level::Calm, calm, Rung::Ordinary, Rung::Ordinary),
            (Level::Attacked, calm, Rung::Ordinary, Rung::Tables),
            (Level::Attacked, calm, Rung::Cookies, Rung::Cookies),
            (Level::Calm, calm, Rung::Cookies, Rung::Cookies),
            (Level::Attacked, calm, Rung::Repeats, Rung::Repeats),
            (Level::Attacked, dropping, Rung::Cookies, Rung::Share),
        ] {
            assert_eq!(Rung::of(level, &posture, met), rung);
        }
    }
}
