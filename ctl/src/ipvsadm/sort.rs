//! The order of ipvsadm's listings. It compares addresses and marks by a subtraction of 32 bits
//! that wraps, so 200.0.0.1 comes before 10.0.0.1, and three addresses can each be "less" than
//! the next: no order in the sense of `slice::sort_by`, which may panic on it. The merge sort
//! below takes any comparison, and takes them in the order of glibc's `qsort`.

use std::cmp::Ordering;
use std::net::IpAddr;

use adminapi::model::{Protocol, RealView, ServiceId, ServiceView};

/// Sorts services by mark, family, protocol, address and port, and the real servers of each.
pub(crate) fn services(services: &mut Vec<ServiceView>) {
    merge_sort(services, &compare_services);
    for service in services {
        merge_sort(&mut service.reals, &compare_reals);
    }
}

fn compare_services(a: &ServiceView, b: &ServiceView) -> Ordering {
    let rank = |id: ServiceId| (id.family(), id.protocol().map(protocol));
    let (a, b) = (a.id, b.id);
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

fn compare_reals(a: &RealView, b: &RealView) -> Ordering {
    compare_addresses(a.address, b.address).then(a.port.cmp(&b.port))
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

fn merge_sort<T>(items: &mut Vec<T>, compare: &impl Fn(&T, &T) -> Ordering) {
    if items.len() < 2 {
        return;
    }
    let mut right = items.split_off(items.len() / 2);
    merge_sort(items, compare);
    merge_sort(&mut right, compare);
    let mut left = std::mem::take(items).into_iter().peekable();
    let mut right = right.into_iter().peekable();
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let first = if compare(a, b).is_gt() {
            right.next()
        } else {
            left.next()
        };
        items.extend(first);
    }
    items.extend(left);
    items.extend(right);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sorted(addresses: &[&str]) -> Vec<String> {
        let mut addresses: Vec<IpAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
        merge_sort(&mut addresses, &|a, b| compare_addresses(*a, *b));
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
        fn nothing_is_lost_or_made_up(mut bits in proptest::collection::vec(any::<u32>(), 0..200)) {
            let mut addresses: Vec<IpAddr> =
                bits.iter().map(|bits| IpAddr::V4((*bits).into())).collect();
            merge_sort(&mut addresses, &|a, b| compare_addresses(*a, *b));
            let mut after: Vec<u32> = addresses.into_iter().map(|a| words(a)[0]).collect();
            after.sort_unstable();
            bits.sort_unstable();
            prop_assert_eq!(after, bits);
        }

        #[test]
        fn a_true_order_is_kept(mut numbers in proptest::collection::vec(any::<u16>(), 0..200)) {
            let mut want = numbers.clone();
            want.sort_unstable();
            merge_sort(&mut numbers, &u16::cmp);
            prop_assert_eq!(numbers, want);
        }
    }
}
