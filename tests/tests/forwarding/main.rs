//! What becomes of packets by each forwarding method, with the fast path and without.

mod dr;
mod drain;
mod http;
mod methods;
mod strays;
mod tun;
mod udp;
