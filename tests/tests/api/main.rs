//! The API of a running director.

mod bed;
mod changes;
mod examples;
mod hostile;
mod monitoring;
mod openapi;
mod persist;
mod pointers;
mod room;
mod stream;
mod whole;
