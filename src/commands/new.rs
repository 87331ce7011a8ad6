//! `segc new`: a commented spec to start from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::cli::New;
use crate::console::{self, Exit};

/// What is written.
const TEMPLATE: &str = include_str!("new.seg");

/// Writes NAME.seg, which must not exist.
pub fn new(args: &New) -> Exit {
    let path = target(&args.name);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if !is_name(&stem) {
        console::error(&format!("{stem:?} cannot name a spec: use letters, digits and _, and begin with a letter, such as my_idea"));
        return Exit::Usage;
    }
    match write(&path) {
        Ok(()) => {
            let shown = path.display();
            console::out(&format!("wrote {shown}\n\n  segc check {shown}\n  segc run {shown}\n"));
            Exit::Done
        }
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
            console::error(&format!("{} exists already and is left as it is; choose another name", path.display()));
            Exit::Usage
        }
        Err(cause) => {
            console::error(&format!("cannot write {}: {cause}", path.display()));
            Exit::Environment
        }
    }
}

fn target(name: &Path) -> PathBuf {
    if name.extension().is_some_and(|extension| extension == "seg") {
        name.into()
    } else {
        PathBuf::from(format!("{}.seg", name.display()))
    }
}

fn is_name(stem: &str) -> bool {
    stem.starts_with(|first: char| first.is_ascii_alphabetic()) && stem.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn write(path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let written = file.write_all(TEMPLATE.as_bytes());
    written.inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })
}
