//! The benchmark's flood: that it floods, that users are counted, that levels are seen to change. The
//! figures are no business of a test.

use anyhow::Result;
use testbed::flood::{Peer, Trial, measure};
use testbed::require;

#[test]
fn a_flood_is_measured_against_each_peer() -> Result<()> {
    if !require::programs(&["ip", "ethtool", "nginx", "sysctl", "ping", "nft"]) {
        return Ok(());
    }
    for peer in Peer::ALL {
        let outcome = measure(peer, &Trial::QUICK)?;
        eprintln!("{peer:?} {:?} {:?}", outcome.most, outcome.rate);
        assert!(outcome.rate > 0.0, "{peer}: no flood");
        for service in [&outcome.calm, &outcome.flooded] {
            assert!(service.visits.attempts > 0, "{peer}: no visits");
        }
        let served = outcome.calm.visits.served();
        assert!(served > 0.5, "{peer}: {served} served without a flood");
        assert!(outcome.calm.goodput > 0.0, "{peer}: no download");
        let has_levels = matches!(peer, Peer::Nat | Peer::Dr | Peer::Ipip);
        assert_eq!(outcome.raised.is_some(), has_levels, "{peer}: {outcome:?}");
        assert_eq!(outcome.lowered.is_some(), has_levels, "{peer}: {outcome:?}");
        assert!(outcome.most.entries > 0 && outcome.most.bytes > 0);
    }
    Ok(())
}
