//! What the API has changed outlives the director.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use adminapi::model::{
    Defense, FilterList, FilterRules, Listed, MarkRule, Protocol, RealPatch, Scheduler, Service,
    ServiceId, SyncDaemon,
};
use anyhow::{Result, ensure};
use testbed::director::{Configuration, Director, run_to_end, service};
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::{Nginx, OTHER_HTTP_PORT};
use testbed::topology::Topology;
use testbed::traffic::HttpConnection;
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(30);

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
        Self::shaped(|topology| Configuration::new(topology.interfaces()))
    }

    /// As small as it can be.
    fn starting_soon() -> Result<Self> {
        Self::shaped(|topology| {
            let small = [("workers", 1), ("ring", 64), ("frames", 128)];
            let bare = Configuration::new(topology.interfaces()[..1].to_vec())
                .fast_path(false)
                .limit("connections", 1024);
            let set = |bare: Configuration, (key, value)| bare.datapath(key, value);
            small.into_iter().fold(bare, set)
        })
    }

    fn shaped(shape: impl FnOnce(&Topology) -> Configuration) -> Result<Self> {
        let topology = Topology::with_one_real()?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("state.json");
        let configuration = shape(&topology)
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
    let told = format!("stay those of {}", kept.file.display());
    wait::until("the reload", PATIENCE, || {
        ensure!(director.log().contains(&told), "{}", director.log());
        Ok(())
    })?;
    ensure!(director.api().defense(None)?.level == 0);
    ensure!(weight(&director, id)? == 7);
    let notes = director.api().call(async |api| api.reload().await)?.notes;
    ensure!(
        notes.len() == 1 && notes[0].contains(&told),
        "the answer of a reload: {notes:?}"
    );
    Ok(())
}

/// To let the level change by itself is a change as any other.
#[test]
fn a_level_that_the_api_has_set_stands_above_that_of_the_file() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut kept = Kept::starting_soon()?;
    kept.configuration = kept.configuration.defense("level", 2);
    let mut director = kept.start()?;
    ensure!(director.api().defense(None)?.level == 2);
    director.api().set_level(None, 0)?;
    director.end_by(Signal::Kill)?;

    let director = kept.start()?;
    ensure!(director.api().defense(None)?.level == 0);
    for level in [0, 2] {
        let other = kept.configuration.clone().defense("level", level);
        fs::write(director.file(), other.text(&director.socket())?)?;
        director.api().call(async |api| api.reload().await)?;
        ensure!(director.api().defense(None)?.level == 0, "{level}");
    }
    Ok(())
}

/// Directors side by side, and how often each is killed: 100 times together.
const LANES: u64 = 4;
const KILLS: u64 = 25;

#[test]
fn a_kill_amid_changes_leaves_the_old_or_the_new_one() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| std::thread::spawn(move || kill_again_and_again(lane)))
        .collect();
    let mut amid_writing = 0;
    for lane in lanes {
        amid_writing += lane.join().expect("a lane panicked")?;
    }
    eprintln!("{amid_writing} kills came amid writing");
    ensure!(amid_writing > 0, "every kill came between two changes");
    Ok(())
}

/// Each director begins with what the one before has left. How many kills left a file half written
/// beside the whole one.
fn kill_again_and_again(lane: u64) -> Result<usize> {
    let kept = Kept::starting_soon()?;
    let (id, half) = (web(1).id, kept.file.with_extension("json.new"));
    let (mut told, mut amid_writing) = (1, 0);
    for kill in 0..KILLS {
        let mut director = kept.start()?;
        let now = weight(&director, id)?;
        ensure!(
            now == told || now == told + 1,
            "{now}, but {told} was answered"
        );
        // Another moment of a change each time.
        let moment = Duration::from_micros(370 * (LANES * kill + lane));
        told = kill_amid_changes(&mut director, now + 10, moment)?;
        amid_writing += usize::from(half.exists());
    }
    let now = weight(&kept.start()?, id)?;
    ensure!(
        now == told || now == told + 1,
        "{now}, but {told} was answered"
    );
    Ok(amid_writing)
}

/// Changes all weights again and again, to `begin` and on, and kills the director `moment` after the first
/// change. The last weight that was answered.
fn kill_amid_changes(director: &mut Director, begin: u32, moment: Duration) -> Result<u32> {
    let (socket, answered) = (director.socket(), Arc::new(AtomicU32::new(0)));
    let tells = Arc::clone(&answered);
    let changer = std::thread::spawn(move || {
        let api = testbed::api::Api::new(&socket).expect("a runtime");
        for weight in begin.. {
            if api.put_service(&web(weight)).is_err() {
                return;
            }
            tells.store(weight, Relaxed);
        }
    });
    wait::until_true("a change", PATIENCE, || answered.load(Relaxed) > 0)?;
    std::thread::sleep(moment);
    director.end_by(Signal::Kill)?;
    changer.join().expect("the changer");
    Ok(answered.load(Relaxed))
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
    let mut director = kept.start()?;
    ensure!(weight(&director, id)? == 5, "the next start forgets it");
    director.stop()?;
    drop(director);

    fs::write(&kept.file, "{}}")?;
    fs::write(kept.file.with_extension("json.last"), "[")?;
    let text = kept
        .configuration
        .text(Path::new("/tmp/bulwark-kept.sock"))?;
    let checked = ["sh", "-c", "exec \"$@\" --check", "sh"];
    for wrapper in [&[][..], &checked] {
        let (status, said) = run_to_end(&kept.topology.director, wrapper, &text)?;
        ensure!(
            !status.success() && said.contains("state.json:1:3"),
            "{wrapper:?}: {said}"
        );
    }
    Ok(())
}

/// To end a drain is taken back, too.
#[test]
fn who_was_drained_is_drained_on_when_that_cannot_be_written() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let (kept, id) = (Kept::new()?, Family::V4.http_service());
    let director = kept.start()?;
    let (api, host) = (director.api(), &kept.topology.reals[0]);
    let at = (host.v4, OTHER_HTTP_PORT).into();
    let vip = Family::V4.http();
    api.put_service(&service(Protocol::Tcp, vip, Scheduler::Rr, [(at, 1)]))?;
    let drain = || {
        let reals = api.service(id)?.reals;
        let real = reals.into_iter().find(|real| real.endpoint() == at);
        let draining = real.and_then(|real| real.draining);
        anyhow::Ok(draining.map(|draining| (draining.since, draining.until)))
    };
    // Somebody is connected: else it would go at once.
    let _server = Nginx::start(host)?;
    let mut open = HttpConnection::open(&kept.topology.client, vip)?;
    open.ask_name()?;
    api.change_real(id, at, RealPatch::drain(600))?;
    let before = drain()?;
    ensure!(before.is_some());
    fs::create_dir(kept.file.with_extension("json.new"))?;
    let weighing = RealPatch {
        weight: Some(1),
        ..RealPatch::default()
    };
    let told = api
        .change_real(id, at, weighing)
        .expect_err("it was written");
    ensure!(told.to_string().contains("taken back"), "{told}");
    ensure!(drain()? == before);
    open.ask_name()?;
    Ok(())
}

/// What was removed for a moment has its counters still.
#[test]
fn what_is_put_back_counts_on() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let (kept, id) = (Kept::new()?, Family::V4.http_service());
    let director = kept.start()?;
    let (api, host) = (director.api(), &kept.topology.reals[0]);
    let vip = Family::V4.http();
    let at = (host.v4, OTHER_HTTP_PORT).into();
    api.put_service(&service(Protocol::Tcp, vip, Scheduler::Rr, [(at, 1)]))?;
    let _server = Nginx::start(host)?;
    let mut open = HttpConnection::open(&kept.topology.client, vip)?;
    open.ask_name()?;
    let counted = || {
        let now = api.service(id)?;
        let real = now.reals.first().map(|real| real.stats.connections);
        anyhow::Ok((now.stats.connections, real))
    };
    ensure!(counted()? == (1, Some(1)));
    fs::create_dir(kept.file.with_extension("json.new"))?;
    let told = api.call(async |api| api.flush().await);
    let told = told.expect_err("it was written").to_string();
    ensure!(told.contains("taken back"), "{told}");
    ensure!(counted()? == (1, Some(1)), "{:?}", counted()?);
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

/// Neither what was to be set nor what has come by itself is another level by that.
#[test]
fn levels_are_as_they_were_when_a_change_cannot_be_written() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut kept = Kept::new()?;
    let long = 600;
    kept.configuration = kept.configuration.defense("dwell", long);
    let director = kept.start()?;
    let (api, id) = (director.api(), web(1).id);
    let levels = || {
        let levels = [None, Some(id)].map(|scope| {
            let Defense {
                level,
                automatic,
                reason,
                since,
                ..
            } = api.defense(scope)?;
            anyhow::Ok((level, automatic, reason, since))
        });
        levels.into_iter().collect::<Result<Vec<_>>>()
    };
    let refused = |told: Result<()>| {
        let told = told.expect_err("it was written").to_string();
        ensure!(told.contains("taken back"), "{told}");
        Ok(())
    };
    for before in [[1, 0], [1, 1], [2, 1], [0, 2]] {
        api.set_level(None, before[0])?;
        api.set_level(Some(id), before[1])?;
        let held = levels()?;
        let obstacle = kept.file.with_extension("json.new");
        fs::create_dir(&obstacle)?;
        refused(api.put_service(&web(9)).map(drop))?;
        ensure!(levels()? == held, "{held:?}, now {:?}", levels()?);
        refused(api.call(async |api| api.flush().await).map(drop))?;
        ensure!(levels()? == held, "{held:?}, now {:?}", levels()?);
        for (scope, level) in [None, Some(id)].into_iter().zip(before) {
            // To pin one is written, and to pin it no more.
            let other = if level == 2 { 0 } else { 2 };
            refused(api.set_level(scope, other).map(drop))?;
            ensure!(levels()? == held, "{held:?}, now {:?}", levels()?);
        }
        fs::remove_dir(&obstacle)?;
    }
    Ok(())
}

/// Synchronisation daemons do nothing yet: nothing is to fail for them.
#[test]
fn a_daemon_whose_interface_has_gone_stops_nothing() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let (kept, id) = (Kept::new()?, web(1).id);
    let here = &kept.topology.director;
    here.ip("link add s0 type veth peer name s1\n")?;
    let mut director = kept.start()?;
    let daemon = serde_json::json!({"role": "master", "interface": "s0"});
    let daemon: SyncDaemon = serde_json::from_value(daemon)?;
    wait::until("the interface to be seen", PATIENCE, || {
        let api = director.api();
        api.call(async |api| api.start_daemon(&daemon).await)
            .map(drop)
    })?;
    here.ip("link del s0\n")?;
    let weighing = |weight| RealPatch {
        weight: Some(weight),
        ..RealPatch::default()
    };
    let real = ([10, 0, 2, 1], 80).into();
    director.api().put_service(&web(7))?;
    fs::create_dir(kept.file.with_extension("json.new"))?;
    let refused = director.api().change_real(id, real, weighing(9));
    let told = refused.expect_err("it was written").to_string();
    ensure!(told.contains("taken back"), "{told}");
    ensure!(weight(&director, id)? == 7);
    director.end_by(Signal::Kill)?;

    let director = kept.start()?;
    ensure!(weight(&director, id)? == 7);
    let left = director.api().call(async |api| api.daemons().await)?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}
