//! What a service must look like to work: one judgement for the API and the configuration file.
//!
//! Every function returns all problems, not only the first. Pointers are relative to what was
//! given: `/real/0/weight` for a service, `/service/2/real/0/weight` for a configuration.

mod address;
mod filter;
mod health;
mod mark;
mod real;
mod service;
mod setting;
mod whole;

use crate::error::Problem;
use crate::model::Change;

pub use address::validate_local_address;
pub use filter::{
    validate_filter_rules, validate_listed, validate_network_query, validate_standing,
};
pub use health::{bad_check, bad_health};
pub use mark::{too_many_marks, validate_mark, validate_marks};
pub use real::{
    bad_drain, bad_thresholds, validate_changed_real, validate_real, validate_real_patch,
};
pub use service::{
    bad_answerless, bad_cookies, bad_handling, bad_helper, bad_repeats, twofold_engine,
    validate_service,
};
pub use setting::{
    validate_daemon, validate_explain, validate_level, validate_query, validate_timeouts,
};
pub use whole::{validate_config, validate_whole};

/// The largest weight: `ipvsadm -w` reads a signed 32-bit number.
pub const MAX_WEIGHT: u32 = i32::MAX as u32;

/// The largest connection threshold, for the same reason.
pub const MAX_THRESHOLD: u32 = i32::MAX as u32;

/// Judges one change of many as the request that makes it alone.
pub fn validate_change(change: &Change) -> Vec<Problem> {
    match change {
        Change::AddService(service) => validate_service(service),
        Change::AddReal { service, real } => validate_real(*service, real),
        Change::ChangeReal { patch, .. } => validate_real_patch(patch),
        Change::ChangeService { .. }
        | Change::RemoveService { .. }
        | Change::RemoveReal { .. }
        | Change::RemoveServices {} => Vec::new(),
    }
}

fn zero_port(pointer: &str) -> Problem {
    Problem::new(pointer, "port 0 is no port", "use 1 to 65535")
}

#[cfg(test)]
mod tests;
