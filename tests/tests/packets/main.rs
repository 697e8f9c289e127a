//! More than TCP and UDP between a client and one other host: errors, other protocols, other ends, and none.

mod answers;
mod frames;
mod fullnat;
mod icmp;
mod local;
mod mtu;
mod returned;
mod sctp;
mod sip;
mod unreachable;
