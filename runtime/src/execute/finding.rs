//! Where numbers stop being finite: the kernel, its ops, their places in the spec, and what went in.

use std::borrow::Cow;

use segc_compiler::Program;
use segc_compiler::graph::{Graph, NodeId};
use segc_compiler::kernel::Place;
use segc_compiler::ops::Form;
use segc_compiler::plan::Buffer;
use segc_lang::source::Span;

use super::Scratch;

/// A kernel that made NaN or an infinity from finite numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Its number in the program; of the reference executor the number of the node.
    pub kernel: usize,
    /// The ops that it computes, each with its place in the spec where it has one.
    pub ops: Vec<(&'static str, Option<Span>)>,
    /// What it read.
    pub reads: Vec<Statistics>,
    /// What it left behind.
    pub writes: Vec<Statistics>,
}

/// A value in a few numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// The op that made it.
    pub op: &'static str,
    /// Where that stands in the spec.
    pub span: Option<Span>,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// The smallest finite element; infinity if there is none.
    pub min: f32,
    /// The largest finite element; minus infinity if there is none.
    pub max: f32,
    /// The mean of the finite elements; NaN if there is none.
    pub mean: f64,
    /// How many elements are NaN.
    pub nan: usize,
    /// How many are infinite.
    pub infinite: usize,
}

/// A program as a whole: results that are not finite from inputs that are.
pub(super) fn of_results(program: &Program, inputs: &[&[f32]], scratch: &Scratch) -> Option<Finding> {
    let graph = &program.graph;
    let writes: Vec<Statistics> =
        graph.outputs.iter().zip(&scratch.outputs).map(|((_, id), output)| Statistics::new(graph, *id, output)).collect();
    let read = |id: NodeId| match graph.node(id).op.form() {
        Form::Input(number) => Some(Statistics::new(graph, id, inputs[number])),
        _ => None,
    };
    let reads: Vec<Statistics> = graph.ids().filter_map(read).collect();
    let nodes: Vec<NodeId> = graph.outputs.iter().map(|(_, id)| *id).collect();
    Finding::new(graph, program.kernels.len(), &nodes, reads, writes)
}

/// Whether a kernel that has just run made numbers that are not finite from such that are. `numbers` gives what lies in a buffer of the
/// arena; the program writes over nothing.
///
/// # Errors
/// Those of `numbers`.
pub(super) fn of_kernel<'a>(
    program: &Program,
    kernel: usize,
    inputs: &[&[f32]],
    mut numbers: impl FnMut(&Buffer) -> Result<Cow<'a, [f32]>, String>,
) -> Result<Option<Finding>, String> {
    let graph = &program.graph;
    let mut statistics = |buffer: &Buffer| Ok(Statistics::new(graph, buffer.node, &numbers(buffer)?));
    let writes = program.buffers.iter().filter(|buffer| buffer.first == kernel).map(&mut statistics);
    let writes = writes.collect::<Result<Vec<Statistics>, String>>()?;
    if writes.iter().all(Statistics::is_finite) {
        return Ok(None);
    }
    let mut places = program.kernels[kernel].reads();
    places.sort_unstable();
    places.dedup();
    let read = |place: Place| match place {
        Place::Arena(at) => program.buffers.iter().find(|buffer| buffer.lives(kernel) && buffer.at == at).map(&mut statistics),
        Place::Result(_) => None,
        Place::Input(number) => {
            let node = graph.ids().find(|id| graph.node(*id).op.form() == Form::Input(number))?;
            Some(Ok(Statistics::new(graph, node, inputs[number])))
        }
    };
    let reads = places.into_iter().filter_map(read).collect::<Result<_, String>>()?;
    Ok(Finding::new(graph, kernel, &program.nodes[kernel], reads, writes))
}

impl Finding {
    /// What a kernel did wrong, if it did: NaN from none, or infinities from finite numbers in a program that names no infinity
    /// itself (the slope of a maximum does, to leave places out).
    pub(super) fn new(graph: &Graph, kernel: usize, nodes: &[NodeId], reads: Vec<Statistics>, writes: Vec<Statistics>) -> Option<Finding> {
        let count = |list: &[Statistics], of: fn(&Statistics) -> usize| list.iter().map(of).sum::<usize>();
        let nan = count(&writes, |made| made.nan) > 0 && count(&reads, |read| read.nan) == 0;
        let infinite = count(&writes, |made| made.infinite) > 0 && reads.iter().all(Statistics::is_finite);
        let meant = || graph.ids().any(|id| matches!(graph.node(id).op.form(), Form::Constant(number) if number.is_infinite()));
        let op = |id: &NodeId| (graph.node(*id).op.name(), graph.node(*id).span);
        (nan || infinite && !meant()).then(|| Finding { kernel, ops: nodes.iter().map(op).collect(), reads, writes })
    }
}

impl Statistics {
    pub(super) fn new(graph: &Graph, node: NodeId, elements: &[f32]) -> Statistics {
        let finite = || elements.iter().copied().filter(|x| x.is_finite());
        let nan = elements.iter().filter(|x| x.is_nan()).count();
        let infinite = elements.iter().filter(|x| x.is_infinite()).count();
        let made = graph.node(node);
        Statistics {
            op: made.op.name(),
            span: made.span,
            shape: made.shape.clone(),
            min: finite().fold(f32::INFINITY, f32::min),
            max: finite().fold(f32::NEG_INFINITY, f32::max),
            mean: finite().map(f64::from).sum::<f64>() / (elements.len() - nan - infinite) as f64,
            nan,
            infinite,
        }
    }

    /// Whether all elements are finite.
    pub fn is_finite(&self) -> bool {
        self.nan + self.infinite == 0
    }
}

/// Whether no number is NaN or infinite.
pub(crate) fn finite(values: &[f32]) -> bool {
    // A sum of squares may overflow where no element is infinite; a sum of zeros times the elements may not.
    let mut lanes = [0.0f32; 8];
    let chunks = values.chunks_exact(8);
    let rest: f32 = chunks.remainder().iter().map(|x| x * 0.0).sum();
    chunks.for_each(|chunk| lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += x * 0.0));
    lanes.iter().sum::<f32>() + rest == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_that_is_none_is_seen_anywhere() {
        for at in 0..19 {
            for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut values = vec![3e38; 19];
                assert!(finite(&values));
                values[at] = wrong;
                assert!(!finite(&values), "{at}");
            }
        }
    }
}
