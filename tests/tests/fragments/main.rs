//! Datagrams in fragments: of any size by every method, in any order, and as attackers send them.

mod bed;
mod datagrams;
mod hostile;
mod segments;
mod sizes;
mod windows;
