//! Why real servers do not take cookies, in words.

use crate::wire::Endpoint;

/// Those that are not able: the first ones by name, and how many more there are.
#[derive(Debug, Default)]
pub(super) struct Lacks {
    named: Vec<String>,
    more: usize,
}

impl Lacks {
    /// So many are named.
    const NAMED: usize = 3;

    /// Adds one.
    pub(super) fn add(&mut self, real: Endpoint, why: &str) {
        match self.named.len() < Self::NAMED {
            true => self.named.push(format!("real server {real}: {why}")),
            false => self.more += 1,
        }
    }

    /// All of them, if there are any.
    pub(super) fn told(self) -> Option<String> {
        let Self { mut named, more } = self;
        if more > 0 {
            named.push(format!("and {more} more"));
        }
        (!named.is_empty()).then(|| named.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_named_and_the_others_counted() {
        let told = |count: u8| {
            let mut lacks = Lacks::default();
            for number in 1..=count {
                let at = std::net::SocketAddr::from(([10, 0, 2, number], 80));
                lacks.add(at.into(), "its agent is silent");
            }
            lacks.told()
        };
        let named = |number| format!("real server 10.0.2.{number}:80: its agent is silent");
        let all = |numbers: &[u8]| {
            numbers
                .iter()
                .map(|n| named(*n))
                .collect::<Vec<_>>()
                .join("; ")
        };
        assert_eq!(told(0), None);
        assert_eq!(told(1), Some(named(1)));
        assert_eq!(told(3), Some(all(&[1, 2, 3])));
        assert_eq!(told(5), Some(all(&[1, 2, 3]) + "; and 2 more"));
    }
}
