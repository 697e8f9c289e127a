//! The SYN+ACK of a handshake that the director itself goes through with a client.

use super::{Answer, is_answerable};
use crate::wire::tcp::{Flags, Segment};
use crate::wire::{Protocol, Transport, is_intact, tcp};

/// A SYN+ACK.
#[derive(Clone, Copy, Debug)]
pub struct Greeting<'a> {
    /// Its sequence number.
    pub sequence: u32,
    /// The number that it acknowledges.
    pub acknowledged: u32,
    /// Flags beside SYN and ACK.
    pub flags: u8,
    /// Window.
    pub window: u16,
    /// Options, whole words of them.
    pub options: &'a [u8],
}

/// Answers a SYN with `greeting`; none whose checksum is wrong.
pub fn greet(buffer: &mut [u8], packet: &Transport, greeting: &Greeting<'_>) -> Option<usize> {
    let Transport { layout, tuple } = packet;
    if tuple.protocol != Protocol::Tcp || !is_answerable(buffer, packet) {
        return None;
    }
    let syn = Segment::parse(layout.segment(buffer)).ok()?;
    if !syn.flags.opens() || !is_intact(buffer, packet) {
        return None;
    }
    let header = tcp::LEN + greeting.options.len();
    let answer = Answer {
        src: tuple.dst.addr,
        dst: tuple.src.addr,
        protocol: Protocol::Tcp.number(),
        tos: 0,
        length: header,
    };
    let message = answer.message(buffer, layout)?;
    let repr = tcp::Repr {
        src_port: tuple.dst.port,
        dst_port: tuple.src.port,
        seq: greeting.sequence,
        ack: greeting.acknowledged,
        flags: Flags(Flags::SYN | Flags::ACK | greeting.flags),
    };
    repr.write(message.first_chunk_mut()?);
    message
        .get_mut(tcp::LEN..)?
        .copy_from_slice(greeting.options);
    let mut view = tcp::header_mut(message)?;
    view.set_data_offset(header);
    view.set_window(greeting.window);
    let sum = answer.sum(message, layout.version);
    tcp::header_mut(message)?.set_checksum(sum.checksum());
    answer.address(buffer, layout)
}
