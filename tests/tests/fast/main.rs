//! The fast path: what the gate forwards by itself obeys all that the director decides, and no
//! interface is trusted that does not deliver.

mod bed;
mod changes;
mod counts;
mod frames;
mod timeouts;
