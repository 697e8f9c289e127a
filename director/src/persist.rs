//! What is configured over the API, in a file that outlives the director: `[api] persist`.
//!
//! The file is the body of `GET /v1/config`. It is never written in place: the new state is made
//! beside it, forced to the disk, and takes its name in one step, so that whenever the director or
//! the host dies the file is the old state or the new one. The one before is kept as `FILE.last`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use adminapi::ControlError;
use adminapi::json::{self, Unread};
use adminapi::model::{Configuration, FilterRules};
use adminapi::validate::validate_whole;
use parking_lot::Mutex;

/// The file, and what it says.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    kept: Mutex<Kept>,
}

/// What is known of the file.
#[derive(Debug, Default)]
struct Kept {
    /// What is configured as far as the file is concerned: what has been written or read last, or
    /// what there was before the file.
    state: Option<Configuration>,
    /// Whether the file says so.
    is_written: bool,
    /// Whether the file is of no use, and could not be set aside yet.
    is_spoilt: bool,
}

/// What a director finds when it starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// There is no file yet.
    Nothing,
    /// What was configured last.
    State(Configuration),
    /// The file is of no use; what was configured before that.
    Before {
        /// The state.
        state: Configuration,
        /// What is wrong with the file, and where.
        why: String,
        /// Why it could not be set aside, if so.
        left: Option<String>,
    },
}

/// Why nothing can be read.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Neither of the two files is of use.
    #[error(
        "{why}; and neither is there a state before that: {before}; mend one of them, or move both \
         away to begin with the configuration file"
    )]
    Neither {
        /// What is wrong with the file.
        why: String,
        /// What is wrong with the one before it.
        before: String,
    },
    /// There is no folder for them, as where a disk is not mounted.
    #[error("{0}")]
    Homeless(String),
}

impl Store {
    /// The file at `path`; nothing is read yet.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            kept: Mutex::default(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(ending);
        name.into()
    }

    /// Reads the state. A file that is of no use is set aside as `FILE.corrupt`, and a copy of the one
    /// before it takes its place.
    ///
    /// # Errors
    /// When the file is of no use and the one before it neither, or there is no folder for them.
    pub fn read(&self) -> Result<Found, Unusable> {
        if let Some(why) = homeless(&self.path) {
            return Err(Unusable::Homeless(why));
        }
        let found = match read(&self.path) {
            Ok(Some(state)) => Found::State(state),
            // Killed between the two renames of the very first state there is nothing yet.
            Ok(None) => Found::Nothing,
            Err(why) => self.read_before(why)?,
        };
        if let Found::State(state) | Found::Before { state, .. } = &found {
            *self.kept.lock() = Kept {
                state: Some(state.clone()),
                is_written: true,
                is_spoilt: matches!(found, Found::Before { left: Some(_), .. }),
            };
        }
        Ok(found)
    }

    fn read_before(&self, why: String) -> Result<Found, Unusable> {
        match read(&self.beside(".last")) {
            Ok(Some(state)) => {
                let left = self.set_aside(&state).err().map(|error| error.to_string());
                Ok(Found::Before { state, why, left })
            }
            Ok(None) => Err(Unusable::Neither {
                why,
                before: "there is no file".to_owned(),
            }),
            Err(before) => Err(Unusable::Neither { why, before }),
        }
    }

    /// Names the file `FILE.corrupt`, and makes one that says `state`. There is one at any moment,
    /// unless its system has no hard links.
    fn set_aside(&self, state: &Configuration) -> io::Result<()> {
        self.replace(state, || self.keep_corrupt())
    }

    fn keep_corrupt(&self) -> io::Result<()> {
        let corrupt = self.beside(".corrupt");
        let _ = fs::remove_file(&corrupt);
        fs::hard_link(&self.path, &corrupt).or_else(|_| fs::rename(&self.path, &corrupt))
    }

    /// What is configured as far as the file is concerned.
    pub fn kept(&self) -> Option<Configuration> {
        self.kept.lock().state.clone()
    }

    /// Whether there is a file, so that it says what is configured.
    pub fn is_written(&self) -> bool {
        self.kept.lock().is_written
    }

    /// Notes what is configured as long as there is no file.
    pub fn assume(&self, state: Configuration) {
        self.kept.lock().state = Some(state);
    }

    /// Writes the state, if it is another one than the last.
    ///
    /// # Errors
    /// The system's; the file is then what it was.
    pub fn write(&self, state: &Configuration) -> io::Result<()> {
        let mut kept = self.kept.lock();
        if kept.state.as_ref() == Some(state) {
            return Ok(());
        }
        match kept.is_spoilt {
            true => self.set_aside(state)?,
            false => self.replace(state, || self.keep_last())?,
        }
        *kept = Kept {
            state: Some(state.clone()),
            is_written: true,
            is_spoilt: false,
        };
        Ok(())
    }

    /// Makes a file of the state, and gives it the name of the file when the present one is kept by
    /// `keep`.
    fn replace(
        &self,
        state: &Configuration,
        keep: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let new = self.beside(".new");
        let replaced = self.make(&new, state).and_then(|folder| {
            keep()?;
            fs::rename(&new, &self.path)?;
            folder.sync_all()
        });
        replaced.inspect_err(|_| {
            // On a full disk others need its room.
            let _ = fs::remove_file(&new);
        })
    }

    /// Makes the state at `new`. The folder that it is in.
    fn make(&self, new: &Path, state: &Configuration) -> io::Result<File> {
        // What would fail after the change of names fails before it.
        let folder = File::open(self.path.parent().unwrap_or(Path::new("/")))?;
        let mut file = File::create(new)?;
        put(&mut file, state)?;
        file.sync_all()?;
        Ok(folder)
    }

    /// Gives the present file a second name, which it keeps when its own is taken.
    fn keep_last(&self) -> io::Result<()> {
        let (link, last) = (self.beside(".link"), self.beside(".last"));
        // One that was left behind by a director that was killed here.
        let _ = fs::remove_file(&link);
        match fs::hard_link(&self.path, &link) {
            Ok(()) => fs::rename(link, last),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What a director that starts finds in the file at `path`, if there is one; nothing is changed.
///
/// # Errors
/// What is wrong with the file, with its place.
pub fn look(path: &Path) -> Result<Option<Configuration>, String> {
    read(path).map_err(|why| {
        let file = path.display();
        format!("{why}\nmend it, or a director that starts uses {file}.last, or does not start")
    })
}

/// Why a director does not do what the file at `path` says, which is whole, and what to do.
pub fn unfit(path: &Path, refused: &ControlError) -> String {
    let file = path.display();
    let told = match refused {
        ControlError::Invalid(problems) => told(path, problems),
        other => format!("{file}: {other}"),
    };
    format!(
        "{told}\nwhat the API has changed is kept there ([api] persist), and does not go with the \
         configuration file any more: change that back, or mend {file}, or remove it to begin with \
         the configuration file"
    )
}

/// That there is no folder for the file at `path`, if so, and how to mend it.
pub fn homeless(path: &Path) -> Option<String> {
    let folder = path.parent()?;
    let look = fs::metadata(folder).err()?;
    let (file, name) = (path.display(), folder.display());
    // What else there may be is told by who reads the file.
    (look.kind() == io::ErrorKind::NotFound).then(|| {
        format!(
            "{file}: its folder is not there, and without it a director does not start, since no \
             change could be kept; make {name} (bulwarkd.service makes /var/lib/bulwark), or leave \
             `persist` out"
        )
    })
}

/// Writes the state to its last byte.
fn put(file: impl Write, state: &Configuration) -> io::Result<()> {
    let mut out = io::BufWriter::new(file);
    serde_json::to_writer_pretty(&mut out, state)?;
    out.write_all(b"\n")?;
    // One that is only dropped says nothing of what it could not write.
    out.flush()
}

/// The state in a file; none when there is no file. Else what is wrong, with its place.
fn read(path: &Path) -> Result<Option<Configuration>, String> {
    let name = path.display();
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{name}: {error}")),
    };
    let mut state: Configuration = json::read(&bytes).map_err(|unread| match unread {
        Unread::Malformed(error) => {
            let (line, column) = (error.line(), error.column());
            format!("{name}:{line}:{column}: {error}")
        }
        Unread::Invalid(problems) => told(path, &problems),
    })?;
    // Former versions took such widths and limits, which did nothing.
    let filter = state.filter.map(FilterRules::without_idle_widths);
    state.filter = filter.map(FilterRules::without_idle_limits);
    let problems = validate_whole(&state);
    match problems.is_empty() {
        true => Ok(Some(state)),
        false => Err(told(path, &problems)),
    }
}

fn told(path: &Path, problems: &[adminapi::Problem]) -> String {
    let lines = problems.iter().map(|p| format!("{}: {p}", path.display()));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
