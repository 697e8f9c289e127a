//! Limits of packets and of SYNs.

use std::net::SocketAddr;

use adminapi::model::{FilterRules, LimitOf, LimitPer, RateLimit};
use anyhow::{Result, ensure};
use director::filter::{Limit, Of, Per, Rules, Scope};
use director::gate::{Known, Roles, Trial, Verdict};
use director::region::Regions;
use director::wire::{self, Mac, Tuple};
use testbed::accounts::assert_accounts;
use testbed::packet::{self, ethernet};
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::traffic::HttpConnection;
use testbed::wait;

use crate::filters::bed::{PATIENCE, send_syns};

fn limit(per: LimitPer, rate: u32, burst: u32) -> RateLimit {
    RateLimit {
        name: "syns".to_owned(),
        of: LimitOf::Syns,
        per,
        rate,
        burst: Some(burst),
        prefix_v4: match per {
            LimitPer::Source => 24,
            LimitPer::Service => RateLimit::all_v4(),
        },
        prefix_v6: 64,
        service: None,
        region: None,
        ban: None,
    }
}

#[test]
fn a_limit_of_packets_lets_established_connections_by() -> Result<()> {
    if !require::programs(&[]) {
        return Ok(());
    }
    let own = packet::Mac::of_host(1, 254);
    let rules = Rules {
        limits: vec![Limit {
            of: Of::Packets,
            rate: 1,
            burst: 1,
            scope: Scope {
                per: Per::Service,
                bits_v4: 32,
                bits_v6: 64,
                service: None,
            },
            region: Regions::default(),
            ban: None,
        }],
        ..Rules::default()
    };
    for family in Family::BOTH {
        let (from, to) = (SocketAddr::new(family.client(), 4000), family.http());
        let trial = Trial::new(1000)?;
        trial.set_station(Mac(own.0))?;
        trial
            .endpoints()
            .set_roles(wire::Protocol::Tcp, to.into(), Roles::SERVICE)?;
        trial.filters().set_rules(&rules, Known::default())?;
        let verdict = |flags| {
            let segment = packet::Segment {
                flags,
                ..packet::Segment::default()
            };
            let frame = packet::tcp(from, to, segment);
            let frame = ethernet(packet::Mac::of_host(1, 1), own, &frame);
            Ok::<_, anyhow::Error>(trial.put(&frame)?.0)
        };
        let (ack, syn) = (packet::flag::ACK, packet::flag::SYN);
        // A token a second comes meanwhile.
        let dropped = |flags| {
            let all = (0..20).map(|_| verdict(flags)).collect::<Result<Vec<_>>>();
            Ok::<_, anyhow::Error>(all?.iter().filter(|one| **one == Verdict::Drop).count())
        };
        ensure!(dropped(ack)? > 0, "they are of no connection");
        let tuple = Tuple {
            protocol: wire::Protocol::Tcp,
            src: from.into(),
            dst: to.into(),
        };
        trial.roll().enter(&tuple);
        assert_eq!(dropped(ack)?, 0, "they are of an established one");
        ensure!(dropped(syn)? > 0, "they open another");
    }
    Ok(())
}

#[test]
fn limits_hold_for_each_source_and_each_service() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    const SENT: u16 = 20;
    const BURST: u32 = 5;
    let scene = Scene::start()?;
    let api = scene.director.api();
    let reasons = [
        (LimitPer::Source, "source_limit"),
        (LimitPer::Service, "service_limit"),
    ];
    for family in Family::BOTH {
        let to = family.http();
        let mut live = HttpConnection::open(&scene.topology.client, to)?;
        for (per, reason) in reasons {
            let rules = FilterRules {
                limits: vec![limit(per, 1, BURST)],
                ..FilterRules::default()
            };
            api.put_filter(&rules)?;
            let before = api.dropped(reason)?;
            let started = std::time::Instant::now();
            send_syns(&scene, family.client(), to, SENT)?;
            let most = u64::from(SENT) - u64::from(BURST);
            // A token a second may have come while they were sent.
            let least = || most.saturating_sub(started.elapsed().as_secs() + 1);
            wait::until("the limit to hold", PATIENCE, || {
                let now = api.dropped(reason)? - before;
                ensure!((least()..=most).contains(&now), "{now} of {most}");
                Ok(())
            })?;
            wait::until("both to be told of alike", PATIENCE, || {
                let over = api.call(async |client| client.filter().await)?.over["syns"];
                let now = api.dropped(reason)? - before;
                ensure!(over == now, "{over} over the limit, {now} {reason}");
                Ok(())
            })?;
            live.ask_name()?;
        }
        api.put_filter(&FilterRules::default())?;
        HttpConnection::open(&scene.topology.client, to)?.ask_name()?;
    }
    assert_accounts(&scene.director);
    Ok(())
}
