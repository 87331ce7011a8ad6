//! Data sets: built-in scenes and folders of images behind one interface, read at will or as the stream of a training phase.

mod cache;
mod chunk;
mod collected;
mod decode;
mod digits;
mod field;
mod folder;
mod idx;
mod named;
mod outline;
mod pipeline;
mod place;
mod scenes;
mod split;
mod stream;
#[cfg(test)]
mod tests;
mod texture;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use segc_lang::spec::{self, Step};

use crate::outcome::RunError;
use cache::Cached;
use chunk::Chunk;

pub use cache::LIMIT as CACHED;
pub use collected::Collector;
pub use digits::Digits;
pub use field::{Field, Values};
pub use folder::Folder;
pub use named::Named;
pub use pipeline::{Ends, Prepared, ends};
pub use place::place;
pub use scenes::Scenes;
pub use stream::{AHEAD, Batch, Stream};

/// One sample after its pipeline.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Stem of the file, or `scene-00017`.
    pub stem: String,
    /// Its fields by name, each row-major: `image`, three planes (red, green, blue) of height x width in the range that the pipeline
    /// gives; `label`, where there is ground truth, one plane of height x width, 0 to 1.
    pub fields: BTreeMap<String, Vec<f32>>,
    /// Where the sample's pixels lie in the photograph.
    pub frame: Frame,
}

impl Sample {
    /// The field `image`, empty for a sample without.
    pub fn image(&self) -> &[f32] {
        self.fields.get("image").map(Vec::as_slice).unwrap_or_default()
    }

    /// The field `label`.
    pub fn label(&self) -> Option<&[f32]> {
        self.fields.get("label").map(Vec::as_slice)
    }
}

/// How a sample was cut from its photograph, so that a mask can be put back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// Width and height of the photograph as a viewer shows it (after EXIF rotation), pixels.
    pub photo: (u32, u32),
    /// Left, top, width, height of the sample's pixels in the photograph, in its pixels.
    pub window: (f64, f64, f64, f64),
}

/// A file that could not be used, or a mask or photograph without partner.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// The file.
    pub file: PathBuf,
    /// Why, in words, with what to do.
    pub why: String,
}

/// A data set whose samples are decoded on demand.
pub trait DataSet: Send + Sync {
    /// How many samples a part has.
    fn len(&self, part: spec::Part) -> usize;
    /// Whether samples have a field.
    fn has(&self, field: &str) -> bool;
    /// The steps of its pipeline.
    fn steps(&self) -> &[Step];
    /// Sample `index` of a part after the steps before the first random one. An error names the file; the run goes on without it.
    fn prepared(&self, part: spec::Part, index: usize) -> Result<Arc<Prepared>, Skipped>;
    /// The photograph itself, 8-bit RGB at its own size, for pictures of the report.
    fn photo(&self, part: spec::Part, index: usize) -> Result<image::RgbImage, Skipped>;
    /// What was left out when the set was opened.
    fn skipped(&self) -> &[Skipped];

    /// Whether samples have ground truth.
    fn has_labels(&self) -> bool {
        self.has("label")
    }

    /// Sample `index` of a part as it is outside training: random crops are centred, nothing is mirrored. Errors as for `prepared`.
    fn sample(&self, part: spec::Part, index: usize) -> Result<Sample, Skipped> {
        let prepared = self.prepared(part, index)?;
        prepared.sample(self.steps(), None).map_err(|why| Skipped { file: prepared.stem.clone().into(), why })
    }
}

/// Opens the data set of a data item that is there before a run; for one that is collected see [`Collector`]. `seed` makes the generated
/// pictures; folders do not use it. What a [`Stream`] reads of it stays in
/// memory, up to a limit.
///
/// # Errors
/// [`RunError::Data`] if there is nothing to work on, with what was found and what to do.
pub fn open(data: &spec::Data, seed: u64) -> Result<Box<dyn DataSet>, RunError> {
    let mut set: Box<dyn DataSet> = match &data.source {
        spec::Pictures::Scenes { hard } => Box::new(Scenes::new(data, *hard, seed)?),
        spec::Pictures::Folder { photos, labels, split } => Box::new(Folder::open(data, photos, labels.as_deref(), split.as_deref())?),
        spec::Pictures::Digits { side, from } => Box::new(Digits::open(data, *side, from.as_deref(), seed)?),
        spec::Pictures::Collected { .. } => {
            let why = "is collected while a run trains; it cannot be opened before";
            return Err(RunError::Usage(format!("data `{}` {why}", data.name)));
        }
    };
    for step in &data.steps {
        if let Step::Chunk { number, of } = *step {
            set = Box::new(Chunk::new(set, number, of).map_err(|why| RunError::Data(format!("data `{}`: {why}", data.name)))?);
        }
    }
    Ok(Box::new(Cached::new(set)))
}
