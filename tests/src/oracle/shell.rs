//! The captures' commands: a shell that finds their programs, and their names of hosts and ports.

use std::fs::{Permissions, create_dir, set_permissions, write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;
use tempfile::TempDir;

use crate::director::binary;
use crate::namespace::Namespace;

/// The files below `etc` that the captures' machine had.
const NAMES: &str = "services protocols hosts nsswitch.conf";

/// Makes shells in namespaces.
#[derive(Debug)]
pub struct Shells {
    programs: TempDir,
    names: PathBuf,
}

impl Shells {
    /// With `ipvsadm`, with a `sysctl` and a `cat` that ask the director about what belongs to
    /// it, and with an `nft` whose marks are rules of the director; `names` has what the captures' machine had in `etc`.
    ///
    /// # Errors
    /// When `bulwark` is not built.
    pub fn new(names: &Path) -> Result<Self> {
        let programs = TempDir::new()?;
        let place = programs.path();
        let bulwark = binary("bulwark")?;
        symlink(&bulwark, place.join("ipvsadm"))?;
        create_dir(place.join("empty"))?;
        let bulwark = bulwark.display();
        for (name, whose, asked) in [
            ("sysctl", "*net.ipv4.vs.*", "sysctl \"$@\""),
            ("cat", "/proc/net/ip_vs*", "proc \"${1#/proc/net/}\""),
        ] {
            let script = format!(
                "#!/bin/sh\ncase \"$*\" in {whose}) exec {bulwark} {asked};; esac\n\
                 PATH=/usr/sbin:/sbin:/usr/bin:/bin exec {name} \"$@\"\n"
            );
            write_program(&place.join(name), &script)?;
        }
        // `nft add rule ip TABLE CHAIN ip daddr NET meta mark set MARK`; tables and chains are
        // nothing of the director's.
        let script = format!(
            "#!/bin/sh\n[ \"$2\" = rule ] || exit 0\n\
             exec {bulwark} mark add \"${{12}}\" -d \"$8\" >/dev/null\n"
        );
        write_program(&place.join("nft"), &script)?;
        Ok(Self {
            programs,
            names: names.to_owned(),
        })
    }

    /// A shell that runs `line` in `namespace`, with nothing in its directory.
    pub fn plain(&self, namespace: &Namespace, line: &str) -> Command {
        let mut shell = namespace.command("sh");
        shell.args(["-c", line]);
        shell.current_dir(self.programs.path().join("empty"));
        shell.stdin(Stdio::null());
        shell
    }

    /// The same with the captures' names.
    pub fn named(&self, namespace: &Namespace, line: &str) -> Command {
        // ip-netns(8) gives each command mounts of its own.
        let names = self.names.display();
        let bind = format!(
            "for file in {NAMES}; do mount --bind {names}/$file /etc/$file 2>/dev/null; done\n{line}"
        );
        self.plain(namespace, &bind)
    }

    /// Lets a shell find the captures' programs, and the director at `socket`.
    pub fn direct(&self, shell: &mut Command, socket: &Path) {
        let path = std::env::var("PATH").unwrap_or_default();
        let own = self.programs.path().display();
        shell.env("PATH", format!("{own}:{path}:/usr/sbin:/sbin"));
        shell.env("BULWARK_API", format!("unix:{}", socket.display()));
    }
}

fn write_program(path: &Path, script: &str) -> Result<()> {
    write(path, script)?;
    Ok(set_permissions(path, Permissions::from_mode(0o755))?)
}
