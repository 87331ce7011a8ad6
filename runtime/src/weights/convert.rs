//! A file of weights as one of safetensors.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{View, serialize_to_file};
use safetensors::{Dtype, SafeTensorError};

use super::{Listed, Weights, open};
use crate::outcome::RunError;
use crate::record::folder::{self, Care, failed};

/// Bytes beyond four times those of the input that the output may have: a view can repeat one element without end.
const SPARE: u64 = 64 << 20;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Converted {
    /// How many tensors.
    pub tensors: usize,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many values of the input were no tensors that can be written.
    pub left_out: usize,
}

/// Writes the tensors of a file, or those `below` a key without the key, as safetensors: whole under another name, then renamed. Elements
/// stay as they are; views are written out.
///
/// # Errors
/// [`RunError::Data`] for an unusable file, [`RunError::Usage`] for an output that is there (unless `overwrite`), and
/// [`RunError::Environment`] if the disk fails.
pub fn convert(input: &Path, output: &Path, below: Option<&str>, overwrite: bool) -> Result<Converted, RunError> {
    if output.is_dir() {
        return Err(RunError::Usage(format!("{} is a folder; name the file in it", output.display())));
    }
    if output.exists() && !overwrite {
        return Err(RunError::Usage(format!("{} exists already; --overwrite replaces it", output.display())));
    }
    let weights = open(input)?;
    let start = below.map_or(String::new(), |key| format!("{}.", key.trim_end_matches('.')));
    let chosen: Vec<(&str, &Listed)> = weights.tensors.iter().filter_map(|one| Some((one.name.strip_prefix(&start)?, one))).collect();
    if chosen.is_empty() {
        return Err(RunError::Usage(format!("{} holds no tensor below `{start}`; `segc weights show` lists all", input.display())));
    }
    let bytes = chosen.iter().fold(0u64, |sum, (_, one)| sum.saturating_add(one.bytes()));
    if bytes > weights.length.saturating_mul(4).saturating_add(SPARE) {
        let why = format!("its tensors are views that would take {bytes} bytes, the file has {}", weights.length);
        return Err(RunError::Data(format!("{} cannot be converted: {why}", input.display())));
    }
    let trouble = RefCell::new(None);
    let views = chosen.iter().map(|(name, tensor)| (*name, Lazy { weights: &weights, tensor, trouble: &trouble }));
    let about = Some(HashMap::from([("format".to_string(), "pt".to_string())]));
    let written = folder::write_by(output, Care::Durable, |part| {
        serialize_to_file(views, about, part).map_err(|cause| match cause {
            SafeTensorError::IoError(cause) => cause,
            other => std::io::Error::other(other),
        })?;
        // The part is thrown away then.
        if trouble.borrow().is_some() { Err(std::io::Error::other("the input cannot be read")) } else { Ok(()) }
    });
    if let Some(why) = trouble.take() {
        return Err(RunError::Data(format!("{} {why}", input.display())));
    }
    written.map_err(|cause| failed("write", output, &cause))?;
    Ok(Converted { tensors: chosen.len(), bytes, left_out: weights.others.len() })
}

/// A tensor that is read when it is written, so that one is in memory at a time.
struct Lazy<'a> {
    weights: &'a Weights,
    tensor: &'a Listed,
    /// The first thing that went wrong.
    trouble: &'a RefCell<Option<String>>,
}

impl View for Lazy<'_> {
    fn dtype(&self) -> Dtype {
        self.tensor.element.dtype()
    }

    fn shape(&self) -> &[usize] {
        &self.tensor.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let bytes = self.weights.bytes(self.tensor).unwrap_or_else(|why| {
            self.trouble.borrow_mut().get_or_insert(why);
            Vec::new()
        });
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.tensor.bytes() as usize
    }
}
