//! Groups nodes into kernels. Nodes of one shape whose operands are ready at the same time share a loop; a value that is read through a
//! vertical stencil, another shape or a reduction waits for the kernel before. Cheap values are computed again rather than stored.

mod body;
mod collapse;
mod prepare;

use std::collections::BTreeMap;

use crate::graph::{Graph, NodeId, Shape};
use crate::kernel::{Kernel, Over, Whole};
use crate::ops::Form;

/// At most so many instructions are repeated in a later kernel instead of storing their result.
const REPEAT: usize = 5;

/// Kernels over the nodes of a graph.
#[derive(Clone, Debug)]
pub struct Kernels {
    /// The graph, with the copies that fusion asked for.
    pub graph: Graph,
    /// The kernels in an order that they can run in; their places are the nodes whose values they hold.
    pub list: Vec<Kernel<NodeId>>,
    /// For each kernel the nodes that it computes, in order.
    pub nodes: Vec<Vec<NodeId>>,
}

impl Kernels {
    /// The same kernels in another order.
    pub fn ordered(self, order: &[usize]) -> Kernels {
        Kernels {
            list: order.iter().map(|kernel| self.list[*kernel].clone()).collect(),
            nodes: order.iter().map(|kernel| self.nodes[*kernel].clone()).collect(),
            ..self
        }
    }
}

/// Groups the nodes. Unfused, every node is a kernel of its own.
pub fn fuse(graph: &Graph, fused: bool) -> Kernels {
    grouped(graph, fused, false)
}

/// Groups the nodes; `apart` keeps those that only results are made of for themselves.
pub(crate) fn grouped(graph: &Graph, fused: bool, apart: bool) -> Kernels {
    let graph = prepare::prepare(graph);
    let mut fuser = Fuser::new(&graph, fused);
    let groups = fuser.groups(apart);
    // From the last to the first, since a kernel may ask earlier ones to store a value.
    let made: Vec<_> = groups.into_iter().rev().filter_map(|(key, nodes)| fuser.kernel(&key, &nodes)).collect();
    let (list, nodes) = made.into_iter().rev().unzip();
    Kernels { list, nodes, graph }
}

/// Level, sizes, and a number of its own for what cannot share.
type Key = (usize, Shape, usize);

struct Fuser<'a> {
    graph: &'a Graph,
    fused: bool,
    level: Vec<usize>,
    stored: Vec<bool>,
}

impl<'a> Fuser<'a> {
    fn new(graph: &'a Graph, fused: bool) -> Fuser<'a> {
        let mut fuser = Fuser { graph, fused, level: vec![0; graph.len()], stored: vec![false; graph.len()] };
        for id in graph.ids() {
            let level = graph.operands(id).iter().map(|operand| fuser.ready(id, *operand)).max().unwrap_or(0);
            fuser.level[id.index()] = level;
            fuser.store_what_must(id);
        }
        for (_, id) in &graph.outputs {
            fuser.store(*id);
        }
        fuser
    }

    /// Level from which on `user` may read `operand`.
    fn ready(&self, user: NodeId, operand: NodeId) -> usize {
        let base = self.base(operand);
        let level = self.level[base.index()];
        if self.is_leaf(base) {
            return 0;
        }
        let waits = !self.fused
            || base != operand
            || !self.is_loop(operand)
            || !self.is_loop(user) && !self.is_reduction(user)
            || self.is_reduction(operand)
            || matches!(self.form(user), Form::Stencil(taps) if taps.iter().any(|tap| tap.down != 0));
        level + usize::from(waits)
    }

    fn store_what_must(&mut self, id: NodeId) {
        if self.is_view(id) {
            return self.store(self.base(id));
        }
        let alone = !self.is_loop(id) && !self.is_leaf(id);
        if alone || self.is_reduction(id) || !self.fused {
            self.store(id);
        }
        for operand in self.graph.operands(id) {
            let below = matches!(self.form(id), Form::Stencil(taps) if taps.iter().any(|tap| tap.down != 0));
            if alone && !self.is_reduction(id) || below {
                self.store(self.base(operand));
            }
        }
    }

    fn store(&mut self, id: NodeId) {
        if !self.is_leaf(id) && !self.is_view(id) {
            self.stored[id.index()] = true;
        }
    }

    fn groups(&self, apart: bool) -> BTreeMap<Key, Vec<NodeId>> {
        let mut groups: BTreeMap<Key, Vec<NodeId>> = BTreeMap::new();
        let ends = self.ends();
        for id in self.graph.ids().filter(|id| !self.is_leaf(*id) && !self.is_view(*id)) {
            let shares = self.fused && (self.is_loop(id) || self.is_reduction(id));
            let space = match self.is_reduction(id) {
                true => self.graph.shape(self.graph.operands(id)[0]),
                false => self.graph.shape(id),
            };
            let number = match shares {
                true if apart && ends[id.index()] => usize::MAX,
                true => 0,
                false => id.index() + 1,
            };
            groups.entry((self.level[id.index()], space.to_vec(), number)).or_default().push(id);
        }
        groups
    }

    /// For each node whether it is an instruction that only results are made of, such as new weights. They are not mixed with others, so
    /// that their loops can run at the end.
    fn ends(&self) -> Vec<bool> {
        let mut ends = vec![false; self.graph.len()];
        let mut inner = vec![false; self.graph.len()];
        for id in self.graph.ids().rev() {
            ends[id.index()] = !inner[id.index()] && (self.is_loop(id) || self.is_view(id));
            if !ends[id.index()] {
                self.graph.operands(id).into_iter().for_each(|operand| inner[operand.index()] = true);
            }
        }
        ends
    }

    fn kernel(&mut self, key: &Key, nodes: &[NodeId]) -> Option<(Kernel<NodeId>, Vec<NodeId>)> {
        let alone = nodes.iter().find(|id| !self.is_loop(**id) && !self.is_reduction(**id));
        if let Some(&id) = alone {
            let operands = self.graph.operands(id).into_iter().map(|o| (self.base(o), self.graph.shape(o).to_vec())).collect();
            let node = self.graph.node(id);
            return Some((Kernel::Whole(Whole { op: node.op.clone(), operands, result: (id, node.shape.clone()) }), vec![id]));
        }
        let roots: Vec<_> = nodes.iter().copied().filter(|id| self.stored[id.index()]).collect();
        (!roots.is_empty()).then(|| {
            let (body, made) = body::emit(self, key, &roots);
            (Kernel::Loop(body), made)
        })
    }

    fn form(&self, id: NodeId) -> Form {
        self.graph.node(id).op.form()
    }

    fn is_leaf(&self, id: NodeId) -> bool {
        matches!(self.form(id), Form::Input(_) | Form::Constant(_))
    }

    fn is_view(&self, id: NodeId) -> bool {
        is_view(self.graph, id)
    }

    /// Whether it is an instruction of a loop.
    fn is_loop(&self, id: NodeId) -> bool {
        matches!(self.form(id), Form::Map(_) | Form::Stencil(_))
    }

    /// Whether it is a reduction that a loop can make.
    fn is_reduction(&self, id: NodeId) -> bool {
        let Form::Reduce(_, over) = self.form(id) else { return false };
        let rank = self.graph.shape(self.graph.operands(id)[0]).len();
        Over::of(rank, &over).is_some()
    }

    /// The value behind a chain of views.
    fn base(&self, id: NodeId) -> NodeId {
        if self.is_view(id) { self.base(self.graph.operands(id)[0]) } else { id }
    }
}

fn is_view(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).op.form(), Form::Expand(_) | Form::Pick(..) | Form::Reshape)
}
