//! Executors, data, metrics and reports: `Program` -> numbers.
