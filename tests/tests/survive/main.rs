//! A director that is killed, or stopped, and started again: what was connected goes on, and what
//! was known is known again.

mod answered;
mod bed;
mod connections;
mod crowd;
mod drains;
mod knowledge;
mod leftovers;
mod levels;
mod limits;
mod modes;
mod ports;
mod room;
mod silent;
mod upgrade;
