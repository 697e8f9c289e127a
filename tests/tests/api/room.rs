//! What the gate has no room for is undone, all that was told before it, too.

use adminapi::model::{
    Configuration, FilterList, FilterRules, Protocol, Scheduler, StandingListing,
};
use anyhow::{Context, Result, ensure};
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use testbed::accounts::assert_accounts;
use testbed::director::service;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::topology::{CLIENT_V4, VIP_V4};
use testbed::traffic::{HttpConnection, fetch_names};

const HTTP: Family = Family::V4;

/// Services that are added, and real servers of each.
const MORE: u16 = 4;
const REALS: u8 = 10;

/// What stands in a place of the gate's table of endpoints that somebody has: here, nobody.
const TAKEN: u64 = u64::MAX << 18;
const FREE: u64 = 0;

/// The gate's table of endpoints, without a free place until it is dropped.
struct Full(MapHandle);

impl Full {
    /// With the number of places that were free.
    fn of(map: MapHandle) -> Result<(Self, usize)> {
        let full = Self(map);
        let filled = full.exchange(FREE, TAKEN)?;
        Ok((full, filled))
    }

    fn exchange(&self, from: u64, to: u64) -> Result<usize> {
        let mut exchanged = 0;
        for row in self.0.keys() {
            let mut places = self.0.lookup(&row, MapFlags::ANY)?.context("no row")?;
            for place in places.chunks_exact_mut(size_of::<u64>()) {
                if *place == from.to_ne_bytes() {
                    place.copy_from_slice(&to.to_ne_bytes());
                    exchanged += 1;
                }
            }
            self.0.update(&row, &places, MapFlags::ANY)?;
        }
        Ok(exchanged)
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        let _ = self.exchange(TAKEN, FREE);
    }
}

/// Fewer of the services that are there, some new ones, and filters that keep the client out.
fn other_than(present: &Configuration) -> Result<Configuration> {
    let mut wanted = present.clone();
    wanted.services.truncate(1);
    wanted.services.extend((0..MORE).map(|number| {
        let reals = (1..=REALS).map(|host| (([10, 0, 2, 100 + host], 1000 + number).into(), 1));
        let vip = (VIP_V4, 5000 + number).into();
        service(Protocol::Tcp, vip, Scheduler::Wrr, reals)
    }));
    wanted.filter = Some(FilterRules {
        bogon_networks: Some(vec!["198.51.100.0/24".parse()?]),
        ..FilterRules::default()
    });
    wanted.listed = Some(vec![StandingListing {
        network: CLIENT_V4.to_string().parse()?,
        list: FilterList::Deny,
        until: None,
        why: None,
    }]);
    Ok(wanted)
}

#[test]
fn a_configuration_that_the_gate_has_no_room_for_changes_nothing() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let (api, client) = (scene.director.api(), &scene.topology.client);
    let mut live = HttpConnection::open(client, HTTP.http())?;
    let name = live.ask_name()?;
    let before = api.call(async |api| api.config().await)?;
    let wanted = other_than(&before)?;

    let (full, filled) = Full::of(scene.director.gate_map("places")?)?;
    ensure!(filled > 100_000, "only {filled} places were free");
    let refused = api.call(async |api| api.put_config(&wanted).await);
    refused.err().context("there was room for it")?;
    let after = api.call(async |api| api.config().await)?;
    ensure!(before == after, "{before:#?}\n{after:#?}");
    ensure!(live.ask_name()? == name);
    ensure!(fetch_names(client, HTTP.http(), 3)?.len() == 3);
    let drops = api.stats()?.drops;
    ensure!(!drops.contains_key("denied"), "{drops:?}");

    drop(full);
    api.call(async |api| api.put_config(&wanted).await)?;
    ensure!(
        live.ask_name()? == name,
        "an established connection goes on"
    );
    ensure!(api.call(async |api| api.config().await)?.services == wanted.services);
    assert_accounts(&scene.director);
    Ok(())
}
