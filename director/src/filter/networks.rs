//! Networks in the order of their addresses, and the longest of them that holds another one.

use std::collections::BTreeMap;

use crate::wire::Net;

/// The longest network of a map that holds all of `net`. Those of IPv6 hold nothing of IPv4.
///
/// It takes as many looks as there are listed networks beside the way to it, at most one a bit, and
/// mostly one or two.
pub fn longest<V>(networks: &BTreeMap<Net, V>, net: Net) -> Option<(Net, &V)> {
    let fewest = if net.addr.is_v4() { Net::V4_BITS } else { 0 };
    let mut outer = net;
    while outer.bits >= fewest {
        // What holds it begins no later than it does, and so no later than the last that does.
        let (found, value) = networks.range(..=outer).next_back()?;
        if found.has(outer.addr) {
            return (found.bits >= fewest).then_some((*found, value));
        }
        let shared = found.addr.common_prefix(outer.addr);
        outer = Net::new(net.addr, u8::try_from(shared).unwrap_or(outer.bits));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Addr;

    /// The same, found by asking for all that might hold it.
    fn longest_by_trial(networks: &BTreeMap<Net, ()>, net: Net) -> Option<Net> {
        let fewest = if net.addr.is_v4() { Net::V4_BITS } else { 0 };
        let outer = (fewest..=net.bits)
            .rev()
            .map(|bits| Net::new(net.addr, bits));
        outer.into_iter().find(|outer| networks.contains_key(outer))
    }

    /// Numbers that look random, and are the same each time.
    fn numbers() -> impl FnMut() -> u32 {
        let mut state = 1u32;
        move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        }
    }

    #[test]
    fn it_is_the_one_that_a_trial_of_all_finds() {
        let mut number = numbers();
        let mut networks = BTreeMap::new();
        // Of few addresses, so that they are in each other.
        let mut random = move || {
            let low = number() & 0x0303_0303;
            let addr = match number() % 3 {
                0 => Addr::v6(u128::from(low).to_be_bytes()),
                _ => Addr::v4(low.to_be_bytes()),
            };
            let fewest = if addr.is_v4() { Net::V4_BITS } else { 0 };
            Net::new(addr, fewest + (number() % u32::from(129 - fewest)) as u8)
        };
        for _ in 0..300 {
            networks.insert(random(), ());
            for _ in 0..100 {
                let net = random();
                let found = longest(&networks, net).map(|(net, ())| net);
                assert_eq!(
                    found,
                    longest_by_trial(&networks, net),
                    "{net} in {networks:?}"
                );
            }
        }
    }
}
