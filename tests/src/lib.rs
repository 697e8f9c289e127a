//! The testbed of Bulwark: network namespaces, real servers, raw packets, a director to test
//! and the generator of the benchmarks.
//!
//! ```text
//!  client ---- cl0 director rs0 ---- bridge ---- rs1 .. rsN
//!  10.0.1.1    10.0.1.254   10.0.2.254           10.0.2.1 .. 10.0.2.N
//!  fd00:1::1   VIP 10.9.9.9, fd00:9::9 on lo     fd00:2::1 .. fd00:2::N
//! ```
//!
//! A [`scene::Scene`] is all of it running; the modules below it can be used one by one.

pub mod accounts;
pub mod agent;
pub mod api;
mod backlog;
pub mod bench;
pub mod bpf;
pub mod certificates;
pub mod checks;
pub mod comeback;
pub mod command_line;
pub mod director;
pub mod flood;
pub mod floor;
pub mod ftp;
pub mod generator;
pub mod greeter;
pub mod growth;
pub mod haproxy;
pub mod haven;
pub mod ipvs;
pub mod l2fwd;
pub mod masquerade;
pub mod mmdb;
pub mod namespace;
pub mod nftables;
pub mod oracle;
pub mod packet;
pub mod process;
pub mod raw;
pub mod rekeying;
pub mod require;
pub mod scene;
pub mod servers;
pub mod syns;
pub mod topology;
pub mod traffic;
pub mod tunnel;
pub mod wait;
