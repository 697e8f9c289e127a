//! The admin API of Bulwark: the wire types that the API, the command line and the configuration
//! file share, the [`Control`](control) trait that a director implements, the HTTP router over
//! it, and the typed client that the command line and the tests use.

pub mod model;
