//! Data sets: built-in scenes and folders of images behind one interface.

mod decode;
mod folder;
mod outline;
mod pipeline;
mod place;
mod scenes;
#[cfg(test)]
mod tests;
mod texture;

use std::path::PathBuf;

use segc_lang::spec;

use crate::outcome::RunError;

pub use folder::Folder;
pub use place::place;
pub use scenes::Scenes;

/// One sample after its pipeline.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Stem of the file, or `scene-00017`.
    pub stem: String,
    /// The photograph: three planes (red, green, blue) of height x width, row-major, in the range that the pipeline gives.
    pub image: Vec<f32>,
    /// The ground truth: one plane of height x width, 0 to 1.
    pub label: Option<Vec<f32>>,
    /// Where the sample's pixels lie in the photograph.
    pub frame: Frame,
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
    /// Whether samples have ground truth.
    fn has_labels(&self) -> bool;
    /// Sample `index` of a part. An error names the file; the run goes on without it.
    fn sample(&self, part: spec::Part, index: usize) -> Result<Sample, Skipped>;
    /// The photograph itself, 8-bit RGB at its own size, for pictures of the report.
    fn photo(&self, part: spec::Part, index: usize) -> Result<image::RgbImage, Skipped>;
    /// What was left out when the set was opened.
    fn skipped(&self) -> &[Skipped];
}

/// Opens the data set of a data item. `seed` makes the generated scenes; folders do not use it.
///
/// # Errors
/// [`RunError::Data`] if there is nothing to work on, with what was found and what to do.
pub fn open(data: &spec::Data, seed: u64) -> Result<Box<dyn DataSet>, RunError> {
    Ok(match &data.source {
        spec::Pictures::Scenes { hard } => Box::new(Scenes::new(data, *hard, seed)?),
        spec::Pictures::Folder { photos, labels } => Box::new(Folder::open(data, photos, labels.as_deref())?),
    })
}
