//! Schedules: how much of the phase is over.

use super::Elaborator;
use super::builtin::Actuals;
use super::number::Number;
use super::value::{Outcome, Value};
use crate::source::{SourceId, Span};
use crate::spec::{Binary, Element, Prim, TermId, Unit};
use crate::syntax;

impl<'m> Elaborator<'m> {
    /// How much of the phase is over, counted in this unit.
    pub fn elapsed(&mut self, unit: Unit) -> TermId {
        let nowhere = Span { source: SourceId(0), start: 0, end: 0 };
        self.store.intern(Prim::Elapsed(unit), vec![], Element::Real, vec![], nowhere)
    }

    /// `progress(60k samples)`.
    pub fn progress(&mut self, actuals: &mut Actuals<'m>, span: Span) -> Outcome<'m> {
        let (over, place) = actuals.value(self, &["over"], span)?;
        let Value::Duration(length, unit) = over else { return Err(self.expected("a duration, as in `30k steps`,", &over, place)) };
        let unit = match unit {
            syntax::Unit::Steps => Unit::Steps,
            syntax::Unit::Samples => Unit::Samples,
            syntax::Unit::Epochs => Unit::Epochs,
        };
        if length == Number::ZERO {
            return Ok(Value::Number(Number::Real(f64::INFINITY)));
        }
        let elapsed = self.store.intern(Prim::Elapsed(unit), vec![], Element::Real, vec![], span);
        self.binary(Binary::Divide, (Value::Tensor(elapsed), span), (Value::Number(length), place), span, &[])
    }
}
