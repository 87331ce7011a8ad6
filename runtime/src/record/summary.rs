//! The text files of a run directory: `run.json`, the lines of `metrics.jsonl`, `summary.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::journal::Entry;
use super::{About, Identity};
use crate::outcome::{Curve, Measured, Outcome};
use segc_lang::spec::ParamValue;

/// `summary.json`: how a run ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Version of segc.
    pub segc: String,
    /// Name of the spec.
    pub spec: String,
    /// Hash of what decides the results.
    pub identity: String,
    /// Whether every image was done.
    pub complete: bool,
    /// How many images were done.
    pub images: usize,
    /// `eval.value` and its mean; none is not a number.
    #[serde(with = "super::ordered")]
    pub metrics: Vec<(String, Option<f64>)>,
    /// Over how many samples each evaluation went.
    #[serde(with = "super::ordered")]
    pub samples: Vec<(String, usize)>,
    /// Evaluations that were not measured, and why.
    #[serde(with = "super::ordered")]
    pub not_measured: Vec<(String, String)>,
    /// Files left out, and why.
    pub skipped: Vec<Remark>,
    /// Images with something to say.
    pub notes: Vec<Remark>,
}

/// Something said about a file or an image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Remark {
    /// The file or the stem of the image.
    pub of: String,
    /// What is said.
    pub text: String,
}

impl Summary {
    /// The summary of an outcome.
    pub(super) fn new(identity: &Identity, outcome: &Outcome) -> Summary {
        let measured = || outcome.measured.iter().filter(|one| one.skipped.is_none());
        let metrics = measured().flat_map(|one| one.values.iter().map(|(name, value)| (full_name(&one.name, name), finite(*value))));
        let why = outcome.measured.iter().filter_map(|one| Some((one.name.clone(), one.skipped.clone()?)));
        let remarks = |list: &[(String, String)]| list.iter().map(|(of, text)| Remark { of: of.clone(), text: text.clone() }).collect();
        Summary {
            segc: crate::VERSION.into(),
            spec: identity.name.clone(),
            identity: identity.hash(),
            complete: !outcome.stopped,
            images: outcome.images,
            metrics: metrics.collect(),
            samples: measured().map(|one| (one.name.clone(), one.samples)).collect(),
            not_measured: why.collect(),
            skipped: remarks(&outcome.skipped),
            notes: remarks(&outcome.notes),
        }
    }

    /// The evaluations, as they were given to the summary.
    pub fn measured(&self) -> Vec<Measured> {
        let of = |eval: &str| {
            let own = |(name, value): &(String, Option<f64>)| {
                let (before, after) = name.split_once('.').unwrap_or((name, ""));
                (before == eval).then(|| (after.to_string(), value.unwrap_or(f64::NAN)))
            };
            self.metrics.iter().filter_map(own).collect()
        };
        let done =
            self.samples.iter().map(|(name, samples)| Measured { name: name.clone(), values: of(name), samples: *samples, skipped: None });
        let left = self.not_measured.iter().map(|(name, why)| Measured {
            name: name.clone(),
            values: Vec::new(),
            samples: 0,
            skipped: Some(why.clone()),
        });
        done.chain(left).collect()
    }

    /// The file's text.
    pub(super) fn json(&self) -> String {
        pretty(self)
    }

    /// The summary in a file, if it is one.
    pub(super) fn read(path: &Path) -> Option<Summary> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }
}

/// The text of `run.json`: all that is needed to do the run again.
pub(super) fn run_json(about: &About) -> String {
    #[derive(Serialize)]
    struct Run<'a> {
        segc: &'a str,
        identity: String,
        spec: Spec<'a>,
        variants: &'a [String],
        #[serde(serialize_with = "super::ordered::serialize")]
        sets: &'a [(String, String)],
        #[serde(serialize_with = "super::ordered::serialize")]
        params: Vec<(String, ParamValue)>,
        seed: u64,
        #[serde(serialize_with = "super::ordered::serialize", skip_serializing_if = "Vec::is_empty")]
        weights: Vec<(String, String)>,
        threads: usize,
        device: &'a str,
    }
    #[derive(Serialize)]
    struct Spec<'a> {
        name: &'a str,
        hash: String,
        texts: Vec<File<'a>>,
    }
    #[derive(Serialize)]
    struct File<'a> {
        name: &'a str,
        text: &'a str,
    }
    let identity = &about.identity;
    let texts = identity.sources.iter().map(|source| File { name: &source.name, text: &source.text }).collect();
    pretty(&Run {
        segc: crate::VERSION,
        identity: identity.hash(),
        spec: Spec { name: &identity.name, hash: identity.spec_hash(), texts },
        variants: &about.variants,
        sets: &about.sets,
        params: identity.param_values(),
        seed: identity.seed,
        weights: identity.weights.clone(),
        threads: about.threads,
        device: &identity.device,
    })
}

/// An image's line of `metrics.jsonl`.
pub(super) fn line(entry: &Entry) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        image: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        mask: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sha256: Option<&'a str>,
        #[serde(serialize_with = "super::ordered::serialize")]
        values: &'a [(String, Option<f64>)],
        notes: &'a [String],
    }
    let mask = entry.mask.as_ref();
    compact(&Line {
        image: &entry.stem,
        mask: mask.map(|mask| mask.name.as_str()),
        sha256: mask.map(|mask| mask.sha256.as_str()),
        values: &entry.values,
        notes: &entry.notes,
    })
}

/// The mask and its hash in a line of `metrics.jsonl`; curves have none.
pub(super) fn mask_of(line: &str) -> Option<(String, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    Some((line["mask"].as_str()?.into(), line["sha256"].as_str()?.into()))
}

/// A line for each step: the value of each curve that reaches it.
pub(super) fn curve_lines(curves: &[Curve]) -> impl Iterator<Item = String> + '_ {
    #[derive(Serialize)]
    struct Step {
        step: usize,
        #[serde(serialize_with = "super::ordered::serialize")]
        curves: Vec<(String, Option<f64>)>,
    }
    let steps = curves.iter().map(|curve| curve.points.len()).max().unwrap_or(0);
    (0..steps).map(|step| {
        let at = |curve: &Curve| curve.points.get(step).map(|point| (curve.name.clone(), finite(*point)));
        compact(&Step { step, curves: curves.iter().filter_map(at).collect() })
    })
}

fn full_name(eval: &str, value: &str) -> String {
    if value.is_empty() { eval.into() } else { format!("{eval}.{value}") }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

// Texts, numbers and lists serialise into memory without fail, so neither of these can come out empty.
fn compact(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
