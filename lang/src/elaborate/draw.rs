//! Distributions, and draws from them.

use std::rc::Rc;

use super::Elaborator;
use super::builtin::Actuals;
use super::number::Number;
use super::value::{Abort, Distributed, Origin, Outcome, Scope, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{self, Distribution, Element, Prim, TermId};
use crate::syntax::{Draw, Entry, Origin as Written, Per};

/// The functions that give distributions.
const DISTRIBUTIONS: [&str; 8] = ["normal", "uniform", "bernoulli", "integers", "beta", "permutation", "sphere", "orthogonal"];

impl Distribution {
    /// The elements of what is drawn.
    pub fn element(self) -> Element {
        match self {
            Distribution::Bernoulli => Element::Bool,
            Distribution::Integers | Distribution::Permutation => Element::Int,
            _ => Element::Real,
        }
    }
}

impl<'m> Elaborator<'m> {
    /// `normal(0, s)`.
    pub fn distribution(&mut self, name: &'m str, actuals: &mut Actuals<'m>, span: Span) -> Outcome<'m> {
        let (from, formals): (_, &[(&str, Option<Number>)]) = match name {
            "normal" => (Distribution::Normal, &[("mean", Some(Number::ZERO)), ("deviation", Some(Number::ONE))]),
            "uniform" => (Distribution::Uniform, &[("low", Some(Number::ZERO)), ("high", Some(Number::ONE))]),
            "bernoulli" => (Distribution::Bernoulli, &[("chance", Some(Number::HALF))]),
            "integers" => (Distribution::Integers, &[("low", None), ("high", None)]),
            "beta" => (Distribution::Beta, &[("a", None), ("b", None)]),
            "permutation" => (Distribution::Permutation, &[]),
            "sphere" => (Distribution::Sphere, &[]),
            _ => (Distribution::Orthogonal, &[("gain", Some(Number::ONE))]),
        };
        let constant = matches!(from, Distribution::Integers | Distribution::Beta | Distribution::Orthogonal);
        let mut args = Vec::new();
        for (label, default) in formals {
            let value = match (default, actuals.given.iter().any(|(own, _)| own.is_none_or(|own| own.text == *label))) {
                (Some(default), false) => (Value::Number(*default), span),
                _ => actuals.value(self, &[*label], span)?,
            };
            if constant && !matches!(value.0, Value::Number(_)) {
                return Err(self.expected("a number known when compiling", &value.0, value.1));
            }
            if let (Distribution::Beta, Value::Number(number)) = (from, &value.0) {
                self.above_zero(*number, value.1)?;
            }
            args.push(self.operand(&value, &Value::None)?);
        }
        Ok(Value::Distribution(Rc::new(Distributed { from, args, axes: Vec::new() })))
    }

    /// A beta distribution has parameters above zero.
    fn above_zero(&mut self, number: Number, span: Span) -> Result<(), Abort> {
        if number.real() > 0.0 && number.real().is_finite() {
            return Ok(());
        }
        let fault = Fault::error("out-of-range", "the parameters of `beta` are finite and above 0", span, format!("this is {number}"));
        Err(self.fault(fault.help("`beta(1, 1)` is uniform; smaller ones draw towards 0 and 1, larger ones towards the middle.")))
    }

    /// The distribution that a value is: `normal` alone is one, too.
    pub fn distribution_of(&mut self, value: &Value<'m>, span: Span) -> Result<Option<Rc<Distributed>>, Abort> {
        match value {
            Value::Distribution(own) => Ok(Some(own.clone())),
            Value::Function(function, _) if is_distribution(value) => {
                let name = function.name.text.as_str();
                match self.distribution(name, &mut Actuals { given: Vec::new(), function: name }, span)? {
                    Value::Distribution(own) => Ok(Some(own)),
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    /// `normal[feature: 64]`: the axes of what is drawn.
    pub fn distribution_axis(&mut self, value: &Value<'m>, entry: &'m Entry, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let Entry::Axis(name, size) = entry else {
            let fault = Fault::error("axis-mismatch", "a draw's axes are written with their sizes", span, "here");
            return Err(self.fault(fault.help("Write `normal[feature: 64]`.")));
        };
        let Some(own) = self.distribution_of(value, span)? else { return Err(Abort::Faulted) };
        let mut drawn = (*own).clone();
        let axis = self.axis(name)?;
        if drawn.axes.iter().any(|(own, _)| *own == axis) {
            let message = format!("a draw has the axis `{}` once", name.text);
            return Err(self.fault(Fault::error("axis-mismatch", message, name.span, "again")));
        }
        drawn.axes.push((axis, self.length(size, scope)?));
        drawn.axes.sort();
        Ok(Value::Distribution(Rc::new(drawn)))
    }

    /// `draw z ~ normal[feature: 64]`.
    pub fn draw(&mut self, draw: &'m Draw, number: usize, scope: &Rc<Scope<'m>>, shown: &str) -> Outcome<'m> {
        let binder = &draw.binders[number];
        let dot = if scope.path.is_empty() { "" } else { "." };
        let index = if shown.is_empty() { String::new() } else { format!("[{shown}]") };
        let path = format!("{}{dot}{}{index}", scope.path, binder.name.text);
        match self.drawn(draw, &path, scope, binder.name.span) {
            Err(Abort::Pending(origins)) => {
                let own = Origin::Draw(path, binder.name.span);
                Err(Abort::Pending(Rc::new(origins.iter().cloned().chain([own]).collect())))
            }
            outcome => outcome,
        }
    }

    fn drawn(&mut self, draw: &'m Draw, path: &str, scope: &Rc<Scope<'m>>, span: Span) -> Outcome<'m> {
        let place = draw.from.span;
        let value = self.eval(&draw.from, scope)?;
        let Some(drawn) = self.distribution_of(&value, place)? else { return Err(self.expected("a distribution", &value, place)) };
        let per = match draw.per {
            None | Some(Per::Sample) => spec::Per::Sample,
            Some(Per::Batch) => spec::Per::Batch,
            Some(Per::Step) => spec::Per::Step,
        };
        if per != spec::Per::Sample && drawn.args.iter().any(|arg| self.store.sampled(*arg)) {
            let message = "a draw that all samples share has parameters that differ from sample to sample";
            return Err(self.fault(Fault::error("wrong-kind", message, place, "these differ").help("Draw it per sample.")));
        }
        let mut axes = drawn.axes.clone();
        for arg in &drawn.args {
            let own = self.store.ty(*arg).axes.clone();
            axes.extend(own.into_iter().filter(|(axis, _)| drawn.axes.iter().all(|(known, _)| known != axis)));
        }
        axes.sort();
        axes.dedup();
        self.drawable(&drawn, &axes, place)?;
        if per == spec::Per::Sample {
            axes = self.mapped_draw(&drawn, axes, scope, place)?;
        }
        let (prim, args): (_, Vec<TermId>) = (Prim::Draw { from: drawn.from, path: path.to_string(), per }, drawn.args.clone());
        Ok(Value::Tensor(self.store.intern(prim, args, drawn.from.element(), axes, span)))
    }

    fn drawable(&mut self, drawn: &Distributed, axes: &[(spec::Axis, usize)], place: Span) -> Result<(), Abort> {
        let (message, help) = match drawn.from {
            Distribution::Orthogonal => ("`orthogonal` is for first values of weights", "Draw from `normal` or `sphere`."),
            Distribution::Permutation if axes.len() != 1 => ("a permutation goes along one axis", "Write `permutation[token: 16]`."),
            _ => return Ok(()),
        };
        Err(self.fault(Fault::error("wrong-kind", message, place, "drawn here").help(help)))
    }

    /// A call that is mapped over axes draws for each place of them, as for each sample.
    fn mapped_draw(
        &mut self,
        drawn: &Distributed,
        mut axes: Vec<(spec::Axis, usize)>,
        scope: &Rc<Scope<'m>>,
        place: Span,
    ) -> Result<Vec<(spec::Axis, usize)>, Abort> {
        let new: Vec<_> = scope.folded.iter().filter(|(axis, _)| axes.iter().all(|(own, _)| own != axis)).copied().collect();
        if !new.is_empty() && matches!(drawn.from, Distribution::Sphere | Distribution::Permutation) {
            return Err(self.pend("draws of whole vectors in calls that are mapped over an axis", place));
        }
        axes.extend(new);
        Ok(axes)
    }
}

/// Whether a value is one of the functions that give distributions.
pub fn is_distribution(value: &Value<'_>) -> bool {
    matches!(value, Value::Function(function, _)
        if function.origin == Written::Builtin && DISTRIBUTIONS.contains(&function.name.text.as_str()))
}
