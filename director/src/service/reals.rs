//! The real servers of a service, as a persistent list: the next one shares all but the change
//! with the present one, so that adding the 10,000th costs what the first did.

use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use super::load::Phase;
use super::real::Real;
use crate::wire::Endpoint;

type Map<K, V> = imbl::GenericHashMap<K, V, FxBuildHasher, imbl::shared_ptr::DefaultSharedPtr>;

/// Real servers in the kernel's order: the one added last stands first.
#[derive(Clone, Debug, Default)]
pub struct Reals {
    list: imbl::Vector<Arc<Real>>,
    by_endpoint: Map<Endpoint, Arc<Real>>,
    /// How many have each weight above 0.
    weights: imbl::OrdMap<u32, u32>,
    changes: u64,
}

impl Reals {
    /// How many.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How often one was added, replaced or removed: tells a list from those that it came from.
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// Those that were added since it was `old`, in that order; none where others were replaced or removed,
    /// too.
    pub fn added_since(&self, old: &Self) -> Option<impl Iterator<Item = &Arc<Real>>> {
        let added = self.len().checked_sub(old.len())?;
        let is_all = self.changes.checked_sub(old.changes) == Some(added as u64);
        is_all.then(|| self.iter().take(added).rev())
    }

    /// The one at `place`.
    #[inline]
    pub fn get(&self, place: usize) -> Option<&Arc<Real>> {
        self.list.get(place)
    }

    /// The one with this RIP and port.
    #[inline]
    pub fn find(&self, endpoint: Endpoint) -> Option<&Arc<Real>> {
        self.by_endpoint.get(&endpoint)
    }

    /// All, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Real>> + ExactSizeIterator + Clone {
        self.list.iter()
    }

    /// All from `place` on, in order.
    pub fn from_place(&self, place: usize) -> impl Iterator<Item = &Arc<Real>> {
        self.list
            .focus()
            .narrow(place.min(self.len())..)
            .into_iter()
    }

    /// The largest weight; 0 when nobody has any.
    pub fn heaviest(&self) -> u32 {
        self.weights.get_max().map_or(0, |(weight, _)| *weight)
    }

    /// The greatest common divisor of the weights above 0; 0 when nobody has any.
    pub fn divisor(&self) -> u32 {
        let mut divisor = 0;
        for weight in self.weights.keys() {
            divisor = common_divisor(divisor, *weight);
            if divisor == 1 {
                break;
            }
        }
        divisor
    }

    /// Adds one, at the head.
    pub fn add(&mut self, real: Arc<Real>) {
        self.enter(&real);
        self.list.push_front(real);
    }

    /// Puts `real` in the place of the one with its endpoint; false when there is none.
    pub fn replace(&mut self, real: Arc<Real>) -> bool {
        let Some(place) = self.place_of(real.endpoint) else {
            return false;
        };
        self.enter(&real);
        let old = self.list.set(place, real);
        self.forget_weight(old.weight);
        true
    }

    /// Takes the one with this endpoint out.
    pub fn remove(&mut self, endpoint: Endpoint) -> Option<Arc<Real>> {
        let real = self.list.remove(self.place_of(endpoint)?);
        self.by_endpoint.remove(&endpoint);
        self.forget_weight(real.weight);
        self.changes += 1;
        Some(real)
    }

    /// The same, where `real` has one connection less of those that count as `phase`. What is asked
    /// of them leaves no trace.
    #[must_use]
    pub fn relieved(&self, real: &Real, phase: Phase) -> Self {
        let mut relieved = self.clone();
        if self.find(real.endpoint).is_some_and(|it| it.id == real.id) {
            relieved.replace(Arc::new(Real {
                load: Arc::new(real.load.without(phase)),
                ..real.clone()
            }));
        }
        relieved
    }

    fn place_of(&self, endpoint: Endpoint) -> Option<usize> {
        self.find(endpoint)?;
        self.list.iter().position(|real| real.endpoint == endpoint)
    }

    fn enter(&mut self, real: &Arc<Real>) {
        self.changes += 1;
        self.by_endpoint.insert(real.endpoint, Arc::clone(real));
        if real.weight > 0 {
            *self.weights.entry(real.weight).or_insert(0) += 1;
        }
    }

    fn forget_weight(&mut self, weight: u32) {
        match self.weights.get_mut(&weight) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.weights.remove(&weight)),
        }
    }
}

/// Greatest common divisor; 0 divides nothing and is left out.
pub(crate) const fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::service::testing::real;

    proptest! {
        /// Against a plain list.
        #[test]
        fn weights_and_places_are_those_of_the_list(
            steps in prop::collection::vec((0u8..3, 1u32..8, 0u32..7), 0..60),
        ) {
            let mut reals = Reals::default();
            let mut list: Vec<Arc<Real>> = Vec::new();
            // As it was when one was replaced or removed last, and those that were added since.
            let (mut old, mut added) = (reals.clone(), Vec::new());
            for (step, number, weight) in steps {
                let one = real(number, weight);
                let place = list.iter().position(|known| known.endpoint == one.endpoint);
                match (step, place) {
                    (0, None) => {
                        reals.add(Arc::clone(&one));
                        added.push(Arc::clone(&one));
                        list.insert(0, one);
                    }
                    (0 | 1, Some(place)) => {
                        prop_assert!(reals.replace(Arc::clone(&one)));
                        list[place] = one;
                    }
                    (1, None) => prop_assert!(!reals.replace(one)),
                    (_, Some(place)) => {
                        let gone = reals.remove(one.endpoint);
                        prop_assert!(Arc::ptr_eq(&gone.unwrap(), &list.remove(place)));
                    }
                    (_, None) => prop_assert!(reals.remove(one.endpoint).is_none()),
                }
                let found = reals.added_since(&old).map(|found| found.cloned().collect::<Vec<_>>());
                match found {
                    Some(found) => {
                        let pairs = found.iter().zip(&added);
                        prop_assert_eq!(found.len(), added.len());
                        prop_assert!(pairs.into_iter().all(|(a, b)| Arc::ptr_eq(a, b)));
                    }
                    None => {
                        prop_assert!(place.is_some(), "nothing was replaced or removed");
                        (old, added) = (reals.clone(), Vec::new());
                    }
                }
            }
            prop_assert_eq!(reals.len(), list.len());
            prop_assert!(reals.iter().zip(&list).all(|(a, b)| Arc::ptr_eq(a, b)));
            let found = list.iter().all(|one| Arc::ptr_eq(reals.find(one.endpoint).unwrap(), one));
            prop_assert!(found);
            let weights = list.iter().map(|real| real.weight);
            prop_assert_eq!(reals.heaviest(), weights.clone().max().unwrap_or(0));
            prop_assert_eq!(reals.divisor(), weights.fold(0, common_divisor));
        }
    }
}
