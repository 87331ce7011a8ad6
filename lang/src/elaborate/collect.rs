//! Data that a stage makes: what is computed for every sample of other data, and the best of it.

use std::rc::Rc;

use super::Elaborator;
use super::builtin::{Actuals, Given};
use super::value::{Abort, Outcome, Pipeline, Sides, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Axis, Pictures, Prim, Step, TermId, Type};
use crate::syntax::{ExprKind, Name};

impl<'m> Elaborator<'m> {
    /// `collect({ image: x, mask: found }, over: images.train)`.
    pub fn collect(&mut self, actuals: &mut Actuals<'m>, span: Span) -> Outcome<'m> {
        let [fields, over] = ["fields", "over"].map(|label| actuals.take(&[label]));
        let (Some(fields), Some(over)) = (fields, over) else {
            let fault =
                Fault::error("wrong-arguments", "`collect` needs fields and the data that they are computed for", span, "missing here");
            return Err(self.fault(fault.help("`collect({ image: x, mask: found }, over: images.train)`.")));
        };
        let (over, fields) = self.settled(|settled| {
            let data = settled.anew(&over)?;
            Ok((settled.data_of(&data, over.span())?, settled.record(&fields, span)?))
        })?;
        self.reads.extend(fields.iter().map(|(_, id)| (*id, span, Some(over.0))));
        let sides = self.common_sides(&fields);
        Ok(Value::Pipeline(Rc::new(Pipeline { source: Pictures::Collected { over, fields }, steps: Vec::new(), sides })))
    }

    /// `lessons |> most(100, by: score)`.
    pub fn most(&mut self, pipeline: &Pipeline, count: usize, given: Option<Given<'m>>, span: Span) -> Result<Step, Abort> {
        let Pictures::Collected { fields, .. } = &pipeline.source else {
            let fault = Fault::error("wrong-kind", "`most` goes by a field that was computed, and these are pictures", span, "of pictures");
            return Err(
                self.fault(fault.help("Collect first: `collect({ image: x, score: score }, over: images.train) |> most(100, by: score)`."))
            );
        };
        let name = match &given {
            Some(Given::Written(expr, _)) => match &*expr.kind {
                ExprKind::Path(path) if path.segments.len() == 1 => Some(&path.segments[0]),
                _ => None,
            },
            _ => None,
        };
        let Some(name) = name else {
            let fault = Fault::error("wrong-arguments", "`most` needs the name of a field", span, "missing here");
            return Err(self.fault(fault.help("`most(100, by: score)`.")));
        };
        match fields.iter().find(|(own, _)| *own == name.text) {
            Some((_, id)) => self.scalar(*id, name.span, &format!("`{}`", name.text))?,
            None => return Err(self.no_field(fields, name)),
        }
        Ok(Step::Most { count, by: name.text.clone() })
    }

    /// The type of a collected field after the pipeline; none for other data.
    pub fn collected(&self, data: usize, name: &str) -> Option<Type> {
        let item = &self.spec.data[data];
        let mut ty = self.store.ty(self.collected_of(&Prim::Field { data, field: name.to_string() })?).clone();
        let (rows, columns) = self.pixel_axes()?;
        if self.is_picture(&ty) {
            let size = |axis: Axis, size: usize| match axis {
                _ if axis == rows => item.size.0,
                _ if axis == columns => item.size.1,
                _ => size,
            };
            ty.axes = ty.axes.iter().map(|(axis, own)| (*axis, if item.size == (0, 0) { *own } else { size(*axis, *own) })).collect();
        }
        Some(ty)
    }

    /// The term of which a collected field holds the values.
    pub fn collected_of(&self, prim: &Prim) -> Option<TermId> {
        let Prim::Field { data, field } = prim else { return None };
        let Pictures::Collected { fields, .. } = &self.spec.data.get(*data)?.source else { return None };
        fields.iter().find(|(name, _)| name == field).map(|(_, id)| *id)
    }

    /// The fault of a field that was not collected.
    pub fn no_field(&mut self, fields: &[(String, TermId)], name: &Name) -> Abort {
        let message = format!("`{}` is not among the collected fields", name.text);
        let known: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
        let fault = Fault::error("unknown-field", message, name.span, "not found");
        self.fault(super::nearest(fault, &name.text, &known))
    }

    /// An argument's value as it is at the present time, though it was written at another.
    fn anew(&mut self, given: &Given<'m>) -> Outcome<'m> {
        match given {
            Given::Written(expr, scope) if scope.parent.is_none() => {
                let scope = self.module_scope(scope.module);
                self.eval(expr, &scope)
            }
            other => other.value(self),
        }
    }

    fn record(&mut self, given: &Given<'m>, span: Span) -> Result<Vec<(String, TermId)>, Abort> {
        let value = self.anew(given)?;
        let Value::Record(fields) = &value else {
            return Err(self.expected("a record of fields", &value, given.span()));
        };
        fields.iter().map(|(name, value)| Ok((name.clone(), self.operand(&(value.clone(), span), &Value::None)?))).collect()
    }

    /// Pictures of one size, all squares, can be cut and mirrored together.
    fn common_sides(&self, fields: &[(String, TermId)]) -> Sides {
        let Some((rows, columns)) = self.pixel_axes() else { return Sides::Any };
        let sized = |ty: &Type, axis| ty.axes.iter().find(|(own, _)| *own == axis).map(|(_, size)| *size);
        let types = || fields.iter().map(|(_, id)| self.store.ty(*id));
        let mut sides = types().flat_map(|ty| [sized(ty, rows), sized(ty, columns)]).flatten();
        let whole = types().all(|ty| self.is_picture(ty) || (sized(ty, rows).is_none() && sized(ty, columns).is_none()));
        match sides.next() {
            Some(side) if whole && sides.all(|other| other == side) => Sides::Both(side),
            _ => Sides::Any,
        }
    }

    /// Whether the last two axes are those of pixels, as values lie in memory.
    fn is_picture(&self, ty: &Type) -> bool {
        let last = ty.axes.len().checked_sub(2).map(|from| [ty.axes[from].0, ty.axes[from + 1].0]);
        last.is_some() && last == self.pixel_axes().map(|(rows, columns)| [rows, columns])
    }

    fn pixel_axes(&self) -> Option<(Axis, Axis)> {
        Some((*self.axes.get("height")?, *self.axes.get("width")?))
    }
}
