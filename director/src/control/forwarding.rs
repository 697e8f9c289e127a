//! Whether the kernel forwards, which the gate's look-ups in its tables depend on.

use std::fs;

use crate::gate::Interface;
use crate::neighbour::Fib;
use crate::wire::Version;

/// Whether the kernel forwards what comes in there.
pub(super) fn is_forwarding(fib: &Fib, interface: &Interface, version: Version) -> bool {
    let family = match version {
        Version::V4 => "ipv4",
        Version::V6 => "ipv6",
    };
    // It may have been renamed.
    let mut links = fib.links().iter();
    let Some(link) = links.find(|link| link.ifindex == interface.index) else {
        return false;
    };
    let path = format!("/proc/sys/net/{family}/conf/{}/forwarding", link.name);
    fs::read_to_string(path).is_ok_and(|value| value.trim() != "0")
}
