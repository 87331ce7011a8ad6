//! A critic with statistics of the batch that sees photographs and fakes in two forwards.

use std::collections::BTreeSet;

use super::Elaborator;
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Prim, Term, TermId, belongs};

impl Elaborator<'_> {
    /// Warns where a loss that trains some models calls one of them twice, once on what is read from data and once on what is not, and
    /// the model keeps running statistics of its batches.
    pub fn check_forwards(&mut self, loss: TermId, place: Span, models: &[String]) {
        let calls = self.calls_below(loss);
        let mut seen: Vec<(usize, bool)> = Vec::new();
        for call in calls {
            for (buffer, next) in self.spec.calls[call].states.clone() {
                let path = &self.spec.buffers[buffer].path;
                let Some(next) = next.filter(|_| models.iter().any(|model| belongs(path, model))) else { continue };
                if !self.is_below(next, |prim| matches!(prim, Prim::Batch(_))) {
                    continue;
                }
                let real = self.is_below(next, |prim| matches!(prim, Prim::Field { .. }));
                if seen.iter().any(|(own, theirs)| *own == buffer && *theirs != real) {
                    return self.two_forwards(models, buffer, place);
                }
                seen.push((buffer, real));
            }
        }
    }

    fn two_forwards(&mut self, models: &[String], buffer: usize, place: Span) {
        let path = &self.spec.buffers[buffer].path;
        let model = models.iter().find(|model| belongs(path, model)).cloned().unwrap_or_default();
        let message = format!("`{model}` sees photographs and fakes in two forwards, each with statistics of its own");
        let fault = Fault::warning("one-forward", message, self.own_place(place), format!("here `{model}` is called for each"));
        let help = "The statistics of a batch alone can then tell the two apart. For one forward stack them, as in \
                    `D(stack([real, fake], as: kind))`.";
        self.fault(fault.help(help));
    }

    /// Calls of nets with states that a term needs, in the order in which they were made.
    fn calls_below(&self, root: TermId) -> BTreeSet<usize> {
        let call = |term: &Term| if let Prim::Called(call) = term.prim { Some(call) } else { None };
        self.store.terms.below(&[root]).into_iter().filter_map(call).collect()
    }

    fn is_below(&self, root: TermId, wanted: fn(&Prim) -> bool) -> bool {
        self.store.terms.below(&[root]).iter().any(|term| wanted(&term.prim))
    }
}
