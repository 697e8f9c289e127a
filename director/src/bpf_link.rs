//! BPF links: a program on an interface for as long as a descriptor is open, so that any end of
//! this process takes it off; or as long as a name in a BPF file system stands for it. Part of the
//! unsafe floor.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libbpf_rs::libbpf_sys;

/// Where on an interface a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// XDP, with flags of `XDP_FLAGS_*` (`include/uapi/linux/if_link.h`).
    Xdp(u32),
    /// tc ingress by a link, in Linux 6.6 and newer.
    TcxIngress,
    /// The same, before all others.
    TcxFront,
    /// tc egress, likewise.
    TcxEgress,
}

impl Hook {
    const fn attach_type(self) -> libbpf_sys::bpf_attach_type {
        match self {
            Self::Xdp(_) => libbpf_sys::BPF_XDP,
            Self::TcxIngress | Self::TcxFront => libbpf_sys::BPF_TCX_INGRESS,
            Self::TcxEgress => libbpf_sys::BPF_TCX_EGRESS,
        }
    }

    const fn flags(self) -> u32 {
        match self {
            Self::Xdp(flags) => flags,
            Self::TcxFront => libbpf_sys::BPF_F_BEFORE,
            Self::TcxIngress | Self::TcxEgress => 0,
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

/// Puts `program` in the place of the one that `link` holds, in one step.
///
/// # Errors
/// What `BPF_LINK_UPDATE` says (bpf(2)).
pub(crate) fn update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: two descriptors that are open, and no options.
    checked(unsafe {
        libbpf_sys::bpf_link_update(link.as_raw_fd(), program.as_raw_fd(), std::ptr::null())
    })
    .map(drop)
}

/// Takes the program of a link off its interface, whoever else has the link.
///
/// # Errors
/// What `BPF_LINK_DETACH` says (bpf(2)).
pub(crate) fn detach(link: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: an open descriptor.
    checked(unsafe { libbpf_sys::bpf_link_detach(link.as_raw_fd()) }).map(drop)
}

/// The interface that a link of XDP or tcx is on; 0 when that is gone.
///
/// # Errors
/// What `BPF_OBJ_GET_INFO_BY_FD` says; `InvalidData` when it is no such link.
pub(crate) fn interface_of(link: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: plain numbers, for which zero is a value.
    let mut info: libbpf_sys::bpf_link_info = unsafe { zeroed() };
    let mut size = size_of_val(&info) as u32;
    // SAFETY: an open descriptor, and room of the size that is told.
    checked(unsafe {
        libbpf_sys::bpf_link_get_info_by_fd(link.as_raw_fd(), &raw mut info, &raw mut size)
    })?;
    // SAFETY: the kernel has filled in this member of the union for a link of this type.
    unsafe {
        match info.type_ {
            libbpf_sys::BPF_LINK_TYPE_XDP => Ok(info.__bindgen_anon_1.xdp.ifindex),
            libbpf_sys::BPF_LINK_TYPE_TCX => Ok(info.__bindgen_anon_1.tcx.ifindex),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// The number of the program of XDP on an interface, if there is one.
///
/// # Errors
/// What rtnetlink says.
pub(crate) fn program_on(ifindex: u32) -> io::Result<Option<u32>> {
    let mut number = 0;
    // SAFETY: room for the number that is asked for.
    checked(unsafe { libbpf_sys::bpf_xdp_query_id(ifindex as i32, 0, &raw mut number) })?;
    Ok(Some(number).filter(|number| *number != 0))
}

/// Gives `object`, a link or a map, a name in a BPF file system, which keeps it alive.
///
/// # Errors
/// What `BPF_OBJ_PIN` says.
pub(crate) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: an open descriptor and a string that ends in zero.
    checked(unsafe { libbpf_sys::bpf_obj_pin(object.as_raw_fd(), path.as_ptr()) }).map(drop)
}

/// What has this name.
///
/// # Errors
/// What `BPF_OBJ_GET` says.
pub(crate) fn open_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: a string that ends in zero.
    let fd = checked(unsafe { libbpf_sys::bpf_obj_get(path.as_ptr()) })?;
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn checked(result: i32) -> io::Result<i32> {
    match result {
        error @ ..0 => Err(io::Error::from_raw_os_error(-error)),
        result => Ok(result),
    }
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
