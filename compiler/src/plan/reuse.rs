//! Which values of a loop are written over an operand that nothing reads afterwards: element by element where it is read, so that a
//! chain of loops needs one buffer.

use std::collections::{HashMap, HashSet};

use super::in_place::reads_as_it_writes;
use crate::fuse::Kernels;
use crate::graph::NodeId;
use crate::kernel::{Effect, Instruction, Kernel, Loop};

/// A value in the arena with the kernel that writes it first and the last one that needs it.
pub(super) type Alive = (usize, NodeId, usize);

/// For each value that is written over another the other one.
pub(super) fn reused(kernels: &Kernels, lives: &[Alive]) -> HashMap<NodeId, NodeId> {
    let known: HashMap<NodeId, (usize, usize)> = lives.iter().map(|(first, node, last)| (*node, (*first, *last))).collect();
    let elements = |id: NodeId| kernels.graph.shape(id).iter().product::<usize>();
    let mut over = HashMap::new();
    for (time, kernel) in kernels.list.iter().enumerate() {
        let Kernel::Loop(body) = kernel else { continue };
        let mut taken = HashSet::new();
        for to in stores(body).into_iter().filter(|to| known.get(to).is_some_and(|(first, _)| *first == time)) {
            let dies = |from: &NodeId| known.get(from).is_some_and(|(first, last)| *first < time && *last == time);
            let fits = |from: &NodeId| elements(*from) == elements(to) && reads_as_it_writes(body, *from, to);
            if let Some(from) = loads(body).find(|from| dies(from) && !taken.contains(from) && fits(from)) {
                taken.insert(from);
                over.insert(to, from);
            }
        }
    }
    over
}

/// Values that a loop stores at once.
fn stores(body: &Loop<NodeId>) -> Vec<NodeId> {
    let store = |effect: &Effect<NodeId>| if let Effect::Store(_, access) = effect { Some(access.place) } else { None };
    let all: Vec<NodeId> = body.effects.iter().filter_map(store).collect();
    let once = |id: &NodeId| all.iter().filter(|other| *other == id).count() == 1;
    all.iter().copied().filter(once).collect()
}

fn loads(body: &Loop<NodeId>) -> impl Iterator<Item = NodeId> {
    body.body.iter().filter_map(|instruction| if let Instruction::Load(access) = instruction { Some(access.place) } else { None })
}

/// The lives of buffers, each of values that are written over one another, and the number of each value's buffer.
pub(super) fn joined(lives: &[Alive], over: &HashMap<NodeId, NodeId>) -> (Vec<Alive>, Vec<usize>) {
    let mut buffers: Vec<Alive> = Vec::with_capacity(lives.len());
    let mut of: HashMap<NodeId, usize> = HashMap::with_capacity(lives.len());
    let mut numbers = Vec::with_capacity(lives.len());
    for &(first, node, last) in lives {
        let number = over.get(&node).and_then(|from| of.get(from)).copied().unwrap_or(buffers.len());
        match buffers.get_mut(number) {
            Some(buffer) => buffer.2 = buffer.2.max(last),
            None => buffers.push((first, node, last)),
        }
        of.insert(node, number);
        numbers.push(number);
    }
    (buffers, numbers)
}
