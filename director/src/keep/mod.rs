//! What outlives the daemon: a directory on a tmpfs, so that a director that was killed, or stopped
//! to be started again, loses nothing.
//!
//! ```text
//!  STATE/
//!    owner            process id of the daemon that has it; locked as long as that lives
//!    7/               one generation for each start, the last one complete
//!      connections    slabs of the connection table  \
//!      templates      slabs of persistent services    | in the memory of the daemon: nothing is
//!      names          slots of real servers          /  written twice, nothing is lost
//!      running        what is in force, and what the file had said
//!      since          what was answered since `running` was written
//!      tally          counters, each second
//!      about          versions and layouts; its being there makes the generation complete
//! ```
//!
//! A new daemon claims the directory, reads the last complete generation, writes one of its own,
//! and removes the other only when its own is complete: killed at any moment, it leaves one that
//! holds. One that was never completed is removed by the next daemon.

mod about;
mod error;
mod names;
mod place;
mod room;
mod running;
mod since;
mod tally;

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::warn;

use crate::flow::Shape;
use crate::pool::Name;
use crate::service::RealId;
use crate::time::Clock;
use crate::wire::Addr;

pub use about::About;
use about::Written;
pub use error::KeepError;
pub use place::remove;
pub use running::{Bearer, Coined, Drained, Held, Offender, Running, Spread, Watched, Wishes};
pub use since::{RealName, Since};
pub use tally::{
    LevelTally, LimitTally, RealTally, ServiceTally, SharedBy, SharerTally, Tally, WorkerTally,
};

use names::Names;
use place::{Generation, Place};

const CONNECTIONS: &str = "connections";
const TEMPLATES: &str = "templates";
const NAMES: &str = "names";
const RUNNING: &str = "running";
const SINCE: &str = "since";
const TALLY: &str = "tally";
const ABOUT: &str = "about";

/// What this daemon leaves to the next one.
#[derive(Debug)]
pub struct Keep {
    place: Place,
    own: Generation,
    names: Mutex<Names>,
}

/// What another daemon has left.
#[derive(Debug)]
pub struct Former {
    from: Generation,
    /// How to read it.
    pub about: About,
    /// What was in force; nothing when it cannot be read.
    pub running: Option<Running>,
    /// What was counted.
    pub tally: Option<Tally>,
    /// Real servers by their slots.
    pub names: Vec<Name>,
    /// Addresses that the director spoke from, by number.
    pub speakers: Vec<(u16, Addr)>,
}

impl Keep {
    /// Claims `directory`, and looks for what another daemon has left there.
    ///
    /// # Errors
    /// Another daemon has it, it is no place to keep anything, or what is there is of another layout;
    /// each with its mend.
    pub fn claim(directory: &Path) -> Result<(Self, Option<Former>), KeepError> {
        let place = Place::claim(directory)?;
        let (own, last) = place.generations(ABOUT)?;
        // Those that starts which failed have left, or were killed before they were complete.
        place.remove_others(last.as_ref());
        let former = match last {
            Some(last) => Former::read(&place, last)?,
            None => None,
        };
        let own = place.begin(own)?;
        let names = Mutex::new(Names::new(&own.create(NAMES)?).map_err(own.failed(NAMES))?);
        Ok((Self { place, own, names }, former))
    }

    /// An empty file for the connection table.
    ///
    /// # Errors
    /// The file system's.
    pub fn connections(&self) -> Result<File, KeepError> {
        self.own.create(CONNECTIONS)
    }

    /// An empty file for the templates.
    ///
    /// # Errors
    /// The file system's.
    pub fn templates(&self) -> Result<File, KeepError> {
        self.own.create(TEMPLATES)
    }

    /// Whether there is room for tables that may come to so many bytes, and for what is taken over of
    /// `former`. Tells when there is little to spare.
    ///
    /// # Errors
    /// When there is not.
    pub fn check_room(&self, bytes: u64, former: Option<&Former>) -> Result<(), KeepError> {
        let former = former.map_or(0, |former| former.from.bytes());
        self.place.check_room(bytes, former)
    }

    /// Writes down who has which slot. To be called before a packet can meet them.
    pub fn name(&self, names: &[Name]) {
        let mut all = self.names.lock();
        names.iter().for_each(|name| all.write(name));
    }

    /// Forgets who had these slots. To be called when nobody remembers them.
    pub fn forget(&self, ids: impl IntoIterator<Item = RealId>) {
        let mut all = self.names.lock();
        ids.into_iter().for_each(|id| all.clear(id));
    }

    /// Writes down the numbers of the addresses that the director speaks from.
    pub fn name_speakers(&self, numbers: impl IntoIterator<Item = (u16, Addr)>) {
        let mut all = self.names.lock();
        numbers
            .into_iter()
            .for_each(|(id, addr)| all.write_speaker(id, addr));
    }

    /// Writes down what is in force.
    ///
    /// # Errors
    /// The file system's.
    pub fn save_running(&self, running: &Running) -> Result<(), KeepError> {
        self.save(RUNNING, running)
    }

    /// Writes down what has changed since then: since each that may be there in the end.
    ///
    /// # Errors
    /// The file system's.
    pub fn save_since(&self, since: &[Since]) -> Result<(), KeepError> {
        self.save(SINCE, since)
    }

    /// Writes down what is counted.
    ///
    /// # Errors
    /// The file system's.
    pub fn save_tally(&self, tally: &Tally) -> Result<(), KeepError> {
        self.save(TALLY, tally)
    }

    /// Says that all is written that there is to take over, and lets go of what there was before.
    ///
    /// # Errors
    /// The file system's.
    pub fn complete(&self, clock: &Clock, tables: [Shape; 2]) -> Result<(), KeepError> {
        self.save(ABOUT, &About::now(clock, tables))?;
        self.place.remove_others(Some(&self.own));
        Ok(())
    }

    fn save<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), KeepError> {
        let text =
            serde_json::to_vec(value).map_err(|error| self.own.failed(name)(error.into()))?;
        self.own.write(name, &text)
    }
}

/// Whether this program can read what a daemon has left in `directory`, if one has. Nothing is claimed
/// or changed.
///
/// # Errors
/// What [`Keep::claim`] says of it, or the file system.
pub fn look(directory: &Path) -> Result<(), KeepError> {
    let last = place::last(directory, ABOUT)?;
    let written: Option<Written> = last.and_then(|last| read(&last, ABOUT));
    written.map_or(Ok(()), |written| written.check(directory))
}

impl Former {
    /// What is in a generation; none when it is of another boot or another network, where nothing of
    /// it lives, or cannot be read.
    fn read(place: &Place, from: Generation) -> Result<Option<Self>, KeepError> {
        if let Some(written) = read::<Written>(&from, ABOUT) {
            written.check(place.directory())?;
        }
        let about: Option<About> = read(&from, ABOUT);
        let Some(about) = about else {
            return Ok(None);
        };
        if !about.is_of_here() {
            warn!("what was kept is of another boot or network namespace, and is given up");
            return Ok(None);
        }
        let known = from.open(NAMES).and_then(|file| names::read(&file));
        let known = known.unwrap_or_else(|error| {
            warn!(%error, "what was kept names no real servers: its connections are lost");
            names::Known::default()
        });
        Ok(Some(Self {
            running: read_running(&from),
            tally: read(&from, TALLY),
            from,
            about,
            names: known.reals,
            speakers: known.speakers,
        }))
    }

    /// The file of its connection table.
    ///
    /// # Errors
    /// When it is not there.
    pub fn connections(&self) -> std::io::Result<File> {
        self.from.open(CONNECTIONS)
    }

    /// The file of its templates.
    ///
    /// # Errors
    /// When it is not there.
    pub fn templates(&self) -> std::io::Result<File> {
        self.from.open(TEMPLATES)
    }

    /// A clock that goes on where its own was.
    pub fn clock(&self) -> Clock {
        Clock::go_on(Duration::from_nanos(self.about.zero))
    }
}

/// What was in force in the end.
fn read_running(from: &Generation) -> Option<Running> {
    let running: Running = read(from, RUNNING)?;
    let since = from.path(SINCE).exists().then(|| read(from, SINCE));
    Some(running.with_any(since.flatten().unwrap_or_default()))
}

/// A file of a generation, read; what cannot be is told, and done without.
fn read<T: DeserializeOwned>(from: &Generation, name: &str) -> Option<T> {
    let path = from.path(name);
    let text = fs::read(&path).map_err(|error| error.to_string());
    let value = text.and_then(|text| serde_json::from_slice(&text).map_err(|e| e.to_string()));
    value
        .inspect_err(|error| warn!(%error, path = %path.display(), "cannot be taken over"))
        .ok()
}

#[cfg(test)]
mod tests;
