//! Clients behind routers that hide them, whose connection tracking has to believe what the director
//! and the real servers say.

use adminapi::model::ForwardingMethod;
use anyhow::{Context, Result, ensure};
use testbed::masquerade::{self, Tracking};
use testbed::require;
use testbed::scene::Family;
use testbed::servers::big_file;
use testbed::traffic::{download_sha256, fetch_names, file_sha256};

use crate::bed::{Bed, Shape};
use crate::resets;

#[test]
fn who_is_hidden_is_served_by_agents_that_nat_leads_to() -> Result<()> {
    serves_the_hidden(Shape::NAT, 3)
}

#[test]
fn who_is_hidden_is_served_by_agents_that_direct_routing_leads_to() -> Result<()> {
    let shape = Shape {
        method: ForwardingMethod::Dr,
        ..Shape::NAT
    };
    serves_the_hidden(shape, 3)
}

#[test]
fn who_is_hidden_can_show_by_a_reset_that_it_is_there() -> Result<()> {
    serves_the_hidden(resets::DR, 0)
}

fn serves_the_hidden(shape: Shape, able: u32) -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build(shape)?;
    let router = &bed.topology.client;
    let guest = masquerade::hide(router)?;
    let expected = file_sha256(&big_file()?)?;
    for family in Family::BOTH {
        bed.await_cookies(family, able, true)?;
        for tracking in Tracking::ALL {
            masquerade::track(router, tracking)?;
            let served = || -> Result<()> {
                ensure!(fetch_names(&guest, family.http(), 3)?.len() == 3);
                ensure!(download_sha256(&guest, family.http(), "/big")? == expected);
                Ok(())
            };
            served().with_context(|| format!("{family:?}, {tracking:?}"))?;
        }
        let status = bed.status(family)?;
        ensure!(status.accepted >= 8, "{status:?}");
    }
    Ok(())
}
