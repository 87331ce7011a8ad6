//! `gather`: a sum of weighted moved copies of one value is one stencil. A separable filter written as a sum over its taps becomes
//! one kernel instruction with as many taps.

use std::sync::Arc;

use crate::graph::{Graph, NodeId};
use crate::kernel::Tap;
use crate::ops::{self, Form};

/// A sum taken apart: weights of plain values and taps on moved ones, in the order of the text.
#[derive(Default)]
struct Sum {
    moved: Vec<(NodeId, Vec<Tap>)>,
    plain: Vec<(NodeId, f64)>,
    copies: usize,
}

/// Gathers all such sums.
pub(super) fn gather(graph: &Graph) -> Graph {
    let graph = graph.rebuild(|new, site| site.keep(new));
    graph.rebuild(|new, site| {
        if site.node.shape.len() < 2 || !is_linear(&graph, site.id) {
            return site.keep(new);
        }
        let mut sum = Sum::default();
        take_apart(&graph, site.id, 1.0, true, &mut sum);
        if sum.copies < 2 || sum.moved.iter().all(|(_, taps)| taps.len() < 2) { site.keep(new) } else { put_together(new, sum, site.map) }
    })
}

fn is_linear(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).op.name(), "add" | "subtract")
}

/// Adds `weight` times a node to the sum.
fn take_apart(graph: &Graph, id: NodeId, weight: f64, root: bool, sum: &mut Sum) {
    let operands = graph.operands(id);
    // A moved copy that is used elsewhere as well costs nothing to read once more; other shared work is not repeated.
    let name = graph.node(id).op.name();
    if !root && name != "stencil" && graph.users(id).len() > 1 {
        return sum.plain.push((id, weight));
    }
    let numbers: Vec<_> = operands.iter().map(|operand| graph.as_number(*operand)).collect();
    match (name, numbers.as_slice()) {
        ("add", _) => operands.iter().for_each(|operand| take_apart(graph, *operand, weight, false, sum)),
        ("subtract", _) => {
            take_apart(graph, operands[0], weight, false, sum);
            take_apart(graph, operands[1], -weight, false, sum);
        }
        ("negate", _) => take_apart(graph, operands[0], -weight, false, sum),
        ("multiply", [Some(factor), _]) => take_apart(graph, operands[1], weight * factor, false, sum),
        ("multiply", [_, Some(factor)]) => take_apart(graph, operands[0], weight * factor, false, sum),
        ("stencil", _) => {
            let Form::Stencil(taps) = graph.node(id).op.form() else { return };
            sum.copies += 1;
            let (base, weight) = unscaled(graph, operands[0], weight);
            let place = sum.moved.iter().position(|(known, _)| *known == base).unwrap_or_else(|| {
                sum.moved.push((base, Vec::new()));
                sum.moved.len() - 1
            });
            taps.iter().for_each(|tap| join(&mut sum.moved[place].1, Tap { weight: tap.weight * weight, ..*tap }));
        }
        _ => sum.plain.push((id, weight)),
    }
}

/// A value without its constant factors.
fn unscaled(graph: &Graph, id: NodeId, weight: f64) -> (NodeId, f64) {
    let operands = graph.operands(id);
    match graph.node(id).op.name() {
        "negate" => unscaled(graph, operands[0], -weight),
        "multiply" => match (graph.as_number(operands[0]), graph.as_number(operands[1])) {
            (Some(factor), _) => unscaled(graph, operands[1], weight * factor),
            (_, Some(factor)) => unscaled(graph, operands[0], weight * factor),
            _ => (id, weight),
        },
        _ => (id, weight),
    }
}

fn join(taps: &mut Vec<Tap>, tap: Tap) {
    match taps.iter_mut().find(|known| (known.down, known.right) == (tap.down, tap.right)) {
        Some(known) => known.weight += tap.weight,
        None => taps.push(tap),
    }
}

fn put_together(new: &mut Graph, mut sum: Sum, map: &[NodeId]) -> NodeId {
    for (base, taps) in &mut sum.moved {
        sum.plain.retain(|(id, weight)| {
            let own = id == base;
            if own {
                join(taps, Tap { down: 0, right: 0, weight: *weight });
            }
            !own
        });
        taps.sort_by_key(|tap| (tap.down, tap.right));
    }
    let stencils = sum.moved.into_iter().map(|(base, taps)| (map[base.index()], Some(taps), 1.0));
    let plain = sum.plain.into_iter().map(|(id, weight)| (map[id.index()], None, weight));
    let mut total = None;
    for (x, taps, weight) in stencils.chain(plain).collect::<Vec<_>>() {
        let part = match taps {
            Some(taps) => new.add(Arc::new(ops::Stencil { taps }), &[x]),
            None if weight.abs() == 1.0 => x,
            None => new.scaled(x, weight.abs()),
        };
        total = Some(match total {
            None if weight < 0.0 => new.negated(part),
            None => part,
            Some(total) if weight < 0.0 => new.minus(total, part),
            Some(total) => new.plus(total, part),
        });
    }
    total.unwrap_or_else(|| new.number(0.0))
}
