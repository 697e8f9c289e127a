//! The testbed, the benchmark kit and the compilers, checked by themselves.

mod compilers;
mod kit;
mod testbed;
