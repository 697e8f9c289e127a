//! A flood that comes and goes, so that the level may come and go with it (T19).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use adminapi::model::ForwardingMethod;
use anyhow::{Result, ensure};
use testbed::packet::flag;
use testbed::{require, wait};

use super::bench::{Bench, Victim, segment};

const POOL: u16 = 1000;
const DWELL: u32 = 2;
const PULSES: u16 = 8;
const PATIENCE: Duration = Duration::from_secs(20);

/// In each pulse the pool is filled beyond the mark, and empties again before the next.
#[test]
fn a_pulsing_flood_does_not_make_the_level_flap() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start_with(ForwardingMethod::Nat, |configuration| {
        configuration
            .limit("half_open", POOL.into())
            .defense("dwell", i64::from(DWELL))
            .defense("syn_recv", 1)
            .defense("syn_ack", 1)
            .without_cookies()
    })?;
    let mut victim = Victim::open(&bench)?;
    let level = || Ok::<_, anyhow::Error>(bench.director.api().defense(None)?.level);
    let held = || Ok::<_, anyhow::Error>(bench.director.api().status()?.connections.half_open);
    let began = Instant::now();
    for pulse in 0..PULSES {
        let syn = |n: u16| {
            let client = SocketAddr::from(([172, 25, 0, pulse as u8], 1024 + n));
            segment(client, flag::SYN, 1, 0)
        };
        let syns: Vec<_> = (0..POOL / 2).map(syn).collect();
        let fill = || bench.send(&syns);
        wait::until_repeated("level 1", PATIENCE, fill, || {
            ensure!(level()? == 1, "level 0");
            Ok(())
        })?;
        wait::until("the pool to empty", PATIENCE, || {
            let held = held()?;
            ensure!(held < u64::from(POOL) / 10, "{held} are held");
            Ok(())
        })?;
        victim.use_once()?;
    }
    wait::until("level 0", PATIENCE, || {
        ensure!(level()? == 0, "level 1");
        Ok(())
    })?;
    let dwells = began.elapsed().as_secs() as usize / DWELL as usize;
    let events = bench.director.api().call(async |api| api.events(0).await)?;
    let changes = events
        .events
        .iter()
        .filter(|event| event.kind == "defense_level" && event.service.is_none())
        .count();
    ensure!(
        (2..=2 * dwells).contains(&changes),
        "{changes} changes in {dwells} dwells and {PULSES} pulses"
    );
    victim.use_once()?;
    bench.end()
}
