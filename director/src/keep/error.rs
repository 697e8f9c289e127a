//! Why nothing can be kept, or taken over.

use std::io;
use std::path::PathBuf;

/// What is wrong with the directory of `[datapath] state`, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Another daemon lives.
    #[error(
        "another bulwarkd{} has {}; stop that one, or give this one a `state` of its own under [datapath]",
        owner.map_or_else(String::new, |id| format!(" (process {id})")),
        directory.display()
    )]
    Taken {
        /// The directory.
        directory: PathBuf,
        /// Its process id.
        owner: Option<u32>,
    },
    /// Files there would be written to a disk.
    #[error(
        "{} is not on a tmpfs; set `state` under [datapath] to a directory below one, as /run is with systemd, or mount one there: mount -t tmpfs -o mode=0700 tmpfs {}",
        .0.display(), .0.display()
    )]
    NotInMemory(PathBuf),
    /// The tables could outgrow the tmpfs.
    #[error(
        "{} has room for {} MiB, and the tables may need {} MiB; lower `connections` under [limits], or raise it with `mount -o remount,size=`",
        directory.display(), free >> 20, needed.div_ceil(1 << 20)
    )]
    Small {
        /// The directory.
        directory: PathBuf,
        /// Bytes that it has for them.
        free: u64,
        /// Bytes that the tables may come to.
        needed: u64,
    },
    /// What is taken over has no place beside itself.
    #[error(
        "{} has {} MiB left, and what is taken over needs {} MiB beside what is there; raise it with `mount -o remount,size=`, or give the connections up with `bulwarkd detach`",
        directory.display(), free >> 20, needed.div_ceil(1 << 20)
    )]
    Full {
        /// The directory.
        directory: PathBuf,
        /// Bytes that it has left.
        free: u64,
        /// Bytes that are written.
        needed: u64,
    },
    /// It was written by another program.
    #[error(
        "{} was left by bulwarkd {program}, whose connections this one ({}) cannot read; start that version again, or give the connections up with `bulwarkd detach`",
        directory.display(), env!("CARGO_PKG_VERSION")
    )]
    OtherLayout {
        /// The directory.
        directory: PathBuf,
        /// Who wrote it.
        program: String,
    },
    /// The file system's.
    #[error("{}: {error}", path.display())]
    File {
        /// Of what.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}
