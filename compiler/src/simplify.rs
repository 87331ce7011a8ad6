//! Named rewrites, graph to graph: `fold` numbers, `lift` work on repeated values before the repetition, drop `identity` work,
//! pull `factors` and signs outwards, join `choices`, write `outer` products as repetitions, `shorten` views and sums of repetitions,
//! `gather` sums of moved copies into one stencil, split small leading axes into `planes`, let products make and read `turns` of axes
//! themselves, read `shares` of a sum where they are kept.
//! Equal nodes are shared and dead ones dropped whenever a graph is rebuilt.

mod choices;
mod factors;
mod gather;
mod outer;
mod planes;
mod shares;
mod turns;

use std::sync::Arc;

use crate::graph::{Graph, Node, NodeId, Shape, Site};
use crate::kernel::Tap;
use crate::ops::{self, Form};
use crate::tensor::Tensor;

/// Axes of at most this size in front of a picture are split into planes.
const PLANES: usize = 4;

/// Rewrites to a form that fuses well; the meaning stays, sums may be reordered.
pub fn simplify(graph: &Graph) -> Graph {
    let graph = settle(graph);
    let graph = settle(&planes::planes(&graph));
    let graph = settle(&gather::gather(&graph));
    let graph = turns::turns(&graph);
    factors::reciprocals(&shares::shares(&graph))
}

/// The local rewrites, until none changes anything.
fn settle(graph: &Graph) -> Graph {
    let mut now = graph.rebuild(local);
    loop {
        let next = now.rebuild(local);
        if next.len() == now.len() {
            return next;
        }
        now = next;
    }
}

fn local(new: &mut Graph, site: &Site) -> NodeId {
    let rules = [fold, lift, identity, factors::factors, choices::choices, outer::outer, shorten];
    rules.iter().find_map(|rule| rule(new, site)).unwrap_or_else(|| site.keep(new))
}

fn is_map(node: &Node) -> bool {
    matches!(node.op.form(), Form::Map(_)) && node.op.name() != "copy"
}

/// An element-wise op of numbers is a number.
fn fold(new: &mut Graph, site: &Site) -> Option<NodeId> {
    if !is_map(site.node) || !site.node.shape.is_empty() {
        return None;
    }
    let values: Option<Vec<Tensor>> = site
        .operands
        .iter()
        .map(|id| match new.node(*id).op.form() {
            Form::Constant(value) => Some(Tensor::new(Shape::new(), vec![value])),
            _ => None,
        })
        .collect();
    let values = values?;
    let result = site.node.op.reference(&values.iter().collect::<Vec<_>>(), &[]);
    Some(new.number(result.data[0]))
}

/// An element-wise op of repeated values is the repetition of the op.
fn lift(new: &mut Graph, site: &Site) -> Option<NodeId> {
    if !is_map(site.node) {
        return None;
    }
    let mut common: Option<(Shape, Vec<usize>)> = None;
    for id in &site.operands {
        let Form::Expand(places) = new.node(*id).op.form() else { return None };
        let base = new.shape(new.operands(*id)[0]).to_vec();
        match &common {
            _ if base.is_empty() => {}
            Some((shape, known)) if (shape, known) != (&base, &places) => return None,
            _ => common = Some((base, places)),
        }
    }
    let (shape, places) = common.unwrap_or_default();
    let bases: Vec<_> = site.operands.iter().map(|id| new.operands(*id)[0]).collect();
    let bases: Vec<_> =
        bases.into_iter().map(|base| if new.shape(base).is_empty() { new.expand(base, &shape, &[]) } else { base }).collect();
    let small = new.add(site.node.op.clone(), &bases);
    Some(new.expand(small, &site.node.shape, &places))
}

/// Work that changes nothing.
fn identity(new: &mut Graph, site: &Site) -> Option<NodeId> {
    let operand = |i: usize| site.operands[i];
    let is = |i: usize, value: f64| new.as_number(site.operands[i]) == Some(value);
    match site.node.op.name() {
        "add" if is(0, 0.0) => Some(operand(1)),
        "add" | "subtract" if is(1, 0.0) => Some(operand(0)),
        "subtract" if is(0, 0.0) => Some(new.negated(operand(1))),
        "subtract" if named(new, operand(1), "subtract") && new.as_number(operand(0)).is_some() => {
            // 1 - (1 - m) is m.
            let inner = new.operands(operand(1));
            (new.as_number(inner[0]) == new.as_number(operand(0))).then(|| inner[1])
        }
        "multiply" if is(0, 1.0) => Some(operand(1)),
        "multiply" | "divide" if is(1, 1.0) => Some(operand(0)),
        "multiply" if is(0, -1.0) => Some(new.negated(operand(1))),
        "multiply" if is(1, -1.0) => Some(new.negated(operand(0))),
        "add" if named(new, operand(1), "negate") => Some(new.minus(operand(0), new.operands(operand(1))[0])),
        "subtract" if named(new, operand(1), "negate") => Some(new.plus(operand(0), new.operands(operand(1))[0])),
        "negate" | "not" if named(new, operand(0), site.node.op.name()) => Some(new.operands(operand(0))[0]),
        "select" if operand(1) == operand(2) => Some(operand(1)),
        "stop" => Some(operand(0)),
        "stencil" => match site.node.op.form() {
            Form::Stencil(taps) if taps == [Tap { down: 0, right: 0, weight: 1.0 }] => Some(operand(0)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether an index is 0, 1, .. over the whole first axis of a shape.
fn is_every_place(graph: &Graph, index: NodeId, shape: &[usize]) -> bool {
    named(graph, index, "iota") && shape.starts_with(graph.shape(index))
}

fn named(graph: &Graph, id: NodeId, name: &str) -> bool {
    graph.node(id).op.name() == name
}

/// Views of views, orders of orders, and sums of repetitions.
fn shorten(new: &mut Graph, site: &Site) -> Option<NodeId> {
    let shape = &site.node.shape;
    let inner = *site.operands.first()?;
    let below = || new.operands(inner)[0];
    match (site.node.op.form(), new.node(inner).op.form()) {
        (Form::Reshape, _) if new.shape(inner) == shape => Some(inner),
        (Form::Reshape, Form::Reshape) => {
            let base = below();
            Some(new.add(Arc::new(ops::Reshape { shape: shape.clone() }), &[base]))
        }
        (Form::Expand(outer), Form::Expand(places)) => {
            let base = below();
            Some(new.expand(base, shape, &places.iter().map(|place| outer[*place]).collect::<Vec<_>>()))
        }
        (Form::Permute(order), _) if order.iter().copied().eq(0..order.len()) => Some(inner),
        (Form::Permute(outer), Form::Permute(order)) => {
            let base = below();
            Some(new.add(Arc::new(ops::Permute { order: outer.iter().map(|axis| order[*axis]).collect() }), &[base]))
        }
        (Form::Resample(axis, outer), Form::Resample(own, rows)) if axis == own => {
            let back = |(place, row): (usize, &Vec<(usize, f64)>)| match row[..] {
                [(via, 1.0)] => rows[via] == [(place, 1.0)],
                _ => false,
            };
            let base = below();
            (new.shape(base) == shape && outer.iter().enumerate().all(back)).then_some(base)
        }
        (Form::Gather(0), _) if is_every_place(new, site.operands[1], new.shape(inner)) => Some(inner),
        (Form::Scatter(0), _) if is_every_place(new, site.operands[1], shape) => Some(inner),
        (Form::Pick(axis, at), Form::Expand(places)) => {
            let base = below();
            let kept = |place: usize| if place > axis { place - 1 } else { place };
            match places.iter().position(|place| *place == axis) {
                None => Some(new.expand(base, shape, &places.iter().map(|p| kept(*p)).collect::<Vec<_>>())),
                Some(own) => {
                    let picked = new.add(Arc::new(ops::Pick { axis: own, at }), &[base]);
                    let places: Vec<_> = places.iter().filter(|p| **p != axis).map(|p| kept(*p)).collect();
                    Some(new.expand(picked, shape, &places))
                }
            }
        }
        (Form::Reduce(crate::kernel::Join::Sum, over), Form::Expand(places)) => {
            let base = below();
            let whole = new.shape(inner).to_vec();
            let exactly = (0..whole.len()).all(|axis| over.contains(&axis) != places.contains(&axis));
            let count: usize = over.iter().map(|axis| whole[*axis]).product();
            exactly.then(|| new.scaled(base, count as f64))
        }
        _ => None,
    }
}
