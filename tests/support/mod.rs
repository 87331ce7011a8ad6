//! What the tests of the command line have in common: running it and looking at what it said.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A finished command.
pub struct Said {
    /// Exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Asserts on the way that nothing panicked and that no colours came through a pipe.
    pub fn of(output: Output) -> Said {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let said = Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        assert!(!said.err.contains("internal error") && !said.err.contains("panicked"), "{}", said.err);
        assert!(!said.err.contains('\x1b') && !said.out.contains('\x1b'), "colours in a pipe");
        said
    }

    /// Asserts the exit code and that each of some texts is said on standard error.
    #[track_caller]
    pub fn fails(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        for text in texts {
            assert!(self.err.contains(text), "{text:?} is not said:\n{}", self.err);
        }
    }

    /// Asserts exit code 0.
    #[track_caller]
    pub fn succeeds(&self) {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
    }
}

/// Runs segc in a folder.
pub fn segc(folder: &Path, words: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_segc"));
    Said::of(command.args(words).current_dir(folder).stdin(Stdio::null()).output().unwrap())
}

/// A folder with a spec `good.seg`.
pub fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    segc(home.path(), &["new", "good"]).succeeds();
    home
}
