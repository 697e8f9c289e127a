//! Cookies for real servers without an agent, by NAT: the director asks the real server itself when a
//! client has come back, and joins both connections.

mod bed;
mod explained;
mod loss;
mod reals;
mod secret;
mod serves;
mod takeover;
