//! A director that has begun to answer SYNs by itself and is killed: the next one goes on with that.

use adminapi::model::{CookiePolicy, CookieWay};
use anyhow::{Result, ensure};
use testbed::accounts::balanced;
use testbed::director::Director;
use testbed::generator::{Flows, Generator};
use testbed::haven::Haven;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Family;
use testbed::wait;

use crate::bed::{Agents, Bed, PATIENCE, Shape, endure, status, strangers};

const HTTP: Family = Family::V4;

/// SYNs at once.
const ROUND: u32 = 5000;

/// Places for half-open connections, half of which are taken when cookies begin.
const HALF_OPEN: i64 = 2000;

/// SYNs that the next director has to answer: many more than it took for the first one to begin.
const ANSWERED: u64 = 20_000;

#[test]
fn by_nat() -> Result<()> {
    no_syn_gets_by(Shape::NAT, CookieWay::Splice)
}

#[test]
fn by_dr() -> Result<()> {
    no_syn_gets_by(crate::resets::DR, CookieWay::Reset)
}

/// What called for cookies is gone by then, since they have kept it away.
fn no_syn_gets_by(shape: Shape, way: CookieWay) -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let haven = Haven::new()?;
    let shape = Shape {
        policy: CookiePolicy::Auto,
        agents: Agents::Keyless,
        ..shape
    };
    let mut bed = Bed::build_with(shape, |configuration| {
        let few = configuration.limit("half_open", HALF_OPEN);
        haven.shelter(few.defense("syn_recv", 1).defense("syn_ack", 1))
    })?;
    let (topology, configuration) = (&bed.topology, &bed.configuration);
    let director = &mut bed.director;
    let generator = Generator::beside(&topology.client, &Flows::spoofed_syns(HTTP.http()))?;
    let work = || {
        await_rest(director)?;
        let before = strangers(topology)?;
        ensure!(before > 0, "cookies have begun without a cause");
        director.end_by(Signal::Kill)?;
        *director = Director::start(&topology.director, configuration)?;
        endure(&topology.client, 3)?;
        wait::until("the next one to answer", PATIENCE, || {
            let now = status(director, HTTP)?;
            ensure!(now.sent > ANSWERED && now.way == Some(way), "{now:?}");
            Ok(())
        })?;
        let let_by = strangers(topology)? - before;
        ensure!(let_by == 0, "{let_by} SYNs of nobody");
        Ok(())
    };
    generator.flood_beside(&topology.client, ROUND, work, || Ok(()))?;
    balanced(&bed.director)
}

/// Waits until cookies answer, and those who came before are forgotten.
fn await_rest(director: &Director) -> Result<()> {
    wait::until("cookies", PATIENCE, || {
        ensure!(status(director, HTTP)?.active, "no cookies");
        let half_open = director.api().status()?.connections.half_open;
        ensure!(half_open == 0, "{half_open} half-open connections");
        Ok(())
    })
}
