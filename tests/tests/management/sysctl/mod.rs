//! The sysctls of IPVS, each by what it does to packets.

mod bed;
mod estimation;
mod expire;
mod icmp;
mod reuse;
mod sloppy;
mod written;
