//! The health of real servers: what checks find out, and what follows for clients, listings and
//! the command line.

mod bed;
mod checks;
mod consequences;
mod queues;
mod signals;
