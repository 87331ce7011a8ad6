//! Copies where a kernel needs a buffer and the graph has only a view or a number.

use std::sync::Arc;

use super::is_view;
use crate::graph::{Graph, NodeId};
use crate::kernel::Over;
use crate::ops::{self, Form};

/// The graph with copies in front of ops that read whole buffers, and behind views that are outputs.
pub(super) fn prepare(graph: &Graph) -> Graph {
    let mut new = graph.rebuild(|new, site| {
        let form = site.node.op.form();
        let operands: Vec<_> = site
            .operands
            .iter()
            .map(|operand| {
                let copy = match &form {
                    Form::Map(_) | Form::Reduce(..) if loops(new, &form, *operand) => {
                        is_number(new, *operand) && !site.node.shape.is_empty()
                    }
                    Form::Expand(_) => false,
                    Form::Pick(..) => is_number(new, *operand),
                    Form::Reshape => is_number(new, *operand) || is_view(new, *operand) && !contiguous(new, *operand),
                    Form::Stencil(_) => is_view(new, *operand) && !contiguous(new, *operand),
                    _ => is_view(new, *operand) && !reshaped(new, *operand) || is_number(new, *operand),
                };
                if copy { copied(new, *operand) } else { *operand }
            })
            .collect();
        new.add(site.node.op.clone(), &operands)
    });
    let outputs = std::mem::take(&mut new.outputs);
    new.outputs = outputs
        .into_iter()
        .map(|(name, id)| {
            let copy = is_view(&new, id) || is_number(&new, id);
            (name, if copy { copied(&mut new, id) } else { id })
        })
        .collect();
    new
}

fn copied(new: &mut Graph, id: NodeId) -> NodeId {
    new.add(Arc::new(ops::Copy), &[id])
}

fn loops(graph: &Graph, form: &Form, operand: NodeId) -> bool {
    let rank = graph.shape(operand).len();
    match form {
        Form::Reduce(_, over) => Over::of(rank, over).is_some(),
        _ => true,
    }
}

fn is_number(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).op.form(), Form::Constant(_))
}

/// Whether a view is a whole buffer under another shape.
fn reshaped(graph: &Graph, id: NodeId) -> bool {
    match graph.node(id).op.form() {
        Form::Reshape => reshaped(graph, graph.operands(id)[0]),
        Form::Constant(_) => false,
        _ => !is_view(graph, id),
    }
}

/// Whether a view's elements lie one after the other in the buffer behind it.
fn contiguous(graph: &Graph, id: NodeId) -> bool {
    let below = || graph.operands(id)[0];
    match graph.node(id).op.form() {
        Form::Expand(_) => false,
        Form::Pick(axis, _) => axis == 0 && contiguous(graph, below()),
        Form::Reshape => contiguous(graph, below()),
        _ => true,
    }
}
