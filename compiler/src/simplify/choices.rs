//! `choices`: what is chosen where a condition holds and what is chosen where it does not, added, is one choice. Derivatives of maxima
//! come in such pairs.

use super::named;
use crate::graph::{Graph, NodeId, Site};

/// A multiple of a value where a condition holds, or where it does not, and zero elsewhere.
#[derive(Clone, Copy)]
struct Part {
    on: NodeId,
    /// Whether the value is where the condition holds.
    holds: bool,
    value: NodeId,
    factor: f64,
}

impl Part {
    fn of(graph: &Graph, id: NodeId) -> Option<Part> {
        let operands = graph.operands(id);
        match graph.node(id).op.name() {
            "select" => match (graph.as_number(operands[1]), graph.as_number(operands[2])) {
                (Some(0.0), _) => Some(Part { on: operands[0], holds: false, value: operands[2], factor: 1.0 }),
                (_, Some(0.0)) => Some(Part { on: operands[0], holds: true, value: operands[1], factor: 1.0 }),
                _ => None,
            },
            "negate" => Part::of(graph, operands[0]).map(|part| Part { factor: -part.factor, ..part }),
            "multiply" => {
                let (factor, rest) = match (graph.as_number(operands[0]), graph.as_number(operands[1])) {
                    (Some(factor), _) => (factor, operands[1]),
                    (_, Some(factor)) => (factor, operands[0]),
                    _ => return None,
                };
                Part::of(graph, rest).map(|part| Part { factor: factor * part.factor, ..part })
            }
            _ => None,
        }
    }

    /// The sum of two parts with the same condition.
    fn joined(self, other: Part, new: &mut Graph) -> Option<NodeId> {
        if self.on != other.on || self.holds == other.holds {
            return None;
        }
        let (yes, no) = if self.holds { (self, other) } else { (other, self) };
        let mut side = |part: Part| if part.factor == 1.0 { part.value } else { new.scaled(part.value, part.factor) };
        let (yes, no) = (side(yes), side(no));
        Some(new.select(self.on, yes, no))
    }
}

/// The rewrite at one node.
pub(super) fn choices(new: &mut Graph, site: &Site) -> Option<NodeId> {
    if site.node.op.name() != "add" {
        return None;
    }
    let (a, b) = (site.operands[0], site.operands[1]);
    if let (Some(first), Some(second)) = (Part::of(new, a), Part::of(new, b)) {
        return first.joined(second, new);
    }
    // One of them may be part of a longer sum.
    let (sum, last) = if named(new, a, "add") { (a, b) } else { (b, a) };
    let last = Part::of(new, last).filter(|_| named(new, sum, "add"))?;
    let parts = new.operands(sum);
    [(parts[0], parts[1]), (parts[1], parts[0])].into_iter().find_map(|(own, rest)| {
        let both = Part::of(new, own)?.joined(last, new)?;
        Some(new.plus(rest, both))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::build::Leaf;
    use crate::ops::Input;

    #[test]
    fn both_sides_of_a_derivative_become_one_choice() {
        let mut graph = Graph::default();
        let [on, x, rest] = [0, 1, 2].map(|number| {
            graph.leaves.push(Leaf::Field(number, String::new()));
            graph.add(Arc::new(Input { number, shape: vec![40] }), &[])
        });
        let zero = graph.number(0.0);
        let (outside, inside) = (graph.select(on, zero, x), graph.select(on, x, zero));
        let first = graph.plus(outside, rest);
        let small = graph.scaled(inside, 0.2);
        let sum = graph.plus(first, small);
        graph.outputs = vec![("slope".into(), sum)];
        let made = crate::simplify(&graph);
        let live = made.live();
        let count = |name: &str| made.ids().filter(|id| live[id.index()] && named(&made, *id, name)).count();
        assert_eq!([count("select"), count("add"), count("multiply")], [1, 1, 1]);
    }
}
