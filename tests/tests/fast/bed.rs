//! A director with the fast path, and what is seen of it.

use std::time::Duration;

use adminapi::model::{Scheduler, Stats, Status};
use anyhow::{Context, Result, ensure};
use testbed::director::Configuration;
use testbed::scene::{Family, Scene};
use testbed::topology::Plan;
use testbed::traffic::HttpConnection;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const FAMILY: Family = Family::V4;

/// A director with the fast path, and one real server.
pub(crate) fn scene(shape: impl FnOnce(Configuration) -> Configuration) -> Result<Scene> {
    let plan = Plan {
        reals: 1,
        ..Plan::default()
    };
    Scene::start_shaped(plan, Scheduler::Rr, &[1], |configuration| {
        shape(configuration.fast_path(true))
    })
}

pub(crate) fn forwarded(stats: &Stats) -> u64 {
    stats.interfaces.iter().map(|each| each.forwarded).sum()
}

pub(crate) fn flows(scene: &Scene) -> Result<u64> {
    let status: Status = scene.director.api().status()?;
    Ok(status.fast_path.context("it has no fast path")?.flows)
}

/// A connection that the gate forwards both ways.
pub(crate) fn cached(scene: &Scene) -> Result<HttpConnection> {
    let mut open = HttpConnection::open(&scene.topology.client, FAMILY.http())?;
    let before = forwarded(&scene.director.api().stats()?);
    for _ in 0..3 {
        open.ask_name()?;
    }
    let after = forwarded(&scene.director.api().stats()?);
    ensure!(after > before && flows(scene)? == 1, "{before} {after}");
    Ok(open)
}

pub(crate) fn state(scene: &Scene) -> Result<Vec<(String, u32)>> {
    let listed = scene.director.api().connections(FAMILY.http_service())?;
    Ok(listed.into_iter().map(|c| (c.state, c.expires)).collect())
}

pub(crate) fn lane(scene: &Scene, name: &str) -> Result<(bool, Option<String>)> {
    let status = scene.director.api().status()?;
    let mut interfaces = status.interfaces.into_iter();
    let found = interfaces.find(|each| each.name == name);
    let found = found.context("no such interface")?;
    Ok((found.fast_path, found.slow_because))
}
