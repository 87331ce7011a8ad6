//! The graph: typed nodes on petgraph, append-only, equal nodes shared as they are added. Passes rebuild it.

mod sugar;

use std::collections::HashMap;
use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::DiGraph;
use segc_lang::source::Span;

use crate::build::Leaf;
use crate::ops::Op;

/// Sizes of a value, the last axis contiguous.
pub type Shape = Vec<usize>;

/// A node; operands have smaller numbers.
pub type NodeId = petgraph::graph::NodeIndex<u32>;

/// One value.
#[derive(Clone, Debug)]
pub struct Node {
    /// What makes it.
    pub op: Arc<dyn Op>,
    /// Its sizes.
    pub shape: Shape,
    /// The expression that it comes from; derivatives carry the place of what they are the derivative of.
    pub span: Option<Span>,
}

/// A node of an old graph while a new one is made from it.
pub struct Site<'a> {
    /// Its number in the old graph.
    pub id: NodeId,
    /// The old node.
    pub node: &'a Node,
    /// Its operands in the new graph.
    pub operands: Vec<NodeId>,
    /// For each old node that is done its new number.
    pub map: &'a [NodeId],
}

impl Site<'_> {
    /// The old node with its new operands, unchanged.
    pub fn keep(&self, new: &mut Graph) -> NodeId {
        new.add(self.node.op.clone(), &self.operands)
    }
}

/// A graph with named outputs. Edges go from operand to user.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: DiGraph<Node, ()>,
    shared: HashMap<(String, Vec<NodeId>), NodeId>,
    fault: Option<String>,
    /// What the inputs stand for, by number.
    pub leaves: Vec<Leaf>,
    /// Results with their names.
    pub outputs: Vec<(String, NodeId)>,
    /// The place that new nodes get.
    pub place: Option<Span>,
}

impl Graph {
    /// Adds a node, or gives the equal one that is there. A shape that the op refuses is kept as the graph's fault.
    pub fn add(&mut self, op: Arc<dyn Op>, operands: &[NodeId]) -> NodeId {
        let key = (format!("{op:?}"), operands.to_vec());
        if let Some(&known) = self.shared.get(&key) {
            return known;
        }
        let shapes: Vec<&[usize]> = operands.iter().map(|&id| self.nodes[id].shape.as_slice()).collect();
        let shape = op.shape(&shapes).unwrap_or_else(|why| {
            self.fault.get_or_insert(format!("{op:?} of {shapes:?}: {why}"));
            Shape::new()
        });
        let id = self.nodes.add_node(Node { op, shape, span: self.place });
        for &operand in operands {
            self.nodes.add_edge(operand, id, ());
        }
        self.shared.insert(key, id);
        id
    }

    /// The first shape that did not fit: a defect of a pass, since the language has typed every term.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// Its sizes.
    pub fn shape(&self, id: NodeId) -> &[usize] {
        &self.nodes[id].shape
    }

    /// What it is made from, in order.
    pub fn operands(&self, id: NodeId) -> Vec<NodeId> {
        // petgraph walks edges from the newest to the oldest.
        let mut list: Vec<_> = self.nodes.neighbors_directed(id, Direction::Incoming).collect();
        list.reverse();
        list
    }

    /// What is made from it; a user that takes it twice stands twice.
    pub fn users(&self, id: NodeId) -> Vec<NodeId> {
        self.nodes.neighbors_directed(id, Direction::Outgoing).collect()
    }

    /// All nodes, operands before users.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.node_count()).map(NodeId::new)
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.node_count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether an output depends on each node.
    pub fn live(&self) -> Vec<bool> {
        let mut live = vec![false; self.len()];
        for (_, id) in &self.outputs {
            live[id.index()] = true;
        }
        for id in self.ids().rev() {
            if live[id.index()] {
                self.operands(id).iter().for_each(|operand| live[operand.index()] = true);
            }
        }
        live
    }

    /// The same graph node by node through `rule`, which is given the new graph and the site in the old one. Nodes that no output
    /// needs are left out.
    pub fn rebuild(&self, mut rule: impl FnMut(&mut Graph, &Site) -> NodeId) -> Graph {
        let mut new = Graph { leaves: self.leaves.clone(), ..Graph::default() };
        let mut map = vec![NodeId::end(); self.len()];
        let live = self.live();
        for id in self.ids().filter(|id| live[id.index()]) {
            let operands: Vec<_> = self.operands(id).iter().map(|o| map[o.index()]).collect();
            new.place = self.node(id).span;
            map[id.index()] = rule(&mut new, &Site { id, node: self.node(id), operands, map: &map });
        }
        new.outputs = self.outputs.iter().map(|(name, id)| (name.clone(), map[id.index()])).collect();
        new.fault = new.fault.or(self.fault.clone());
        new
    }

    /// The graph for petgraph's own algorithms and its dot printer.
    pub fn petgraph(&self) -> &DiGraph<Node, ()> {
        &self.nodes
    }
}
