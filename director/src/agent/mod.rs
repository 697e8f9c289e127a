//! The agent on a real server: takes the directors' packets out of their tunnels, where the
//! kernel has no tunnel driver or nobody wants to set one up, and takes in the connections of
//! clients that come with a cookie of a director.
//!
//! ```text
//!  interface -> tc ingress: bpf/agent.bpf.c -> stack -> VIP on lo -> server
//!                              |                                        |
//!                              '- outer header off        answer to the client, past the director
//! ```
//!
//! * `program`: the BPF program and its maps.
//! * `attachment`: where it is attached.
//! * `claim`: one agent an interface.
//! * `keyring`: the keys for cookies that the program holds.
//! * `here`: which addresses are the host's.
//! * `kernel`: what the kernel has for cookies.
//! * `leftover`: what agents that were killed have left.
//! * `listeners`: who listens on this host.
//! * `reporter`: talks to the director.
//! * `outcomes`: what became of the packets.
//! * `role`: the process: start, signals, end.

mod attachment;
mod claim;
mod error;
mod here;
mod kernel;
mod keyring;
mod leftover;
mod listeners;
mod outcomes;
mod program;
mod reporter;
mod role;

pub use attachment::Hook;
pub use error::AgentError;
pub use outcomes::{Outcomes, Welcomes};
pub use program::Decapsulator;
pub use role::{Args, main};

#[allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    unused_imports,
    clippy::all
)]
mod skel {
    include!(concat!(env!("OUT_DIR"), "/agent.skel.rs"));
}
