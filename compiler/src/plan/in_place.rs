//! Which results are written where they are to be instead of into the arena. New weights and moments lie over the inputs that they
//! replace; others are given room by whoever runs the program. Their kernels run last, so that everything else has read the old values,
//! and the new ones can still be refused.

use std::collections::{HashMap, HashSet};

use super::readers;
use crate::fuse::Kernels;
use crate::graph::NodeId;
use crate::kernel::{Access, Effect, Instruction, Kernel, Loop, Scalar};
use crate::ops::Form;

/// Results that are written in place, and the kernels that do so at the end.
pub(super) struct InPlace {
    /// For each result whether it is one.
    pub placed: Vec<bool>,
    /// For each result the input that it is written over.
    pub over: Vec<Option<usize>>,
    /// The kernels in an order in which those that write such results come last.
    pub order: Vec<usize>,
    /// The first of those, counted in that order.
    pub first: usize,
}

impl InPlace {
    /// `replaces` says for each result which input it stands for afterwards, none where it has room of its own. Results behind its end
    /// stay in the arena.
    pub fn new(kernels: &Kernels, replaces: &[Option<usize>]) -> InPlace {
        let mut found = candidates(kernels, replaces);
        let writers = |found: &[Option<Candidate>]| found.iter().flatten().map(|one| one.writer).collect::<HashSet<_>>();
        let last = writers(&found);
        let (readers, inputs) = (readers(kernels), inputs(kernels));
        for candidate in &mut found {
            let others = candidate.iter().filter_map(|one| Some((one.writer, readers.get(inputs.get(&one.over?)?)?)));
            let mut others = others.flat_map(|(writer, own)| own.iter().filter(move |reader| **reader != writer));
            if others.any(|reader| last.contains(reader)) {
                *candidate = None;
            }
        }
        let last = writers(&found);
        let (end, mut order): (Vec<usize>, Vec<usize>) = (0..kernels.list.len()).partition(|kernel| last.contains(kernel));
        let first = order.len();
        order.extend(end);
        let over = found.iter().map(|candidate| candidate.as_ref()?.over).collect();
        InPlace { placed: found.iter().map(Option::is_some).collect(), over, order, first }
    }
}

/// A result that may be written in place.
struct Candidate {
    writer: usize,
    over: Option<usize>,
}

fn candidates(kernels: &Kernels, replaces: &[Option<usize>]) -> Vec<Option<Candidate>> {
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
        let (over, writer) = (*replaces.get(number)?, *writers.get(id)?);
        let Kernel::Loop(body) = &kernels.list[writer] else { return None };
        let fits = match over {
            Some(input) => {
                let node = *inputs.get(&input)?;
                kernels.graph.shape(node) == kernels.graph.shape(*id) && reads_as_it_writes(body, node, *id)
            }
            None => reads_little(kernels, writer),
        };
        (fits && times[id] == 1 && at_end(body)).then_some(Candidate { writer, over })
    };
    outputs.iter().enumerate().map(candidate).collect()
}

/// Whether a kernel may run at the end without much that it reads being kept for it.
fn reads_little(kernels: &Kernels, kernel: usize) -> bool {
    let elements = |id: &NodeId| kernels.graph.shape(*id).iter().product::<usize>();
    let own = |id: &NodeId| !matches!(kernels.graph.node(*id).op.form(), Form::Input(_));
    let kernel = &kernels.list[kernel];
    let read: HashSet<NodeId> = kernel.reads().into_iter().filter(own).collect();
    read.iter().map(elements).sum::<usize>() < kernel.writes().iter().map(elements).sum()
}

/// The nodes of the inputs, by number.
fn inputs(kernels: &Kernels) -> HashMap<usize, NodeId> {
    let number = |id: NodeId| match kernels.graph.node(id).op.form() {
        Form::Input(number) => Some((number, id)),
        _ => None,
    };
    kernels.graph.ids().filter_map(number).collect()
}

/// Whether a loop reads each element of `from` only where it writes the same element of `to`.
pub(super) fn reads_as_it_writes(body: &Loop<NodeId>, from: NodeId, to: NodeId) -> bool {
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
