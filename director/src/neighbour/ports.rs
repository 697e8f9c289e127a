//! Which links are the interfaces that the director drives.

use std::sync::Arc;

use tracing::warn;

use super::fib::Link;

/// The interfaces that the director drives, in the order of the datapath's list.
#[derive(Clone, Debug)]
pub(super) struct Ports(Vec<Port>);

/// A name decides when a link is seen first. Sockets and gate stay with that link, whatever it is
/// called afterwards.
#[derive(Clone, Debug)]
struct Port {
    name: Arc<str>,
    ifindex: Option<u32>,
}

impl Ports {
    pub(super) fn new<S: AsRef<str>>(names: &[S]) -> Self {
        let port = |name: &S| Port {
            name: Arc::from(name.as_ref()),
            ifindex: None,
        };
        Self(names.iter().map(port).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The number of `link`, if the director drives it.
    pub(super) fn number(&mut self, link: &Link) -> Option<u16> {
        let is = |port: &Port| port.ifindex == Some(link.ifindex);
        let takes = |port: &Port| port.ifindex.is_none() && *port.name == *link.name;
        let number = (self.0.iter().position(is)).or_else(|| self.0.iter().position(takes))?;
        self.0[number].ifindex = Some(link.ifindex);
        Some(number as u16)
    }

    /// Tells once that an interface has another name than the configuration gives it.
    pub(super) fn tell_renamed(&self, old: Option<&Link>, link: &Link) {
        let Some(port) = link.port.and_then(|port| self.0.get(usize::from(port))) else {
            return;
        };
        if port.name != link.name && old.is_none_or(|old| old.name != link.name) {
            warn!(
                interface = %port.name,
                name = %link.name,
                "an interface has another name now; it stays in use, but the next start looks for the old one"
            );
        }
    }

    /// A link has gone; the next one of its name may take its place.
    pub(super) fn forget(&mut self, ifindex: u32) {
        let gone = |port: &&mut Port| port.ifindex == Some(ifindex);
        self.0
            .iter_mut()
            .filter(gone)
            .for_each(|port| port.ifindex = None);
    }
}
