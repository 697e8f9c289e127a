//! Bogons: networks that no packet from the internet can come from.
//!
//! They are those of the IANA registries for special-purpose addresses (RFC 6890) that are not
//! globally reachable, multicast (RFC 5771, RFC 4291 §2.7), and reserved space (RFC 1112 §4).
//! Those of link-local addresses are missing: neighbours use them.

/// The networks, IPv4 then IPv6.
pub const BOGONS: [&str; 27] = [
    "0.0.0.0/8",       // this network, RFC 791
    "10.0.0.0/8",      // private use, RFC 1918
    "100.64.0.0/10",   // shared by carriers, RFC 6598
    "127.0.0.0/8",     // loopback, RFC 1122
    "169.254.0.0/16",  // link-local, RFC 3927
    "172.16.0.0/12",   // private use, RFC 1918
    "192.0.0.0/24",    // protocol assignments, RFC 6890
    "192.0.2.0/24",    // documentation, RFC 5737
    "192.88.99.0/24",  // 6to4 relays, RFC 7526
    "192.168.0.0/16",  // private use, RFC 1918
    "198.18.0.0/15",   // benchmarks, RFC 2544
    "198.51.100.0/24", // documentation, RFC 5737
    "203.0.113.0/24",  // documentation, RFC 5737
    "224.0.0.0/4",     // multicast, RFC 5771
    "240.0.0.0/4",     // reserved and broadcast, RFC 1112
    "::/128",          // nobody, RFC 4291
    "::1/128",         // loopback, RFC 4291
    "::ffff:0:0:0/96", // translated IPv4, RFC 2765
    "64:ff9b:1::/48",  // translation within a network, RFC 8215
    "100::/64",        // discard only, RFC 6666
    "2001::/32",       // Teredo, RFC 4380
    "2001:2::/48",     // benchmarks, RFC 5180
    "2001:10::/28",    // ORCHID, RFC 4843
    "2001:db8::/32",   // documentation, RFC 3849
    "2002::/16",       // 6to4, RFC 7526
    "fc00::/7",        // unique local, RFC 4193
    "ff00::/8",        // multicast, RFC 4291
];

#[cfg(test)]
mod tests {
    use adminapi::model::Prefix;

    use super::*;

    #[test]
    fn they_are_networks() {
        for text in BOGONS {
            assert!(text.parse::<Prefix>().is_ok(), "{text}");
        }
    }
}
