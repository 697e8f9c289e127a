//! What its health leaves of a real server's weight.

/// The largest weight, as in IPVS.
const HEAVIEST: u64 = i32::MAX as u64;

/// How much a real server can bear now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// A part of its weight, at least 1 of it.
    Fit(Part),
    /// No new connections; clients that stick to it still come.
    Drained,
    /// It does not work: nobody is sent there any more.
    Failed,
}

/// A part of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it says of itself, in the place of the configured weight.
    pub weight: Option<u32>,
    /// How much of that.
    pub thousandths: u16,
    /// How much of that its listen queue leaves, in thousandths.
    pub queue: u16,
    /// What all weights of the service are multiplied with, so that parts of small ones differ.
    pub scale: u16,
}

impl Part {
    /// All of it.
    pub const WHOLE: Self = Self {
        weight: None,
        thousandths: 1000,
        queue: 1000,
        scale: 1,
    };
}

impl Default for Fitness {
    fn default() -> Self {
        Self::Fit(Part::WHOLE)
    }
}

impl Fitness {
    /// What the schedulers see of the configured `weight`. That of 0 stays 0.
    pub fn of(self, weight: u32) -> u32 {
        let Self::Fit(part) = self else {
            return 0;
        };
        if weight == 0 {
            return 0;
        }
        let weight = u64::from(part.weight.unwrap_or(weight));
        let thousandths = u64::from(part.thousandths) * u64::from(part.queue);
        let scaled = weight * u64::from(part.scale) * thousandths;
        scaled.div_ceil(1_000_000).min(HEAVIEST) as u32
    }

    /// What people see of it: without the scale.
    pub fn shown_of(self, weight: u32) -> u32 {
        match self {
            Self::Fit(part) => Self::Fit(Part { scale: 1, ..part }).of(weight),
            other => other.of(weight),
        }
    }

    /// What listings of ipvsadm show of it: without what its listen queue takes, which comes and goes
    /// with each burst.
    pub fn listed_of(self, weight: u32) -> u32 {
        match self {
            Self::Fit(part) => Self::Fit(Part {
                queue: Part::WHOLE.queue,
                ..part
            })
            .shown_of(weight),
            other => other.of(weight),
        }
    }

    /// What its listen queue leaves of that, in thousandths; all of it where there is nothing to take of.
    pub const fn queue(self) -> u16 {
        match self {
            Self::Fit(part) => part.queue,
            Self::Drained | Self::Failed => Part::WHOLE.queue,
        }
    }

    /// What is left of the weight, in thousandths.
    pub const fn thousandths(self) -> u32 {
        match self {
            Self::Fit(part) => (part.thousandths as u32 * part.queue as u32).div_ceil(1000),
            Self::Drained | Self::Failed => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_what_health_leaves_of_it() {
        let part = |weight, thousandths, scale| {
            Fitness::Fit(Part {
                weight,
                thousandths,
                scale,
                ..Part::WHOLE
            })
        };
        for (fitness, configured, effective, shown) in [
            (Fitness::default(), 7, 7, 7),
            (Fitness::Failed, 7, 0, 0),
            (Fitness::Drained, 7, 0, 0),
            (part(None, 500, 1), 7, 4, 4),
            (part(None, 1, 1), 7, 1, 1),
            (part(None, 0, 1), 7, 0, 0),
            (part(None, 500, 20), 1, 10, 1),
            (part(Some(40), 500, 1), 7, 20, 20),
            (part(Some(0), 1000, 1), 7, 0, 0),
            (part(Some(40), 1000, 1), 0, 0, 0),
            (
                part(None, 1000, 20),
                i32::MAX as u32,
                i32::MAX as u32,
                i32::MAX as u32,
            ),
        ] {
            assert_eq!(fitness.of(configured), effective, "{fitness:?}");
            assert_eq!(fitness.shown_of(configured), shown, "{fitness:?}");
        }
    }

    #[test]
    fn a_listen_queue_takes_its_part_of_that_and_is_not_listed() {
        let part = |thousandths, queue, scale| {
            Fitness::Fit(Part {
                thousandths,
                queue,
                scale,
                ..Part::WHOLE
            })
        };
        for (fitness, configured, effective, shown, listed, thousandths) in [
            (part(1000, 250, 1), 8, 2, 2, 8, 250),
            (part(500, 500, 1), 8, 2, 2, 4, 250),
            (part(1000, 50, 20), 1, 1, 1, 1, 50),
            (part(1000, 750, 20), 1, 15, 1, 1, 750),
            (part(50, 50, 1), 3, 1, 1, 1, 3),
            (part(1000, 50, 1), 0, 0, 0, 0, 50),
            (part(0, 50, 1), 7, 0, 0, 0, 0),
            (Fitness::Failed, 7, 0, 0, 0, 0),
        ] {
            assert_eq!(fitness.of(configured), effective, "{fitness:?}");
            assert_eq!(fitness.shown_of(configured), shown, "{fitness:?}");
            assert_eq!(fitness.listed_of(configured), listed, "{fitness:?}");
            assert_eq!(fitness.thousandths(), thousandths, "{fitness:?}");
        }
    }
}
