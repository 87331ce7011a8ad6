//! `segc ops`: the table of ops with their manual lines.

use segc_compiler::ops::TABLE;

use crate::console::{self, Exit};

/// Prints the table.
pub fn ops() -> Exit {
    let width = TABLE.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let lines: String = TABLE.iter().map(|entry| format!("{:<width$}  {}\n", entry.name, entry.manual)).collect();
    console::out(&lines);
    Exit::Done
}
