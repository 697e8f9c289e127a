//! The director in an operator's hands.

mod cli;
mod lifecycle;
mod operations;
mod restart;
mod security;
mod sysctl;
mod terminal;
