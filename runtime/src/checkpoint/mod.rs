//! States of training on the disk: `checkpoints/<step>.safetensors` with the steps of the run, and `last.safetensors`, the newest.
//!
//! A checkpoint that a stop made stands aside for the next one, so that in the end the folder of a run that was stopped holds what that of
//! an uninterrupted one does.
//!
//! Every file is written whole under another name, brought to the disk, and renamed. A file that is not exactly what was written, or
//! that belongs to another run, is refused.

mod format;
mod past;

use std::fs;
use std::path::{Path, PathBuf};

use crate::outcome::RunError;
use crate::record::Identity;
use crate::record::folder::{self, Care, failed};
use crate::train::state::State;
pub use past::{Chosen, Kept, of_other_device, of_run};

/// The checkpoints of a run directory.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    identity: Identity,
    /// So many of the newest stay.
    keep: usize,
    /// Models that are not stored, because they lie in files and nothing changes them.
    given: Vec<String>,
    /// Steps of the newest checkpoint, if a stop made it.
    passing: Option<u64>,
}

/// Name of the folder in a run directory.
pub const FOLDER: &str = "checkpoints";
const LAST: &str = "last.safetensors";
const ENDING: &str = ".safetensors";

impl Checkpoints {
    /// The checkpoints of the run directory `out`; the newest `keep` stay, at least one.
    pub fn of(out: &Path, identity: Identity, keep: usize) -> Checkpoints {
        Checkpoints { folder: out.join(FOLDER), identity, keep: keep.max(1), given: Vec::new(), passing: None }
    }

    /// The same without models whose weights and states are read from files whenever a run begins or continues.
    pub fn without(self, given: Vec<String>) -> Checkpoints {
        Checkpoints { given, ..self }
    }

    /// Saves a state, durably, and removes the oldest checkpoints. `passing`: a stop asked for it.
    ///
    /// # Errors
    /// [`RunError::Environment`] if the disk fails.
    pub fn save(&mut self, state: &State, passing: bool) -> Result<(), RunError> {
        folder::make(&self.folder)?;
        let step = state.place.total;
        let path = self.numbered_path(step);
        let fill = |part: &Path| format::write(state, &self.identity, &self.given, passing, part);
        folder::write_by(&path, Care::Durable, fill).map_err(|cause| failed("write", &path, &cause))?;
        self.link(&path)?;
        let before = std::mem::replace(&mut self.passing, passing.then_some(step));
        if let Some(before) = before.filter(|before| *before != step) {
            folder::remove(&self.numbered_path(before))?;
        }
        let mut all = numbered(&self.folder)?;
        all.truncate(all.len().saturating_sub(self.keep));
        all.iter().try_for_each(|(_, path)| folder::remove(path))
    }

    fn numbered_path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("{step}{ENDING}"))
    }

    /// Gives the newest checkpoint its second name. Where the disk cannot share a file it is written twice.
    fn link(&self, path: &Path) -> Result<(), RunError> {
        let (last, part) = (self.folder.join(LAST), self.folder.join(format!(".{LAST}.part")));
        folder::remove(&part)?;
        if fs::hard_link(path, &part).is_err() {
            let copied = folder::write_by(&last, Care::Durable, |part| fs::copy(path, part).map(drop));
            return copied.map_err(|cause| failed("write", &last, &cause));
        }
        fs::rename(&part, &last).map_err(|cause| failed("write", &last, &cause))?;
        folder::settle(&self.folder).map_err(|cause| failed("write", &last, &cause))
    }

    /// The newest state; none where nothing was saved.
    ///
    /// # Errors
    /// [`RunError::Checkpoint`] if the file is damaged, with the newest one that is whole, or if it belongs to another run, with the
    /// differences.
    pub fn load(&mut self) -> Result<Option<State>, RunError> {
        let last = self.folder.join(LAST);
        let path = if last.exists() { Some(last) } else { numbered(&self.folder)?.pop().map(|(_, path)| path) };
        let Some(path) = path else { return Ok(None) };
        match format::read(&path).map_err(|cause| failed("read", &path, &cause))? {
            Ok(read) => self.own(read, &path).map(Some),
            Err(why) => Err(RunError::Checkpoint(format!("{} is damaged: {why}. {}", path.display(), self.way_out(&path)?))),
        }
    }

    /// Refuses the state of another run.
    fn own(&mut self, read: format::Read, path: &Path) -> Result<State, RunError> {
        let differences = self.identity.differences(&read.about);
        if differences.is_empty() {
            self.passing = read.passing.then_some(read.state.place.total);
            return Ok(read.state);
        }
        let why = format!("{} belongs to another run: {}", path.display(), differences.join("; "));
        Err(RunError::Checkpoint(format!("{why}. Choose another folder with --out DIR, or begin anew with --overwrite.")))
    }

    /// What to do about a damaged checkpoint.
    fn way_out(&self, damaged: &Path) -> Result<String, RunError> {
        let mut others = numbered(&self.folder)?;
        others.retain(|(_, path)| path != damaged);
        let whole = |path: &Path| format::read(path).is_ok_and(|read| read.is_ok());
        Ok(match others.iter().rev().find(|(_, path)| whole(path)) {
            Some((step, path)) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                format!("{name} beside it is whole: copy it over {LAST} to continue from step {step}, or begin anew with --overwrite.")
            }
            None => "No other checkpoint beside it is whole; --overwrite begins anew.".into(),
        })
    }
}

/// The checkpoints in a folder with the steps of the run, oldest first.
fn numbered(folder: &Path) -> Result<Vec<(u64, PathBuf)>, RunError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(failed("read", folder, &cause)),
    };
    let step = |path: &Path| path.file_name()?.to_str()?.strip_suffix(ENDING)?.parse().ok();
    let mut all: Vec<(u64, PathBuf)> = entries.flatten().filter_map(|entry| Some((step(&entry.path())?, entry.path()))).collect();
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests;
