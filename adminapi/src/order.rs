//! The order of ipvsadm's listings. It compares addresses and marks by a subtraction of 32 bits
//! that wraps, so 200.0.0.1 comes before 10.0.0.1, and three addresses can each be "less" than
//! the next: no order in the sense of `slice::sort_by`, which may panic on it. The merge sort
//! below takes any comparison, and takes them in the order of glibc's `qsort`.

use std::cmp::Ordering;
use std::mem::take;
use std::net::{IpAddr, SocketAddr};

use crate::model::{Protocol, Service, ServiceId, ServiceView};

/// A service that is listed, in one form or another.
pub trait Listed {
    /// Its name.
    fn id(&self) -> ServiceId;
    /// Sorts its real servers by address and port.
    fn sort_reals(&mut self);
}

impl Listed for ServiceView {
    fn id(&self) -> ServiceId {
        self.id
    }

    fn sort_reals(&mut self) {
        self.reals = reals(take(&mut self.reals), |real| real.endpoint());
    }
}

impl Listed for Service {
    fn id(&self) -> ServiceId {
        self.id
    }

    fn sort_reals(&mut self) {
        let port = self.id.port();
        self.reals = reals(take(&mut self.reals), |real| real.endpoint(port));
    }
}

/// Sorts services and the real servers of each.
pub fn listed<S: Listed>(all: Vec<S>) -> Vec<S> {
    let mut sorted = services(all, S::id);
    sorted.iter_mut().for_each(S::sort_reals);
    sorted
}

/// Services by mark, family, protocol, address and port.
pub fn services<T>(services: Vec<T>, id: impl Fn(&T) -> ServiceId) -> Vec<T> {
    sorted(services, id, compare_services)
}

/// Real servers, which come in the order they were added, by address and port.
pub fn reals<T>(mut reals: Vec<T>, endpoint: impl Fn(&T) -> SocketAddr) -> Vec<T> {
    if is_plain(reals.iter().map(&endpoint)) {
        return reals;
    }
    // As the kernel hands them out: where a comparison wraps it matters who stood where.
    reals.reverse();
    sorted(reals, endpoint, compare_reals)
}

fn compare_services(a: ServiceId, b: ServiceId) -> Ordering {
    let rank = |id: ServiceId| (id.family(), id.protocol().map(protocol));
    compare_words(mark(a), mark(b))
        .then_with(|| rank(a).cmp(&rank(b)))
        .then_with(|| match (a.vip(), b.vip()) {
            (Some(a), Some(b)) => compare_addresses(a.ip(), b.ip()),
            _ => Ordering::Equal,
        })
        .then(a.port().cmp(&b.port()))
}

/// 0 for a service that has an address.
const fn mark(id: ServiceId) -> u32 {
    match id {
        ServiceId::Mark { mark, .. } => mark,
        ServiceId::Address { .. } => 0,
    }
}

/// Whether they stand in their order already, and have no other: IPv4, each greater than the one
/// before, and not so far apart that a comparison wraps. Most do.
fn is_plain(endpoints: impl Iterator<Item = SocketAddr>) -> bool {
    let mut first = None;
    let mut last = None;
    for at in endpoints {
        let SocketAddr::V4(at) = at else {
            return false;
        };
        let (address, at) = (at.ip().to_bits(), Some((at.ip().to_bits(), at.port())));
        let is_near = address.wrapping_sub(*first.get_or_insert(address)) <= i32::MAX as u32;
        if at <= last || !is_near {
            return false;
        }
        last = at;
    }
    true
}

fn compare_reals(a: SocketAddr, b: SocketAddr) -> Ordering {
    compare_addresses(a.ip(), b.ip()).then(a.port().cmp(&b.port()))
}

/// Assigned number (IANA).
const fn protocol(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

/// Word by word, each by a subtraction that wraps.
fn compare_addresses(a: IpAddr, b: IpAddr) -> Ordering {
    let differences = words(a).into_iter().zip(words(b));
    differences
        .map(|(a, b)| compare_words(a, b))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn compare_words(a: u32, b: u32) -> Ordering {
    (a.wrapping_sub(b) as i32).cmp(&0)
}

/// The address as big-endian words, IPv4 in the first.
fn words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(v4) => [v4.to_bits(), 0, 0, 0],
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            [96, 64, 32, 0].map(|shift| (bits >> shift) as u32)
        }
    }
}

/// `items` in the order of their keys.
fn sorted<T, K: Copy>(
    items: Vec<T>,
    key: impl Fn(&T) -> K,
    compare: impl Fn(K, K) -> Ordering,
) -> Vec<T> {
    let keys: Vec<K> = items.iter().map(key).collect();
    let mut places: Vec<usize> = (0..items.len()).collect();
    let is_behind = |a: usize, b: usize| compare(keys[a], keys[b]).is_gt();
    merge_sort(&mut places, &mut Vec::new(), &is_behind);
    if places.is_sorted() {
        return items;
    }
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    places
        .into_iter()
        .filter_map(|at| items[at].take())
        .collect()
}

fn merge_sort(
    places: &mut [usize],
    front: &mut Vec<usize>,
    is_behind: &impl Fn(usize, usize) -> bool,
) {
    let middle = places.len() / 2;
    if middle == 0 {
        return;
    }
    merge_sort(&mut places[..middle], front, is_behind);
    merge_sort(&mut places[middle..], front, is_behind);
    front.clear();
    front.extend_from_slice(&places[..middle]);
    let (mut of_front, mut of_back, mut to) = (0, middle, 0);
    while of_front < middle && of_back < places.len() {
        if is_behind(front[of_front], places[of_back]) {
            places[to] = places[of_back];
            of_back += 1;
        } else {
            places[to] = front[of_front];
            of_front += 1;
        }
        to += 1;
    }
    places[to..of_back].copy_from_slice(&front[of_front..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::net::Ipv4Addr;

    use super::{IpAddr, Ordering, SocketAddr, compare_addresses, compare_reals, is_plain, words};

    fn sorted_by<T: Copy>(items: Vec<T>, compare: impl Fn(T, T) -> Ordering) -> Vec<T> {
        super::sorted(items, |item| *item, compare)
    }

    fn sorted(addresses: &[&str]) -> Vec<String> {
        let addresses: Vec<IpAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
        let addresses = sorted_by(addresses, compare_addresses);
        addresses.iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn the_comparison_wraps() {
        assert_eq!(
            sorted(&["10.0.0.1", "200.0.0.1", "10.0.0.2"]),
            ["200.0.0.1", "10.0.0.1", "10.0.0.2"]
        );
        assert_eq!(
            sorted(&["2001:db8::1", "1::1", "fe00::1", "2001:db8:ffff::1"]),
            ["fe00::1", "1::1", "2001:db8:ffff::1", "2001:db8::1"]
        );
        assert_eq!(
            sorted(&[
                "127.0.0.1",
                "2001:db8::9",
                "10.0.0.2",
                "192.168.50.1",
                "10.0.0.1"
            ]),
            [
                "192.168.50.1",
                "10.0.0.1",
                "10.0.0.2",
                "2001:db8::9",
                "127.0.0.1"
            ]
        );
    }

    proptest! {
        #[test]
        fn what_stands_in_order_is_what_the_sort_would_make_of_it(
            mut all in proptest::collection::vec((any::<u32>(), 0u16..3), 0..6), sort: bool,
        ) {
            if sort {
                all.sort_unstable();
                all.dedup();
            }
            let at = |(address, port): (u32, u16)| SocketAddr::new(Ipv4Addr::from(address).into(), port);
            if is_plain(all.iter().copied().map(at)) {
                let mut sorted = all.clone();
                sorted.reverse();
                let sorted = sorted_by(sorted, |a, b| compare_reals(at(a), at(b)));
                prop_assert_eq!(sorted, all);
            }
        }

        #[test]
        fn nothing_is_lost_or_made_up(mut bits in proptest::collection::vec(any::<u32>(), 0..200)) {
            let addresses: Vec<IpAddr> =
                bits.iter().map(|bits| IpAddr::V4((*bits).into())).collect();
            let addresses = sorted_by(addresses, compare_addresses);
            let mut after: Vec<u32> = addresses.into_iter().map(|a| words(a)[0]).collect();
            after.sort_unstable();
            bits.sort_unstable();
            prop_assert_eq!(after, bits);
        }

        #[test]
        fn a_true_order_is_kept(numbers in proptest::collection::vec(any::<u16>(), 0..200)) {
            let mut want = numbers.clone();
            want.sort_unstable();
            prop_assert_eq!(sorted_by(numbers, |a, b| a.cmp(&b)), want);
        }
    }
}
