//! What training reads again and again is decoded and resized once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use segc_lang::spec::{Part, Step};

use super::{DataSet, Prepared, Sample, Skipped};

/// Most bytes of prepared samples that a data set keeps in memory; further ones are decoded whenever they are read.
pub const LIMIT: u64 = 2 << 30;

/// A data set that keeps the prepared samples of its training part. Samples outside training are not kept: a run reads most of them
/// once.
pub struct Cached {
    set: Box<dyn DataSet>,
    kept: Vec<OnceLock<Arc<Prepared>>>,
    bytes: AtomicU64,
    limit: u64,
}

impl Cached {
    /// Nothing is kept yet.
    pub fn new(set: Box<dyn DataSet>) -> Cached {
        Cached::up_to(set, LIMIT)
    }

    fn up_to(set: Box<dyn DataSet>, limit: u64) -> Cached {
        let kept = std::iter::repeat_with(OnceLock::new).take(set.len(Part::Train)).collect();
        Cached { set, kept, bytes: AtomicU64::new(0), limit }
    }
}

impl DataSet for Cached {
    fn len(&self, part: Part) -> usize {
        self.set.len(part)
    }

    fn has(&self, field: &str) -> bool {
        self.set.has(field)
    }

    fn steps(&self) -> &[Step] {
        self.set.steps()
    }

    fn prepared(&self, part: Part, index: usize) -> Result<Arc<Prepared>, Skipped> {
        let Some(place) = self.kept.get(index).filter(|_| part == Part::Train) else { return self.set.prepared(part, index) };
        if let Some(known) = place.get() {
            return Ok(known.clone());
        }
        let prepared = self.set.prepared(part, index)?;
        let bytes = prepared.bytes();
        if self.bytes.load(Ordering::Relaxed) + bytes <= self.limit && place.set(prepared.clone()).is_ok() {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(prepared)
    }

    fn sample(&self, part: Part, index: usize) -> Result<Sample, Skipped> {
        match self.kept.get(index).filter(|_| part == Part::Train).and_then(OnceLock::get) {
            Some(known) => known.sample(self.steps(), None).map_err(|why| Skipped { file: known.stem.clone().into(), why }),
            None => self.set.sample(part, index),
        }
    }

    fn photo(&self, part: Part, index: usize) -> Result<image::RgbImage, Skipped> {
        self.set.photo(part, index)
    }

    fn skipped(&self) -> &[Skipped] {
        self.set.skipped()
    }
}
