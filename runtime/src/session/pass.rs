//! Terms over the samples of a data set, or over samples that need no data, on several threads and in order.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use segc_lang::spec::{Over, Part, Pictures, Spec, TermId};

use super::in_order::in_order;
use super::models::Models;
use super::programs::{Mean, Programs};
use super::sample::{Around, Computed};
use crate::data::{DataSet, Sample, Skipped};
use crate::outcome::RunError;

pub(crate) use super::sample::Worker;

/// A spec with its data and its settled models.
pub(crate) struct Settled<'a> {
    pub spec: &'a Spec,
    /// The data set of each data item; none where nothing reads it.
    pub sets: &'a [Option<Arc<dyn DataSet>>],
    pub models: Models<'a>,
    pub threads: usize,
    /// See [`super::Options::check_nan`].
    pub check_nan: Option<NonZeroUsize>,
}

/// Means of `Average` terms.
pub(crate) type Averages = HashMap<TermId, Vec<f32>>;

/// Samples of data items by number, the one that a pass goes over first.
pub(crate) type Samples = Vec<(usize, Sample)>;

impl Settled<'_> {
    /// How many samples there are.
    pub fn count(&self, over: Over) -> usize {
        match over {
            Over::Data(data, part) => self.set(data).map_or(0, |set| set.len(part)),
            Over::Samples(count) => count,
        }
    }

    /// The data set of a data item.
    pub fn set(&self, data: usize) -> Option<&dyn DataSet> {
        self.sets.get(data)?.as_deref()
    }

    /// The means that programs read, each over its own data.
    pub fn averages(&self, programs: &Programs) -> Result<Averages, RunError> {
        let mut averages = Averages::new();
        for mean in &programs.means {
            averages.extend(mean.terms.iter().copied().zip(self.mean(mean)?));
        }
        Ok(averages)
    }

    /// The means of several terms over one data set, in the order of the data, in f64. Samples that cannot be read are left out.
    fn mean(&self, mean: &Mean) -> Result<Vec<Vec<f32>>, RunError> {
        let averages = self.averages(&mean.programs)?;
        let mut sums: Vec<Vec<f64>> = mean.programs.last.scratch().outputs.iter().map(|output| vec![0.0; output.len()]).collect();
        let mut count = 0usize;
        let work = |worker: &mut Worker, index: usize, samples: Result<Samples, Skipped>| {
            samples.ok().map(|samples| worker.run(index, &samples).map(|computed| computed.values))
        };
        self.each(mean.over, self.count(mean.over), &mean.programs, &averages, work, |_, values| {
            if let Some(values) = values.transpose()? {
                count += 1;
                for (sum, value) in sums.iter_mut().flatten().zip(values.iter().flatten()) {
                    *sum += f64::from(*value);
                }
            }
            Ok(true)
        })?;
        let mean = |sum: f64| (sum / count.max(1) as f64) as f32;
        Ok(sums.into_iter().map(|sums| sums.into_iter().map(mean).collect()).collect())
    }

    /// The terms of programs for the first samples; those that cannot be read are left out.
    pub fn first(&self, over: Over, count: usize, programs: &Programs) -> Result<Vec<Vec<Vec<f32>>>, RunError> {
        let averages = self.averages(programs)?;
        let mut all = Vec::new();
        let work = |worker: &mut Worker, index: usize, samples: Result<Samples, Skipped>| {
            samples.ok().map(|samples| worker.run(index, &samples).map(|computed: Computed| computed.values))
        };
        self.each(over, count.min(self.count(over)), programs, &averages, work, |_, values| {
            all.extend(values.transpose()?);
            Ok(true)
        })?;
        Ok(all)
    }

    /// Does `work` for the samples below `total` and hands the results to `take` in order, which says whether to go on; gives how many
    /// were taken.
    pub fn each<T: Send>(
        &self,
        over: Over,
        total: usize,
        programs: &Programs,
        averages: &Averages,
        work: impl Fn(&mut Worker, usize, Result<Samples, Skipped>) -> T + Sync,
        take: impl FnMut(usize, T) -> Result<bool, RunError>,
    ) -> Result<usize, RunError> {
        let around = Around { models: &self.models, averages, check_nan: self.check_nan };
        let worker = || Worker::new(programs, around);
        in_order(self.threads, total, worker, |worker, index| work(worker, index, self.samples(over, index, &programs.reads)), take)
    }

    /// Sample `index` of what a pass goes over; of other data items that are read, the one of the same number, counted round.
    pub fn samples(&self, over: Over, index: usize, reads: &[usize]) -> Result<Samples, Skipped> {
        let mut samples = Samples::new();
        let own = match over {
            Over::Data(data, part) => Some((data, part)),
            Over::Samples(_) => None,
        };
        if let Some((data, part)) = own
            && let Some(set) = self.set(data)
        {
            samples.push((data, set.sample(part, index)?));
        }
        for &data in reads.iter().filter(|data| own.is_none_or(|(own, _)| own != **data)) {
            if let Some(set) = self.set(data) {
                let part = part(self.spec, data);
                samples.push((data, set.sample(part, index % set.len(part).max(1))?));
            }
        }
        Ok(samples)
    }
}

/// The part of a data item that outputs and evaluations of the bare name see: that of its evaluations, the test part before others.
pub(crate) fn part(spec: &Spec, number: usize) -> Part {
    let named = |wanted: Option<Part>| {
        spec.evals.iter().find_map(|eval| match eval.over {
            Over::Data(data, part) if data == number && part != Part::Whole && wanted.is_none_or(|wanted| part == wanted) => Some(part),
            _ => None,
        })
    };
    match (&spec.data[number].source, named(Some(Part::Test)).or_else(|| named(None))) {
        (_, Some(part)) => part,
        (Pictures::Scenes { .. } | Pictures::Digits { .. }, None) => Part::Test,
        (_, None) => Part::Whole,
    }
}
