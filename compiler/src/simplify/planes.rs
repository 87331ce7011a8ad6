//! `planes`: a short axis in front of a picture (colour channels, starts, taps) is split, so that everything lives in one space of
//! rows and columns: broadcasting over the axis costs nothing and sums over it are additions.

use std::sync::Arc;

use super::PLANES;
use crate::graph::{Graph, NodeId, Shape, Site};
use crate::kernel::Join;
use crate::ops::{self, Form, Op};

/// A value, whole or plane by plane.
enum Value {
    Whole(NodeId),
    Planes(Vec<NodeId>),
}

/// Splits where it can. In a graph with convolutions or products of matrices nothing is split: these read values whole, and short axes
/// are mostly those of the samples.
pub(super) fn planes(graph: &Graph) -> Graph {
    if graph.ids().any(|id| matches!(graph.node(id).op.form(), Form::Contract(..) | Form::Conv(_))) {
        return graph.clone();
    }
    let mut values: Vec<Option<Value>> = graph.ids().map(|_| None).collect();
    let outputs: std::collections::HashSet<_> = graph.outputs.iter().map(|(_, id)| *id).collect();
    graph.rebuild(|new, site| {
        let operands = graph.operands(site.id);
        let value = split(new, site, &operands, &values, graph);
        // Users go through `values`; only outputs need a node that stands for all planes.
        let node = match &value {
            Value::Whole(node) => *node,
            Value::Planes(planes) if !outputs.contains(&site.id) => planes[0],
            Value::Planes(_) => whole(new, &value, &site.node.shape),
        };
        values[site.id.index()] = Some(value);
        node
    })
}

fn splits(shape: &[usize]) -> bool {
    matches!(shape.len(), 1 | 3) && shape[0] <= PLANES && shape[0] > 0
}

fn split(new: &mut Graph, site: &Site, operands: &[NodeId], values: &[Option<Value>], old: &Graph) -> Value {
    let shape = &site.node.shape;
    let value = |i: usize| values[operands[i].index()].as_ref();
    let count = || 0..shape[0];
    let form = site.node.op.form();
    if let (Form::Pick(0, at), Some(Value::Planes(planes))) = (&form, operands.first().and_then(|_| value(0))) {
        return Value::Whole(planes[*at]);
    }
    match (&form, operands.first().and_then(|_| value(0)), operands.get(1).and_then(|_| value(1))) {
        (Form::PickAt(0), Some(Value::Planes(planes)), Some(Value::Whole(index))) => {
            return Value::Whole(chosen(new, planes, *index, shape));
        }
        (Form::ArgMax(0), Some(Value::Planes(planes)), _) if shape.is_empty() => return Value::Whole(first_largest(new, planes)),
        _ => {}
    }
    match form {
        Form::Map(_) if splits(shape) => {
            let sides: Vec<_> = (0..operands.len()).map(|i| taken(new, value(i), shape)).collect();
            Value::Planes(count().map(|p| new.add(site.node.op.clone(), &sides.iter().map(|s| s[p]).collect::<Vec<_>>())).collect())
        }
        Form::Stencil(_) if splits(shape) => {
            let side = taken(new, value(0), shape);
            Value::Planes(side.into_iter().map(|plane| new.add(site.node.op.clone(), &[plane])).collect())
        }
        Form::Expand(places) if splits(shape) => {
            let from = old.shape(operands[0]).to_vec();
            let own = places.first() == Some(&0);
            let rest: Vec<_> = places[usize::from(own)..].iter().map(|place| place - 1).collect();
            let bases = match value(0) {
                side if own => taken(new, side, &from),
                Some(side) => vec![whole(new, side, &from); shape[0]],
                None => Vec::new(),
            };
            Value::Planes(bases.into_iter().map(|base| new.expand(base, &shape[1..], &rest)).collect())
        }
        Form::Reduce(join, over) if splits(old.shape(operands[0])) => {
            let side = taken(new, value(0), old.shape(operands[0]));
            reduce(new, join, &over, side, shape)
        }
        Form::Reshape if splits(shape) && shape[0] == 1 => {
            let Some(side) = value(0) else { return Value::Whole(site.keep(new)) };
            let base = whole(new, side, old.shape(operands[0]));
            Value::Planes(vec![new.add(Arc::new(ops::Reshape { shape: shape[1..].to_vec() }), &[base])])
        }
        _ if site.node.op.name() == "concat"
            && splits(shape)
            && operands.len() == shape[0]
            && operands.iter().all(|o| old.shape(*o)[0] == 1) =>
        {
            Value::Planes((0..operands.len()).map(|i| taken(new, value(i), old.shape(operands[i]))[0]).collect())
        }
        _ => {
            let operands: Vec<_> = operands
                .iter()
                .map(|id| values[id.index()].as_ref().map_or(NodeId::end(), |side| whole(new, side, old.shape(*id))))
                .collect();
            Value::Whole(new.add(site.node.op.clone(), &operands))
        }
    }
}

/// The plane with the number `index`.
fn chosen(new: &mut Graph, planes: &[NodeId], index: NodeId, shape: &[usize]) -> NodeId {
    let mut result = planes[0];
    for (number, plane) in planes.iter().enumerate().skip(1) {
        let number = new.number(number as f64);
        let on = new.add(Arc::new(ops::Equal), &[index, number]);
        let on = new.expand(on, shape, &[]);
        result = new.select(on, *plane, result);
    }
    result
}

/// The number of the first largest scalar.
fn first_largest(new: &mut Graph, planes: &[NodeId]) -> NodeId {
    let (mut best, mut most) = (new.number(0.0), new.number(f64::NEG_INFINITY));
    for (number, plane) in planes.iter().enumerate() {
        let more = new.add(Arc::new(ops::Less), &[most, *plane]);
        let number = new.number(number as f64);
        best = new.select(more, number, best);
        most = new.select(more, *plane, most);
    }
    best
}

fn reduce(new: &mut Graph, join: Join, over: &[usize], side: Vec<NodeId>, shape: &Shape) -> Value {
    let inner: Vec<_> = over.iter().filter(|axis| **axis > 0).map(|axis| axis - 1).collect();
    let parts: Vec<_> = side
        .into_iter()
        .map(|plane| {
            let over = inner.clone();
            let op: Arc<dyn Op> = match join {
                Join::Sum => Arc::new(ops::Sum { over }),
                Join::Max => Arc::new(ops::Max { over }),
                Join::Min => Arc::new(ops::Min { over }),
            };
            if inner.is_empty() { plane } else { new.add(op, &[plane]) }
        })
        .collect();
    if over.first() != Some(&0) {
        let value = Value::Planes(parts);
        return if splits(shape) { value } else { Value::Whole(whole(new, &value, shape)) };
    }
    let pair: Arc<dyn Op> = match join {
        Join::Sum => Arc::new(ops::Add),
        Join::Max => Arc::new(ops::Maximum),
        Join::Min => Arc::new(ops::Minimum),
    };
    let first = parts[0];
    Value::Whole(parts[1..].iter().fold(first, |sum, part| new.pair(pair.clone(), sum, *part)))
}

/// The planes of a value of a shape that splits.
fn taken(new: &mut Graph, value: Option<&Value>, shape: &[usize]) -> Vec<NodeId> {
    match value {
        Some(Value::Planes(planes)) => planes.clone(),
        Some(Value::Whole(node)) => (0..shape[0]).map(|at| new.add(Arc::new(ops::Pick { axis: 0, at }), &[*node])).collect(),
        None => Vec::new(),
    }
}

/// One node for a value.
fn whole(new: &mut Graph, value: &Value, shape: &[usize]) -> NodeId {
    match value {
        Value::Whole(node) => *node,
        Value::Planes(planes) => {
            let mut thin = shape.to_vec();
            thin[0] = 1;
            let slices: Vec<_> = planes.iter().map(|plane| new.add(Arc::new(ops::Reshape { shape: thin.clone() }), &[*plane])).collect();
            if slices.len() == 1 { slices[0] } else { new.add(Arc::new(ops::Concat { axis: 0 }), &slices) }
        }
    }
}
