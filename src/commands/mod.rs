//! One room for each verb.

pub mod check;
pub mod compare;
pub mod cost;
pub mod doctor;
pub mod explain;
pub mod fmt;
pub mod new;
pub mod ops;
pub mod profile;
pub mod run;
pub mod segment;
pub mod show;
pub mod summary;
pub mod sweep;
pub mod weights;

use std::path::{Path, PathBuf};

/// The specs that are meant: files as they are, folders with all specs below them, sorted.
fn specs(named: &[PathBuf]) -> Vec<PathBuf> {
    named.iter().flat_map(|path| if path.is_dir() { below(path) } else { vec![path.clone()] }).collect()
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            // A link to a folder above would go round for ever.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !hidden {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "seg") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
