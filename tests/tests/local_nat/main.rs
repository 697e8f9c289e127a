//! Local node by NAT: programs on the director itself behind a service, at an address and a port of
//! their own, which can be asked without the service too.

mod bed;
mod ftp;
mod half_open;
mod sctp;
mod serves;
