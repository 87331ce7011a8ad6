//! Reverse-mode differentiation, graph to graph: every `grad` node is replaced by ordinary nodes, inner ones first, so that
//! derivatives of derivatives need nothing of their own.

use crate::graph::{Graph, NodeId};
use crate::ops::Backward;

/// The same graph without `grad` nodes.
pub fn differentiate(graph: &Graph) -> Graph {
    graph.rebuild(|new, site| match site.node.op.name() {
        "grad" => derivative(new, site.operands[0], site.operands[1]),
        _ => site.keep(new),
    })
}

/// Adds the derivative of the scalar `y` with respect to `x`.
pub fn derivative(graph: &mut Graph, y: NodeId, x: NodeId) -> NodeId {
    let between = between(graph, y, x);
    let place = graph.place;
    let mut slopes: Vec<Option<NodeId>> = vec![None; y.index().max(x.index()) + 1];
    slopes[y.index()] = between[y.index()].then(|| graph.number(1.0));
    for index in (x.index() + 1..=y.index()).rev() {
        let Some(upstream) = slopes[index].filter(|_| between[index]) else { continue };
        let id = NodeId::new(index);
        let operands = graph.operands(id);
        let wanted = operands.iter().map(|operand| between[operand.index()]).collect::<Vec<_>>();
        let op = graph.node(id).op.clone();
        graph.place = graph.node(id).span;
        let mut at = Backward { graph, node: id, operands: operands.clone(), upstream, wanted: wanted.clone() };
        let parts = op.gradient(&mut at);
        for ((operand, part), wanted) in operands.iter().zip(parts).zip(wanted) {
            if let (Some(part), true) = (part, wanted) {
                let sum = slopes[operand.index()].map_or(part, |known| graph.plus(known, part));
                slopes[operand.index()] = Some(sum);
            }
        }
    }
    graph.place = place;
    let shape = graph.shape(x).to_vec();
    slopes[x.index()].unwrap_or_else(|| graph.filled(0.0, &shape))
}

/// Which nodes lie on a way from `x` to `y`, both included.
pub fn between(graph: &Graph, y: NodeId, x: NodeId) -> Vec<bool> {
    let mut from_x = vec![false; graph.len()];
    from_x[x.index()] = true;
    for id in graph.ids().skip(x.index() + 1) {
        from_x[id.index()] = graph.operands(id).iter().any(|operand| from_x[operand.index()]);
    }
    let mut to_y = vec![false; graph.len()];
    to_y[y.index()] = true;
    for id in graph.ids().rev().skip_while(|id| *id > y) {
        if to_y[id.index()] && id != x {
            graph.operands(id).iter().for_each(|operand| to_y[operand.index()] = true);
        }
    }
    from_x.iter().zip(&to_y).map(|(a, b)| *a && *b).collect()
}
