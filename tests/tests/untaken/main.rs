//! Answers that nobody takes: a director holds them up to a bound, and goes on as if they were not there.

mod ask;
mod bed;

use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::require;

use ask::Asked;
use bed::{Bed, Visitor};

/// Requests that a token may have under way.
const STUBBORN: usize = 128;

/// Bytes that a director holds of answers that are not taken.
const SHELF: usize = 64 << 20;

/// The most that it may take meanwhile: what is on the shelf, and twice as much for what is being made, is
/// on its way, or has not been given back to the system.
const MOST: usize = 3 * SHELF;

/// Whoever takes what he has asked for comes once for so many who do not.
const HONEST: usize = 32;

/// Real servers that are listed whole, and by lines that are shorter: enough that a bound shows.
const REALS: u32 = 8000;
const MANY: u32 = 34_000;

/// Events that are remembered, and real servers that one has room for.
const EVENTS: u32 = 256;
const LARGEST: u32 = 48;

/// Answers that are made before they are taken.
const MADE: [&str; 2] = ["/v1/services", "/v1/listing/views"];

/// One that is made as it is taken, of what belongs to it alone. It is shorter.
const TOLD: [&str; 1] = ["/v1/listing/table?service=tcp:10.9.9.9:7"];

#[test]
fn over_tcp_what_nobody_takes_is_held_up_to_a_bound() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    is_bounded(&mut Bed::plain(REALS)?, &MADE)
}

#[test]
fn over_tls_what_nobody_takes_is_held_up_to_a_bound() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    is_bounded(&mut Bed::tls(REALS)?, &MADE)
}

#[test]
fn what_listings_are_made_of_that_nobody_takes_is_held_up_to_the_same_bound() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    is_bounded(&mut Bed::plain(MANY)?, &TOLD)
}

/// Each client is told of all that is remembered, as slowly as he likes.
#[test]
fn streams_that_nobody_reads_hold_little() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bed = Bed::plain(LARGEST)?;
    for weight in 0..EVENTS {
        bed.change(2 + weight % 2)?;
    }
    let api = bed.scene.director.api();
    let events = api.call(async |api| api.events(0).await)?.events;
    let change = events.last().and_then(|event| event.change.as_ref());
    let change = change.context("no change")?;
    ensure!(change.after.is_object(), "it is cut: {change:?}");
    ensure!(
        change.after.to_string().len() > 3500,
        "it is small: {change:?}"
    );
    let before = bed.memory()?;
    let mut streams = bed.leave(&["/v1/events"; STUBBORN - 1])?;
    streams.iter_mut().try_for_each(Asked::begin)?;
    // Reads of a token come one after the other: all of theirs are over.
    for asked in bed.leave(&["/v1/limits"])? {
        asked.whole()?;
    }
    let more = bed.memory()?.saturating_sub(before);
    eprintln!("{more} bytes more");
    ensure!(more < MOST, "{more} bytes more");
    Ok(())
}

/// Asks for `paths` in turn and takes nothing, while others come and go.
fn is_bounded(bed: &mut Bed, paths: &[&str]) -> Result<()> {
    let visitor = Visitor::start(&bed.scene.topology.client)?;
    let sizes = bed.take(paths)?;
    let all: usize = sizes.iter().cycle().take(STUBBORN).sum();
    ensure!(all > MOST * 3 / 2, "{sizes:?}: a bound would show nothing");

    let before = bed.memory()?;
    let wanted: Vec<_> = paths.iter().copied().cycle().take(STUBBORN).collect();
    let (mut stubborn, mut most) = (bed.leave(&wanted)?, 0);
    for (number, asked) in stubborn.iter_mut().enumerate() {
        asked.begin()?;
        most = most.max(bed.memory()?.saturating_sub(before));
        if number % HONEST == 0 {
            bed.take(paths)?;
            // The connection of who makes changes may have ended, which a change does not outlive.
            bed.scene.director.api().health()?;
            bed.scene.director.api().set_level(None, 0)?;
        }
    }
    eprintln!("{most} bytes more, of {all} that were asked for");
    ensure!(most < MOST, "{most} bytes, of {all} that were asked for");
    ensure!(visitor.end()? > 0, "nothing was forwarded meanwhile");
    assert_accounts(&bed.scene.director);
    Ok(())
}
