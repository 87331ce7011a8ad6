//! Data that is computed for every sample of other data.

use std::sync::Arc;

use segc_compiler::Leaf;
use segc_lang::spec::{Data, Over, Pictures, Spec};

use super::known::{self, Known};
use super::pass::{Samples, Settled, Worker};
use super::{Models, Options, Programs, resolved};
use crate::data::{Collector, DataSet, Sample, Skipped};
use crate::execute::Compiler;
use crate::outcome::RunError;
use crate::train::Time;
use crate::train::state::State;

/// The programs of the fields of a collected data item.
pub(crate) fn programs(spec: &Spec, number: usize, compiler: &mut Compiler) -> Result<Programs, RunError> {
    match &spec.data[number].source {
        Pictures::Collected { fields, .. } => Programs::new(spec, fields, compiler),
        _ => Err(RunError::Usage(format!("data `{}` is not collected", spec.data[number].name))),
    }
}

/// The data item that a collected one goes over.
pub(crate) fn from(data: &Data) -> Option<usize> {
    match data.source {
        Pictures::Collected { over: (from, _), .. } => Some(from),
        _ => None,
    }
}

/// Computes a collected data item. The models are those of its first time, which the state keeps ([`State::keep_collected`]), so that a
/// run that continues collects the same. `sets` holds what the programs read. Samples that cannot be read are left out.
pub(crate) fn collect(
    spec: &Spec,
    number: usize,
    programs: &Programs,
    sets: &[Option<Arc<dyn DataSet>>],
    state: &mut State,
    options: &Options,
) -> Result<Arc<dyn DataSet>, RunError> {
    let data = &spec.data[number];
    let Pictures::Collected { over: (from, part), fields } = &data.source else {
        return Err(RunError::Usage(format!("data `{}` is not collected", data.name)));
    };
    let over = resolved(spec, Over::Data(*from, *part));
    keep_models(spec, &data.name, programs, state);
    let models = Models::collected(spec, state, Time::of(options.seed, spec.phases.len(), 0, 0), &data.name);
    let settled = Settled { spec, sets, models, threads: options.threads, check_nan: options.check_nan };
    let averages = settled.averages(programs)?;
    let known = Known::of(spec, fields, programs, &settled.models, options)?;
    let mut collector = Collector::new(spec, data);
    let work = |worker: &mut Worker, index: usize, samples: Result<Samples, Skipped>| {
        let samples = samples.ok()?;
        let made = known::once(known.as_ref(), &samples, || worker.run(index, &samples).map(|computed| computed.values));
        Some(made.map(|values| (samples, values)))
    };
    settled.each(over, settled.count(over), programs, &averages, work, |_, made| {
        if let Some((mut samples, values)) = made.transpose()? {
            let (_, Sample { stem, frame, .. }) = samples.swap_remove(0);
            let fields = fields.iter().map(|(name, _)| name.clone()).zip(values).collect();
            collector.push(Sample { stem, fields, frame });
        }
        Ok(true)
    })?;
    collector.finish().map(Arc::from)
}

/// Keeps the models that the programs read as they are now, but for those that do not change.
fn keep_models(spec: &Spec, data: &str, programs: &Programs, state: &mut State) {
    let mut weights = Vec::new();
    let mut buffers = Vec::new();
    for leaf in programs.leaves() {
        match leaf {
            Leaf::Weight(number) => weights.push(spec.weights[number].path.as_str()),
            Leaf::Buffer(number) => buffers.push(spec.buffers[number].path.as_str()),
            _ => {}
        }
    }
    weights.retain(|path| !spec.stays(path));
    buffers.retain(|path| !spec.stays(path));
    state.keep_collected(data, &weights, &buffers);
}
