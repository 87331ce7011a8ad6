//! Weights and states of nets: each is known by its path, has one type and one first value.

use std::rc::Rc;

use super::Elaborator;
use super::ops::Axes;
use super::value::{Abort, Outcome, Scope, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Act, Axis, Buffer, Element, Per, Prim, Statement, TermId, Type, Weight};
use crate::syntax::Stored;

impl<'m> Elaborator<'m> {
    /// A weight that is read: it exists from now on.
    pub fn weight(&mut self, stored: &'m Stored, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let (path, ty, order) = self.stored_type(stored, scope)?;
        let number = match self.declared(&path, &ty, stored.name.span, self.weight_paths.get(&path).copied())? {
            Some(number) => number,
            None => {
                let start = self.start(stored, &path, &ty, scope)?;
                let number = self.spec.weights.len();
                self.weight_paths.insert(path.clone(), (number, self.calls_here(stored.name.span)));
                self.spec.weights.push(Weight { path, ty: ty.clone(), order, start, span: stored.name.span });
                number
            }
        };
        Ok(Value::Tensor(self.store.intern(Prim::Weight(number), vec![], ty.element, ty.axes, stored.name.span)))
    }

    /// A state as the present call finds it.
    pub fn state(&mut self, stored: &'m Stored, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let buffer = self.buffer(stored, scope)?;
        let Some(call) = scope.call else { return Err(Abort::Faulted) };
        let ty = self.spec.buffers[buffer].ty.clone();
        Ok(Value::Tensor(self.store.intern(Prim::Buffer { buffer, call }, vec![], ty.element, ty.axes, stored.name.span)))
    }

    /// The number of a state.
    pub fn buffer(&mut self, stored: &'m Stored, scope: &Rc<Scope<'m>>) -> Result<usize, Abort> {
        let (path, ty, order) = self.stored_type(stored, scope)?;
        if let Some(number) = self.declared(&path, &ty, stored.name.span, self.buffer_paths.get(&path).copied())? {
            return Ok(number);
        }
        let start = self.start(stored, &path, &ty, scope)?;
        let number = self.spec.buffers.len();
        self.buffer_paths.insert(path.clone(), (number, self.calls_here(stored.name.span)));
        self.spec.buffers.push(Buffer { path, ty, order, start, span: stored.name.span });
        Ok(number)
    }

    /// Path, type, and axes in the order of the declaration; all follow from the application.
    fn stored_type(&mut self, stored: &'m Stored, scope: &Rc<Scope<'m>>) -> Result<(String, Type, Vec<Axis>), Abort> {
        let Some(instance) = &scope.instance else { return Err(Abort::Faulted) };
        let path = format!("{instance}.{}", stored.name.text);
        let order = |axes: &Axes| axes.iter().map(|(axis, _)| *axis).collect();
        let Some(ty) = &stored.ty else {
            let ty = self.type_of_start(stored, scope)?;
            let order = order(&ty.axes);
            return Ok((path, ty, order));
        };
        match self.tensor_type(ty, scope)? {
            Some((element, mut axes)) => {
                let order = order(&axes);
                axes.sort();
                Ok((path, Type { element, axes }, order))
            }
            None => {
                let message = format!("the type of `{}` has a size that is not known here", stored.name.text);
                let fault = Fault::error("bad-size", message, ty.span, "every axis needs a size");
                Err(self.fault(fault.help("Name axes of the net's inputs, or write the size: `[feature: 64]`.")))
            }
        }
    }

    fn type_of_start(&mut self, stored: &'m Stored, scope: &Rc<Scope<'m>>) -> Result<Type, Abort> {
        let value = self.eval(&stored.value, scope)?;
        if let Some(drawn) = self.distribution_of(&value, stored.value.span)? {
            return Ok(Type { element: drawn.from.element(), axes: drawn.axes.clone() });
        }
        let id = self.operand(&(value, stored.value.span), &Value::None)?;
        Ok(self.store.ty(id).clone())
    }

    /// The number of what is known by this path; it has one type.
    fn declared(&mut self, path: &str, ty: &Type, span: Span, known: Option<(usize, Span)>) -> Result<Option<usize>, Abort> {
        let Some((number, place)) = known else { return Ok(None) };
        let own = self.spec.weights.get(number).filter(|weight| weight.path == path).map(|weight| &weight.ty);
        let own = own.or_else(|| self.spec.buffers.get(number).filter(|buffer| buffer.path == path).map(|buffer| &buffer.ty));
        let Some(own) = own.filter(|own| *own != ty) else { return Ok(Some(number)) };
        let (first, second) = (self.shown_axes(&own.axes), self.shown_axes(&ty.axes));
        let here = self.calls_here(span);
        let message = format!("`{path}` has one size, and is needed with two: {first} and {second}");
        let fault = Fault::error("size-mismatch", message, here, format!("needs {second}"));
        let fault = fault.also(place, format!("needs {first}"));
        Err(self.fault(fault.help("What is shared is applied to values of one size. Make two parts or models of it.")))
    }

    /// The innermost call in the spec that leads here.
    fn calls_here(&self, span: Span) -> Span {
        self.own_place(span)
    }

    /// The first value: a draw of its own, or a constant.
    fn start(&mut self, stored: &'m Stored, path: &str, ty: &Type, scope: &Rc<Scope<'m>>) -> Result<TermId, Abort> {
        let place = stored.value.span;
        let value = self.eval(&stored.value, scope)?;
        let start = match self.distribution_of(&value, place)? {
            Some(drawn) => {
                let prim = Prim::Draw { from: drawn.from, path: path.to_string(), per: Per::Start };
                self.store.intern(prim, drawn.args.clone(), drawn.from.element(), ty.axes.clone(), place)
            }
            None => self.operand(&(value, place), &Value::None)?,
        };
        let own = self.store.ty(start).axes.clone();
        let fits = own.is_empty() || own == ty.axes;
        if !fits || (self.store.ty(start).element == Element::Bool) != (ty.element == Element::Bool) {
            return Err(self.bad_start(stored, &own, &ty.axes));
        }
        if self.store.sampled(start) {
            let fault =
                Fault::error("wrong-kind", format!("the first `{}` differs from sample to sample", stored.name.text), place, "here");
            return Err(self.fault(fault.help("Weights and states are there before the first sample: draw them, or give a constant.")));
        }
        Ok(start)
    }

    fn bad_start(&mut self, stored: &'m Stored, own: &Axes, due: &Axes) -> Abort {
        let (own, due) = (self.shown_axes(own), self.shown_axes(due));
        let message = format!("the first `{}` must have {due}", stored.name.text);
        self.fault(Fault::error("axis-mismatch", message, stored.value.span, format!("this has {own}")))
    }

    /// Weights get the numbers of their paths' order.
    pub fn sort_weights(&mut self) {
        let mut order: Vec<usize> = (0..self.spec.weights.len()).collect();
        order.sort_by(|a, b| self.spec.weights[*a].path.cmp(&self.spec.weights[*b].path));
        let mut numbers = vec![0; order.len()];
        order.iter().enumerate().for_each(|(new, old)| numbers[*old] = new);
        self.spec.weights.sort_by(|a, b| a.path.cmp(&b.path));
        for term in self.store.terms.iter_mut() {
            if let Prim::Weight(number) | Prim::Averaged(number) = &mut term.prim {
                *number = numbers[*number];
            }
        }
        self.spec.phases.iter_mut().for_each(|phase| renumber(&mut phase.body, &numbers));
    }
}

fn renumber(statements: &mut [Statement], numbers: &[usize]) {
    for statement in statements {
        let weights = match &mut statement.act {
            Act::Update(update) => update.terms.as_mut().map(|terms| &mut terms.weights),
            Act::Average(average) => Some(&mut average.weights),
            Act::Together(inner) | Act::Every(_, inner) | Act::Finally(inner) => {
                renumber(inner, numbers);
                None
            }
            _ => None,
        };
        weights.into_iter().flatten().for_each(|(number, _)| *number = numbers[*number]);
    }
}
