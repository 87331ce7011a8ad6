//! The body of one loop, written backwards from what it must leave behind.

use std::collections::HashMap;

use super::collapse::Steps;
use super::{Fuser, Key, REPEAT};
use crate::graph::{NodeId, Shape};
use crate::kernel::{Access, Effect, Instruction, Loop, Operand, Over, Scalar, space};
use crate::ops::Form;
use crate::tensor::strides;

/// The loop that computes `roots`, and all nodes that it computes. Values of earlier kernels that are too dear to repeat are marked as
/// stored.
pub(super) fn emit(fuser: &mut Fuser, key: &Key, roots: &[NodeId]) -> (Loop<NodeId>, Vec<NodeId>) {
    let (made, values) = (Loop::default(), HashMap::new());
    let mut body = Body { fuser, level: key.0, shape: key.1.clone(), roots, made, values, loads: Vec::new() };
    body.made.space = space(&key.1);
    let mut stores = Vec::new();
    for &root in roots {
        let effect = match body.fuser.form(root) {
            Form::Reduce(join, over) => {
                let operand = body.fuser.graph.operands(root)[0];
                let over = Over::of(key.1.len(), &over).unwrap_or(Over::All);
                Effect::Reduce { value: body.value(operand), join, result: root, over }
            }
            _ => {
                let value = body.computed(root);
                stores.push(body.strided(root).steps(&key.1));
                Effect::Store(value, bare(root))
            }
        };
        body.made.effects.push(effect);
    }
    let computed = |value: &usize| !matches!(body.made.body[*value], Instruction::Load(_) | Instruction::Splat(_));
    let mut made: Vec<_> = body.values.iter().filter(|(_, value)| computed(value)).map(|(id, _)| *id).collect();
    made.extend(roots.iter().filter(|root| !body.values.contains_key(root)));
    made.sort_unstable();
    let steps = body.loads.into_iter().chain(stores).collect();
    (super::collapse::collapse(body.made, &key.1, steps), made)
}

/// The access of a buffer whose steps are given apart.
fn bare(place: NodeId) -> Access<NodeId> {
    Access { place, outer: Vec::new(), rows: 0, columns: 0 }
}

impl Default for Loop<NodeId> {
    fn default() -> Self {
        Loop { space: [1, 1, 1], scalars: Vec::new(), body: Vec::new(), effects: Vec::new() }
    }
}

struct Body<'a, 'b> {
    fuser: &'a mut Fuser<'b>,
    level: usize,
    shape: Shape,
    roots: &'a [NodeId],
    made: Loop<NodeId>,
    values: HashMap<NodeId, usize>,
    /// Where the loads of the body so far begin and step, in order.
    loads: Vec<Steps>,
}

/// A view taken apart: its base, the first element, the step along each axis.
struct Strided {
    base: NodeId,
    first: usize,
    steps: Vec<usize>,
}

impl Strided {
    /// Its first element and its steps; an axis of one element has none.
    fn steps(mut self, shape: &[usize]) -> Steps {
        self.steps.iter_mut().zip(shape).filter(|(_, size)| **size == 1).for_each(|(step, _)| *step = 0);
        Steps { first: self.first, along: self.steps }
    }
}

impl Body<'_, '_> {
    fn operand(&mut self, id: NodeId) -> Operand {
        match self.scalar(id) {
            Some(scalar) => Operand::Scalar(self.scalar_number(scalar)),
            None => Operand::Value(self.value(id)),
        }
    }

    fn scalar_number(&mut self, scalar: Scalar<NodeId>) -> usize {
        let known = self.made.scalars.iter().position(|known| *known == scalar);
        known.unwrap_or_else(|| {
            self.made.scalars.push(scalar);
            self.made.scalars.len() - 1
        })
    }

    /// A value that is the same over the whole space.
    fn scalar(&self, id: NodeId) -> Option<Scalar<NodeId>> {
        let graph = self.fuser.graph;
        let scalar = match self.fuser.form(id) {
            Form::Expand(_) if graph.shape(graph.operands(id)[0]).is_empty() => graph.operands(id)[0],
            Form::Constant(_) => id,
            _ if self.shape.is_empty() && (self.fuser.is_view(id) || self.is_ready(id)) => id,
            _ => return None,
        };
        Some(match self.fuser.form(scalar) {
            Form::Constant(value) => Scalar::Number(value),
            _ => {
                let view = self.strided(scalar);
                match self.fuser.form(view.base) {
                    Form::Constant(value) => Scalar::Number(value),
                    _ => Scalar::At(view.base, view.first),
                }
            }
        })
    }

    fn is_ready(&self, id: NodeId) -> bool {
        let fuser = &self.fuser;
        let before = fuser.level[id.index()] < self.level || !fuser.fused && !self.roots.contains(&id);
        fuser.is_leaf(id) || fuser.stored[id.index()] && before
    }

    /// Number of the instruction that gives a node's value in this loop.
    fn value(&mut self, id: NodeId) -> usize {
        if let Some(&known) = self.values.get(&id) {
            return known;
        }
        if let Some(scalar) = self.scalar(id) {
            let scalar = self.scalar_number(scalar);
            return self.push(id, Instruction::Splat(scalar));
        }
        let earlier = self.fuser.level[id.index()] < self.level;
        if earlier && !self.fuser.is_view(id) && !self.is_ready(id) && self.cost(id, REPEAT) > REPEAT {
            self.fuser.stored[id.index()] = true;
        }
        if self.fuser.is_view(id) || self.is_ready(id) {
            let access = self.load(id);
            return self.push(id, Instruction::Load(access));
        }
        self.computed(id)
    }

    fn computed(&mut self, id: NodeId) -> usize {
        if let Some(&known) = self.values.get(&id) {
            return known;
        }
        let operands = self.fuser.graph.operands(id);
        let instruction = match self.fuser.form(id) {
            Form::Map(function) => Instruction::Apply(function, operands.into_iter().map(|operand| self.operand(operand)).collect()),
            Form::Stencil(taps) => {
                let buffered = self.fuser.is_view(operands[0]) || self.is_ready(operands[0]);
                if !buffered && taps.iter().all(|tap| tap.down == 0) {
                    Instruction::RowStencil(self.value(operands[0]), taps)
                } else {
                    Instruction::LoadStencil(self.load(operands[0]), taps)
                }
            }
            _ => Instruction::Load(self.load(id)),
        };
        self.push(id, instruction)
    }

    fn push(&mut self, id: NodeId, instruction: Instruction<NodeId>) -> usize {
        self.made.body.push(instruction);
        self.values.insert(id, self.made.body.len() - 1);
        self.made.body.len() - 1
    }

    /// How many instructions a value takes that is not stored, counted up to a bit more than `most`.
    fn cost(&self, id: NodeId, most: usize) -> usize {
        if self.is_ready(id) || self.fuser.is_view(id) || self.values.contains_key(&id) {
            return 0;
        }
        if !self.fuser.is_loop(id) || most == 0 {
            return most + 1;
        }
        let mut total = 1;
        for operand in self.fuser.graph.operands(id) {
            if total > most {
                break;
            }
            total += self.cost(operand, most - total);
        }
        total
    }

    /// An access that the next instruction makes.
    fn load(&mut self, id: NodeId) -> Access<NodeId> {
        let view = self.strided(id);
        let access = bare(view.base);
        self.loads.push(view.steps(self.fuser.graph.shape(id)));
        access
    }

    fn strided(&self, id: NodeId) -> Strided {
        let graph = self.fuser.graph;
        let shape = graph.shape(id);
        let below = || self.strided(graph.operands(id)[0]);
        match self.fuser.form(id) {
            Form::Expand(places) => {
                let inner = below();
                let mut steps = vec![0; shape.len()];
                places.iter().zip(&inner.steps).for_each(|(place, step)| steps[*place] = *step);
                Strided { steps, ..inner }
            }
            Form::Pick(axis, at) => {
                let mut inner = below();
                inner.first += at * inner.steps.remove(axis);
                inner
            }
            // Only contiguous values are reshaped: others were copied first.
            Form::Reshape => Strided { steps: strides(shape), ..below() },
            _ => Strided { base: id, first: 0, steps: strides(shape) },
        }
    }
}
