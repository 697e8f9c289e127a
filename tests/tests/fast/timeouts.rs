//! How long a connection lives that the gate forwards.

use std::time::{Duration, Instant};

use adminapi::model::TimeoutsPatch;
use anyhow::{Context, Result, ensure};
use testbed::accounts::balanced;
use testbed::process::Signal;
use testbed::require;
use testbed::wait;

use crate::bed::{PATIENCE, cached, flows, scene, state};

/// How long an idle connection is remembered, in seconds.
const IDLE: i64 = 4;

/// How long one that is not idle is looked at.
const LONG: Duration = Duration::from_secs(7);

/// Whoever has heard nothing for so long may have been forgotten by right.
const BREAK: Duration = Duration::from_secs(2);

/// How often a scenario is begun at most on a machine that stands still in its midst.
const ATTEMPTS: u32 = 5;

/// Says a word, and the next one soon, for a while. Nothing when there was a break before one that failed: it
/// was the machine's.
fn talk(span: Duration, mut say: impl FnMut() -> Result<()>) -> Result<Option<()>> {
    let start = Instant::now();
    let mut heard = start;
    loop {
        match say() {
            Ok(()) => heard = Instant::now(),
            Err(error) if heard.elapsed() > BREAK => {
                eprintln!("{:?} after the last word: {error:#}", heard.elapsed());
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        if start.elapsed() > span {
            return Ok(Some(()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What a scenario comes to that has had no break.
fn without_a_break<T>(scenario: impl Fn() -> Result<Option<T>>) -> Result<T> {
    let mut attempts = (0..ATTEMPTS).filter_map(|_| scenario().transpose());
    attempts.next().context("a break in each")?
}

#[test]
fn a_busy_connection_lives_and_an_idle_one_dies() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = without_a_break(|| {
        let scene = scene(|configuration| configuration.timeout("tcp", IDLE))?;
        let mut open = cached(&scene)?;
        let lived = talk(LONG, || {
            open.ask_name()?;
            let listed = state(&scene)?;
            ensure!(matches!(&listed[..], [(_, 1..)]), "{listed:?}");
            Ok(())
        });
        Ok(lived?.map(|()| (scene, open)))
    });
    let (scene, _open) = scene?;
    wait::until("the idle connection to be forgotten", PATIENCE, || {
        ensure!(state(&scene)?.is_empty() && flows(&scene)? == 0);
        Ok(())
    })
}

/// As in the kernel, whose connections keep their end until their next packet.
#[test]
fn an_idle_connection_keeps_its_end_when_timeouts_get_shorter() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(|configuration| configuration)?;
    let mut open = cached(&scene)?;
    std::thread::sleep(Duration::from_secs(3));
    let set = |tcp, udp| {
        let patch = TimeoutsPatch {
            tcp,
            udp,
            ..TimeoutsPatch::default()
        };
        let api = scene.director.api();
        api.call(async |api| api.change_timeouts(patch).await)
    };
    set(Some(100), None)?;
    let listed = state(&scene)?;
    ensure!(matches!(&listed[..], [(_, 600..)]), "{listed:?}");
    let spoke = Instant::now();
    open.ask_name()?;
    let keeps = || {
        let listed = state(&scene)?;
        let gone = u32::try_from(spoke.elapsed().as_secs() + 1)?;
        let is_kept =
            matches!(&listed[..], [(_, left)] if (100..=100 + gone).contains(&(left + gone)));
        ensure!(is_kept, "{listed:?} after {gone} s");
        Ok(())
    };
    set(None, Some(60))?;
    keeps()?;
    set(Some(2), None)?;
    std::thread::sleep(Duration::from_secs(2));
    keeps()?;
    open.ask_name()?;
    wait::until("the idle connection to be forgotten", PATIENCE, || {
        ensure!(state(&scene)?.is_empty() && flows(&scene)? == 0);
        Ok(())
    })
}

/// The gate goes on, but with the time that it was told last.
#[test]
fn who_talks_while_the_director_stands_still_lives() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    without_a_break(|| {
        let mut scene = scene(|configuration| configuration.timeout("tcp", IDLE))?;
        let mut open = cached(&scene)?;
        scene.director.process().signal(Signal::Stop)?;
        let mut say = |when| open.ask_name().map(drop).context(when);
        let lived = talk(LONG, || say("while it stands still"));
        scene.director.process().signal(Signal::Cont)?;
        if lived?.is_none() {
            return Ok(None);
        }
        let lives = talk(LONG / 10, || say("when it goes on"))?;
        balanced(&scene.director)?;
        Ok(lives)
    })
}
