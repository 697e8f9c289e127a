//! TCP as a director sees it: states, state tables as data, and sequence windows.
//!
//! A segment is read once by [`crate::wire`]; [`Tracking::judge`] then says what it means for
//! its connection, in this order:
//!
//! 1. [`Event`]: which of RST, SYN, FIN, ACK it is; anything else is invalid;
//! 2. `window`: whether the numbers can be the sender's (bounds I-IV);
//! 3. [`StateTable`]: which state follows. Under attack another table is used, the code is the same.

mod event;
mod judgement;
mod state;
mod table;
mod timeouts;
mod tracking;
mod window;

pub use event::Event;
pub use judgement::{Invalid, Judgement, Unmoved};
pub use state::State;
pub use table::{
    ATTACKED, ATTACKED_ONE_WAY, NORMAL, ONE_WAY, PEACE, Proof, SIEGE, StateTable, Tables,
};
pub use timeouts::{Brief, TimeoutTooLong, Timeouts};
pub use tracking::{Agreement, Said, Tracking};
pub use window::Peer;
pub(crate) use window::after;
