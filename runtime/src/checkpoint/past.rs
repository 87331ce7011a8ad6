//! The checkpoint of a run that is used and not continued.

use std::path::{Path, PathBuf};

use super::{Checkpoints, ENDING, FOLDER, LAST, format, numbered};
use crate::outcome::RunError;
use crate::record::Identity;
use crate::record::folder::failed;
use crate::train::state::State;

/// Which checkpoint of a run is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Chosen {
    /// The newest one that is whole.
    #[default]
    Newest,
    /// That after so many steps of the run.
    Step(u64),
    /// A file.
    File(PathBuf),
}

/// A state that was read.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The state.
    pub state: State,
    /// Its file.
    pub file: PathBuf,
    /// Newer files that were passed over because they are damaged, and why.
    pub damaged: Vec<(PathBuf, String)>,
}

/// Reads a checkpoint of the run in the folder `run`, which has this identity; none where the run has saved nothing.
///
/// # Errors
/// [`RunError::Checkpoint`] if none is whole, if the one that was asked for is missing or damaged, or if it belongs to another run.
pub fn of_run(run: &Path, identity: &str, chosen: &Chosen) -> Result<Option<Kept>, RunError> {
    let folder = run.join(FOLDER);
    let path = match chosen {
        Chosen::Newest => return newest(run, identity),
        Chosen::Step(step) => folder.join(format!("{step}{ENDING}")),
        Chosen::File(path) => path.clone(),
    };
    if !path.is_file() {
        return Err(RunError::Checkpoint(format!("there is no checkpoint {}; {}", path.display(), there(&folder)?)));
    }
    let state = read(&path, identity)?.map_err(|why| RunError::Checkpoint(format!("{} is damaged: {why}", path.display())))?;
    Ok(Some(Kept { state, file: path, damaged: Vec::new() }))
}

/// The newest state of a run on another device, to be continued on this one: spec, params, seed and files of weights are the same.
///
/// # Errors
/// [`RunError::Checkpoint`] if there is none, if it is damaged, or if it is of another run, with the differences.
pub fn of_other_device(run: &Path, identity: &Identity) -> Result<State, RunError> {
    let last = run.join(FOLDER).join(LAST);
    let none = || RunError::Checkpoint(format!("{} holds no checkpoint; a run has one after its first steps", run.display()));
    if !last.is_file() {
        return Err(none());
    }
    let read = format::read(&last).map_err(|cause| failed("read", &last, &cause))?;
    let device = read.ok().and_then(|read| Some(read.about["device"].as_str()?.to_owned()));
    let theirs = Identity { device: device.unwrap_or_else(|| identity.device.clone()), ..identity.clone() };
    Checkpoints::of(run, theirs, 1).load()?.ok_or_else(none)
}

fn newest(run: &Path, identity: &str) -> Result<Option<Kept>, RunError> {
    let folder = run.join(FOLDER);
    let last = Some(folder.join(LAST)).filter(|last| last.exists());
    let mut damaged = Vec::new();
    for path in last.into_iter().chain(numbered(&folder)?.into_iter().rev().map(|(_, path)| path)) {
        match read(&path, identity)? {
            Ok(state) => return Ok(Some(Kept { state, file: path, damaged })),
            Err(why) => damaged.push((path, why)),
        }
    }
    match damaged.first() {
        None => Ok(None),
        Some((path, why)) => {
            let out = "no checkpoint beside it is whole. `segc run` with --overwrite does the run again";
            Err(RunError::Checkpoint(format!("{} is damaged: {why}; {out}", path.display())))
        }
    }
}

/// The state in a file; the inner error says how the file is damaged.
fn read(path: &Path, identity: &str) -> Result<Result<State, String>, RunError> {
    match format::read(path).map_err(|cause| failed("read", path, &cause))? {
        Ok(read) if read.about["identity"] == identity => Ok(Ok(read.state)),
        Ok(_) => Err(RunError::Checkpoint(format!("{} belongs to another run: its spec, params or seed are others", path.display()))),
        Err(why) => Ok(Err(why)),
    }
}

/// What checkpoints there are, in words.
fn there(folder: &Path) -> Result<String, RunError> {
    let steps: Vec<String> = numbered(folder)?.iter().map(|(step, _)| step.to_string()).collect();
    Ok(match steps.as_slice() {
        [] => format!("{} holds none", folder.display()),
        steps => format!("{} holds those after {} steps", folder.display(), steps.join(", ")),
    })
}
