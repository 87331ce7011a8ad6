//! Values of the whole batch. A call that is mapped over axes sees one batch: the samples of the first place of them, then those of the
//! next, as if what is mapped were joined to one long batch.

use std::rc::Rc;

use super::Elaborator;
use super::builtin::Actuals;
use super::number::Number;
use super::value::{Abort, Axes, Outcome, Scope, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Axis, Binary, Element, Prim, Reduction, TermId};

impl<'m> Elaborator<'m> {
    /// `batch(x, as: other)`.
    pub fn batch(&mut self, actuals: &mut Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let x = actuals.value(self, &["x"], span)?;
        let (axes, place) = actuals.axes(self, "as")?;
        let axis = match &axes {
            Axes::Listed(listed) if listed.len() == 1 => listed[0],
            _ => return Err(self.expected("the name of one axis", &Value::Axes(axes.clone()), place)),
        };
        let id = self.operand(&x, &Value::None)?;
        if self.store.ty(id).axes.iter().any(|(own, _)| *own == axis) {
            let message = format!("the value has the axis `{}` already", self.axis_name(axis));
            let fault = Fault::error("axis-mismatch", message, place, "the new axis").also(x.1, self.shown(id));
            return Err(self.fault(fault.help("`batch` makes a new axis of the samples.")));
        }
        let size = self.batch_size(span)?;
        self.batched(id, axis, size, span, scope).map(Value::Tensor)
    }

    /// The mean of a number over the batch: a shared value.
    pub fn mean_of_batch(&mut self, id: TermId, span: Span) -> Result<TermId, Abort> {
        if !self.store.sampled(id) {
            return Ok(id);
        }
        let size = self.batch_size(span)?;
        let Some(axis) = self.axes.get("other").copied() else { return Err(Abort::Faulted) };
        let element = self.store.ty(id).element;
        let all = self.store.intern(Prim::Batch(axis), vec![id], element, vec![(axis, size)], span);
        let sum = self.store.intern(Prim::Reduce(Reduction::Sum, vec![axis]), vec![all], element, vec![], span);
        let count = (Value::Number(Number::whole(size as i64)), span);
        let mean = self.binary(Binary::Divide, (Value::Tensor(sum), span), count, span, &[])?;
        self.operand(&(mean, span), &Value::None)
    }

    /// The size of the batch; where it is not known, values of the whole batch are not executed.
    fn batch_size(&mut self, span: Span) -> Result<usize, Abort> {
        match self.stage().batch {
            Some(size) => Ok(size),
            None => Err(self.pend("values of the whole batch", span)),
        }
    }

    /// All samples along an axis, and the places of the axes over which the call is mapped.
    fn batched(&mut self, id: TermId, axis: Axis, size: usize, span: Span, scope: &Rc<Scope<'m>>) -> Result<TermId, Abort> {
        let folded = scope.folded.clone();
        let mut axes = self.store.ty(id).axes.clone();
        axes.extend(folded.iter().filter(|(new, _)| axes.iter().all(|(own, _)| own != new)).copied().collect::<Vec<_>>());
        let x = self.spread_to(id, axes.clone(), span);
        let element = self.store.ty(x).element;
        axes.push((axis, size));
        self.not_too_large(&axes, span)?;
        let all = if self.store.sampled(x) {
            self.store.intern(Prim::Batch(axis), vec![x], element, axes.clone(), span)
        } else {
            self.spread_to(x, axes.clone(), span)
        };
        if folded.is_empty() {
            return Ok(all);
        }
        let merged: Vec<Axis> = folded.iter().map(|(axis, _)| *axis).chain([axis]).collect();
        let count = folded.iter().map(|(_, size)| size).product::<usize>() * size;
        axes.retain(|(own, _)| !merged.contains(own));
        axes.push((axis, count));
        Ok(self.store.intern(Prim::Merge(merged, axis), vec![all], element, axes, span))
    }

    /// `sample_index()`: my place among what `batch` puts side by side.
    pub fn sample_index(&mut self, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let mut index = Value::Tensor(self.store.intern(Prim::SampleIndex, vec![], Element::Int, vec![], span));
        if scope.folded.is_empty() {
            return Ok(index);
        }
        let mut step = self.batch_size(span)?;
        for (axis, size) in scope.folded.clone().into_iter().rev() {
            let place = self.store.intern(Prim::Index(axis), vec![], Element::Int, vec![(axis, size)], span);
            let by = Value::Number(Number::whole(step as i64));
            let offset = self.binary(Binary::Multiply, (Value::Tensor(place), span), (by, span), span, &scope.carried)?;
            index = self.binary(Binary::Add, (index, span), (offset, span), span, &scope.carried)?;
            step *= size;
        }
        Ok(index)
    }
}
