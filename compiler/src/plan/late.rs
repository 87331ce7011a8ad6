//! What takes more memory than it is made of (a permuted copy of what is needed anyway, turned weights, random draws) is made right
//! before it is first read: until then it takes none.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::fuse::Kernels;
use crate::graph::NodeId;
use crate::ops::Form;

/// The kernels in such an order.
pub(super) fn late(kernels: &Kernels) -> Vec<usize> {
    let mut times = Times::new(kernels);
    (0..kernels.list.len()).rev().for_each(|kernel| times.delay(kernel));
    let mut order: Vec<usize> = (0..kernels.list.len()).collect();
    // What waits for a kernel runs before it, in the old order.
    order.sort_by_key(|kernel| (times.at[*kernel], times.at[*kernel] == *kernel, *kernel));
    order
}

struct Times<'a> {
    kernels: &'a Kernels,
    /// The kernel right before which each one runs, itself where it does not wait.
    at: Vec<usize>,
    readers: HashMap<NodeId, Vec<usize>>,
    results: HashSet<NodeId>,
}

impl<'a> Times<'a> {
    fn new(kernels: &'a Kernels) -> Times<'a> {
        let results = kernels.graph.outputs.iter().map(|(_, id)| *id).collect();
        Times { kernels, at: (0..kernels.list.len()).collect(), readers: super::readers(kernels), results }
    }

    /// Lets a kernel wait for its first reader, if that frees more memory than its operands then take for longer. The kernels behind it
    /// have been placed.
    fn delay(&mut self, kernel: usize) {
        let own: BTreeSet<NodeId> = self.kernels.list[kernel].writes().into_iter().collect();
        let Some(first) = own.iter().flat_map(|id| self.used(*id, kernel)).min() else { return };
        let longer = |id: &NodeId| !self.results.contains(id) && self.used(*id, kernel).max().is_none_or(|last| last < first);
        let read: BTreeSet<NodeId> = self.kernels.list[kernel].reads().into_iter().collect();
        let takes: usize = read.difference(&own).filter(|id| longer(id)).map(|id| self.elements(*id)).sum();
        if own.iter().map(|id| self.elements(*id)).sum::<usize>() > takes {
            self.at[kernel] = first;
        }
    }

    /// When other kernels than this read a value.
    fn used(&self, id: NodeId, other: usize) -> impl Iterator<Item = usize> {
        self.readers.get(&id).into_iter().flatten().filter(move |reader| **reader != other).map(|reader| self.at[*reader])
    }

    /// Elements in the arena.
    fn elements(&self, id: NodeId) -> usize {
        let graph = &self.kernels.graph;
        if matches!(graph.node(id).op.form(), Form::Input(_)) { 0 } else { graph.shape(id).iter().product() }
    }
}
