//! The store of terms: equal terms get equal numbers.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

use crate::source::Span;
use crate::spec::{Axis, Element, Per, Prim, Term, TermId, Terms, Type};

/// Terms in the making.
#[derive(Default)]
pub struct Store {
    /// All of them.
    pub terms: Terms,
    known: FxHashMap<u64, Vec<TermId>>,
    /// For each term whether it differs from sample to sample.
    sampled: Vec<bool>,
}

impl Store {
    /// The number of this term; its axes are sorted here.
    pub fn intern(&mut self, prim: Prim, args: Vec<TermId>, element: Element, mut axes: Vec<(Axis, usize)>, span: Span) -> TermId {
        axes.sort();
        let ty = Type { element, axes };
        let key = fingerprint(&prim, &args, &ty);
        let same = self.known.entry(key).or_default();
        for id in same.iter() {
            let term = self.terms.get(*id);
            if term.args == args && term.ty == ty && equal(&term.prim, &prim) {
                return *id;
            }
        }
        let own = match &prim {
            Prim::Field { .. } | Prim::State { .. } | Prim::Solved { .. } | Prim::SampleIndex => true,
            Prim::Draw { per: Per::Sample, .. } => true,
            Prim::Batch(_) | Prim::Average { .. } => false,
            // Summed over the samples where what it goes by is shared.
            Prim::Grad => self.sampled[args[1].0 as usize],
            _ => args.iter().any(|arg| self.sampled[arg.0 as usize]),
        };
        self.sampled.push(own);
        let id = self.terms.push(Term { prim, args, ty, span });
        same.push(id);
        id
    }

    /// Whether a term differs from sample to sample.
    pub fn sampled(&self, id: TermId) -> bool {
        self.sampled[id.0 as usize]
    }

    /// The type of a term.
    pub fn ty(&self, id: TermId) -> &Type {
        &self.terms.get(id).ty
    }
}

/// Bits are compared, so that zero and minus zero stay apart and what is not a number equals itself.
fn equal(a: &Prim, b: &Prim) -> bool {
    match (a, b) {
        (Prim::Const(a), Prim::Const(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}

fn fingerprint(prim: &Prim, args: &[TermId], ty: &Type) -> u64 {
    let mut state = FxHasher::default();
    std::mem::discriminant(prim).hash(&mut state);
    match prim {
        Prim::Const(value) => value.to_bits().hash(&mut state),
        Prim::Unary(op) => op.hash(&mut state),
        Prim::Binary(op) => op.hash(&mut state),
        Prim::Pick(axis, at) | Prim::Slice(axis, at) => (axis, at).hash(&mut state),
        Prim::State { solve, member, state: number } => (solve, member, number).hash(&mut state),
        Prim::Weight(number) | Prim::Averaged(number) | Prim::Called(number) => number.hash(&mut state),
        Prim::Buffer { buffer, call } => (buffer, call).hash(&mut state),
        Prim::Draw { path, .. } => path.hash(&mut state),
        _ => {}
    }
    args.hash(&mut state);
    ty.hash(&mut state);
    state.finish()
}
