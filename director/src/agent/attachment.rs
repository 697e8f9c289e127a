//! Where the program runs: how it is attached there, whether it still is, and how it is taken off.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libbpf_rs::{TC_INGRESS, TcHook, TcHookBuilder};

use super::AgentError;
use crate::bpf_link;
use crate::config::HookChoice;
use crate::neighbour::Link;

/// How the program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// By a link: any end of the agent detaches it.
    Tcx,
    /// As a filter of the clsact qdisc: it stays when the agent is killed, and the next agent
    /// takes its place.
    Clsact,
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        })
    }
}

/// Of our filter: any will do, as long as the next agent has the same.
const FILTER_PRIORITY: u32 = 0xb01;
const FILTER_HANDLE: u32 = 1;

/// The program on an interface. Dropping it takes it off.
#[derive(Debug)]
pub(super) struct Attachment {
    held: Held,
    program: OwnedFd,
    link: Link,
}

#[derive(Debug)]
enum Held {
    /// Open: closing it detaches.
    Link(OwnedFd),
    /// And the kernel's number for the program.
    Filter(TcHook, u32),
}

impl Attachment {
    /// Attaches `program` to `link`. What an agent that was killed has left there goes.
    ///
    /// # Errors
    /// Why the kernel does not attach it.
    pub(super) fn new(
        program: OwnedFd,
        choice: HookChoice,
        link: &Link,
    ) -> Result<Self, AgentError> {
        let held = attach(program.as_fd(), choice, link)?;
        if matches!(held, Held::Link(_)) {
            remove_filter(link)?;
        }
        Ok(Self {
            held,
            program,
            link: link.clone(),
        })
    }

    /// How it is attached.
    pub(super) const fn hook(&self) -> Hook {
        match self.held {
            Held::Link(_) => Hook::Tcx,
            Held::Filter(..) => Hook::Clsact,
        }
    }

    /// Attaches the program again if somebody has taken it off; true when that was so.
    ///
    /// # Errors
    /// Why the kernel does not attach it.
    pub(super) fn keep(&mut self) -> Result<bool, AgentError> {
        if self.held.is_on(&self.link) {
            return Ok(false);
        }
        let again = match self.hook() {
            Hook::Tcx => HookChoice::Tcx,
            Hook::Clsact => HookChoice::Clsact,
        };
        self.held = attach(self.program.as_fd(), again, &self.link)?;
        Ok(true)
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // What is there instead is somebody else's.
        if self.hook() == Hook::Tcx || !self.held.is_on(&self.link) {
            return;
        }
        if let Err(error) = remove_filter(&self.link) {
            tracing::warn!(%error, "the filter stays at tc ingress; the next agent replaces it");
        }
    }
}

impl Held {
    fn is_on(&self, link: &Link) -> bool {
        match self {
            Self::Link(held) => {
                let on = bpf_link::interface_of(held.as_fd());
                on.is_ok_and(|ifindex| ifindex == link.ifindex)
            }
            Self::Filter(hook, program) => program_of(*hook) == Some(*program),
        }
    }
}

/// Whether an interface has a filter of an agent, whoever has put it there.
pub(super) fn has_filter(link: &Link) -> bool {
    let Ok(nothing) = nothing() else {
        return false;
    };
    program_of(place(nothing.as_fd(), link)).is_some()
}

/// Takes the filter of an agent off an interface, if it has one.
///
/// # Errors
/// Why the kernel does not.
pub(super) fn remove_filter(link: &Link) -> Result<(), AgentError> {
    if !has_filter(link) {
        return Ok(());
    }
    let removed = nothing()
        .map_err(libbpf_rs::Error::from)
        .and_then(|nothing| quietly(|| place(nothing.as_fd(), link).detach()));
    removed.map_err(|error| AgentError::Detach {
        name: link.name.to_string(),
        why: format!("{error:#}"),
    })
}

/// What stands for a program where none is needed.
fn nothing() -> io::Result<File> {
    File::open("/dev/null")
}

fn place(program: BorrowedFd<'_>, link: &Link) -> TcHook {
    TcHookBuilder::new(program)
        .ifindex(link.ifindex as i32)
        .replace(true)
        .handle(FILTER_HANDLE)
        .priority(FILTER_PRIORITY)
        .hook(TC_INGRESS)
}

/// The kernel's number of the program that is there.
fn program_of(mut hook: TcHook) -> Option<u32> {
    quietly(|| hook.query()).ok()
}

/// Without what libbpf would print: that a qdisc is there already, or that none is, is no news.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let printer = libbpf_rs::set_print(None);
    let done = work();
    libbpf_rs::set_print(printer);
    done
}

fn attach(program: BorrowedFd<'_>, choice: HookChoice, link: &Link) -> Result<Held, AgentError> {
    if choice == HookChoice::Clsact {
        return attach_filter(program, link);
    }
    match bpf_link::attach(program, link.ifindex, bpf_link::Hook::TcxIngress) {
        Ok(fd) => Ok(Held::Link(fd)),
        // The attach type is not known: older than Linux 6.6.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => match choice {
            HookChoice::Auto => attach_filter(program, link),
            _ => Err(AgentError::NoTcx),
        },
        Err(error) => Err(explain(link, error)),
    }
}

/// The qdisc stays when the filter goes: others may have put filters there.
fn attach_filter(program: BorrowedFd<'_>, link: &Link) -> Result<Held, AgentError> {
    let created = quietly(|| place(program, link).create());
    let attached = created.and_then(|mut hook| hook.attach());
    let attached = attached.and_then(|mut hook| Ok((hook, hook.query()?)));
    let (hook, program) = attached.map_err(|error| refused(link, &error))?;
    Ok(Held::Filter(hook, program))
}

fn refused(link: &Link, error: &libbpf_rs::Error) -> AgentError {
    match bpf_link::lacks_privilege(error) {
        true => AgentError::Permission,
        false => AgentError::Attach {
            name: link.name.to_string(),
            why: format!("{error:#}"),
        },
    }
}

fn explain(link: &Link, source: io::Error) -> AgentError {
    match source.raw_os_error() {
        Some(libc::EPERM) => AgentError::Permission,
        _ => AgentError::Attach {
            name: link.name.to_string(),
            why: source.to_string(),
        },
    }
}
