//! `shares`: parts of a sum, `e / sum(e)` with `e = exp(x)`, as in a softmax. Its derivative reads `e` again. Where the shares are kept
//! anyway, for a product of matrices, `e` is made of them, so that `x` is not kept beside them.

use std::collections::HashMap;

use super::named;
use crate::graph::{Graph, NodeId, Site};
use crate::kernel::Join;
use crate::ops::Form;

/// The rewrite of a whole graph.
pub(super) fn shares(graph: &Graph) -> Graph {
    let live = graph.live();
    let found = graph.ids().filter(|id| live[id.index()]).filter_map(|id| Some((whole(graph, id)?, id)));
    let mut of: HashMap<NodeId, NodeId> = HashMap::new();
    found.for_each(|(whole, share)| _ = of.entry(whole).or_insert(share));
    graph.rebuild(|new, site| read_from(new, graph, site, &of))
}

/// The `e` of a share that is kept.
fn whole(graph: &Graph, share: NodeId) -> Option<NodeId> {
    if !named(graph, share, "divide") {
        return None;
    }
    let (whole, total) = (graph.operands(share)[0], graph.operands(share)[1]);
    let Form::Expand(_) = graph.node(total).op.form() else { return None };
    let sum = graph.operands(total)[0];
    let sums = matches!(graph.node(sum).op.form(), Form::Reduce(Join::Sum, _)) && graph.operands(sum)[0] == whole;
    let kept = |user: &NodeId| !matches!(graph.node(*user).op.form(), Form::Map(_) | Form::Expand(_) | Form::Reduce(..));
    (sums && named(graph, whole, "exp") && graph.users(share).iter().any(kept)).then_some(whole)
}

/// A node whose operands are made of shares where they can be.
fn read_from(new: &mut Graph, graph: &Graph, site: &Site, of: &HashMap<NodeId, NodeId>) -> NodeId {
    let mut operands = site.operands.clone();
    for (own, old) in operands.iter_mut().zip(graph.operands(site.id)) {
        if let Some(share) = of.get(&old).filter(|share| **share < site.id) {
            let total = site.map[graph.operands(*share)[1].index()];
            *own = new.times(site.map[share.index()], total);
        }
    }
    new.add(site.node.op.clone(), &operands)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::build::Leaf;
    use crate::ops::{Dot, Exp, Input};

    #[test]
    fn the_derivative_of_a_softmax_reads_its_result() {
        let mut graph = Graph::default();
        let [x, values] = [0, 1].map(|number| {
            graph.leaves.push(Leaf::Field(number, String::new()));
            graph.add(Arc::new(Input { number, shape: vec![6, 6] }), &[])
        });
        let e = graph.add(Arc::new(Exp), &[x]);
        let total = graph.sum(e, &[1]);
        let total = graph.expand(total, &[6, 6], &[0]);
        let share = graph.over(e, total);
        let seen = graph.add(Arc::new(Dot { a: b"ij".to_vec(), b: b"jk".to_vec(), result: b"ik".to_vec() }), &[share, values]);
        let square = graph.times(seen, seen);
        let loss = graph.sum(square, &[0, 1]);
        let slope = crate::differentiate::derivative(&mut graph, loss, x);
        graph.outputs = vec![("slope".into(), slope)];
        let made = crate::simplify(&graph);
        let live = made.live();
        let exps: Vec<NodeId> = made.ids().filter(|id| live[id.index()] && named(&made, *id, "exp")).collect();
        assert_eq!(exps.len(), 1);
        let users: Vec<&str> = made.users(exps[0]).iter().filter(|id| live[id.index()]).map(|id| made.node(*id).op.name()).collect();
        assert!(users.len() == 2 && users.contains(&"sum"), "{users:?}");
    }
}
