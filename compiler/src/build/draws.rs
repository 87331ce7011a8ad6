//! Random draws: counter-based numbers of the program's place in the run, brought to their distribution by ordinary ops.

use std::sync::Arc;

use segc_lang::fault::Fault;
use segc_lang::spec::{Distribution, Per, Term};

use super::{Builder, Dim, Leaf, Value, named, not_yet};
use crate::graph::NodeId;
use crate::kernel::Chance;
use crate::ops;

impl Builder<'_> {
    pub(super) fn draw(&mut self, from: Distribution, path: &str, per: Per, term: &Term) -> Result<Value, Fault> {
        let numbers: Vec<_> = (0..term.args.len()).map(|i| self.graph.as_number(self.arg(term, i).node)).collect();
        let constant =
            |i: usize| numbers.get(i).copied().flatten().ok_or_else(|| not_yet("a parameter of run time of this draw", term.span));
        let chance = match from {
            Distribution::Normal | Distribution::Sphere | Distribution::Orthogonal => Chance::Normal,
            Distribution::Uniform | Distribution::Bernoulli => Chance::Uniform,
            Distribution::Integers => Chance::Integer((constant(1)? - constant(0)?).max(1.0) as u64),
            Distribution::Beta => Chance::Beta(constant(0)?.to_bits(), constant(1)?.to_bits()),
            Distribution::Permutation => Chance::Permutation,
        };
        let raw = self.raw(chance, path, per, term);
        Ok(match from {
            Distribution::Normal => {
                let part = self.joined(Arc::new(ops::Multiply), raw, self.arg(term, 1), term);
                self.joined(Arc::new(ops::Add), part, self.arg(term, 0), term)
            }
            Distribution::Uniform => {
                let (low, high) = (self.arg(term, 0), self.arg(term, 1));
                let width = self.joined(Arc::new(ops::Subtract), high, low.clone(), term);
                let part = self.joined(Arc::new(ops::Multiply), raw, width, term);
                self.joined(Arc::new(ops::Add), part, low, term)
            }
            Distribution::Bernoulli => self.joined(Arc::new(ops::Less), raw, self.arg(term, 0), term),
            Distribution::Integers => self.joined(Arc::new(ops::Add), raw, self.arg(term, 0), term),
            Distribution::Sphere => self.on_the_sphere(raw),
            Distribution::Orthogonal => {
                let made = self.orthogonal(raw, term)?;
                self.joined(Arc::new(ops::Multiply), made, self.arg(term, 0), term)
            }
            _ => raw,
        })
    }

    /// The numbers themselves. A draw for all samples is made at sample 0, one for all turns of a step at turn 0, a first value at the
    /// beginning of a phase: of the run, or anew where a model is started again.
    fn raw(&mut self, chance: Chance, path: &str, per: Per, term: &Term) -> Value {
        let samples = self.batch.filter(|_| per == Per::Sample);
        let own: Vec<_> = named(&term.ty).collect();
        let mut operands = vec![self.clock(per)];
        if per == Per::Sample {
            operands.push(self.leaf(Leaf::Samples, self.batch.into_iter().chain([2]).collect()));
        }
        let op = ops::Random { chance, path: path.to_owned(), shape: super::sizes(&own) };
        let node = self.graph.add(Arc::new(op), &operands);
        Value { node, dims: samples.map(|size| (Dim::Samples, size)).into_iter().chain(own).collect() }
    }

    /// The clock without the parts that a draw does not depend on; see [`Leaf::Clock`].
    fn clock(&mut self, per: Per) -> NodeId {
        let clock = self.leaf(Leaf::Clock, vec![8]);
        let part = self.graph.add(Arc::new(ops::Iota { size: 8 }), &[]);
        let counts: Arc<dyn ops::Op> = match per {
            Per::Sample | Per::Batch => return clock,
            Per::Step => Arc::new(ops::NotEqual),
            Per::Start => Arc::new(ops::Less),
        };
        let from = self.graph.filled(5.0, &[8]);
        let counts = self.graph.add(counts, &[part, from]);
        self.graph.times(clock, counts)
    }

    /// An element-wise op of two values of which one may lack axes.
    fn joined(&mut self, op: Arc<dyn ops::Op>, a: Value, b: Value, term: &Term) -> Value {
        let sides = [a, b];
        let dims = self.joint(term, &sides);
        let [a, b] = sides.map(|side| self.expanded(&side, &dims));
        Value { node: self.graph.add(op, &[a, b]), dims }
    }

    /// The axis `out` against the others.
    fn orthogonal(&mut self, x: Value, term: &Term) -> Result<Value, Fault> {
        let out = self.axis("out", term)?;
        if x.is_per_sample() || !x.has(out) {
            return Err(not_yet("an orthogonal draw that is no first value of a weight with the axis `out`", term.span));
        }
        let order: Vec<Dim> = std::iter::once(out).chain(x.dims.iter().map(|(dim, _)| *dim).filter(|dim| *dim != out)).collect();
        let x = self.permuted(x, &order);
        let shape = vec![x.size(out), x.dims[1..].iter().map(|(_, size)| size).product()];
        let matrix = self.graph.add(Arc::new(ops::Reshape { shape }), &[x.node]);
        let made = self.graph.add(Arc::new(ops::Orthonormal), &[matrix]);
        let node = self.graph.add(Arc::new(ops::Reshape { shape: super::sizes(&x.dims) }), &[made]);
        Ok(self.ordered(Value { node, dims: x.dims }))
    }

    fn on_the_sphere(&mut self, x: Value) -> Value {
        let over: Vec<_> = (0..x.dims.len()).filter(|at| x.dims[*at].0 != Dim::Samples).collect();
        let squares = self.graph.times(x.node, x.node);
        let total = self.graph.sum(squares, &over);
        let length = self.graph.add(Arc::new(ops::Sqrt), &[total]);
        let places: Vec<_> = (0..x.dims.len()).filter(|at| !over.contains(at)).collect();
        let length = self.graph.expand(length, &super::sizes(&x.dims), &places);
        Value { node: self.graph.over(x.node, length), dims: x.dims }
    }
}
