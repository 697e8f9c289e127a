//! The UMEM: the memory that packets live in, cut into frames.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::map::Map;

/// Bytes of one frame. A page, so that a packet never crosses one.
pub const FRAME_SIZE: u32 = 4096;

/// Bytes that the kernel leaves free before a received packet (`XDP_PACKET_HEADROOM`); outer
/// headers grow into them.
pub const HEADROOM: u32 = 256;

/// The longest packet that fits a frame, Ethernet header included.
pub const MAX_PACKET: u32 = FRAME_SIZE - HEADROOM;

/// A frame of one [`Umem`]: the right to read and write its memory, held by one owner.
///
/// It cannot be cloned. Dropping it loses the frame until the UMEM goes, so whoever has one
/// passes it on: into a ring, or back to the list of free frames.
#[derive(Debug)]
#[must_use = "a frame that is dropped is lost to its UMEM"]
pub struct Frame {
    umem: u32,
    chunk: u32,
    start: u16,
    len: u16,
}

impl Frame {
    /// Length of the packet in it, bytes.
    pub fn len(&self) -> usize {
        self.len.into()
    }

    /// Whether it holds no packet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes the packet `len` bytes long, at its present start; clamped to the frame's end.
    pub fn set_len(&mut self, len: usize) {
        let room = FRAME_SIZE as usize - usize::from(self.start);
        self.len = len.min(room) as u16;
    }

    /// Makes the packet `n` bytes longer at its front, if there is room: the bytes before it are
    /// whatever they were. False, and nothing has changed, when there is none.
    pub fn grow_front(&mut self, n: usize) -> bool {
        let room = usize::from(self.start);
        let grown = n <= room;
        if grown {
            self.start = (room - n) as u16;
            self.len += n as u16;
        }
        grown
    }

    pub(super) fn descriptor(&self) -> libc::xdp_desc {
        libc::xdp_desc {
            addr: self.address(),
            len: self.len.into(),
            options: 0,
        }
    }

    pub(super) fn chunk_address(&self) -> u64 {
        u64::from(self.chunk) * u64::from(FRAME_SIZE)
    }

    fn address(&self) -> u64 {
        self.chunk_address() + u64::from(self.start)
    }
}

/// Frames in one piece of memory, shared by all sockets of one worker.
#[derive(Clone, Debug)]
pub struct Umem {
    region: Arc<Map>,
    id: u32,
}

// SAFETY: the region is only reached through `Frame` tokens, each of which has one owner.
unsafe impl Sync for Map {}

static NEXT_ID: AtomicU32 = AtomicU32::new(1);

impl Umem {
    /// Memory for `count` frames, and the frames.
    ///
    /// # Errors
    /// When the memory cannot be had.
    pub fn new(count: u32) -> io::Result<(Self, Vec<Frame>)> {
        let region = Arc::new(Map::anonymous(count as usize * FRAME_SIZE as usize)?);
        let umem = Self {
            region,
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
        };
        let frames = (0..count).map(|chunk| umem.blank(chunk)).collect();
        Ok((umem, frames))
    }

    fn blank(&self, chunk: u32) -> Frame {
        Frame {
            umem: self.id,
            chunk,
            start: HEADROOM as u16,
            len: 0,
        }
    }

    /// How many frames it has.
    pub fn frames(&self) -> usize {
        self.region.len() / FRAME_SIZE as usize
    }

    /// The packet in `frame`.
    pub fn packet<'a>(&'a self, frame: &'a Frame) -> &'a [u8] {
        let start = self.check(frame, frame.address());
        // SAFETY: within the region (checked), and `frame` is the only token of this chunk, so
        // neither the kernel nor another reference writes to it while it is borrowed.
        unsafe { std::slice::from_raw_parts(start, frame.len()) }
    }

    /// The packet in `frame`, to be changed.
    pub fn packet_mut<'a>(&'a self, frame: &'a mut Frame) -> &'a mut [u8] {
        let start = self.check(frame, frame.address());
        // SAFETY: as in `packet`; the token is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(start, frame.len()) }
    }

    /// All of `frame` from the start of its packet to its end, to build another packet in.
    pub fn room_mut<'a>(&'a self, frame: &'a mut Frame) -> &'a mut [u8] {
        let start = self.check(frame, frame.address());
        let room = FRAME_SIZE as usize - usize::from(frame.start);
        // SAFETY: as in `packet_mut`, up to the end of the same chunk.
        unsafe { std::slice::from_raw_parts_mut(start, room) }
    }

    fn check(&self, frame: &Frame, address: u64) -> *mut u8 {
        assert_eq!(frame.umem, self.id, "a frame of another UMEM");
        self.region.at(address as usize).as_ptr()
    }

    pub(super) fn region(&self) -> (u64, u64) {
        (self.region.at(0).as_ptr() as u64, self.region.len() as u64)
    }

    /// The token for a frame that the kernel gives back.
    ///
    /// The kernel returns each frame that it was given once: it is the only caller's duty to
    /// call this once for each entry of an rx or completion ring.
    pub(super) fn returned(&self, address: u64, len: u32) -> Frame {
        let chunk = (address / u64::from(FRAME_SIZE)) as u32;
        let start = (address % u64::from(FRAME_SIZE)) as u32;
        let len = len.min(FRAME_SIZE - start);
        Frame {
            umem: self.id,
            chunk,
            start: start as u16,
            len: len as u16,
        }
    }

    /// The token for a frame that holds nothing any more.
    pub(super) fn recycled(&self, address: u64) -> Frame {
        self.blank((address / u64::from(FRAME_SIZE)) as u32)
    }

    /// Makes `frame` an empty frame again.
    pub fn reset(&self, frame: Frame) -> Frame {
        self.blank(frame.chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_grows_to_the_front_as_far_as_the_headroom_goes() {
        let (umem, mut frames) = Umem::new(2).unwrap();
        let frame = &mut frames[1];
        frame.set_len(4);
        umem.packet_mut(frame).copy_from_slice(b"data");
        assert!(!frame.grow_front(HEADROOM as usize + 1));
        assert_eq!(frame.len(), 4);
        assert!(frame.grow_front(6));
        umem.packet_mut(frame)[..6].copy_from_slice(b"outer ");
        assert_eq!(umem.packet(frame), b"outer data");
        assert!(frame.grow_front(HEADROOM as usize - 6));
        assert!(!frame.grow_front(1));
        assert_eq!(frame.chunk_address() % u64::from(FRAME_SIZE), 0);
        assert_eq!(umem.recycled(frame.descriptor().addr).chunk, frame.chunk);
    }
}
