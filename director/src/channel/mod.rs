//! What director and agents say to each other, over TLS with certificates on both sides.
//!
//! * `message`: the messages, a line of JSON each.
//! * `lines`: lines of bounded length.
//! * `tls`: who is who.

mod lines;
mod message;
mod tls;

pub(crate) use lines::{receive, receive_line, send};
pub(crate) use message::{
    Able, Keys, KeysOf, Lack, Listening, Order, Report, SecretKey, Standing, VERSION,
};
pub use tls::Identity;
pub(crate) use tls::{is_for, judge_again, keep_client, keep_server};
