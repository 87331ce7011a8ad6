//! Which results are written over the inputs that they replace: new weights and moments over the old ones. Their kernels run last, so
//! that everything else has read the old values, and whoever runs the program can still refuse the new ones.

use std::collections::{HashMap, HashSet};

use crate::fuse::Kernels;
use crate::graph::NodeId;
use crate::kernel::{Access, Effect, Instruction, Kernel, Loop, Scalar};
use crate::ops::Form;

/// Results over inputs, and the kernels that write them at the end.
pub(super) struct InPlace {
    /// For each result the input that it is written over.
    pub over: Vec<Option<usize>>,
    /// The kernels in an order in which those that write such results come last.
    pub order: Vec<usize>,
    /// The first of those, counted in that order.
    pub first: usize,
}

impl InPlace {
    /// `replaces` says for each result which input it stands for afterwards.
    pub fn new(kernels: &Kernels, replaces: &[Option<usize>]) -> InPlace {
        let mut over = candidates(kernels, replaces);
        let writers = |over: &[Option<(usize, usize)>]| over.iter().flatten().map(|(_, writer)| *writer).collect::<HashSet<_>>();
        let last = writers(&over);
        let (readers, inputs) = (readers(kernels), inputs(kernels));
        for candidate in &mut over {
            let others = candidate.iter().flat_map(|(input, writer)| {
                let own = inputs.get(input).and_then(|id| readers.get(id));
                own.into_iter().flatten().filter(move |reader| *reader != writer)
            });
            if others.into_iter().any(|reader| last.contains(reader)) {
                *candidate = None;
            }
        }
        let last = writers(&over);
        let (end, mut order): (Vec<usize>, Vec<usize>) = (0..kernels.list.len()).partition(|kernel| last.contains(kernel));
        let first = order.len();
        order.extend(end);
        InPlace { over: over.into_iter().map(|candidate| candidate.map(|(input, _)| input)).collect(), order, first }
    }
}

/// For each result the input that it may lie over and the kernel that writes it.
fn candidates(kernels: &Kernels, replaces: &[Option<usize>]) -> Vec<Option<(usize, usize)>> {
    let outputs = &kernels.graph.outputs;
    let (readers, inputs) = (readers(kernels), inputs(kernels));
    let mut times: HashMap<NodeId, usize> = HashMap::new();
    outputs.iter().for_each(|(_, id)| *times.entry(*id).or_default() += 1);
    let mut writers: HashMap<NodeId, usize> = HashMap::new();
    for (number, kernel) in kernels.list.iter().enumerate() {
        writers.extend(kernel.writes().into_iter().map(|id| (id, number)));
    }
    let at_end = |body: &Loop<NodeId>| {
        body.effects.iter().all(|effect| matches!(effect, Effect::Store(_, access) if !readers.contains_key(&access.place)))
    };
    let candidate = |(number, (_, id)): (usize, &(String, NodeId))| {
        let (input, writer) = (replaces.get(number).copied().flatten()?, *writers.get(id)?);
        let (Kernel::Loop(body), node) = (&kernels.list[writer], *inputs.get(&input)?) else { return None };
        (times[id] == 1 && kernels.graph.shape(node) == kernels.graph.shape(*id) && at_end(body) && reads_as_it_writes(body, node, *id))
            .then_some((input, writer))
    };
    outputs.iter().enumerate().map(candidate).collect()
}

/// The nodes of the inputs, by number.
fn inputs(kernels: &Kernels) -> HashMap<usize, NodeId> {
    let number = |id: NodeId| match kernels.graph.node(id).op.form() {
        Form::Input(number) => Some((number, id)),
        _ => None,
    };
    kernels.graph.ids().filter_map(number).collect()
}

fn readers(kernels: &Kernels) -> HashMap<NodeId, Vec<usize>> {
    let mut readers: HashMap<NodeId, Vec<usize>> = HashMap::new();
    for (number, kernel) in kernels.list.iter().enumerate() {
        kernel.reads().into_iter().for_each(|id| readers.entry(id).or_default().push(number));
    }
    readers
}

/// Whether a loop reads each element of `from` only where it writes the same element of `to`.
fn reads_as_it_writes(body: &Loop<NodeId>, from: NodeId, to: NodeId) -> bool {
    let store = body.effects.iter().find_map(|effect| match effect {
        Effect::Store(_, access) if access.place == to => Some(access),
        _ => None,
    });
    let same = |access: &Access<NodeId>| {
        store.is_some_and(|store| (&store.outer, store.rows, store.columns) == (&access.outer, access.rows, access.columns))
    };
    let loads = body.body.iter().all(|instruction| match instruction {
        Instruction::Load(access) => access.place != from || same(access),
        Instruction::LoadStencil(access, _) => access.place != from,
        _ => true,
    });
    let scalars = body.scalars.iter().all(|scalar| !matches!(scalar, Scalar::At(place, _) if *place == from));
    loads && scalars
}
