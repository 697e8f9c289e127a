//! The mirror of routes and neighbours against a real kernel.
//!
//! Each test makes two network namespaces, joined by two veth pairs, and runs itself again
//! inside the first:
//!
//! ```text
//!  director: eth0 10.1.0.1/24, 2001:db8:1::1/64 ---- p0 10.1.0.2/24, 2001:db8:1::2/64 :peer
//!            eth1 10.2.0.1/24, 2001:db8:2::1/64 ---- p1 10.2.0.2/24, 2001:db8:2::2/64
//! ```
//!
//! That needs root; without it the tests say so and pass.

mod bed;
mod links;
mod resolving;
mod routes;
