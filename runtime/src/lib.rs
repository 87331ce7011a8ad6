//! Executors, data, metrics and reports of segc: a `Program` becomes numbers, a run becomes a directory.

pub mod checkpoint;
pub mod data;
pub mod execute;
pub mod host;
pub mod outcome;
pub mod record;
pub mod segment;
pub mod selftest;
pub mod session;
pub mod train;
pub mod weights;

pub use segc_compiler::rng;

/// The version of segc, which is part of a run's identity.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
