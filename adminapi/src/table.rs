//! Services as the tables of ipvsadm, to the byte: for whoever reads them, at the terminal or over HTTP.

mod address;
mod columns;
mod fixed;
pub mod flags;
mod line;
mod query;
mod service;
mod spelling;

pub use address::{Naming, Style};
pub use columns::Columns;
pub use fixed::Fixed;
pub use line::Line;
pub use query::{MEDIA_TYPE, TableQuery};
pub use service::{method_name, service};
pub use spelling::{client_mask, protocol_name, signed};

/// First line of a listing of all services: the version of IPVS that this is compatible with and
/// the number of hash buckets that an IPVS of default size has.
pub const BANNER: &str = "IP Virtual Server version 1.2.1 (size=4096)\n";
