//! What is refused, limited and answered under attack, and what is said of it.

mod bans;
mod connections;
mod explain;
mod filters;
mod flood;
mod forged;
mod levels;
mod regions;
