//! The command line of Bulwark: ipvsadm's options, or a word. Called by the name `ipvsadm` it
//! knows the options only.

mod director;
mod ipvsadm;

fn main() {}
