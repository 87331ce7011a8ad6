//! What a training has to say: losses every few steps, evaluations, pictures, decisions. A line of `metrics.jsonl` each.

use serde::{Deserialize, Serialize};

use crate::data::Ends;
use crate::outcome::Measured;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Name of the phase.
    pub phase: String,
    /// Steps of the phase that are done, since it began or began anew.
    pub step: u64,
    /// Steps of the run that are done.
    pub total: u64,
    /// What is said.
    #[serde(flatten)]
    pub what: What,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Losses by name, means over the steps since the last such line.
    Losses(#[serde(with = "crate::record::ordered")] Vec<(String, f64)>),
    /// An evaluation.
    Measured(Figures),
    /// A picture: its file, relative to the run directory, and the names of its rows.
    Shown {
        /// The file.
        file: String,
        /// One name for each row.
        rows: Vec<String>,
    },
    /// A value that is the best so far: these models are kept.
    Kept(f64),
    /// The phase begins anew, so often.
    Restarted(u32),
    /// Whether the phase ends here by its own rule, before its length.
    Finished(bool),
}

/// The figures of an evaluation; none is not a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Its name.
    pub name: String,
    /// Each value; a lone one has the empty name.
    #[serde(with = "crate::record::ordered")]
    pub values: Vec<(String, Option<f64>)>,
    /// Over how many samples.
    pub samples: usize,
    /// Why it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl Figures {
    /// The figures of an evaluation.
    pub fn of(measured: &Measured) -> Figures {
        let values = measured.values.iter().map(|(name, value)| (name.clone(), value.is_finite().then_some(*value)));
        Figures { name: measured.name.clone(), values: values.collect(), samples: measured.samples, skipped: measured.skipped.clone() }
    }
}

/// A row of pictures: one value of several samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// `world.front.mask`.
    pub name: String,
    /// Channels of a picture, before height and width.
    pub channels: usize,
    /// Height and width.
    pub size: (usize, usize),
    /// What is black and what is white.
    pub range: Ends,
    /// The pictures, channel by channel, row-major.
    pub samples: Vec<Vec<f32>>,
}

/// Sums of losses since the last line: name, sum, how many.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Window(Vec<(String, f64, u64)>);

impl Window {
    /// Adds the loss of an update.
    pub fn add(&mut self, name: &str, loss: f64) {
        match self.0.iter_mut().find(|(own, ..)| own == name) {
            Some((_, sum, count)) => (*sum, *count) = (*sum + loss, *count + 1),
            None => self.0.push((name.to_owned(), loss, 1)),
        }
    }

    /// The means, and a new window.
    pub fn take(&mut self) -> Vec<(String, f64)> {
        std::mem::take(&mut self.0).into_iter().map(|(name, sum, count)| (name, sum / count as f64)).collect()
    }

    /// The means so far.
    pub fn means(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, sum, count)| (name.as_str(), sum / *count as f64))
    }
}
