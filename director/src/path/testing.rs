//! What paths share, for tests that look at one part of it.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use super::{Policy, Shared};
use crate::defence::{Lottery, Orders};
use crate::flow::{Limits, Table};
use crate::fragment::Fragments;
use crate::ftp::{Expectations, Shifts};
use crate::neighbour::Fib;
use crate::pool::Pool;
use crate::returned::Returns;
use crate::templates::Templates;

/// What one worker has at its start, with room for 64 connections.
pub(super) fn shared(pool: Pool, fib: Fib) -> Shared {
    let limits = Limits {
        connections: 64,
        half_open: 64,
        workers: 1,
    };
    let pool = Arc::new(ArcSwap::from_pointee(pool));
    Shared {
        table: Table::new(&limits).unwrap(),
        templates: Templates::new(64, 1, Arc::clone(&pool)).unwrap(),
        pool,
        fib: Arc::new(ArcSwap::from_pointee(fib)),
        timeouts: Arc::default(),
        fragments: Fragments::default(),
        policy: Policy::default(),
        path_mtus: Arc::default(),
        returns: Returns::default(),
        lottery: Lottery::random(),
        door: OnceLock::default(),
        orders: Orders::default(),
        sysctls: Arc::default(),
        expectations: Expectations::default(),
        fast: None,
        shifts: Shifts::default(),
        resets: Arc::default(),
        workers: 1,
    }
}
