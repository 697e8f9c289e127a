//! The benchmarks that have peers: each prints tables, and leaves them as JSON and as an SVG.

pub mod busy;
pub mod chart;
pub mod cheapest;
pub mod cookies;
pub mod denying;
pub mod drive;
pub mod forwarding;
pub mod gate;
pub mod load;
pub mod memory;
pub mod minting;
pub mod opening;
pub mod ours;
pub mod peer;
pub mod redirect;
pub mod report;
pub mod restart;
pub mod web;
