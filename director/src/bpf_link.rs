//! BPF links: a program on an interface for as long as a descriptor is open, so that any end of
//! this process takes it off. Part of the unsafe floor.
#![allow(unsafe_code)]

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libbpf_rs::libbpf_sys;

/// Where on an interface a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// XDP, with flags of `XDP_FLAGS_*` (`include/uapi/linux/if_link.h`).
    Xdp(u32),
    /// tc ingress by a link, in Linux 6.6 and newer.
    TcxIngress,
}

impl Hook {
    const fn attach_type(self) -> libbpf_sys::bpf_attach_type {
        match self {
            Self::Xdp(_) => libbpf_sys::BPF_XDP,
            Self::TcxIngress => libbpf_sys::BPF_TCX_INGRESS,
        }
    }

    const fn flags(self) -> u32 {
        match self {
            Self::Xdp(flags) => flags,
            Self::TcxIngress => 0,
        }
    }
}

/// Attaches `program` to the interface with the index `ifindex`.
///
/// # Errors
/// What `BPF_LINK_CREATE` says (bpf(2)).
pub(crate) fn attach(program: BorrowedFd<'_>, ifindex: u32, hook: Hook) -> io::Result<OwnedFd> {
    // SAFETY: all zeroes is the documented default of libbpf's option structs.
    let mut options: libbpf_sys::bpf_link_create_opts = unsafe { zeroed() };
    options.sz = size_of::<libbpf_sys::bpf_link_create_opts>() as libbpf_sys::size_t;
    options.flags = hook.flags();
    // SAFETY: a program descriptor that is open and an options struct that outlives the call.
    let fd = unsafe {
        libbpf_sys::bpf_link_create(
            program.as_raw_fd(),
            ifindex as i32,
            hook.attach_type(),
            &options,
        )
    };
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether the kernel refuses for want of privilege (`EPERM`), and not because its verifier or a
/// security module does not accept a program (`EACCES`): libbpf-rs takes both for the same kind.
pub(crate) fn lacks_privilege(error: &libbpf_rs::Error) -> bool {
    let unprivileged = io::Error::from_raw_os_error(libc::EPERM).to_string();
    format!("{error:#}").contains(&unprivileged)
}

#[cfg(test)]
mod tests {
    use libbpf_rs::ErrorExt;

    use super::*;

    #[test]
    fn what_the_verifier_refuses_is_no_want_of_privilege() {
        for (code, expected) in [(libc::EPERM, true), (libc::EACCES, false)] {
            let error = libbpf_rs::Error::from_raw_os_error(code);
            assert_eq!(error.kind(), libbpf_rs::ErrorKind::PermissionDenied);
            assert_eq!(lacks_privilege(&error), expected);
            assert_eq!(lacks_privilege(&error.context("loading")), expected);
        }
    }
}
