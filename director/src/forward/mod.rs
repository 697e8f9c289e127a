//! What is written into a frame on its way: pure functions over bytes that [`crate::wire`]
//! has read. None of them allocates, and none looks at anything but its arguments.
//!
//! A function that gets a frame other than the one that its packet was read from leaves what
//! it cannot find as it is.

mod cut;
mod icmp;
mod mss;
mod nat;
pub mod notice;
mod numbers;
pub mod reply;
mod speech;
mod splice;
mod tunnel;
mod word;

pub use cut::{Cuts, lift_dont_fragment, may_be_cut};
pub use icmp::{renumber_quote, translate_error, widen_path};
pub use mss::clamp_mss;
pub use nat::{TtlExceeded, decrement_ttl, has_hop_left, set_ethernet, translate};
pub use numbers::{change_acks, set_seq};
pub use speech::Speech;
pub use splice::{Splice, rescaled};
pub use tunnel::{GueChecksum, Outer, Tunnel};
pub use word::Word;

/// The bytes of a frame from an offset on; none if it ends before.
#[inline]
fn from(frame: &mut [u8], offset: u16) -> &mut [u8] {
    frame.get_mut(offset.into()..).unwrap_or_default()
}
