//! `factors`: signs and factors that are the same everywhere go outwards, through products, quotients, stencils and sums, where they
//! are joined and mostly vanish; a division by a number is a product, and one by a value that divides others as well goes through its
//! reciprocal.

use std::sync::Arc;

use super::named;
use crate::graph::{Graph, NodeId, Site};
use crate::kernel::{Join, Tap};
use crate::ops::{self, Form};

/// The rewrite at one node.
pub(super) fn factors(new: &mut Graph, site: &Site) -> Option<NodeId> {
    match site.node.op.name() {
        "add" if site.operands[0] == site.operands[1] => Some(new.scaled(site.operands[0], 2.0)),
        "negate" => negate(new, site.operands[0]),
        "multiply" | "divide" => product(new, site),
        "stencil" => stencil(new, site),
        "sum" => sum(new, site),
        "dot" | "conv2d" => bilinear(new, site),
        _ => None,
    }
}

/// A convolution or product of something times a factor: the result times the factor, where that is fewer elements. Weights that are
/// divided by a norm are then read as they are.
fn bilinear(new: &mut Graph, site: &Site) -> Option<NodeId> {
    let size = |shape: &[usize]| shape.iter().product::<usize>();
    let result = size(&site.node.shape);
    let scaled = |side: &usize| {
        let id = site.operands[*side];
        let small = result < size(new.shape(id)) && !new.shape(id).is_empty();
        let operands = new.operands(id);
        match new.node(id).op.name() {
            _ if !small => None,
            "multiply" if everywhere(new, operands[0]).is_some() => Some((*side, "multiply", operands[0], operands[1])),
            "multiply" if everywhere(new, operands[1]).is_some() => Some((*side, "multiply", operands[1], operands[0])),
            "divide" if everywhere(new, operands[1]).is_some() => Some((*side, "divide", operands[1], operands[0])),
            _ => None,
        }
    };
    let (side, by, factor, rest) = [0, 1].iter().find_map(scaled)?;
    let factor = everywhere(new, factor)?;
    let mut operands = site.operands.clone();
    operands[side] = rest;
    let made = new.add(site.node.op.clone(), &operands);
    Some(if by == "divide" { new.over(made, factor) } else { new.times(made, factor) })
}

/// The one number that a value repeats.
fn everywhere(graph: &Graph, id: NodeId) -> Option<NodeId> {
    match graph.node(id).op.form() {
        Form::Expand(_) if graph.shape(graph.operands(id)[0]).is_empty() => Some(graph.operands(id)[0]),
        _ => None,
    }
}

/// The number by which a product multiplies, and the rest.
fn number_times(graph: &Graph, id: NodeId) -> Option<(f64, NodeId)> {
    let operands = graph.operands(id);
    match graph.node(id).op.name() {
        "negate" => Some((-1.0, operands[0])),
        "multiply" => match (graph.as_number(operands[0]), graph.as_number(operands[1])) {
            (Some(factor), _) => Some((factor, operands[1])),
            (_, Some(factor)) => Some((factor, operands[0])),
            _ => None,
        },
        _ => None,
    }
}

fn times(new: &mut Graph, factor: f64, x: NodeId) -> NodeId {
    if factor == -1.0 { new.negated(x) } else { new.scaled(x, factor) }
}

fn negate(new: &mut Graph, x: NodeId) -> Option<NodeId> {
    if named(new, x, "subtract") {
        let sides = new.operands(x);
        return Some(new.minus(sides[1], sides[0]));
    }
    let (factor, rest) = number_times(new, x)?;
    Some(times(new, -factor, rest))
}

fn product(new: &mut Graph, site: &Site) -> Option<NodeId> {
    let (a, b) = (site.operands[0], site.operands[1]);
    let divides = site.node.op.name() == "divide";
    if let (true, Some(number)) = (divides, new.as_number(b)) {
        return Some(new.scaled(a, 1.0 / number));
    }
    let join = |new: &mut Graph, a, b| if divides { new.over(a, b) } else { new.times(a, b) };
    if let (Some(own), Some((factor, rest))) = (new.as_number(b), number_times(new, a)) {
        return Some(times(new, own * factor, rest));
    }
    if let (Some(own), Some((factor, rest))) = (new.as_number(a), number_times(new, b)) {
        return (!divides).then(|| times(new, own * factor, rest));
    }
    // A number times a number stays where it is: `fold` has had it.
    if new.as_number(a).is_some() || new.as_number(b).is_some() {
        return None;
    }
    if let Some((factor, rest)) = number_times(new, a) {
        let inner = join(new, rest, b);
        return Some(times(new, factor, inner));
    }
    let (factor, rest) = number_times(new, b)?;
    let inner = join(new, a, rest);
    Some(times(new, if divides { 1.0 / factor } else { factor }, inner))
}

fn stencil(new: &mut Graph, site: &Site) -> Option<NodeId> {
    let Form::Stencil(taps) = site.node.op.form() else { return None };
    let (factor, rest) = number_times(new, site.operands[0])?;
    let taps = taps.into_iter().map(|tap| Tap { weight: tap.weight * factor, ..tap }).collect();
    Some(new.add(Arc::new(ops::Stencil { taps }), &[rest]))
}

/// The sum of a product with something that is the same everywhere.
fn sum(new: &mut Graph, site: &Site) -> Option<NodeId> {
    let Form::Reduce(Join::Sum, over) = site.node.op.form() else { return None };
    let inner = site.operands[0];
    let sides = new.operands(inner);
    let (factor, rest) = match new.node(inner).op.name() {
        "negate" => (None, sides[0]),
        "multiply" => match (everywhere(new, sides[0]), everywhere(new, sides[1])) {
            (Some(factor), _) => (Some(factor), sides[1]),
            (_, Some(factor)) => (Some(factor), sides[0]),
            _ => return None,
        },
        "divide" => {
            let divisor = everywhere(new, sides[1])?;
            let total = new.sum(sides[0], &over);
            return Some(new.over(total, divisor));
        }
        _ => return None,
    };
    let total = new.sum(rest, &over);
    Some(match factor {
        Some(factor) => new.times(factor, total),
        None => new.negated(total),
    })
}

/// Quotients whose divisor divides at least two values become products with its reciprocal.
pub(super) fn reciprocals(graph: &Graph) -> Graph {
    let shared = |id: NodeId| {
        let divided = graph.users(id).into_iter().filter(|user| named(graph, *user, "divide") && graph.operands(*user)[1] == id).count();
        divided > 1 && !graph.shape(id).is_empty()
    };
    let shared: Vec<bool> = graph.ids().map(shared).collect();
    graph.rebuild(|new, site| {
        if site.node.op.name() != "divide" || !shared[graph.operands(site.id)[1].index()] {
            return site.keep(new);
        }
        let one = new.number(1.0);
        let reciprocal = new.over(one, site.operands[1]);
        new.times(site.operands[0], reciprocal)
    })
}
