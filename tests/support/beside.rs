//! Running segc beside a stand-in for a card.

use std::path::Path;
use std::process::Stdio;

use crate::support::Said;

#[path = "../../runtime/tests/card/stand_in/mod.rs"]
pub mod stand_in;

/// Runs segc beside the stand-in; none where it cannot be built.
pub fn beside(home: &Path, words: &[&str], settings: &[(&str, &str)]) -> Option<Said> {
    let mut command = stand_in::beside(env!("CARGO_BIN_EXE_segc"), stand_in::libraries()?, home);
    command.args(words).envs(settings.iter().copied()).current_dir(home).stdin(Stdio::null());
    Some(Said::of(command.output().unwrap()))
}
