//! Files that are read again when they change: tokens, certificates.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What tells one state of a file from another: its device, inode, size and the time of its last
/// change in nanoseconds.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

type Read<T> = Box<dyn Fn() -> Result<T, String> + Send + Sync>;

/// What some files say. When they say nothing sensible any more, what they said last.
pub struct Kept<T> {
    /// What it is, for the log.
    what: &'static str,
    files: Vec<PathBuf>,
    read: Read<T>,
    now: RwLock<Arc<T>>,
    seen: Mutex<Vec<Stamp>>,
}

impl<T: Send + Sync + 'static> Kept<T> {
    /// What `read` makes of `files`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(
        what: &'static str,
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let seen = Mutex::new(stamps(&files));
        let guarded = files.clone();
        let read = move || guarded.iter().try_for_each(is_still).and_then(|()| read());
        Ok(Self {
            what,
            now: RwLock::new(Arc::new(read()?)),
            read: Box::new(read),
            files,
            seen,
        })
    }

    /// What they say.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again. What is wrong with them is logged.
    pub fn refresh(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = stamps(&self.files);
        match (self.read)() {
            Ok(new) => {
                *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                tracing::info!("{} read again", self.what);
            }
            Err(why) => tracing::error!("{} stay as they were: {why}", self.what),
        }
    }

    /// Reads them again whenever they have changed. Never ends.
    pub async fn follow(self: Arc<Self>) {
        let mut last = Vec::new();
        loop {
            tokio::time::sleep(LOOK).await;
            let kept = Arc::clone(&self);
            let before = std::mem::take(&mut last);
            let look = tokio::task::spawn_blocking(move || {
                let now = stamps(&kept.files);
                if kept.are_changed(&before, &now) {
                    kept.refresh();
                }
                now
            });
            // A panic while reading leaves what was read last.
            last = look.await.unwrap_or_default();
        }
    }

    /// Whether they have changed, and not since the look before: a file that is being written may be
    /// empty, and a certificate a moment older than its key.
    fn are_changed(&self, before: &[Stamp], now: &[Stamp]) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen != now && before == now
    }
}

impl<T> std::fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("files", &self.files).finish()
    }
}

/// Whoever starts a client may have its certificate come through a pipe; a director that is asked to
/// read one again would wait there.
fn is_still(path: &PathBuf) -> Result<(), String> {
    match std::fs::metadata(path) {
        Ok(about) if !about.is_file() => Err(format!("{}: is no file", path.display())),
        // Who reads it knows what to say.
        _ => Ok(()),
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let about = std::fs::metadata(path).ok()?;
        let (seconds, nanoseconds) = (about.ctime(), about.ctime_nsec());
        Some((about.dev(), about.ino(), about.size(), seconds, nanoseconds))
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let (from, files) = (path.clone(), vec![path.clone()]);
        let read = move || -> Result<u32, String> {
            let text = std::fs::read_to_string(&from).map_err(|error| error.to_string())?;
            text.parse().map_err(|_| format!("{text} is no number"))
        };
        assert!(Kept::new("numbers", files.clone(), read.clone()).is_err());
        write("1");
        let kept = Kept::new("numbers", files, read).unwrap();
        let look = || stamps(&kept.files);
        let mut last = look();
        assert!(!kept.are_changed(&last, &look()));
        for (text, want) in [("22", 22), ("x", 22), ("333", 333)] {
            for part in ["", text] {
                write(part);
                assert!(!kept.are_changed(&last, &look()), "it is being written");
                last = look();
            }
            assert!(kept.are_changed(&last, &look()));
            kept.refresh();
            assert!(!kept.are_changed(&last, &look()));
            assert_eq!(*kept.get(), want);
        }
        std::fs::remove_file(&path).unwrap();
        last = look();
        assert!(kept.are_changed(&last, &look()));
    }
}
