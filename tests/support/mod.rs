//! What the tests of the command line have in common: running it and looking at what it said.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
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
    #[allow(dead_code, reason = "not every test file has something that fails")]
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

/// A spec whose loss takes the logarithm of a negative number in its second step, at line 7.
#[allow(dead_code, reason = "not every test file looks for NaN")]
pub const NOT_FINITE: &str = "data images = pictures(scenes: easy) |> resize(8)\n\
    net flat()(x: image) -> real {\n    weight w: real = 1\n    return w * mean(x)\n}\n\
    model m = flat()\n\
    loss gap = log(m(images.image) - 2 * step) + 0 * step\n\
    train down for 9 steps, batch 4 { update m by gap with sgd(0.1) }\n";

/// Runs segc in a folder.
pub fn segc(folder: &Path, words: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_segc"));
    Said::of(command.args(words).current_dir(folder).stdin(Stdio::null()).output().unwrap())
}

/// A folder with a spec `good.seg`.
#[allow(dead_code, reason = "not every test file begins with this spec")]
pub fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    segc(home.path(), &["new", "good"]).succeeds();
    home
}

/// All files of a run but run.json, which names the threads.
#[allow(dead_code, reason = "not every test file compares runs")]
pub fn files(out: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![out.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("run.json") {
                all.insert(path.strip_prefix(out).unwrap().into(), fs::read(&path).unwrap());
            }
        }
    }
    all
}

/// Asserts that two runs wrote the same bytes.
#[allow(dead_code, reason = "not every test file compares runs")]
#[track_caller]
pub fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (files(a), files(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, bytes) in &a {
        assert!(*bytes == b[name], "{} differs", name.display());
    }
}
