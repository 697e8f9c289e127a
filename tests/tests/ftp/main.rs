//! FTP through the director: data connections of every kind find the real server of their control
//! connection, and nobody else's.

mod active;
mod bed;
mod control;
mod passive;
mod regions;
mod serves;
