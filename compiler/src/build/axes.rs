//! The primitives that speak about axes.

use std::sync::Arc;

use segc_lang::fault::Fault;
use segc_lang::spec::{Axis, Prim, Reduction, Term};

use super::{Builder, Dim, Value, named};
use crate::ops::{self, Op};

impl Builder<'_> {
    /// All but those about pictures and draws.
    pub(super) fn along_axes(&mut self, term: &Term) -> Value {
        match &term.prim {
            Prim::Reduce(kind, axes) => self.reduce(*kind, axes, term),
            Prim::ArgMax(axis) => self.without(*axis, term, |axis| Arc::new(ops::ArgMax { axis })),
            Prim::Order(axis) => self.resized(*axis, term, |axis, _, _| Arc::new(ops::Order { axis })),
            Prim::Pick(axis, at) => self.without(*axis, term, |axis| Arc::new(ops::Pick { axis, at: *at })),
            Prim::Index(axis) => {
                let dims: Vec<_> = named(&term.ty).filter(|(dim, _)| *dim == Dim::Axis(*axis)).collect();
                let size = dims.first().map_or(1, |(_, size)| *size);
                Value { node: self.graph.add(Arc::new(ops::Iota { size }), &[]), dims }
            }
            Prim::PickAt(axis) => self.pick_at(Dim::Axis(*axis), term),
            Prim::Slice(axis, from) => self.resized(*axis, term, |axis, _, size| Arc::new(ops::Slice { axis, from: *from, size })),
            Prim::Along(axis, map) => {
                self.resized(*axis, term, |axis, from, to| Arc::new(ops::Resample::new(axis, crate::rows::rows(map, from, to))))
            }
            Prim::Dot(_) => self.dot(term),
            Prim::Stack(axis) => self.stack(term, Dim::Axis(*axis)),
            Prim::Concat(axis) => self.concat(term, Dim::Axis(*axis)),
            Prim::Rename(from, to) => {
                let mut x = self.arg(term, 0);
                let at = x.place(Dim::Axis(*from));
                x.dims[at].0 = Dim::Axis(*to);
                self.ordered(x)
            }
            Prim::Split(axis, into) => {
                let x = self.arg(term, 0);
                let at = x.place(Dim::Axis(*axis));
                let mut dims = x.dims.clone();
                dims.splice(at..=at, into.iter().map(|(axis, size)| (Dim::Axis(*axis), *size)));
                let split = self.reshaped(x, dims);
                self.ordered(split)
            }
            Prim::Merge(from, into) => self.merge(term, from, Dim::Axis(*into)),
            // The others are lowered elsewhere.
            _ => self.arg(term, 0),
        }
    }

    fn reduce(&mut self, kind: Reduction, axes: &[Axis], term: &Term) -> Value {
        let x = self.arg(term, 0);
        let mut over: Vec<_> = axes.iter().map(|axis| x.place(Dim::Axis(*axis))).collect();
        over.sort_unstable();
        let dims = x.dims.iter().enumerate().filter(|(at, _)| !over.contains(at)).map(|(_, dim)| *dim).collect();
        let op: Arc<dyn Op> = match kind {
            Reduction::Sum => Arc::new(ops::Sum { over }),
            Reduction::Max => Arc::new(ops::Max { over }),
            Reduction::Min => Arc::new(ops::Min { over }),
        };
        Value { node: self.graph.add(op, &[x.node]), dims }
    }

    /// An op that takes an axis away.
    fn without(&mut self, axis: Axis, term: &Term, op: impl Fn(usize) -> Arc<dyn Op>) -> Value {
        let mut x = self.arg(term, 0);
        let at = x.place(Dim::Axis(axis));
        x.dims.remove(at);
        Value { node: self.graph.add(op(at), &[x.node]), dims: x.dims }
    }

    /// An op that gives an axis the size that it has in the result; it is told its place, old and new size.
    fn resized(&mut self, axis: Axis, term: &Term, op: impl Fn(usize, usize, usize) -> Arc<dyn Op>) -> Value {
        let mut x = self.arg(term, 0);
        let (at, dim) = (x.place(Dim::Axis(axis)), Dim::Axis(axis));
        let (from, to) = (x.size(dim), named(&term.ty).find(|(own, _)| *own == dim).map_or(1, |(_, size)| size));
        x.dims[at].1 = to;
        Value { node: self.graph.add(op(at, from, to), &[x.node]), dims: x.dims }
    }

    /// An index of run time. Axes that both have align; the others of the index take the place of the axis.
    fn pick_at(&mut self, axis: Dim, term: &Term) -> Value {
        let (x, index) = (self.arg(term, 0), self.arg(term, 1));
        if index.dims.is_empty() {
            let at = x.place(axis);
            let dims = x.dims.iter().filter(|(dim, _)| *dim != axis).copied().collect();
            return Value { node: self.graph.add(Arc::new(ops::PickAt { axis: at }), &[x.node, index.node]), dims };
        }
        let shares = |dim: &Dim| *dim != axis && x.has(*dim) && index.has(*dim);
        let dims_of = |value: &Value| value.dims.iter().map(|(dim, _)| *dim).collect::<Vec<_>>();
        let shared: Vec<Dim> = dims_of(&x).into_iter().filter(shares).collect();
        let rest: Vec<Dim> = dims_of(&x).into_iter().filter(|dim| *dim != axis && !shared.contains(dim)).collect();
        let own: Vec<Dim> = dims_of(&index).into_iter().filter(|dim| !shared.contains(dim)).collect();
        let x = self.permuted(x, &[&shared[..], &[axis], &rest].concat());
        let index = self.permuted(index, &[&shared[..], &own].concat());
        let dims = [&index.dims[..], &x.dims[shared.len() + 1..]].concat();
        let node = self.graph.add(Arc::new(ops::Gather { batch: shared.len() }), &[x.node, index.node]);
        self.ordered(Value { node, dims })
    }

    fn dot(&mut self, term: &Term) -> Value {
        let [a, b] = [0, 1].map(|i| self.arg(term, i));
        let dims = self.joint(term, &[a.clone(), b.clone()]);
        let mut all: Vec<Dim> = a.dims.iter().chain(&b.dims).map(|(dim, _)| *dim).collect();
        all.sort_unstable();
        all.dedup();
        let letter = |(dim, _): &(Dim, usize)| all.iter().position(|own| own == dim).unwrap_or(0) as u8;
        let letters = |dims: &[(Dim, usize)]| dims.iter().map(letter).collect::<Vec<u8>>();
        let op = ops::Dot { a: letters(&a.dims), b: letters(&b.dims), result: letters(&dims) };
        Value { node: self.graph.add(Arc::new(op), &[a.node, b.node]), dims }
    }

    fn stack(&mut self, term: &Term, axis: Dim) -> Value {
        let parts: Vec<_> = (0..term.args.len()).map(|i| self.arg(term, i)).collect();
        let dims = self.joint(term, &parts);
        let at = dims.iter().position(|(dim, _)| *dim == axis).unwrap_or(0);
        let inner: Vec<_> = dims.iter().filter(|(dim, _)| *dim != axis).copied().collect();
        let mut thin = dims.clone();
        thin[at].1 = 1;
        let slices: Vec<_> = parts
            .iter()
            .map(|part| {
                let node = self.expanded(part, &inner);
                self.graph.add(Arc::new(ops::Reshape { shape: super::sizes(&thin) }), &[node])
            })
            .collect();
        Value { node: self.graph.add(Arc::new(ops::Concat { axis: at }), &slices), dims }
    }

    fn concat(&mut self, term: &Term, axis: Dim) -> Value {
        let parts: Vec<_> = (0..term.args.len()).map(|i| self.arg(term, i)).collect();
        let dims = self.joint(term, &parts);
        let at = dims.iter().position(|(dim, _)| *dim == axis).unwrap_or(0);
        let slices: Vec<_> = parts
            .iter()
            .map(|part| {
                let mut own = dims.clone();
                own[at].1 = part.size(axis);
                self.expanded(part, &own)
            })
            .collect();
        Value { node: self.graph.add(Arc::new(ops::Concat { axis: at }), &slices), dims }
    }

    fn merge(&mut self, term: &Term, from: &[Axis], into: Dim) -> Value {
        let from: Vec<Dim> = from.iter().map(|axis| Dim::Axis(*axis)).collect();
        let x = self.arg(term, 0);
        let mut together: Vec<Dim> = x.dims.iter().map(|(dim, _)| *dim).filter(|dim| !from.contains(dim)).collect();
        let at = together.len();
        together.extend(from);
        let x = self.permuted(x, &together);
        let mut dims = x.dims.clone();
        let merged = dims.drain(at..).map(|(_, size)| size).product();
        dims.push((into, merged));
        let x = self.reshaped(x, dims);
        self.ordered(x)
    }

    /// The samples along a named axis: a shared value.
    pub(super) fn side_by_side(&mut self, axis: Axis, term: &Term) -> Result<Value, Fault> {
        let x = self.arg(term, 0);
        let (axis, count) = (Dim::Axis(axis), self.batch.unwrap_or(1));
        let asked = named(&term.ty).find(|(dim, _)| *dim == axis).map_or(1, |(_, size)| size);
        if asked != count {
            let message = format!("the program is for {count} samples at a time, this takes {asked}");
            return Err(Fault::error("not-executable-yet", message, term.span, format!("{asked} samples")));
        }
        if x.is_per_sample() {
            let mut x = x;
            x.dims[0].0 = axis;
            return Ok(self.ordered(x));
        }
        let dims: Vec<_> = named(&term.ty).collect();
        Ok(Value { node: self.expanded(&x, &dims), dims })
    }
}
