//! TCP as a director sees it: states, state tables as data, and sequence windows.

mod state;
mod window;

pub use state::State;
pub use window::{Peer, Tracking};
