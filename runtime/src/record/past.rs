//! Runs that were done: what their folders say of them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{RUN, SUMMARY, Summary};

/// A run's folder.
#[derive(Clone, Debug)]
pub struct Past {
    /// The folder.
    pub folder: PathBuf,
    /// What decided its results.
    pub about: PastAbout,
    /// How it ended; none for a run that has not.
    pub summary: Option<Summary>,
}

/// What `run.json` says.
#[derive(Clone, Debug, Deserialize)]
pub struct PastAbout {
    /// Version of segc.
    pub segc: String,
    /// Hash of all that decides its results.
    pub identity: String,
    /// The spec.
    pub spec: PastSpec,
    /// The variants that were asked for.
    pub variants: Vec<String>,
    /// Params that were asked for, as they were written; none in the runs of versions that did not note them.
    #[serde(default, deserialize_with = "written")]
    pub sets: Option<Vec<(String, String)>>,
    /// Params in the order of the spec.
    #[serde(with = "super::ordered")]
    pub params: Vec<(String, Value)>,
    /// Seed of all draws.
    pub seed: u64,
    /// Files of weights that models begin with, with the SHA-256 of their content.
    #[serde(default, with = "super::ordered")]
    pub weights: Vec<(String, String)>,
    /// What computed.
    pub device: String,
}

/// A spec in `run.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct PastSpec {
    /// Its name.
    pub name: String,
    /// Hash of its formatted texts.
    pub hash: String,
    /// Its text, then those of the files that it extends or uses.
    pub texts: Vec<PastText>,
}

/// A text in `run.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct PastText {
    /// Name of its file, as the run was given it.
    pub name: String,
    /// The text.
    pub text: String,
}

impl Past {
    /// Reads a run's folder. The error says in words that it is none.
    pub fn read(folder: &Path) -> Result<Past, String> {
        let path = folder.join(RUN);
        let bytes = std::fs::read(&path).map_err(|cause| format!("{} is not the folder of a run: {RUN}: {cause}", folder.display()))?;
        let about = serde_json::from_slice(&bytes).map_err(|cause| format!("{} cannot be read: {cause}", path.display()))?;
        Ok(Past { folder: folder.into(), about, summary: Summary::read(&folder.join(SUMMARY)) })
    }

    /// The runs in a folder: itself, or all below it, sorted by their paths.
    pub fn below(folder: &Path) -> Vec<PathBuf> {
        if folder.join(RUN).is_file() {
            return vec![folder.into()];
        }
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut inside: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink()).collect();
        inside.sort();
        inside.iter().flat_map(|path| Past::below(path)).collect()
    }

    /// Whether it was done to its end.
    pub fn is_complete(&self) -> bool {
        self.summary.as_ref().is_some_and(|summary| summary.complete)
    }

    /// A figure by its full name, `test.iou`.
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.summary.as_ref()?.metrics.iter().find(|(own, _)| own == name).and_then(|(_, value)| *value)
    }
}

fn written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<(String, String)>>, D::Error> {
    super::ordered::deserialize(deserializer).map(Some)
}
