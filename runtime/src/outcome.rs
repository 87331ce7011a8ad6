//! What a run finds, as plain data: the run directory and the report are made from this and nothing else.

use crate::data::{Ends, Frame};

/// The figures of one evaluation.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Measured {
    /// Name of the `eval` item.
    pub name: String,
    /// Name of each value and its mean over the samples.
    pub values: Vec<(String, f64)>,
    /// Over how many samples.
    pub samples: usize,
    /// Why it was not measured.
    pub skipped: Option<String>,
}

/// A curve: means over the images, one point a step.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Curve {
    /// `cut[1/2].error`.
    pub name: String,
    /// The value before step 0, 1, ..
    pub points: Vec<f64>,
}

/// What was found for one image; given to the observer as soon as it is known, in the order of the data.
#[derive(Clone, Debug)]
pub struct Found {
    /// Number of the pass: outputs and evaluations over the same part of a data item, or over samples without data, are one.
    pub pass: usize,
    /// Number in the pass.
    pub index: usize,
    /// Stem of its file.
    pub stem: String,
    /// The mask at the size of the sample, row-major, 0 to 1; empty for data that is evaluated only.
    pub mask: Vec<f32>,
    /// Height and width of the mask.
    pub size: (usize, usize),
    /// Where it lies in the photograph.
    pub frame: Frame,
    /// The sample's image in the range of the pipeline, three planes.
    pub image: Vec<f32>,
    /// The range of the pipeline, of red, green and blue.
    pub range: Ends,
    /// Its ground truth at the size of the sample.
    pub label: Option<Vec<f32>>,
    /// The photograph at its own size ([`crate::data::DataSet::photo`]), for pictures; given with the first [`PICTURES`] images only.
    pub photo: Option<image::RgbImage>,
    /// `eval.value` and this image's figure.
    pub values: Vec<(String, f64)>,
    /// What this image adds to each curve: name, and the value before step 0, 1, ... A run's curves are means of these rounded
    /// numbers in the order of the data, so that a run that was stopped and continued draws the same bits.
    pub curves: Vec<(String, Vec<f32>)>,
    /// What happened: `cut[1/2]: the mask emptied at step 12; the last valid one is kept`.
    pub notes: Vec<String>,
}

impl Found {
    /// A sample without image.
    pub fn bare(pass: usize, index: usize) -> Found {
        Found {
            pass,
            index,
            stem: String::new(),
            mask: Vec::new(),
            size: (0, 0),
            frame: Frame { photo: (0, 0), window: (0.0, 0.0, 0.0, 0.0) },
            image: Vec::new(),
            range: [(0.0, 1.0); 3],
            label: None,
            photo: None,
            values: Vec::new(),
            curves: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// Of how many images, counted in the order of the data, the report shows pictures.
pub const PICTURES: usize = 16;

/// What an earlier run that was stopped already found for one image. A session that is given it computes nothing for that image:
/// it takes values, curves and notes from here and calls [`Observer::kept`] in the place of [`Observer::found`]. If the data's
/// sample `index` has another stem than this one, the session ignores it and computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// As in [`Found`].
    pub pass: usize,
    /// As in [`Found`].
    pub index: usize,
    /// As in [`Found`].
    pub stem: String,
    /// As in [`Found`].
    pub values: Vec<(String, f64)>,
    /// As in [`Found`].
    pub curves: Vec<(String, Vec<f32>)>,
    /// As in [`Found`].
    pub notes: Vec<String>,
}

/// What a whole run found.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The evaluations in the order of the spec.
    pub measured: Vec<Measured>,
    /// The curves.
    pub curves: Vec<Curve>,
    /// How many images were done.
    pub images: usize,
    /// Files left out, with the reason.
    pub skipped: Vec<(String, String)>,
    /// Images with something to say: stem and note.
    pub notes: Vec<(String, String)>,
    /// Whether a signal stopped the run before its end.
    pub stopped: bool,
}

/// Watches a run. All calls come from one thread.
pub trait Observer {
    /// `done` of `total` images are done.
    fn progress(&mut self, done: usize, total: usize);
    /// An image is done; they come in the order of the data.
    fn found(&mut self, found: Found) -> Result<(), RunError>;
    /// This image of a pass was done by an earlier run ([`Done`]); in the order of the data, between the others.
    fn kept(&mut self, pass: usize, index: usize) -> Result<(), RunError>;
    /// Whether to stop after the images at hand.
    fn stop(&self) -> bool;
}

/// Why a run ended early. The kinds are those of the exit codes.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RunError {
    /// The spec or usage is wrong (2).
    #[error("{0}")]
    Usage(String),
    /// A part of the spec that no executor runs, with its place (2).
    #[error("{}", .0.message)]
    Spec(Box<segc_lang::fault::Fault>),
    /// The data is unusable (3).
    #[error("{0}")]
    Data(String),
    /// A file of weights is unusable, or is of another model, with the place in the spec (3).
    #[error("{}", .0.message)]
    Weights(Box<segc_lang::fault::Fault>),
    /// Numbers are not finite (5).
    #[error("{0}")]
    Numeric(String),
    /// An op made numbers that are not finite, with its place (5).
    #[error("{}", .0.message)]
    NotFinite(Box<segc_lang::fault::Fault>),
    /// A checkpoint is unusable (4).
    #[error("{0}")]
    Checkpoint(String),
    /// The disk or a device fails (6).
    #[error("{0}")]
    Environment(String),
}
