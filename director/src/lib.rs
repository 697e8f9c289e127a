//! The Bulwark director: a layer-4 load balancer that takes packets from the NIC through
//! AF_XDP and forwards them to real servers.
//!
//! The way of a packet, and the module that owns each step:
//!
//! ```text
//!  NIC queue q
//!     |
//!  gate        XDP program (kernel): pass / drop / hand to the socket of queue q
//!     |
//!  xsk         AF_XDP sockets, rings and the UMEM: frames in, frames out
//!     |
//!  worker      one pinned thread a queue: receive a batch, walk it down the path, transmit
//!     |
//!  path        one frame -> Verdict
//!     |- wire       bytes -> meaning, with bounds
//!     |- flow       the connection table: find, insert, expire, evict
//!     |- matrix     state tables as data
//!     |- tcp        states, state tables, sequence windows
//!     |- sctp       states, state tables, verification tags
//!     |- cookie     SYNs that are answered without keeping anything
//!     |- defence    levels: what is done under attack, and when
//!     |- region     where in the world sources are
//!     |- ftp        what FTP's control connections say of its data connections
//!     |- sched      which real server gets a new connection
//!     |- fragment   the ways of fragmented datagrams
//!     |- fast       which connections the gate forwards by itself, and what it has seen of them
//!     |- forward    rewrite: NAT, ICMP errors about tracked connections
//!     `- neighbour  next hop and MAC, from the kernel's own routes and neighbours
//! ```
//!
//! Dependencies point down this list; a packet never knows HTTP. `config`, `control` and
//! `main` stand above it and change what the workers see by publishing new snapshots. `agent`
//! is the other role of the program: it runs on real servers.

pub mod agent;
pub mod agents;
mod bpf_link;
pub mod channel;
pub mod config;
pub mod control;
pub mod cookie;
pub mod datapath;
pub mod defence;
pub mod direction;
pub mod door;
pub mod drops;
pub mod exits;
pub mod fast;
pub mod filter;
pub mod flow;
pub mod forward;
pub mod fragment;
pub mod ftp;
pub mod gate;
pub mod health;
pub mod host;
pub mod keep;
pub mod listeners;
pub mod logging;
pub mod marks;
pub mod matrix;
pub mod neighbour;
pub mod path;
pub mod path_mtu;
pub mod persist;
pub mod pool;
pub mod privilege;
pub mod region;
pub mod returned;
pub mod run;
pub mod say;
pub mod sched;
pub mod sctp;
pub mod service;
pub mod signals;
pub mod sip;
pub mod sources;
pub mod speakers;
pub mod stats;
pub mod supervisor;
pub mod tcp;
pub mod templates;
pub mod time;
pub mod wire;
pub mod worker;
pub mod xsk;
