//! Forged sources: bogons, and the way back.

use std::time::Duration;

use adminapi::model::{DecidingRule, FilterList, FilterRules};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::topology::CLIENT_V4;
use testbed::traffic::HttpConnection;
use testbed::wait;

use crate::filters::bed::{PATIENCE, alone, ask, is_dropped, list, unlist};

#[test]
fn forged_sources_are_told_by_their_networks_and_by_the_way_back() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    let interfaces = scene.topology.interfaces();
    let clients = interfaces.first().context("no interface")?.clone();
    for family in Family::BOTH {
        let to = family.http();
        let rules = FilterRules {
            bogons: vec![clients.clone()],
            ..FilterRules::default()
        };
        api.put_filter(&rules)?;
        is_dropped(&scene, family.client(), to, "bogon")?;
        let told = ask(&scene, family.client(), to)?;
        let bogon = match family {
            Family::V4 => "10.0.0.0/8",
            Family::V6 => "fc00::/7",
        };
        let rule = DecidingRule::Bogon {
            network: bogon.parse()?,
            interface: clients.clone(),
        };
        assert_eq!(told.rule, Some(rule));
        let network = alone(family.client())?;
        list(&scene, network, FilterList::Allow, None)?;
        HttpConnection::open(&scene.topology.client, to)?.ask_name()?;
        unlist(&scene, network)?;

        let rules = FilterRules {
            strict: vec![clients.clone()],
            ..FilterRules::default()
        };
        api.put_filter(&rules)?;
        let behind = scene.topology.reals[0].address(family.vip());
        is_dropped(&scene, behind, to, "reverse_path")?;
        let rule = DecidingRule::Strict {
            interface: clients.clone(),
        };
        assert_eq!(ask(&scene, behind, to)?.rule, Some(rule));
        HttpConnection::open(&scene.topology.client, to)?.ask_name()?;
    }
    let nowhere = FilterRules {
        loose: vec!["eth9".to_owned()],
        ..FilterRules::default()
    };
    let refused = api.put_filter(&nowhere);
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("no interface of the director"), "{told}");
    assert_accounts(&scene.director);
    Ok(())
}

/// The kernel names one way back of several, so who comes by another one looks forged.
#[test]
fn a_strict_interface_that_is_one_of_several_ways_back_is_told_of_once() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let interfaces = scene.topology.interfaces();
    let clients = interfaces.first().context("no interface")?.clone();
    let rules = FilterRules {
        strict: vec![clients],
        ..FilterRules::default()
    };
    let api = scene.director.api();
    api.put_filter(&rules)?;
    let told = || {
        let log = scene.director.log();
        log.matches("one of several ways back").count()
    };
    std::thread::sleep(Duration::from_millis(1500));
    ensure!(
        told() == 0,
        "there is one way back:\n{}",
        scene.director.log()
    );
    scene.topology.director.ip(&format!(
        "route add 203.0.113.0/24 nexthop via {CLIENT_V4} nexthop via {}\n",
        scene.topology.reals[0].v4,
    ))?;
    wait::until_true("a warning", PATIENCE, || told() > 0)?;
    std::thread::sleep(Duration::from_millis(2500));
    ensure!(told() == 1, "told again:\n{}", scene.director.log());
    Ok(())
}
