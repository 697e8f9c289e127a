//! AF_XDP: sockets, their four rings, and the UMEM. The unsafe floor under the packet path.
//!
//! ```text
//!            fill ring            rx ring
//!  free ----------------> kernel ----------> worker
//!   ^                                           |
//!   |     completion ring          tx ring      v
//!   +------------------- kernel <------------ worker
//! ```
//!
//! A frame is a [`Frame`]: a token that exists once, cannot be copied, and is given up when it
//! goes into a ring and handed out again when the kernel returns it. So no frame can be in two
//! places, and what is above this module needs no `unsafe` to read or write packets.
//!
//! Kernel: `net/xdp/xsk.c`, `include/uapi/linux/if_xdp.h`, `Documentation/networking/af_xdp.rst`.
#![allow(unsafe_code)]

mod map;
mod opener;
mod ring;
mod socket;
mod sys;
mod umem;

pub use opener::Opener;
pub use socket::{Binding, CopyMode, RingDrops, RingSizes, Socket, Wait, unbound};
pub use umem::{FRAME_SIZE, Frame, HEADROOM, MAX_PACKET, Umem};
