//! `outer`: a product without a sum, as in the derivative of a matrix times a vector, is the product of two repetitions, which a loop
//! computes where it is read. Such products are reshaped before the repetition.

use std::sync::Arc;

use super::is_map;
use crate::graph::{Graph, NodeId, Shape, Site};
use crate::ops::{self, Form};

/// Element-wise ops in a row that are reshaped.
const DEEPEST: usize = 6;

/// The rewrites at one node.
pub(super) fn outer(new: &mut Graph, site: &Site) -> Option<NodeId> {
    match site.node.op.form() {
        Form::Contract(a, b, to) => {
            let summed = a.iter().chain(&b).any(|letter| !to.contains(letter));
            let sides = [(site.operands[0], a), (site.operands[1], b)];
            if summed || sides.iter().any(|(_, letters)| !distinct(letters)) {
                return None;
            }
            let [left, right] = sides.map(|(x, letters)| spread(new, x, &letters, &to, &site.node.shape));
            Some(new.times(left, right))
        }
        Form::Reshape if is_map(new.node(site.operands[0])) => reshaped(new, site.operands[0], &site.node.shape, DEEPEST),
        _ => None,
    }
}

fn distinct(letters: &[u8]) -> bool {
    letters.iter().enumerate().all(|(place, letter)| !letters[..place].contains(letter))
}

/// A value whose axes have these letters, in the order and with the further axes of `to`.
fn spread(new: &mut Graph, x: NodeId, letters: &[u8], to: &[u8], shape: &[usize]) -> NodeId {
    let mut order: Vec<usize> = (0..letters.len()).collect();
    let place = |axis: &usize| to.iter().position(|letter| *letter == letters[*axis]).unwrap_or(0);
    order.sort_by_key(place);
    let places: Vec<usize> = order.iter().map(place).collect();
    let sorted = order.iter().copied().eq(0..order.len());
    let x = if sorted { x } else { new.add(Arc::new(ops::Permute { order }), &[x]) };
    new.expand(x, shape, &places)
}

/// What element-wise ops make of repetitions, in another shape; none where anything else is read, or the new shape mixes repeated axes
/// with others.
fn reshaped(new: &mut Graph, id: NodeId, shape: &[usize], depth: usize) -> Option<NodeId> {
    if !is_map(new.node(id)) {
        return repetition(new, id, shape);
    }
    if depth == 0 {
        return None;
    }
    let below = new.operands(id).to_vec();
    let moved = below.into_iter().map(|id| reshaped(new, id, shape, depth - 1)).collect::<Option<Vec<NodeId>>>()?;
    let op = new.node(id).op.clone();
    Some(new.add(op, &moved))
}

/// A repetition in another shape, as the repetition of what is repeated.
fn repetition(new: &mut Graph, repeated: NodeId, shape: &[usize]) -> Option<NodeId> {
    let Form::Expand(places) = new.node(repeated).op.form() else { return None };
    let (base, before) = (new.operands(repeated)[0], new.shape(repeated).to_vec());
    let mut inner = Shape::new();
    let mut kept = Vec::new();
    for (old, now) in parts(&before, shape) {
        let own = old.clone().filter(|axis| places.contains(axis) || before[*axis] == 1).count();
        let any = old.clone().any(|axis| places.contains(&axis));
        match any {
            true if own == old.len() => now.for_each(|axis| {
                inner.push(shape[axis]);
                kept.push(axis);
            }),
            true => return None,
            false => {}
        }
    }
    let base = if new.shape(base) == inner { base } else { new.add(Arc::new(ops::Reshape { shape: inner }), &[base]) };
    Some(new.expand(base, shape, &kept))
}

/// Neighbouring axes of two shapes that hold the same elements, as short as they can be.
fn parts(before: &[usize], after: &[usize]) -> Vec<(std::ops::Range<usize>, std::ops::Range<usize>)> {
    let mut parts = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < before.len() || j < after.len() {
        let (from, to) = (i, j);
        let (mut left, mut right) = (1, 1);
        while i < before.len() || j < after.len() {
            if left <= right && i < before.len() {
                left *= before[i];
                i += 1;
            } else if j < after.len() {
                right *= after[j];
                j += 1;
            } else {
                left *= before[i];
                i += 1;
            }
            if left == right && left > 1 {
                break;
            }
        }
        parts.push((from..i, to..j));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simplify;

    #[test]
    fn equal_parts_of_two_shapes() {
        assert_eq!(parts(&[4, 18], &[4, 2, 3, 3]), [(0..1, 0..1), (1..2, 1..4)]);
        assert_eq!(parts(&[2, 3, 4], &[6, 4]), [(0..2, 0..1), (2..3, 1..2)]);
        assert_eq!(parts(&[6, 4], &[4, 6]), [(0..2, 0..2)]);
        assert_eq!(parts(&[1, 6], &[6]), [(0..2, 0..1)]);
    }

    #[test]
    fn a_product_without_a_sum_stores_nothing() {
        let mut graph = Graph::default();
        let [left, right] = [6, 18].map(|size| {
            graph.leaves.push(crate::Leaf::Field(size, String::new()));
            graph.add(Arc::new(ops::Input { number: graph.leaves.len() - 1, shape: vec![size] }), &[])
        });
        let dot = ops::Dot { a: b"b".to_vec(), b: b"a".to_vec(), result: b"ab".to_vec() };
        let product = graph.add(Arc::new(dot), &[right, left]);
        let product = graph.add(Arc::new(ops::Reshape { shape: vec![6, 2, 9] }), &[product]);
        graph.outputs.push(("y".into(), product));
        let simple = simplify(&graph);
        let live = simple.live();
        let forms: Vec<_> = simple.ids().filter(|id| live[id.index()]).map(|id| simple.node(id).op.name()).collect();
        assert!(!forms.contains(&"dot") && forms.iter().filter(|name| **name == "multiply").count() == 1, "{forms:?}");
        let reshape = simple.ids().find(|id| simple.node(*id).op.name() == "reshape").expect("a reshape");
        assert_eq!(simple.shape(reshape), [2, 9]);
    }
}
