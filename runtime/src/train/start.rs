//! First values of weights and states: from the file of their model, else as the net says; of averages the weights themselves.

use std::collections::BTreeMap;

use segc_compiler::Leaf;
use segc_lang::spec::{Spec, TermId, Type};

use super::clock::Time;
use super::state::{Kind, State, Tensor};
use crate::execute::Compiler;
use crate::outcome::RunError;
use crate::weights::{Wanted, first_values};

/// Gives first values to all weights and states that a spec reaches and that have none. Those of models that begin with a file are read
/// from it, also where a model starts anew. Draws are keyed by the seed, the path and how
/// often the model was started before.
pub(crate) fn complete(state: &mut State, spec: &Spec, seed: u64, compiler: &mut Compiler) -> Result<(), RunError> {
    let mut missing: BTreeMap<u32, Vec<Stored>> = BTreeMap::new();
    let mut in_files = Vec::new();
    for one in tensors(spec) {
        match (state.number(one.0, one.1), Wanted::of(spec, one.1)) {
            (Some(number), _) => fits(one.1, one.2, state.tensor(number))?,
            (None, Some(wanted)) => in_files.push((one.0, wanted)),
            (None, None) => missing.entry(state.started(one.1)).or_default().push(one),
        }
    }
    let kinds: BTreeMap<&str, Kind> = in_files.iter().map(|(kind, wanted)| (wanted.path, *kind)).collect();
    let wanted: Vec<Wanted> = in_files.iter().map(|(_, wanted)| *wanted).collect();
    for (path, tensor) in first_values(spec, &wanted)? {
        state.set(kinds[path].name(path), tensor);
    }
    for (count, group) in missing {
        let roots: Vec<(String, TermId)> = group.iter().map(|(kind, path, _, start)| (kind.name(path), *start)).collect();
        let ready = compiler.compile_first(spec, &roots)?;
        let mut scratch = ready.scratch();
        let clock = Time::of(seed, count as usize, 0, 0).clock;
        let bound = |leaf: &Leaf| matches!(leaf, Leaf::Clock).then_some(&clock[..]);
        let inputs = ready.program().inputs.iter().map(|(leaf, _)| bound(leaf)).collect::<Option<Vec<_>>>();
        let inputs = inputs.ok_or_else(|| RunError::Usage("a first value of a weight can only read numbers and draws".into()))?;
        ready.run(&inputs, &mut scratch).map_err(RunError::Numeric)?;
        for ((kind, path, ty, _), values) in group.into_iter().zip(scratch.outputs) {
            state.set(kind.name(path), filled(ty, values));
        }
    }
    Ok(())
}

/// A weight or state: what it is, its path, its type, its first value.
pub(super) type Stored<'a> = (Kind, &'a String, &'a Type, TermId);

/// Weights and states that a spec reaches.
pub(super) fn tensors(spec: &Spec) -> Vec<Stored<'_>> {
    let reached = spec.reached();
    let weights = spec.weights.iter().zip(reached.weights).filter(|(_, reached)| *reached);
    let weights = weights.map(|(weight, _)| (Kind::Weight, &weight.path, &weight.ty, weight.start));
    let buffers = spec.buffers.iter().zip(reached.buffers).filter(|(_, reached)| *reached);
    weights.chain(buffers.map(|(buffer, _)| (Kind::Buffer, &buffer.path, &buffer.ty, buffer.start))).collect()
}

/// A value that a former phase left is of the size that this one needs.
fn fits(path: &str, ty: &Type, tensor: &Tensor) -> Result<(), RunError> {
    let needed: Vec<usize> = ty.axes.iter().map(|(_, size)| *size).collect();
    if needed == tensor.shape {
        return Ok(());
    }
    let why = format!(
        "a former phase left `{path}` as {:?}, here it is {needed:?}: let its model start `fresh`, or keep its sizes",
        tensor.shape
    );
    Err(RunError::Usage(why))
}

/// A value of the type; one without axes stands for all elements.
fn filled(ty: &Type, values: Vec<f32>) -> Tensor {
    let shape: Vec<usize> = ty.axes.iter().map(|(_, size)| *size).collect();
    let elements = shape.iter().product();
    let values = if values.len() == elements { values } else { vec![values.first().copied().unwrap_or_default(); elements] };
    Tensor { shape, values }
}

/// Gives averages that have no value that of their weights.
pub(super) fn average(state: &mut State, paths: &[String]) {
    for path in paths {
        if state.number(Kind::Average, path).is_none()
            && let Some(weight) = state.number(Kind::Weight, path)
        {
            let tensor = state.tensor(weight).clone();
            state.set(Kind::Average.name(path), tensor);
        }
    }
}
