//! SYN cookies, end to end: the gate answers SYNs, agents on the real servers take in who comes
//! back, and no SYN ever gets there.

mod again;
mod agents;
mod altered;
mod bed;
mod certificates;
mod clients;
mod floods;
mod forged;
mod methods;
mod nat;
mod resets;
mod restart;
mod twins;
mod ways;
