//! Axes of a loop that all its buffers run through alike become one axis, so that tiles are long however small the pictures are. What a
//! reduction joins, and in what order, does not change.

use crate::graph::NodeId;
use crate::kernel::{Access, Effect, Instruction, Loop, Over};
use crate::tensor::{indices, strides};

/// Neighbouring axes taken as one.
#[derive(Clone, Debug)]
struct Axis {
    size: usize,
    /// Axes that one reduction keeps and another does not, or that are reduced and kept, do not mix.
    part: usize,
    /// The step of each access.
    steps: Vec<usize>,
}

/// The same loop over as few axes as its accesses allow; a loop with stencils keeps its rows and columns.
pub(super) fn collapse(mut body: Loop<NodeId>, shape: &[usize]) -> Loop<NodeId> {
    let stencil = |instruction: &Instruction<_>| matches!(instruction, Instruction::LoadStencil(..) | Instruction::RowStencil(..));
    if shape.len() < 2 || body.space.contains(&0) || body.body.iter().any(stencil) {
        return body;
    }
    let reduces = |wanted: Over| body.effects.iter().any(|effect| matches!(effect, Effect::Reduce { over, .. } if *over == wanted));
    let (rows, columns) = (reduces(Over::Rows), reduces(Over::Columns));
    let list = accesses(&mut body);
    let steps: Vec<Vec<usize>> = list.iter().map(|access| steps(access, shape)).collect();
    let last = shape.len() - 1;
    let part = |axis: usize| usize::from(rows && axis + 1 >= last) + usize::from(columns && axis == last);
    let axes = merged((0..shape.len()).map(|axis| Axis {
        size: shape[axis],
        part: part(axis),
        steps: steps.iter().map(|steps| steps[axis]).collect(),
    }));
    let parts = usize::from(rows) + usize::from(columns);
    let (outer, row, column) = cut(axes, parts);
    for (number, access) in list.into_iter().enumerate() {
        let first = access.outer.first().copied().unwrap_or(0);
        let sizes: Vec<usize> = outer.iter().map(|axis| axis.size).collect();
        let start = |index: Vec<usize>| first + index.iter().zip(&outer).map(|(i, axis)| i * axis.steps[number]).sum::<usize>();
        *access = Access {
            place: access.place,
            outer: indices(&sizes).map(start).collect(),
            rows: row.as_ref().map_or(0, |axis| axis.steps[number]),
            columns: column.as_ref().map_or(0, |axis| axis.steps[number]),
        };
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

/// Outer axes, rows and columns; the columns are reduced ones if any are.
fn cut(mut axes: Vec<Axis>, parts: usize) -> (Vec<Axis>, Option<Axis>, Option<Axis>) {
    let column = axes.pop_if(|axis| axis.part == parts);
    // Where rows and columns are reduced apart, rows of size one are still between them.
    let row = axes.pop_if(|axis| parts < 2 || axis.part == 1);
    (axes, row, column)
}

fn accesses(body: &mut Loop<NodeId>) -> Vec<&mut Access<NodeId>> {
    let loads = body.body.iter_mut().filter_map(|instruction| match instruction {
        Instruction::Load(access) => Some(access),
        _ => None,
    });
    let stores = body.effects.iter_mut().filter_map(|effect| match effect {
        Effect::Store(_, access) => Some(access),
        Effect::Reduce { .. } => None,
    });
    loads.chain(stores).collect()
}

/// The step along each axis of the shape.
fn steps(access: &Access<NodeId>, shape: &[usize]) -> Vec<usize> {
    let outer = &shape[..shape.len() - 2];
    let first = access.outer[0];
    let along = |(size, stride): (&usize, usize)| if *size > 1 { access.outer[stride] - first } else { 0 };
    outer.iter().zip(strides(outer)).map(along).chain([access.rows, access.columns]).collect()
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
