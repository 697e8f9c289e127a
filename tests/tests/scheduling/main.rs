//! Which real server a client gets, and keeps.

mod marks;
mod persistence;
mod schedulers;
