//! `segc fmt`: one style for all specs.

use std::io::Write;
use std::path::Path;

use segc_lang::format::format;
use segc_lang::render::render;
use segc_lang::source::Sources;

use crate::cli::Fmt;
use crate::commands::specs;
use crate::compiled::{misused, refused};
use crate::console::{self, Exit};
use crate::loader::{self, Refusal};

/// Formats the specs, or with `--check` names those that are not formatted.
pub fn fmt(args: &Fmt) -> Exit {
    let specs = specs(&args.files);
    if specs.is_empty() {
        return misused("there is no spec (.seg) in that folder");
    }
    let mut exit = Exit::Done;
    for path in &specs {
        let one = one(path, args.check);
        // The first failure of the most serious kind decides; nothing stops the other files.
        if exit == Exit::Done || one.code() > exit.code() {
            exit = one;
        }
    }
    exit
}

fn one(path: &Path, check: bool) -> Exit {
    let text = match loader::open(path) {
        Ok(text) => text,
        Err(refusal) => {
            let exit = refused(&refusal);
            return if matches!(refusal, Refusal::NoFile(_)) { exit } else { Exit::Faults };
        }
    };
    let formatted = match format(&text) {
        Ok(formatted) => formatted,
        Err(faults) => {
            let mut sources = Sources::default();
            sources.add(path.display().to_string(), text);
            faults.iter().for_each(|fault| console::err(&render(fault, &sources, console::color_on_stderr())));
            return Exit::Faults;
        }
    };
    match (formatted == text, check) {
        (true, _) => Exit::Done,
        (false, true) => {
            console::out(&format!("{} is not formatted\n", path.display()));
            Exit::Faults
        }
        (false, false) => match replace(path, &formatted) {
            Ok(()) => Exit::Done,
            Err(cause) => {
                console::error(&format!("cannot write {}: {cause}", path.display()));
                Exit::Environment
            }
        },
    }
}

/// Puts the new text in the place of the old one at once, keeping links and permissions.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = path.canonicalize()?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = path.with_file_name(format!(".{name}.part"));
    let written = std::fs::metadata(&path).and_then(|old| {
        let mut file = std::fs::File::create(&part)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(old.permissions())?;
        file.sync_all()?;
        std::fs::rename(&part, &path)
    });
    written.inspect_err(|_| {
        let _ = std::fs::remove_file(&part);
    })
}
