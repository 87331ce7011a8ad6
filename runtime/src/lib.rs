//! Executors, data, metrics and reports of segc: a `Program` becomes numbers, a run becomes a directory.

pub mod data;
pub mod outcome;
pub mod rng;
