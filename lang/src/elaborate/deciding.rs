//! What a phase decides and shows: terms in which all models are settled.

use std::rc::Rc;

use super::training::Present;
use super::value::{Abort, Scene, Scope, Value};
use super::{Elaborator, Sink};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Axis, Element, Prim, TermId};
use crate::syntax::Expr;

impl<'m> Elaborator<'m> {
    /// `keep best by E`, `restart when E`, `finish when E`: one number or truth value for the whole phase; none where models train.
    pub fn decision(&mut self, by: &'m Expr, element: Element, what: &'static str, present: &Present<'m>) -> Result<Option<TermId>, Abort> {
        if present.training {
            return Ok(None);
        }
        let value = match self.eval(by, &present.scope) {
            Err(Abort::Pending(origins)) => {
                self.check_trained(&origins, by.span, what);
                return Err(Abort::Pending(origins));
            }
            value => value?,
        };
        let truth = |value: &Value<'m>| match value {
            Value::Bool(_) => true,
            Value::Tensor(id) => self.store.ty(*id).element == Element::Bool,
            _ => false,
        };
        if truth(&value) != (element == Element::Bool) {
            let due = if element == Element::Bool { "true or false" } else { "a number" };
            return Err(self.expected(due, &value, by.span));
        }
        let id = self.operand(&(value, by.span), &Value::None)?;
        self.one_for_all(id, by.span)?;
        self.sinks.push((id, by.span, Sink::Decision(what)));
        Ok(Some(id))
    }

    fn one_for_all(&mut self, id: TermId, span: Span) -> Result<(), Abort> {
        self.scalar(id, span, "what decides")?;
        if !self.store.sampled(id) {
            return Ok(());
        }
        let fault = Fault::error("wrong-kind", "what decides differs from sample to sample", span, "computed for every sample");
        Err(self.fault(fault.help("Read an evaluation, as in `validation.iou`, or take an average: `average(.., over: images.valid)`.")))
    }

    /// The pictures of `show N of A, B`, with names; none where models train. Where they are made of the whole batch, those that are
    /// shown are the batch.
    pub fn pictures_of(&mut self, values: &'m [Expr], count: usize, present: &Present<'m>) -> Result<Vec<(String, TermId)>, Abort> {
        if present.training {
            return Ok(Vec::new());
        }
        match self.named_pictures(values, &present.scope) {
            Err(Abort::Pending(_)) => self.in_a_batch_of(count, |joined| {
                let scope = joined.phase_scope(&present.planned);
                joined.named_pictures(values, &scope)
            }),
            known => known,
        }
    }

    fn named_pictures(&mut self, values: &'m [Expr], scope: &Rc<Scope<'m>>) -> Result<Vec<(String, TermId)>, Abort> {
        let mut shown = Vec::new();
        for written in values {
            let value = self.eval(written, scope)?;
            let name = self.modules.sources.slice(written.span).split_whitespace().collect::<Vec<_>>().join(" ");
            self.name_pictures(value, name, written.span, &mut shown)?;
        }
        Ok(shown)
    }

    fn name_pictures(&mut self, value: Value<'m>, name: String, span: Span, shown: &mut Vec<(String, TermId)>) -> Result<(), Abort> {
        match value {
            Value::None => Ok(()),
            Value::Scene(scene) => self.scene_pictures(&scene, &name, span, shown),
            Value::Record(fields) => {
                fields.iter().try_for_each(|(field, value)| self.name_pictures(value.clone(), format!("{name}.{field}"), span, shown))
            }
            Value::List(items) => {
                let mut items = items.iter().enumerate();
                items.try_for_each(|(at, item)| self.name_pictures(item.clone(), format!("{name}.{at}"), span, shown))
            }
            Value::Family(found) => {
                for index in self.indices(&found)? {
                    let value = self.member(&found, Some(&index), span)?;
                    self.name_pictures(value, format!("{name}.{}", index.key().unwrap_or_default()), span, shown)?;
                }
                Ok(())
            }
            value => {
                let id = self.operand(&(value, span), &Value::None)?;
                shown.push((name, self.picture(id, span)?));
                Ok(())
            }
        }
    }

    /// The layers of a scene, from the back to the front, and what they make together.
    fn scene_pictures(&mut self, scene: &Rc<Scene<'m>>, name: &str, span: Span, shown: &mut Vec<(String, TermId)>) -> Result<(), Abort> {
        for (layer, value) in self.named_layers(scene, span)? {
            let Value::Record(fields) = value? else { return Err(Abort::Faulted) };
            for (field, value) in fields.iter() {
                if self.is_plain(value) {
                    continue;
                }
                self.name_pictures(value.clone(), format!("{name}.{layer}.{field}"), span, shown)?;
            }
        }
        let whole = self.library("render", vec![Value::Scene(scene.clone())], span, &scene.scope)?;
        self.name_pictures(whole, format!("{name}.render"), span, shown)
    }

    /// Whether a value is the mask of a layer that has none.
    fn is_plain(&self, value: &Value<'m>) -> bool {
        let Value::Tensor(id) = value else { return false };
        let term = self.store.terms.get(*id);
        term.prim == Prim::Spread && matches!(self.store.terms.get(term.args[0]).prim, Prim::Const(_))
    }

    /// A value that can be shown: `[height, width]`, or with one or three channels.
    fn picture(&mut self, id: TermId, span: Span) -> Result<TermId, Abort> {
        let axis = |name: &str| self.axes.get(name).copied();
        let (channel, pixels) = (axis("channel"), [axis("height"), axis("width")]);
        let ty = self.store.ty(id).clone();
        let rest: Vec<&(Axis, usize)> = ty.axes.iter().filter(|(own, _)| !pixels.contains(&Some(*own))).collect();
        let fits = match rest.as_slice() {
            [] => true,
            [(own, size)] => Some(*own) == channel && [1, 3].contains(size),
            _ => false,
        };
        if !fits || ty.axes.len() != rest.len() + 2 {
            let shown = self.shown(id);
            let fault = Fault::error("axis-mismatch", format!("a picture or a mask is shown, this has {shown}"), span, shown);
            return Err(self.fault(fault.help("Show scenes, `[height, width]`, or `[channel, height, width]` with one or three channels.")));
        }
        if ty.element == Element::Bool { self.indicator(id, span) } else { Ok(id) }
    }
}
