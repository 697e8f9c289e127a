//! SYNs by hand from the client's link, and a limit that bans who sends too many.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use adminapi::model::{BanPolicy, FilterList, FilterRules, LimitOf, LimitPer, RateLimit};
use anyhow::Result;

use crate::namespace::Namespace;
use crate::packet::{Mac, Segment, ethernet, flag, tcp};
use crate::raw::Tap;
use crate::topology::HOST_SIDE;

/// Sends a SYN from each of `ports` at `from` to `to`.
///
/// # Errors
/// When the link takes none.
pub fn send(client: &Namespace, from: IpAddr, to: SocketAddr, ports: Range<u16>) -> Result<()> {
    let tap = Tap::open(client, HOST_SIDE)?;
    for port in ports {
        let syn = Segment {
            flags: flag::SYN,
            ..Segment::default()
        };
        let packet = tcp(SocketAddr::new(from, port), to, syn);
        tap.send(&ethernet(
            Mac::of_host(1, 1),
            Mac::of_host(1, 0xfe),
            &packet,
        ))?;
    }
    Ok(())
}

/// Five SYNs of a source at once and one a second; more than 20 too many ban it for `first` seconds.
pub fn banning(first: u32, longest: u32) -> FilterRules {
    let ban = BanPolicy {
        over: 20,
        within: 10,
        first,
        longest,
        list: FilterList::Deny,
    };
    let limit = RateLimit {
        name: "syns".to_owned(),
        of: LimitOf::Syns,
        per: LimitPer::Source,
        rate: 1,
        burst: Some(5),
        prefix_v4: 32,
        prefix_v6: 64,
        service: None,
        region: None,
        ban: Some(ban),
    };
    FilterRules {
        limits: vec![limit],
        ..FilterRules::default()
    }
}
