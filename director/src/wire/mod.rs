//! Wire formats: one protocol a file, each a checked view over bytes that came from the
//! network. Nothing here allocates, panics or reads past a slice, whatever the bytes are.

mod addr;
pub mod tcp;

pub use addr::{Addr, Endpoint, Protocol, Tuple};
