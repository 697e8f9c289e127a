//! What real servers on this host itself answer: their packets pass no interface on receive, so a
//! program at tc egress catches them (`bpf/home.bpf.c`) and hands them to the door.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libbpf_rs::MapHandle;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};

use super::GateError;
use super::map::{endpoint_key, put};
use crate::bpf_link::{self, Hook};
use crate::door::{Door, GIVEN_BACK};
use crate::wire::{Addr, Endpoint, Protocol};

#[allow(missing_docs, unreachable_pub, unused_imports, clippy::all)]
mod skel {
    include!(concat!(env!("OUT_DIR"), "/home.skel.rs"));
}

use skel::HomeSkelBuilder;

/// The program on all interfaces of the director. Dropping it detaches it, unless it is pinned.
#[derive(Debug)]
pub struct Answers {
    endpoints: MapHandle,
    held: BTreeSet<(Protocol, Endpoint)>,
    links: Vec<(u32, OwnedFd)>,
}

impl Answers {
    pub(super) fn catch(
        interfaces: impl Iterator<Item = u32>,
        door: &Door,
    ) -> Result<Self, GateError> {
        let mut storage = MaybeUninit::uninit();
        let open = HomeSkelBuilder::default().open(&mut storage);
        let mut open = open.map_err(refused)?;
        if let Some(data) = open.maps.rodata_data.as_deref_mut() {
            data.DOOR = door.ifindex();
            data.GIVEN_BACK = GIVEN_BACK;
        }
        let skel = open.load().map_err(refused)?;
        let attach = |ifindex| {
            let program = skel.progs.home.as_fd();
            match bpf_link::attach(program, ifindex, Hook::TcxEgress) {
                Ok(link) => Ok((ifindex, link)),
                // The attach type is not known.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Err(GateError::NoTcx),
                Err(error) => Err(GateError::Answers(error.to_string())),
            }
        };
        Ok(Self {
            endpoints: MapHandle::try_from(&skel.maps.answering).map_err(refused)?,
            held: BTreeSet::new(),
            links: interfaces.map(attach).collect::<Result<_, _>>()?,
        })
    }

    /// Says whether a real server on this host answers from `endpoint`; with port 0, from any port.
    ///
    /// # Errors
    /// When the map is full.
    pub fn set(
        &mut self,
        protocol: Protocol,
        endpoint: Endpoint,
        answers: bool,
    ) -> Result<(), GateError> {
        let changed = match answers {
            true => self.held.insert((protocol, endpoint)),
            false => self.held.remove(&(protocol, endpoint)),
        };
        if changed {
            self.put(protocol.number(), endpoint, answers)?;
            let as_a_whole = self.has_address(endpoint.addr);
            self.put(0, Endpoint::new(endpoint.addr, 0), as_a_whole)?;
        }
        Ok(())
    }

    /// Whether there is nobody whose answers it catches.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn links(&self) -> impl Iterator<Item = (u32, BorrowedFd<'_>)> {
        let links = self.links.iter();
        links.map(|(ifindex, link)| (*ifindex, link.as_fd()))
    }

    fn has_address(&self, addr: Addr) -> bool {
        self.held.iter().any(|(_, endpoint)| endpoint.addr == addr)
    }

    fn put(&self, protocol: u8, endpoint: Endpoint, there: bool) -> Result<(), GateError> {
        let key = endpoint_key(protocol, endpoint);
        let value = there.then(|| 1u32.to_ne_bytes());
        put(&self.endpoints, &key, value).map_err(|error| GateError::Map {
            map: "answering",
            error,
        })
    }
}

fn refused(error: libbpf_rs::Error) -> GateError {
    match bpf_link::lacks_privilege(&error) {
        true => GateError::Permission,
        false => GateError::Answers(format!("{error:#}")),
    }
}
