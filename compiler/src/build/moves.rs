//! `translate`: moves that are known become a stencil, others move whole pictures at run time.

use std::sync::Arc;

use segc_lang::spec::{Axis, Distribution, Element, Prim, Term, TermId, Unary};

use super::{Builder, Dim, Value};
use crate::graph::NodeId;
use crate::kernel::Tap;
use crate::ops;

impl Builder<'_> {
    /// A move by `d` is one by the whole pixels below it and one further, weighted with `1 - f` and `f` for the fraction f of d.
    pub(super) fn translate(&mut self, term: &Term, height: Axis, width: Axis) -> Value {
        let parts = [0, 1, 2].map(|i| self.arg(term, i));
        let known = [1, 2].map(|i: usize| self.graph.as_number(parts[i].node));
        let picture = [Dim::Axis(height), Dim::Axis(width)];
        let moved = match known {
            [Some(right), Some(down)] => {
                let x = self.last(parts[0].clone(), &[], &picture);
                // What moves farther than the picture is wide leaves it wherever it goes.
                let size = |back: usize| x.dims[x.dims.len() - back].1 as f64 + 1.0;
                let (right, down) = (right.clamp(-size(1), size(1)), down.clamp(-size(2), size(2)));
                Value { node: self.graph.add(Arc::new(ops::Stencil { taps: taps(right, down) }), &[x.node]), dims: x.dims }
            }
            _ => self.moved(term, &parts, &picture),
        };
        self.ordered(moved)
    }

    /// A value whose axes are first `lead`, then others, then the two of the picture.
    fn last(&mut self, x: Value, lead: &[Dim], picture: &[Dim; 2]) -> Value {
        let own = x.dims.iter().map(|(dim, _)| *dim);
        let rest: Vec<Dim> = own.filter(|dim| !lead.contains(dim) && !picture.contains(dim)).collect();
        self.permuted(x, &[lead, &rest, picture].concat())
    }

    fn moved(&mut self, term: &Term, parts: &[Value; 3], picture: &[Dim; 2]) -> Value {
        let dims = self.joint(term, parts);
        let lead: Vec<_> = dims.iter().filter(|(dim, _)| parts[1].has(*dim) || parts[2].has(*dim)).copied().collect();
        let x = Value { node: self.expanded(&parts[0], &dims), dims };
        let x = self.last(x, &lead.iter().map(|(dim, _)| *dim).collect::<Vec<_>>(), picture);
        let moves = [1, 2].map(|i| (self.expanded(&parts[i], &lead), self.is_whole(term.args[i])));
        let shape = self.graph.shape(x.node).to_vec();
        let places: Vec<usize> = (0..lead.len()).collect();
        let [rights, downs] = moves.map(|(by, whole)| if whole { vec![(by, None)] } else { self.broken(by, &shape, &places) });
        let mut total: Option<NodeId> = None;
        for (down, below) in &downs {
            for (right, beside) in &rights {
                let mut part = self.graph.add(Arc::new(ops::Shift { batch: lead.len() }), &[x.node, *right, *down]);
                for weight in [below, beside].into_iter().flatten() {
                    part = self.graph.times(part, *weight);
                }
                total = Some(total.map_or(part, |sum| self.graph.plus(sum, part)));
            }
        }
        Value { node: total.unwrap_or(x.node), dims: x.dims }
    }

    /// The two whole moves about a broken one, with their weights over the whole picture.
    fn broken(&mut self, by: NodeId, shape: &[usize], places: &[usize]) -> Vec<(NodeId, Option<NodeId>)> {
        let one = self.graph.number(1.0);
        let near = self.graph.add(Arc::new(ops::Floor), &[by]);
        let far = self.graph.plus(near, one);
        let part = self.graph.minus(by, near);
        let rest = self.graph.minus(one, part);
        [(near, rest), (far, part)].map(|(by, weight)| (by, Some(self.graph.expand(weight, shape, places)))).into()
    }

    /// Whether a move is known to be by whole pixels.
    fn is_whole(&self, id: TermId) -> bool {
        let term = self.spec.terms.get(id);
        match &term.prim {
            Prim::Const(value) => value.fract() == 0.0,
            Prim::Unary(Unary::Round | Unary::Floor) | Prim::Draw { from: Distribution::Integers, .. } => true,
            Prim::Unary(Unary::Negate) | Prim::Stop | Prim::Spread | Prim::Batch(_) | Prim::Called(_) => self.is_whole(term.args[0]),
            _ => term.ty.element == Element::Int,
        }
    }
}

/// The stencil of a move.
fn taps(right: f64, down: f64) -> Vec<Tap> {
    let parts = |by: f64| [(by.floor(), 1.0 - (by - by.floor())), (by.floor() + 1.0, by - by.floor())];
    let all = parts(down).into_iter().flat_map(|(down, below)| {
        let tap = move |(right, beside)| Tap { down: down as isize, right: right as isize, weight: below * beside };
        parts(right).map(tap)
    });
    all.filter(|tap| tap.weight != 0.0).collect()
}
