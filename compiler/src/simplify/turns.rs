//! `turns`: a product of matrices leaves its result, and reads its operands, in whatever order of axes is asked for, so that no permuted
//! copy stands behind or in front of it.

use std::sync::Arc;

use super::is_map;
use crate::graph::{Graph, NodeId, Site};
use crate::ops::{self, Form};

/// Element-wise ops in a row that are turned with a product.
const DEEPEST: usize = 6;

/// The rewrite of a whole graph.
pub(super) fn turns(graph: &Graph) -> Graph {
    let readers = Readers::new(graph);
    graph.rebuild(|new, site| {
        let made = match site.node.op.form() {
            Form::Permute(order) => readers.turned(new, site.map, graph.operands(site.id)[0], &order, DEEPEST),
            Form::Contract(a, b, to) => readers.untwisted(new, site, [a, b, to]),
            _ => None,
        };
        made.unwrap_or_else(|| site.keep(new))
    })
}

/// A graph with what reads each value; results have a reader more.
struct Readers<'a> {
    graph: &'a Graph,
    of: Vec<Vec<Option<NodeId>>>,
}

impl Readers<'_> {
    fn new(graph: &Graph) -> Readers<'_> {
        let live = graph.live();
        let mut of = vec![Vec::new(); graph.len()];
        for id in graph.ids().filter(|id| live[id.index()]) {
            graph.operands(id).into_iter().for_each(|operand| of[operand.index()].push(Some(id)));
        }
        graph.outputs.iter().for_each(|(_, id)| of[id.index()].push(None));
        Readers { graph, of }
    }

    /// A value with its axes in this order, if it is a product that nothing else reads, or element-wise ops make it of such products and
    /// of repetitions.
    fn turned(&self, new: &mut Graph, map: &[NodeId], id: NodeId, order: &[usize], depth: usize) -> Option<NodeId> {
        let (node, below) = (self.graph.node(id), self.graph.operands(id));
        match node.op.form() {
            Form::Expand(places) => {
                let moved: Option<Vec<usize>> = places.iter().map(|place| order.iter().position(|axis| axis == place)).collect();
                let moved = moved.filter(|places| places.is_sorted())?;
                let shape: Vec<usize> = order.iter().map(|axis| node.shape[*axis]).collect();
                Some(new.expand(map[below[0].index()], &shape, &moved))
            }
            _ if self.of[id.index()].len() != 1 => None,
            Form::Contract(a, b, to) => {
                let result = order.iter().map(|axis| to[*axis]).collect();
                let operands: Vec<NodeId> = below.iter().map(|id| map[id.index()]).collect();
                Some(new.add(Arc::new(ops::Dot { a, b, result }), &operands))
            }
            _ if is_map(node) && depth > 0 => {
                let moved = below.into_iter().map(|id| self.turned(new, map, id, order, depth - 1)).collect::<Option<Vec<_>>>()?;
                Some(new.add(node.op.clone(), &moved))
            }
            _ => None,
        }
    }

    /// A product whose operands are read as they were before they were permuted.
    fn untwisted(&self, new: &mut Graph, site: &Site, letters: [Vec<u8>; 3]) -> Option<NodeId> {
        let [a, b, result] = letters;
        let mut sides = [a, b];
        let mut operands = site.operands.clone();
        for (own, old) in self.graph.operands(site.id).into_iter().enumerate() {
            let Form::Permute(order) = new.node(operands[own]).op.form() else { continue };
            let mut before = vec![0; order.len()];
            order.iter().zip(&sides[own]).for_each(|(axis, letter)| before[*axis] = *letter);
            // Rows of elements that are neighbours in memory are not taken apart.
            let apart = before.last().is_some_and(|last| result.contains(last) && sides[1 - own].contains(last));
            if self.only_products(old) && !apart {
                operands[own] = new.operands(operands[own])[0];
                sides[own] = before;
            }
        }
        let [a, b] = sides;
        (operands != site.operands).then(|| new.add(Arc::new(ops::Dot { a, b, result }), &operands))
    }

    fn only_products(&self, id: NodeId) -> bool {
        let product = |reader: &Option<NodeId>| reader.is_some_and(|id| matches!(self.graph.node(id).op.form(), Form::Contract(..)));
        self.of[id.index()].iter().all(product)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Leaf;
    use crate::simplify;

    fn input(graph: &mut Graph, shape: &[usize]) -> NodeId {
        let number = graph.leaves.len();
        graph.leaves.push(Leaf::Field(number, String::new()));
        graph.add(Arc::new(ops::Input { number, shape: shape.to_vec() }), &[])
    }

    fn dot(graph: &mut Graph, letters: [&str; 3], sides: [NodeId; 2]) -> NodeId {
        let [a, b, result] = letters.map(Vec::from);
        graph.add(Arc::new(ops::Dot { a, b, result }), &sides)
    }

    fn permuted(graph: &mut Graph, x: NodeId, order: &[usize]) -> NodeId {
        graph.add(Arc::new(ops::Permute { order: order.to_vec() }), &[x])
    }

    /// Letters of the live products, and how many permutations are left.
    fn left(graph: &Graph) -> (Vec<String>, usize) {
        let made = simplify(graph);
        assert_eq!(made.fault(), None);
        let live = made.live();
        let forms = || made.ids().filter(|id| live[id.index()]).map(|id| made.node(id).op.form());
        let text = |letters: Vec<u8>| String::from_utf8(letters).unwrap();
        let products = forms().filter_map(|form| match form {
            Form::Contract(a, b, to) => Some(format!("{} {} {}", text(a), text(b), text(to))),
            _ => None,
        });
        (products.collect(), forms().filter(|form| matches!(form, Form::Permute(_))).count())
    }

    #[test]
    fn a_permuted_product_is_made_in_that_order() {
        let mut graph = Graph::default();
        let [w, x, bias] = [&[5, 4][..], &[2, 3, 4], &[5]].map(|shape| input(&mut graph, shape));
        let product = dot(&mut graph, ["fk", "btk", "bft"], [w, x]);
        let half = graph.scaled(product, 0.5);
        let moved = graph.expand(bias, &[2, 5, 3], &[1]);
        let sum = graph.plus(half, moved);
        let turned = permuted(&mut graph, sum, &[0, 2, 1]);
        graph.outputs.push(("y".into(), turned));
        assert_eq!(left(&graph), (vec!["fk btk btf".into()], 0));
    }

    #[test]
    fn a_product_that_others_read_too_stays() {
        let mut graph = Graph::default();
        let [w, x] = [&[5, 4][..], &[3, 4]].map(|shape| input(&mut graph, shape));
        let product = dot(&mut graph, ["fk", "tk", "ft"], [w, x]);
        let turned = permuted(&mut graph, product, &[1, 0]);
        graph.outputs.extend([("y".into(), product), ("z".into(), turned)]);
        assert_eq!(left(&graph), (vec!["fk tk ft".into()], 1));
    }

    #[test]
    fn permuted_operands_of_products_are_read_where_they_lie() {
        for (others, permutes) in [(false, 0), (true, 1)] {
            let mut graph = Graph::default();
            let [w, x] = [&[5, 4][..], &[2, 3, 4]].map(|shape| input(&mut graph, shape));
            let turned = permuted(&mut graph, x, &[0, 2, 1]);
            let product = dot(&mut graph, ["fk", "bkt", "bft"], [w, turned]);
            graph.outputs.push(("y".into(), product));
            if others {
                graph.outputs.push(("z".into(), turned));
            }
            let letters = if others { "fk bkt bft" } else { "fk btk bft" };
            assert_eq!(left(&graph), (vec![letters.into()], permutes));
        }
    }
}
