//! How many requests the holder of a token may make.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// So many requests a second, and so many at once, for each token by itself.
#[derive(Debug)]
pub struct Allowance {
    limiter: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
}

impl Allowance {
    /// `rate` a second, after `burst` at once.
    pub fn new(rate: NonZeroU32, burst: NonZeroU32) -> Self {
        Self {
            limiter: RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst)),
            clock: DefaultClock::default(),
        }
    }

    /// Takes one request of the token of this name.
    ///
    /// # Errors
    /// How long it has to wait before the next one.
    pub fn take(&self, token: &str) -> Result<(), Duration> {
        let taken = self.limiter.check_key(&token.to_owned());
        taken.map_err(|early| early.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_has_its_own() {
        let number = |number| NonZeroU32::new(number).unwrap();
        let allowance = Allowance::new(number(1), number(2));
        for token in ["a", "b"] {
            assert_eq!(allowance.take(token), Ok(()));
            assert_eq!(allowance.take(token), Ok(()));
            let wait = allowance.take(token).unwrap_err();
            assert!(wait <= Duration::from_secs(1), "{wait:?}");
        }
    }
}
