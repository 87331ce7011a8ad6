//! Files of a run directory: written whole under a temporary name, then renamed, so that no final name ever holds half a file.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::outcome::RunError;

/// How much a file must survive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// On the disk before the call returns.
    Durable,
    /// Handed to the system; its hash is kept elsewhere, so that a loss is noticed.
    Quick,
}

/// Writes a file whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8], care: Care) -> Result<(), RunError> {
    let fill = |part: &Path| File::create(part)?.write_all(bytes);
    write_by(path, care, fill).map_err(|cause| failed("write", path, &cause))
}

/// The same by somebody who writes to the path that it is given.
pub(crate) fn write_by(path: &Path, care: Care, fill: impl FnOnce(&Path) -> std::io::Result<()>) -> std::io::Result<()> {
    let part = part_name(path);
    let durable = care == Care::Durable;
    let filled = fill(&part).and_then(|()| if durable { OpenOptions::new().write(true).open(&part)?.sync_all() } else { Ok(()) });
    let settled = || match path.parent() {
        Some(folder) if durable => settle(folder),
        _ => Ok(()),
    };
    filled.and_then(|()| fs::rename(&part, path)).and_then(|()| settled()).inspect_err(|_| {
        let _ = fs::remove_file(&part);
    })
}

/// Brings the names of a folder to the disk.
pub(crate) fn settle(folder: &Path) -> std::io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // Elsewhere folders cannot be opened, and names are durable by themselves.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Makes a folder with its parents.
pub(crate) fn make(path: &Path) -> Result<(), RunError> {
    fs::create_dir_all(path).map_err(|cause| failed("make the folder", path, &cause))
}

/// Removes a file or folder if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), RunError> {
    let gone = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    gone.map_err(|cause| failed("remove", path, &cause))
}

/// What went wrong with which path, for the user.
pub(crate) fn failed(action: &str, path: &Path, cause: &std::io::Error) -> RunError {
    let hint = match cause.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "; free some space and give the same command again: it continues"
        }
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::NotADirectory => {
            "; choose a folder that can be written with --out DIR"
        }
        _ => "",
    };
    RunError::Environment(format!("cannot {action} {}: {cause}{hint}", path.display()))
}

fn part_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.part"))
}
