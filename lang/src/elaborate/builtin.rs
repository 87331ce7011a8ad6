//! Arguments of calls, and the table of functions that the compiler knows.

use std::rc::Rc;

use super::Elaborator;
use super::number::Number;
use super::ops::Placed;
use super::value::{Abort, Axes, Outcome, Scope, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Binary, Prim, Reduction, Unary};
use crate::syntax::{Expr, ExprKind, Formal, Name};

/// Functions that need no declaration.
pub const WORDS: &[&str] = &[
    "exp",
    "log",
    "sqrt",
    "sin",
    "erf",
    "tanh",
    "sigmoid",
    "softplus",
    "abs",
    "floor",
    "round",
    "where",
    "sum",
    "max",
    "min",
    "argmax",
    "dot",
    "index",
    "spread",
    "stack",
    "concat",
    "translate",
    "stop",
    "grad",
    "count",
    "size",
    "len",
    "log2",
    "mod",
    "join",
    "oracle",
    "average",
    "pictures",
    "two_digits",
    "shorter_side",
    "resize",
    "center_crop",
    "square_crop",
    "range",
    "random_crop",
    "random_resized_crop",
    "flip",
    "normalise",
    "chunk",
    "most",
    "collect",
    "batch",
    "sample_index",
    "progress",
    "normal",
    "uniform",
    "bernoulli",
    "integers",
    "beta",
    "permutation",
    "sphere",
    "orthogonal",
    "order",
    "conv2d",
    "conv2d_transposed",
    "max_pool",
    "avg_pool",
    "adaptive_avg_pool",
    "pad",
    "reverse",
    "roll",
    "strided",
    "fir",
];

/// An argument: written at the call, or a value that a pipe passes on.
#[derive(Clone)]
pub enum Given<'m> {
    /// Written.
    Written(&'m Expr, Rc<Scope<'m>>),
    /// Passed on.
    Passed(Value<'m>, Span),
}

impl<'m> Given<'m> {
    /// Its value.
    pub(crate) fn value(&self, elaborator: &mut Elaborator<'m>) -> Outcome<'m> {
        match self {
            Given::Written(expr, scope) => elaborator.eval(expr, scope),
            Given::Passed(value, _) => Ok(value.clone()),
        }
    }

    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            Given::Written(expr, _) => expr.span,
            Given::Passed(_, span) => *span,
        }
    }
}

/// The arguments of a call that are not yet taken.
pub struct Actuals<'m> {
    /// With their labels.
    pub given: Vec<(Option<&'m Name>, Given<'m>)>,
    /// The function's name, to show.
    pub function: &'m str,
}

impl<'m> Actuals<'m> {
    /// Takes the argument with one of these labels, or else the first without a label.
    pub fn take(&mut self, labels: &[&str]) -> Option<Given<'m>> {
        let labelled = self.given.iter().position(|(label, _)| label.is_some_and(|label| labels.contains(&label.text.as_str())));
        let at = labelled.or_else(|| self.given.iter().position(|(label, _)| label.is_none()))?;
        Some(self.given.remove(at).1)
    }

    /// Takes an argument that must be there.
    pub fn value(&mut self, elaborator: &mut Elaborator<'m>, labels: &[&str], span: Span) -> Result<Placed<'m>, Abort> {
        match self.take(labels) {
            Some(given) => Ok((given.value(elaborator)?, given.span())),
            None => {
                let message = format!("`{}` needs an argument `{}`", self.function, labels.first().unwrap_or(&"x"));
                Err(elaborator.fault(Fault::error("wrong-arguments", message, span, "missing here")))
            }
        }
    }

    /// The second of two values, where it is none that names axes.
    pub fn second(&mut self, elaborator: &mut Elaborator<'m>) -> Option<Given<'m>> {
        let at = self.given.iter().position(|(label, _)| label.is_none_or(|label| label.text == "y"))?;
        if let (_, Given::Written(expr, scope)) = &self.given[at]
            && let ExprKind::Path(path) = &*expr.kind
            && let [name] = path.segments.as_slice()
        {
            let names_axes = matches!(scope.bound(&name.text), Some(Value::Axes(_)));
            let is_axis = elaborator.axes.contains_key(name.text.as_str()) && elaborator.resolve(scope, &name.text).is_none();
            if names_axes || is_axis {
                return None;
            }
        }
        Some(self.given.remove(at).1)
    }

    /// Axes by this label; all where nothing is said.
    pub fn axes(&mut self, elaborator: &mut Elaborator<'m>, label: &str) -> Result<(Axes, Span), Abort> {
        match self.take(&[label]) {
            None => Ok((Axes::All, Span { source: crate::source::SourceId(0), start: 0, end: 0 })),
            Some(Given::Written(expr, scope)) => Ok((elaborator.axes_expr(expr, &scope)?, expr.span)),
            Some(Given::Passed(Value::Axes(axes), span)) => Ok((axes, span)),
            Some(Given::Passed(value, span)) => Err(elaborator.expected("the name of an axis", &value, span)),
        }
    }

    /// Takes all that have labels.
    pub fn labelled(&mut self) -> Vec<(&'m Name, &'m Expr)> {
        let mut taken = Vec::new();
        self.given.retain(|(label, given)| match (label, given) {
            (Some(label), Given::Written(expr, _)) => {
                taken.push((*label, *expr));
                false
            }
            _ => true,
        });
        taken
    }

    /// The fault of arguments that nothing takes.
    pub fn finish(&self, elaborator: &mut Elaborator<'m>, formals: &[Formal]) -> Result<(), Abort> {
        let Some((label, given)) = self.given.first() else { return Ok(()) };
        let fault = match label {
            Some(label) => super::nearest(
                Fault::error("wrong-arguments", format!("`{}` has no argument `{}`", self.function, label.text), label.span, "not known"),
                &label.text,
                &formals.iter().map(|formal| formal.name.text.clone()).collect::<Vec<_>>(),
            ),
            None => Fault::error("wrong-arguments", format!("`{}` takes fewer arguments", self.function), given.span(), "one too many"),
        };
        Err(elaborator.fault(fault))
    }
}

impl<'m> Elaborator<'m> {
    /// Calls a function that the compiler knows.
    pub fn call_builtin(&mut self, name: &'m str, mut actuals: Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let outcome = self.dispatch(name, &mut actuals, span, scope)?;
        actuals.finish(self, &[])?;
        Ok(outcome)
    }

    fn dispatch(&mut self, name: &'m str, actuals: &mut Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        if let Some(op) = unary_op(name) {
            let (value, _) = actuals.value(self, &["x"], span)?;
            return self.unary(op, value, span);
        }
        match name {
            "sum" => self.reduce(Reduction::Sum, actuals, span, scope),
            "max" => self.reduce(Reduction::Max, actuals, span, scope),
            "min" => self.reduce(Reduction::Min, actuals, span, scope),
            "argmax" => self.argmax(actuals, span, scope),
            "where" => {
                let on = actuals.value(self, &["on"], span)?;
                let yes = actuals.value(self, &["yes"], span)?;
                let no = actuals.value(self, &["no"], span)?;
                self.choose_where(on, yes, no, span, &scope.carried)
            }
            "dot" => self.dot(actuals, span, scope),
            "index" => self.index(actuals, span, scope),
            "spread" => self.spread(actuals, span, scope),
            "stack" => self.join(true, actuals, span, scope),
            "concat" => self.join(false, actuals, span, scope),
            "translate" => self.translate(actuals, span, scope),
            "grad" => self.grad(actuals, span, scope),
            "stop" => self.veil(Prim::Stop, actuals, span),
            "oracle" => self.veil(Prim::Oracle, actuals, span),
            "average" => self.average(actuals, span),
            "count" => self.count(actuals, span, scope),
            "size" => self.size(actuals, span, scope),
            _ => self.arithmetic(name, actuals, span, scope),
        }
    }

    fn arithmetic(&mut self, name: &'m str, actuals: &mut Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        match name {
            "len" => match actuals.value(self, &["xs"], span)? {
                (Value::List(items), _) => Ok(Value::Number(Number::whole(items.len() as i64))),
                (other, place) => Err(self.expected("a list", &other, place)),
            },
            "join" => match (actuals.value(self, &["xs"], span)?, actuals.value(self, &["ys"], span)?) {
                ((Value::List(xs), _), (Value::List(ys), _)) => Ok(Value::List(xs.iter().chain(ys.iter()).cloned().collect())),
                ((other, place), _) => Err(self.expected("a list", &other, place)),
            },
            "log2" => match actuals.value(self, &["x"], span)? {
                (Value::Number(x), _) => Ok(Value::Number(x.map(f64::log2))),
                (other, place) => Err(self.expected("a number known when compiling", &other, place)),
            },
            "mod" => {
                let (a, b) = (actuals.value(self, &["x"], span)?, actuals.value(self, &["by"], span)?);
                self.binary(Binary::Modulo, a, b, span, &scope.carried)
            }
            "progress" => self.progress(actuals, span),
            "batch" => self.batch(actuals, span, scope),
            "sample_index" => self.sample_index(span, scope),
            "conv2d" => self.conv2d(actuals, span),
            "conv2d_transposed" => self.conv2d_transposed(actuals, span),
            "max_pool" => self.max_pool(actuals, span),
            "avg_pool" => self.avg_pool(actuals, span),
            "adaptive_avg_pool" => self.adaptive_avg_pool(actuals, span),
            "pad" => self.pad(actuals, span),
            "order" => self.order(actuals, span, scope),
            "reverse" | "roll" | "strided" => self.rearrange(name, actuals, span, scope),
            "fir" => self.fir(actuals, span, scope),
            "normal" | "uniform" | "bernoulli" | "integers" | "beta" | "permutation" | "sphere" | "orthogonal" => {
                self.distribution(name, actuals, span)
            }
            "collect" => self.collect(actuals, span),
            _ => self.data_step(name, actuals, span),
        }
    }
}

fn unary_op(name: &str) -> Option<Unary> {
    Some(match name {
        "exp" => Unary::Exp,
        "log" => Unary::Log,
        "log1p" => Unary::Log1p,
        "cos" => Unary::Cos,
        "sign" => Unary::Sign,
        "sqrt" => Unary::Sqrt,
        "sin" => Unary::Sin,
        "erf" => Unary::Erf,
        "tanh" => Unary::Tanh,
        "sigmoid" => Unary::Sigmoid,
        "softplus" => Unary::Softplus,
        "abs" => Unary::Abs,
        "floor" => Unary::Floor,
        "round" => Unary::Round,
        _ => return None,
    })
}
