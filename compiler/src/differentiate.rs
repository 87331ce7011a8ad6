//! Reverse-mode differentiation, graph to graph: every `grad` node is replaced by ordinary nodes, inner ones first, so that
//! derivatives of derivatives need nothing of their own. All derivatives of one value come from one pass.

use std::collections::HashMap;

use crate::graph::{Graph, NodeId, Site};
use crate::ops::Backward;

/// The same graph without `grad` nodes.
pub fn differentiate(graph: &Graph) -> Graph {
    let live = graph.live();
    let mut of_value: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
    for id in graph.ids().filter(|id| live[id.index()] && graph.node(*id).op.name() == "grad") {
        of_value.entry(graph.operands(id)[0]).or_default().push(id);
    }
    let mut known = HashMap::new();
    graph.rebuild(|new, site| match (site.node.op.name(), known.get(&site.id)) {
        ("grad", Some(made)) => *made,
        ("grad", None) => together(graph, new, site, &of_value, &mut known),
        _ => site.keep(new),
    })
}

/// The derivative at a site with those of the same value by everything else that is there already.
fn together(
    old: &Graph,
    new: &mut Graph,
    site: &Site,
    of_value: &HashMap<NodeId, Vec<NodeId>>,
    known: &mut HashMap<NodeId, NodeId>,
) -> NodeId {
    let y = old.operands(site.id)[0];
    let by = |id: &NodeId| site.map[old.operands(*id)[1].index()];
    let ready: Vec<NodeId> = of_value[&y].iter().copied().filter(|id| by(id) != NodeId::end()).collect();
    let made = derivatives(new, site.operands[0], &ready.iter().map(by).collect::<Vec<_>>());
    known.extend(ready.into_iter().zip(made));
    known[&site.id]
}

/// Adds the derivative of the scalar `y` with respect to `x`.
pub fn derivative(graph: &mut Graph, y: NodeId, x: NodeId) -> NodeId {
    derivatives(graph, y, &[x])[0]
}

/// Adds the derivatives of the scalar `y` with respect to each of `list`, in one pass.
pub fn derivatives(graph: &mut Graph, y: NodeId, list: &[NodeId]) -> Vec<NodeId> {
    let between = between(graph, y, list);
    let place = graph.place;
    let mut slopes: Vec<Option<NodeId>> = vec![None; graph.len()];
    slopes[y.index()] = between[y.index()].then(|| graph.number(1.0));
    for index in (0..=y.index()).rev() {
        let Some(upstream) = slopes[index].filter(|_| between[index]) else { continue };
        let id = NodeId::new(index);
        let operands = graph.operands(id);
        let wanted = operands.iter().map(|operand| between[operand.index()]).collect::<Vec<_>>();
        if !wanted.contains(&true) {
            continue;
        }
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
    let slope = |graph: &mut Graph, x: NodeId| {
        let shape = graph.shape(x).to_vec();
        slopes[x.index()].unwrap_or_else(|| graph.filled(0.0, &shape))
    };
    list.iter().map(|x| slope(graph, *x)).collect()
}

/// Which nodes lie on a way from one of `list` to `y`, the ends included.
pub fn between(graph: &Graph, y: NodeId, list: &[NodeId]) -> Vec<bool> {
    let mut on = vec![false; graph.len()];
    list.iter().for_each(|x| on[x.index()] = true);
    for id in graph.ids().take(y.index() + 1) {
        on[id.index()] |= graph.operands(id).iter().any(|operand| on[operand.index()]);
    }
    let mut to_y = vec![false; graph.len()];
    to_y[y.index()] = true;
    for id in graph.ids().rev().skip_while(|id| *id > y) {
        if to_y[id.index()] {
            graph.operands(id).iter().for_each(|operand| to_y[operand.index()] = true);
        }
    }
    on.iter().zip(&to_y).map(|(a, b)| *a && *b).collect()
}
