//! `chunk(number, of:)`: of every part some samples in a row.

use std::sync::Arc;

use segc_lang::spec::{Part, Step};

use super::{DataSet, Prepared, Skipped};

/// Of every part of a data set the samples from `first` on, `count` of them or as many as there are.
pub struct Chunk {
    set: Box<dyn DataSet>,
    first: usize,
    count: usize,
}

impl Chunk {
    /// Chunk `number` of chunks of `of` samples. The error says in words that no part goes as far.
    pub fn new(set: Box<dyn DataSet>, number: usize, of: usize) -> Result<Chunk, String> {
        let first = number.saturating_mul(of);
        let most = [Part::Whole, Part::Train, Part::Valid, Part::Test].map(|part| set.len(part)).into_iter().max().unwrap_or(0);
        if first >= most {
            return Err(format!("chunk {number} of {of} samples begins with sample {first}, and there are {most}"));
        }
        Ok(Chunk { set, first, count: of })
    }

    fn inside(&self, part: Part, index: usize) -> Result<usize, Skipped> {
        match index < self.len(part) {
            true => Ok(self.first + index),
            false => Err(Skipped { file: "chunk".into(), why: format!("there is no sample {index} in this chunk") }),
        }
    }
}

impl DataSet for Chunk {
    fn len(&self, part: Part) -> usize {
        self.set.len(part).saturating_sub(self.first).min(self.count)
    }

    fn has(&self, field: &str) -> bool {
        self.set.has(field)
    }

    fn steps(&self) -> &[Step] {
        self.set.steps()
    }

    fn prepared(&self, part: Part, index: usize) -> Result<Arc<Prepared>, Skipped> {
        self.set.prepared(part, self.inside(part, index)?)
    }

    fn photo(&self, part: Part, index: usize) -> Result<image::RgbImage, Skipped> {
        self.set.photo(part, self.inside(part, index)?)
    }

    fn skipped(&self) -> &[Skipped] {
        self.set.skipped()
    }
}
