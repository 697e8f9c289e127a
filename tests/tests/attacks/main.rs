//! Attacks on a running director, each with a real connection alive beside it: what must not move
//! does not move, what is dropped is counted, and the live connection's transfer is whole.

mod bench;
mod collisions;
mod datagrams;
mod flapping;
mod fragments;
mod half_open;
mod headers;
mod ports;
mod slow;
mod stranger;
