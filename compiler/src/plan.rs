//! Lays the buffers of kernels into one arena: two that are never alive at the same time may share elements.

mod arena;
mod cost;
mod in_place;
mod late;
mod reuse;

use std::collections::{BTreeMap, HashMap};

use segc_lang::fault::Fault;
use segc_lang::spec::{Spec, TermId};

use crate::build::{Leaf, Request};
use crate::fuse::Kernels;
use crate::graph::{NodeId, Shape};
use crate::kernel::{Kernel, Place};
use crate::ops::Form;
use arena::Life;
pub use cost::Cost;
use in_place::InPlace;
use reuse::Alive;

/// Buffers begin at multiples of so many elements: a cache line.
const ALIGN: usize = 16;

/// Elements kept free behind a buffer: sizes are often powers of two, and without it equal places of all buffers would compete for the
/// same few sets of the cache.
const SKEW: usize = 80;

/// What an executor runs.
#[derive(Clone, Debug)]
pub struct Program {
    /// What the inputs stand for, and their sizes.
    pub inputs: Vec<(Leaf, Shape)>,
    /// The kernels in order.
    pub kernels: Vec<Kernel>,
    /// Elements of the arena.
    pub arena: usize,
    /// For each kernel the nodes of the graph that it computes.
    pub nodes: Vec<Vec<NodeId>>,
    /// The values in the arena.
    pub buffers: Vec<Buffer>,
    /// Name, place and sizes of the results.
    pub outputs: Vec<(String, Place, Shape)>,
    /// For each result the input that it is written over; other results at [`Place::Result`] are written where their room is. Kernels
    /// before [`Program::last`] find the old values where the input is to be; those from there on write the new ones.
    pub over: Vec<Option<usize>>,
    /// The first of the kernels that write results over inputs; as many as there are kernels where none does.
    pub last: usize,
    /// The graph that it came from, for executors that run the graph itself.
    pub graph: crate::Graph,
    /// The same computation before `grad` nodes were expanded, with the same inputs and outputs, for executors that differentiate by
    /// themselves.
    pub forward: crate::Graph,
}

/// A value that lies in the arena for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Whose value it is.
    pub node: NodeId,
    /// Its first element in the arena.
    pub at: usize,
    /// How many elements it has.
    pub elements: usize,
    /// The kernel that writes it.
    pub first: usize,
    /// The last kernel that reads it; `usize::MAX` for results of the program.
    pub last: usize,
}

impl Buffer {
    /// Whether it holds a value before this kernel runs that this kernel or a later one needs.
    pub fn lives(&self, kernel: usize) -> bool {
        self.first < kernel && self.last >= kernel
    }
}

impl Program {
    /// The kernel while which the most elements are alive, and what lives then, largest first.
    pub fn fullest(&self) -> (usize, Vec<Buffer>) {
        let alive = |kernel: usize| self.buffers.iter().filter(move |buffer| buffer.first <= kernel && buffer.last >= kernel);
        let mut change = vec![0i64; self.kernels.len() + 1];
        for buffer in &self.buffers {
            change[buffer.first] += buffer.elements as i64;
            change[buffer.last.min(self.kernels.len() - 1) + 1] -= buffer.elements as i64;
        }
        let mut sum = 0;
        let sums = change.iter().enumerate().map(|(kernel, change)| {
            sum += change;
            (sum, std::cmp::Reverse(kernel))
        });
        let kernel = sums.max().map_or(0, |(_, kernel)| kernel.0);
        let mut list: Vec<Buffer> = alive(kernel).copied().collect();
        list.sort_by_key(|buffer| (std::cmp::Reverse(buffer.elements), buffer.at));
        (kernel, list)
    }
}

/// Compiles named terms of a spec: all stages after `elaborate`.
pub fn compile(spec: &Spec, roots: &[(String, TermId)], request: &Request, fused: bool) -> Result<Program, Fault> {
    Ok(finish(crate::build(spec, roots, request)?, fused, &[]))
}

/// All stages after [`crate::build()`]. `replaces` says for each result which input it stands for afterwards, and may be written over, or
/// that it has room of its own, into which it may be written; results behind its end stay in the arena and are copied.
pub fn finish(forward: crate::Graph, fused: bool, replaces: &[Option<usize>]) -> Program {
    let graph = crate::simplify(&crate::differentiate(&forward));
    Program { forward, ..plan_over(crate::fuse::grouped(&graph, fused, replaces.iter().any(Option::is_some)), replaces) }
}

/// Places the buffers.
pub fn plan(kernels: &Kernels) -> Program {
    plan_over(kernels.clone(), &[])
}

fn plan_over(kernels: Kernels, replaces: &[Option<usize>]) -> Program {
    let order = late::late(&kernels);
    let kernels = kernels.ordered(&order);
    let InPlace { placed, over, order, first: end } = InPlace::new(&kernels, replaces);
    let kernels = kernels.ordered(&order);
    let graph = &kernels.graph;
    let elements = |id: NodeId| graph.shape(id).iter().product::<usize>();
    let results = graph.outputs.iter().zip(&placed).enumerate().filter(|(_, (_, placed))| **placed);
    let results: HashMap<NodeId, usize> = results.map(|(number, ((_, id), _))| (*id, number)).collect();
    let written: HashMap<usize, usize> = over.iter().enumerate().filter_map(|(number, over)| Some(((*over)?, number))).collect();
    let own = |id: NodeId| results.get(&id).copied();
    let lives = lives(&kernels);
    let own_place: Vec<Alive> = lives.into_iter().filter(|(_, node, _)| own(*node).is_none()).collect();
    let life = |(first, node, last): &Alive| {
        let size = elements(*node);
        let size = size.next_multiple_of(ALIGN).max(ALIGN) + if size > SKEW { SKEW } else { 0 };
        Life { size, first: *first, last: *last }
    };
    let shared = if replaces.is_empty() { HashMap::new() } else { reuse::reused(&kernels, &own_place) };
    let (joined, numbers) = reuse::joined(&own_place, &shared);
    let places = arena::places(&joined.iter().map(life).collect::<Vec<_>>());
    let buffer = |((first, node, last), number): (&Alive, &usize)| {
        let (first, node, last) = (*first, *node, *last);
        Buffer { node, at: places.at[*number], elements: elements(node), first, last }
    };
    let buffers: Vec<Buffer> = own_place.iter().zip(&numbers).map(buffer).collect();
    let at: HashMap<NodeId, usize> = buffers.iter().map(|buffer| (buffer.node, buffer.at)).collect();
    let place = |id: NodeId| match graph.node(id).op.form() {
        Form::Input(number) => Place::Input(number),
        _ => own(id).map_or_else(|| Place::Arena(at.get(&id).copied().unwrap_or(0)), Place::Result),
    };
    // Where a kernel at the end reads an input that it writes over.
    let place_at = |number: usize, id: NodeId| match place(id) {
        Place::Input(input) if number >= end => written.get(&input).copied().map_or(Place::Input(input), Place::Result),
        place => place,
    };
    Program {
        inputs: inputs(graph),
        kernels: kernels.list.iter().enumerate().map(|(number, kernel)| kernel.placed(|id| place_at(number, id))).collect(),
        arena: places.end,
        nodes: kernels.nodes.clone(),
        buffers,
        outputs: graph.outputs.iter().map(|(name, id)| (name.clone(), place(*id), graph.shape(*id).to_vec())).collect(),
        over: over.clone(),
        last: end,
        graph: graph.clone(),
        forward: graph.clone(),
    }
}

/// The kernel that first writes a value, the value, and the last kernel that needs it, in the order of the kernels.
fn lives(kernels: &Kernels) -> Vec<Alive> {
    let (mut first, mut last): (BTreeMap<NodeId, usize>, HashMap<NodeId, usize>) = Default::default();
    for (time, kernel) in kernels.list.iter().enumerate() {
        kernel.writes().into_iter().for_each(|id| _ = first.entry(id).or_insert(time));
        kernel.reads().into_iter().chain(kernel.writes()).for_each(|id| _ = last.insert(id, time));
    }
    kernels.graph.outputs.iter().for_each(|(_, id)| _ = last.insert(*id, usize::MAX));
    let mut lives: Vec<_> = first.into_iter().map(|(id, time)| (time, id, last[&id])).collect();
    lives.sort_unstable();
    lives
}

/// The kernels that read each value.
fn readers(kernels: &Kernels) -> HashMap<NodeId, Vec<usize>> {
    let mut readers: HashMap<NodeId, Vec<usize>> = HashMap::new();
    for (number, kernel) in kernels.list.iter().enumerate() {
        kernel.reads().into_iter().for_each(|id| readers.entry(id).or_default().push(number));
    }
    readers
}

fn inputs(graph: &crate::Graph) -> Vec<(Leaf, Shape)> {
    let mut inputs: Vec<_> = graph.leaves.iter().map(|leaf| (leaf.clone(), Shape::new())).collect();
    for id in graph.ids() {
        if let Form::Input(number) = graph.node(id).op.form() {
            inputs[number].1 = graph.shape(id).to_vec();
        }
    }
    inputs
}
