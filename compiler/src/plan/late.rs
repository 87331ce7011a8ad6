//! What is made of inputs alone (turned weights, random draws) is made right before it is first read: it could be made at any time, and
//! until it is, it takes no memory.

use std::collections::HashMap;

use crate::fuse::Kernels;
use crate::graph::NodeId;

/// The kernels in such an order.
pub(super) fn late(kernels: &Kernels) -> Vec<usize> {
    let mut writers: HashMap<NodeId, usize> = HashMap::new();
    let mut needs: Vec<Vec<usize>> = Vec::with_capacity(kernels.list.len());
    let mut of_inputs: Vec<bool> = Vec::with_capacity(kernels.list.len());
    for (number, kernel) in kernels.list.iter().enumerate() {
        let own: Vec<usize> = kernel.reads().iter().filter_map(|id| writers.get(id).copied()).filter(|writer| *writer != number).collect();
        of_inputs.push(own.iter().all(|writer| of_inputs[*writer]));
        needs.push(own);
        writers.extend(kernel.writes().into_iter().map(|id| (id, number)));
    }
    let mut order = Order { needs, done: vec![false; kernels.list.len()], list: Vec::with_capacity(kernels.list.len()) };
    (0..kernels.list.len()).filter(|kernel| !of_inputs[*kernel]).for_each(|kernel| order.add(kernel));
    (0..kernels.list.len()).for_each(|kernel| order.add(kernel));
    order.list
}

struct Order {
    needs: Vec<Vec<usize>>,
    done: Vec<bool>,
    list: Vec<usize>,
}

impl Order {
    /// A kernel behind all that it needs.
    fn add(&mut self, kernel: usize) {
        let mut open = vec![(kernel, 0)];
        while let Some((kernel, next)) = open.pop() {
            if self.done[kernel] {
                continue;
            }
            match self.needs[kernel].get(next) {
                Some(need) => {
                    open.push((kernel, next + 1));
                    open.push((*need, 0));
                }
                None => {
                    self.done[kernel] = true;
                    self.list.push(kernel);
                }
            }
        }
    }
}
