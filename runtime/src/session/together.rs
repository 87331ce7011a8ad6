//! Terms of a whole batch: the first samples side by side in one program.

use std::collections::BTreeSet;
use std::sync::Arc;

use segc_compiler::{Leaf, Program, Request};
use segc_lang::spec::{Over, Spec, TermId};

use super::Settled;
use super::pass::Samples;
use crate::data::Skipped;
use crate::execute::{Compiler, Executable};
use crate::outcome::RunError;

impl Settled<'_> {
    /// The terms for so many samples that are each other's batch: for each sample the terms. What reads a solve or an average over data
    /// is refused.
    pub fn together(&self, values: &[(String, TermId)], count: usize, ready: &dyn Executable) -> Result<Vec<Vec<Vec<f32>>>, RunError> {
        let leaves = &ready.program().inputs;
        let reads = fields(ready.program());
        let skipped = |skipped: Skipped| RunError::Data(format!("{}: {}", skipped.file.display(), skipped.why));
        let samples = (0..count).map(|index| self.samples(Over::Samples(count), index, &reads));
        let samples: Vec<Samples> = samples.collect::<Result<_, _>>().map_err(skipped)?;
        let places = crate::train::places(count);
        let fields: Vec<Option<Vec<f32>>> = leaves.iter().map(|(leaf, _)| joined(leaf, &samples)).collect();
        let bound = leaves.iter().zip(&fields).map(|((leaf, _), field)| match (leaf, field) {
            (_, Some(field)) => Some(field.as_slice()),
            (Leaf::Samples, None) => Some(places.as_slice()),
            (other, None) => self.models.value(other),
        });
        let inputs: Option<Vec<&[f32]>> = bound.collect();
        let inputs =
            inputs.ok_or_else(|| RunError::Usage("what is shown of a whole batch reads something that is not known there".into()))?;
        let mut scratch = ready.scratch();
        ready.run(&inputs, &mut scratch).map_err(RunError::Numeric)?;
        let elements = |id: TermId| self.spec.terms.get(id).ty.axes.iter().map(|(_, size)| size).product::<usize>();
        // A value that all samples share is there once.
        let own = |sample: usize, output: &Vec<f32>, size: usize| match output.len() == size * count {
            true => output[sample * size..][..size].to_vec(),
            false => output.clone(),
        };
        let terms =
            |sample: usize| values.iter().zip(&scratch.outputs).map(|((_, id), output)| own(sample, output, elements(*id))).collect();
        Ok((0..count).map(terms).collect())
    }
}

/// A program of terms for so many samples side by side. Errors: what no executor runs.
pub(crate) fn program(
    spec: &Spec,
    values: &[(String, TermId)],
    count: usize,
    compiler: &mut Compiler,
) -> Result<Arc<dyn Executable>, RunError> {
    compiler.compile(spec, values, &Request { batch: Some(count), states: false })
}

/// Numbers of the data items that a program reads.
pub(crate) fn fields(program: &Program) -> Vec<usize> {
    let data = program.inputs.iter().filter_map(|(leaf, _)| if let Leaf::Field(data, _) = leaf { Some(*data) } else { None });
    data.collect::<BTreeSet<_>>().into_iter().collect()
}

/// A field of all samples, one after the other.
fn joined(leaf: &Leaf, samples: &[Samples]) -> Option<Vec<f32>> {
    let Leaf::Field(data, name) = leaf else { return None };
    let field = |samples: &Samples| Some(samples.iter().find(|(own, _)| own == data)?.1.fields.get(name)?.clone());
    Some(samples.iter().map(field).collect::<Option<Vec<_>>>()?.concat())
}
