//! Axes of a loop that all its buffers run through alike become one axis, so that tiles are long however small the pictures are. What a
//! reduction joins, and in what order, does not change.

use crate::graph::NodeId;
use crate::kernel::{Access, Effect, Instruction, Loop, Over};

/// Where an access begins and how far it steps along each axis of the loop.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    pub first: usize,
    pub along: Vec<usize>,
}

/// Neighbouring axes taken as one.
#[derive(Clone, Debug)]
struct Axis {
    size: usize,
    /// Axes that one reduction keeps and another does not, or that are reduced and kept, do not mix.
    part: usize,
    /// The step of each access.
    steps: Vec<usize>,
}

/// The loop over as few axes as its accesses allow; one with stencils keeps its rows and columns. `steps` are those of its loads, then
/// of its stores.
pub(super) fn collapse(mut body: Loop<NodeId>, shape: &[usize], steps: Vec<Steps>) -> Loop<NodeId> {
    let stencil = |instruction: &Instruction<_>| matches!(instruction, Instruction::LoadStencil(..) | Instruction::RowStencil(..));
    let keeps = body.space.contains(&0) || body.body.iter().any(stencil);
    let reduces = |wanted: Over| body.effects.iter().any(|effect| matches!(effect, Effect::Reduce { over, .. } if *over == wanted));
    let (rows, columns) = (reduces(Over::Rows), reduces(Over::Columns));
    let part = |axis: usize| usize::from(rows && axis + 2 >= shape.len()) + usize::from(columns && axis + 1 == shape.len());
    let axes = (0..shape.len()).map(|axis| Axis {
        size: shape[axis],
        part: part(axis),
        steps: steps.iter().map(|steps| steps.along[axis]).collect(),
    });
    let parts = usize::from(rows) + usize::from(columns);
    let (outer, row, column) = if keeps { as_they_are(axes.collect()) } else { cut(merged(axes), parts) };
    for (number, (access, steps)) in accesses(&mut body).into_iter().zip(&steps).enumerate() {
        access.outer = starts(steps.first, outer.iter().map(|axis| (axis.size, axis.steps[number])));
        access.rows = row.as_ref().map_or(0, |axis| axis.steps[number]);
        access.columns = column.as_ref().map_or(0, |axis| axis.steps[number]);
    }
    if keeps {
        return body;
    }
    let size = |axis: &Option<Axis>| axis.as_ref().map_or(1, |axis| axis.size);
    let whole: usize = shape.iter().product();
    body.space = [whole / size(&row) / size(&column), size(&row), size(&column)];
    // One axis is left of what was reduced over rows and columns: the columns.
    if rows && !columns && row.as_ref().is_none_or(|axis| axis.part == 0) {
        for effect in &mut body.effects {
            if let Effect::Reduce { over: over @ Over::Rows, .. } = effect {
                *over = Over::Columns;
            }
        }
    }
    body
}

fn as_they_are(mut axes: Vec<Axis>) -> (Vec<Axis>, Option<Axis>, Option<Axis>) {
    let column = axes.pop();
    let row = axes.pop();
    (axes, row, column)
}

/// The places from `first` on that some axes of given sizes and steps lead to.
fn starts(first: usize, axes: impl Iterator<Item = (usize, usize)>) -> Vec<usize> {
    axes.fold(vec![first], |starts, (size, step)| starts.iter().flat_map(|start| (0..size).map(move |i| start + i * step)).collect())
}

/// Outer axes, rows and columns; the columns are reduced ones if any are.
fn cut(mut axes: Vec<Axis>, parts: usize) -> (Vec<Axis>, Option<Axis>, Option<Axis>) {
    let column = axes.pop_if(|axis| axis.part == parts);
    // Where rows and columns are reduced apart, rows of size one are still between them.
    let row = axes.pop_if(|axis| parts < 2 || axis.part == 1);
    (axes, row, column)
}

fn accesses(body: &mut Loop<NodeId>) -> Vec<&mut Access<NodeId>> {
    let loads = body.body.iter_mut().filter_map(|instruction| match instruction {
        Instruction::Load(access) | Instruction::LoadStencil(access, _) => Some(access),
        _ => None,
    });
    let stores = body.effects.iter_mut().filter_map(|effect| match effect {
        Effect::Store(_, access) => Some(access),
        Effect::Reduce { .. } => None,
    });
    loads.chain(stores).collect()
}

fn merged(axes: impl Iterator<Item = Axis>) -> Vec<Axis> {
    let mut list: Vec<Axis> = Vec::new();
    for axis in axes.filter(|axis| axis.size > 1) {
        let joins = |last: &Axis| last.part == axis.part && last.steps.iter().zip(&axis.steps).all(|(a, b)| *a == axis.size * b);
        match list.last_mut() {
            Some(last) if joins(last) => *last = Axis { size: last.size * axis.size, ..axis },
            _ => list.push(axis),
        }
    }
    list
}
