//! What the API has changed outlives the director.

use std::fs;
use std::path::Path;
use std::time::Duration;

use adminapi::model::{
    FilterList, FilterRules, Listed, MarkRule, Protocol, RealPatch, Scheduler, Service, ServiceId,
};
use anyhow::{Result, ensure};
use testbed::director::{Configuration, Director, run_to_end, service};
use testbed::process::Signal;
use testbed::require;
use testbed::topology::{Plan, Topology};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(10);

fn web(weight: u32) -> Service {
    let reals = (1..=20).map(|host| (([10, 0, 2, host], 80).into(), weight));
    service(
        Protocol::Tcp,
        ([10, 9, 9, 9], 80).into(),
        Scheduler::Wrr,
        reals,
    )
}

/// The weight that all real servers have.
fn weight(director: &Director, id: ServiceId) -> Result<u32> {
    let service = director.api().service(id)?;
    let first = service.reals[0].weight;
    let same = service.reals.len() == 20 && service.reals.iter().all(|r| r.weight == first);
    ensure!(same, "a mix: {service:?}");
    Ok(first)
}

struct Kept {
    topology: Topology,
    configuration: Configuration,
    _folder: tempfile::TempDir,
    file: std::path::PathBuf,
}

impl Kept {
    fn new() -> Result<Self> {
        let topology = Topology::build(Plan {
            reals: 1,
            ..Plan::default()
        })?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("state.json");
        let configuration = Configuration::new(topology.interfaces())
            .api("persist", file.display().to_string())
            .service(web(1));
        Ok(Self {
            topology,
            configuration,
            _folder: folder,
            file,
        })
    }

    fn start(&self) -> Result<Director> {
        Director::start(&self.topology.director, &self.configuration)
    }
}

#[test]
fn what_the_api_has_made_is_there_after_a_kill() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let kept = Kept::new()?;
    let id = web(1).id;
    let mut director = kept.start()?;
    ensure!(!kept.file.exists(), "nothing has been changed yet");
    director.api().put_service(&web(7))?;
    director.api().set_sysctl("conn_reuse_mode", 0)?;
    director.api().set_level(Some(id), 2)?;
    let rule = MarkRule {
        mark: 7,
        ..MarkRule::default()
    };
    director.api().call(async |api| api.add_mark(&rule).await)?;
    let rules = FilterRules {
        loose: vec![kept.topology.interfaces()[0].clone()],
        ..FilterRules::default()
    };
    director
        .api()
        .call(async |api| api.put_filter(&rules).await)?;
    for (network, seconds) in [("203.0.113.0/24", None), ("198.51.100.7", Some(600))] {
        let listing = Listed {
            network: network.parse()?,
            list: FilterList::Deny,
            seconds,
            why: None,
        };
        let put = director
            .api()
            .call(async |api| api.put_network(&listing).await);
        put?;
    }
    let before = director.api().call(async |api| api.config().await)?;
    director.end_by(Signal::Kill)?;

    let mut director = kept.start()?;
    let after = director.api().call(async |api| api.config().await)?;
    ensure!(before == after, "{before:#?}\n{after:#?}");
    ensure!(after.listed.as_deref().map(<[_]>::len) == Some(2));
    let banned = "198.51.100.7".parse()?;
    let listed = director
        .api()
        .call(async |api| api.listed_network(banned).await)?;
    ensure!(listed.left.is_some_and(|left| left <= 600), "{listed:?}");
    ensure!(director.api().defense(Some(id))?.level == 2);

    // The file of the director has the weight 1; it is the beginning only.
    let pinned = kept.configuration.clone().defense("level", 2);
    director.reload(&pinned.text(&director.socket())?)?;
    wait::until("the reload", PATIENCE, || {
        ensure!(director.api().defense(None)?.level == 2);
        Ok(())
    })?;
    ensure!(weight(&director, id)? == 7);
    Ok(())
}

#[test]
fn a_kill_amid_changes_leaves_the_old_or_the_new_one() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let kept = Kept::new()?;
    let id = web(1).id;
    let mut reached = 1;
    for round in 0..5u32 {
        let mut director = kept.start()?;
        ensure!(weight(&director, id)? >= reached);
        let socket = director.socket();
        let begin = 1000 * (round + 1);
        let changer = std::thread::spawn(move || -> u32 {
            let api = testbed::api::Api::new(&socket).expect("a runtime");
            let put = |weight: &u32| api.put_service(&web(*weight)).is_ok();
            (begin..).take_while(put).last().unwrap_or(0)
        });
        let deep = Duration::from_millis(u64::from(round) * 7);
        wait::until("some changes", PATIENCE, || {
            ensure!(weight(&director, id)? > begin + 3);
            Ok(())
        })?;
        std::thread::sleep(deep);
        director.end_by(Signal::Kill)?;
        let told = changer.join().expect("the changer");
        let director = kept.start()?;
        let now = weight(&director, id)?;
        ensure!(
            now == told || now == told + 1,
            "{now}, but {told} was answered"
        );
        reached = now;
    }
    Ok(())
}

#[test]
fn a_corrupt_file_is_refused_with_its_place() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let kept = Kept::new()?;
    let id = web(1).id;
    let mut director = kept.start()?;
    for weight in [5, 6] {
        director.api().put_service(&web(weight))?;
    }
    director.stop()?;
    drop(director);
    fs::write(&kept.file, "{\n  \"service\": [\n")?;
    let mut director = kept.start()?;
    ensure!(weight(&director, id)? == 5, "the one before is used");
    ensure!(
        director.log().contains("state.json:3:0"),
        "{}",
        director.log()
    );
    director.stop()?;
    drop(director);

    fs::write(&kept.file, "{}}")?;
    fs::write(kept.file.with_extension("json.last"), "[")?;
    let text = kept
        .configuration
        .text(Path::new("/tmp/bulwark-kept.sock"))?;
    let (status, said) = run_to_end(&kept.topology.director, &[], &text)?;
    ensure!(
        !status.success() && said.contains("state.json:1:3"),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_change_that_cannot_be_written_is_taken_back() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let kept = Kept::new()?;
    let id = web(1).id;
    let director = kept.start()?;
    fs::create_dir(kept.file.with_extension("json.new"))?;
    let real = ([10, 0, 2, 1], 80).into();
    let patch = RealPatch {
        weight: Some(9),
        ..RealPatch::default()
    };
    let refused = director.api().change_real(id, real, patch);
    let told = refused.expect_err("it was written").to_string();
    ensure!(told.contains("taken back"), "{told}");
    ensure!(weight(&director, id)? == 1);
    Ok(())
}
