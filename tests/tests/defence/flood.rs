//! The benchmark's flood: that it floods, that users are counted, that levels are seen to change. The
//! figures are no business of a test.

use anyhow::Result;
use testbed::flood::{Mixture, Outcome, Peer, Trial, Way, measure};
use testbed::require;

/// Floods `peer` with SYNs for seconds; none: not on this machine.
fn flood(peer: Peer, way: Way) -> Result<Option<Outcome>> {
    let trial = Trial {
        way,
        ..Trial::QUICK
    };
    try_out(peer, &trial)
}

fn try_out(peer: Peer, trial: &Trial) -> Result<Option<Outcome>> {
    if !require::programs(&["ip", "ethtool", "nginx", "sysctl", "ping", "nft"]) {
        return Ok(None);
    }
    let outcome = measure(peer, trial)?;
    assert!(outcome.rate > 0.0, "no flood");
    assert!(outcome.flooded.visits.attempts > 0, "no visits");
    let served = outcome.calm.visits.served();
    assert!(served > 0.5, "{served} served without a flood");
    assert!(outcome.calm.goodput > 0.0, "no download");
    assert!(outcome.most.entries > 0 && outcome.most.bytes > 0);
    Ok(Some(outcome))
}

fn flood_with_levels(peer: Peer, way: Way) -> Result<()> {
    if let Some(outcome) = flood(peer, way)? {
        assert!(outcome.raised.is_some(), "{:?}", outcome.most);
        assert!(outcome.lowered.is_some(), "{:?}", outcome.most);
    }
    Ok(())
}

#[test]
fn nat_is_flooded() -> Result<()> {
    flood_with_levels(Peer::Nat, Way::Shared)
}

#[test]
fn a_flood_may_come_by_an_interface_of_its_own() -> Result<()> {
    flood_with_levels(Peer::Nat, Way::Apart)
}

#[test]
fn direct_routing_is_flooded() -> Result<()> {
    flood_with_levels(Peer::Dr, Way::Shared)
}

#[test]
fn tunnels_are_flooded() -> Result<()> {
    flood_with_levels(Peer::Ipip, Way::Shared)
}

#[test]
fn the_kernels_nat_is_flooded() -> Result<()> {
    flood(Peer::Nftables, Way::Shared).map(drop)
}

#[test]
fn a_flood_may_be_of_several_kinds() -> Result<()> {
    let trial = Trial {
        mixture: Mixture::Mix,
        ..Trial::QUICK
    };
    for peer in [Peer::Nat, Peer::Synproxy] {
        try_out(peer, &trial)?;
    }
    Ok(())
}

/// A proxy that does not proxy would track every SYN.
#[test]
fn the_kernels_syn_proxy_is_flooded_and_tracks_users_only() -> Result<()> {
    if let Some(outcome) = flood(Peer::Synproxy, Way::Shared)? {
        let users = outcome.calm.visits.attempts + outcome.flooded.visits.attempts;
        let tracked = outcome.most.entries;
        assert!(tracked <= users + 10, "{tracked} for {users} users");
    }
    Ok(())
}
