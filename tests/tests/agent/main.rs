//! The real-server agent: packets in tunnels reach the VIP on the real server's loopback, and all
//! others are as if it were not there.

mod bed;
mod faults;
mod lifecycle;
mod others;
mod streams;
mod tunnels;
