//! The filters of the gate: lists of networks, bogons, the way back, limits.

mod bed;
mod forged;
mod limits;
mod lists;
mod long;
mod reals;
