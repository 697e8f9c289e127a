//! The agent on a real server: takes the directors' packets out of their tunnels, where the
//! kernel has no tunnel driver or nobody wants to set one up.
//!
//! ```text
//!  interface -> tc ingress: bpf/agent.bpf.c -> stack -> VIP on lo -> server
//!                              |                                        |
//!                              '- outer header off        answer to the client, past the director
//! ```
//!
//! * `program`: the BPF program, its maps, and where it is attached.
//! * `outcomes`: what became of the packets.
//! * `role`: the process: start, signals, end.

mod error;
mod outcomes;
mod program;
mod role;

pub use error::AgentError;
pub use outcomes::Outcomes;
pub use program::{Decapsulator, Hook};
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
