//! The far end of a veth, where it may be in another network namespace: whether a program of XDP runs
//! in its driver. Only then does veth wake it for what XDP sends back (`veth_xdp_flush`,
//! drivers/net/veth.c).

use std::io;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkInfo, LinkMessage, LinkXdp, XdpAttached,
};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::decode;
use super::events::DATAGRAM;

/// What the kernel is asked by.
#[derive(Debug)]
pub struct FarEnds {
    socket: Socket,
}

impl FarEnds {
    /// # Errors
    /// The kernel's.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket })
    }

    /// Whether a program is known to run in the driver of the far end of `ifindex`; none when that is no
    /// veth. Of another namespace the kernel tells only who has privilege there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn runs_program(&self, ifindex: u32) -> io::Result<Option<bool>> {
        let near = self.link(ifindex, None)?;
        let Some((far, namespace)) = far_end(&near) else {
            return Ok(None);
        };
        let far = self.link(far, namespace);
        Ok(Some(far.is_ok_and(|far| has_program(&far))))
    }

    fn link(&self, ifindex: u32, namespace: Option<i32>) -> io::Result<LinkMessage> {
        let mut question = LinkMessage::default();
        question.header.index = ifindex;
        question
            .attributes
            .extend(namespace.map(LinkAttribute::IfNetnsId));
        let mut message = NetlinkMessage::from(RouteNetlinkMessage::GetLink(question));
        message.header.flags = NLM_F_REQUEST;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answer = Vec::with_capacity(DATAGRAM);
        // The kernel answers before it returns from `send`.
        self.socket.recv(&mut answer, libc::MSG_DONTWAIT)?;
        match decode::messages(&answer).next().map(|first| first.payload) {
            Some(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link))) => Ok(link),
            Some(NetlinkPayload::Error(error)) => Err(error.to_io()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// The index of a veth's far end, and the number of its namespace if that is another one.
fn far_end(near: &LinkMessage) -> Option<(u32, Option<i32>)> {
    let (mut index, mut namespace, mut is_veth) = (None, None, false);
    for attribute in &near.attributes {
        match attribute {
            LinkAttribute::Link(far) => index = Some(*far),
            LinkAttribute::LinkNetNsId(number) => namespace = Some(*number),
            LinkAttribute::LinkInfo(info) => {
                is_veth = info.contains(&LinkInfo::Kind(InfoKind::Veth));
            }
            _ => {}
        }
    }
    index.filter(|_| is_veth).map(|far| (far, namespace))
}

fn has_program(far: &LinkMessage) -> bool {
    let in_driver = |xdp: &LinkXdp| {
        matches!(
            xdp,
            LinkXdp::Attached(XdpAttached::Driver | XdpAttached::Multiple)
        )
    };
    far.attributes.iter().any(
        |attribute| matches!(attribute, LinkAttribute::Xdp(list) if list.iter().any(in_driver)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(attributes: Vec<LinkAttribute>) -> LinkMessage {
        let mut link = LinkMessage::default();
        link.attributes = attributes;
        link
    }

    fn kind(kind: InfoKind) -> LinkAttribute {
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)])
    }

    #[test]
    fn only_a_veth_has_a_far_end() {
        let veth = vec![kind(InfoKind::Veth), LinkAttribute::Link(7)];
        assert_eq!(far_end(&link(veth.clone())), Some((7, None)));
        let elsewhere = [veth, vec![LinkAttribute::LinkNetNsId(3)]].concat();
        assert_eq!(far_end(&link(elsewhere)), Some((7, Some(3))));
        let vlan = vec![kind(InfoKind::Vlan), LinkAttribute::Link(7)];
        assert_eq!(far_end(&link(vlan)), None);
        assert_eq!(far_end(&link(vec![kind(InfoKind::Veth)])), None);
    }

    #[test]
    fn a_program_counts_in_the_driver_alone() {
        let attached = |how| link(vec![LinkAttribute::Xdp(vec![LinkXdp::Attached(how)])]);
        assert!(has_program(&attached(XdpAttached::Driver)));
        assert!(has_program(&attached(XdpAttached::Multiple)));
        assert!(!has_program(&attached(XdpAttached::SocketBuffer)));
        assert!(!has_program(&attached(XdpAttached::None)));
        assert!(!has_program(&link(Vec::new())));
    }

    #[test]
    fn loopback_has_none() -> io::Result<()> {
        assert_eq!(FarEnds::open()?.runs_program(1)?, None);
        Ok(())
    }
}
