//! Operations element by element: constants fold, run-time values broadcast by axis name.

use super::Elaborator;
use super::number::Number;
use super::value::{Abort, Outcome, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Axis, Binary, Element, Prim, TermId, Unary};

/// Axes with sizes.
pub type Axes = Vec<(Axis, usize)>;

/// A value with the place that it comes from.
pub type Placed<'m> = (Value<'m>, Span);

impl<'m> Elaborator<'m> {
    /// A function of one value.
    pub fn unary(&mut self, op: Unary, value: Value<'m>, span: Span) -> Outcome<'m> {
        match value {
            Value::Number(number) if op != Unary::Not => Ok(Value::Number(fold_unary(op, number))),
            Value::Bool(known) if op == Unary::Not => Ok(Value::Bool(!known)),
            Value::Tensor(x) => {
                let ty = self.store.ty(x).clone();
                if (ty.element == Element::Bool) != (op == Unary::Not) {
                    return Err(self.wrong_element(ty.element, x, span));
                }
                let whole = matches!(op, Unary::Negate | Unary::Abs) && ty.element == Element::Int;
                let element = match op {
                    Unary::Not => Element::Bool,
                    _ if whole || matches!(op, Unary::Floor | Unary::Round) => Element::Int,
                    _ => Element::Real,
                };
                Ok(Value::Tensor(self.store.intern(Prim::Unary(op), vec![x], element, ty.axes, span)))
            }
            other => Err(self.expected(if op == Unary::Not { "true or false" } else { "a number" }, &other, span)),
        }
    }

    /// A function of two values, one's axes contain the other's. Axes that are `carried` along by mapping may be on either side.
    pub fn binary(&mut self, op: Binary, a: Placed<'m>, b: Placed<'m>, span: Span, carried: &[Axis]) -> Outcome<'m> {
        match (&a.0, &b.0) {
            (Value::Number(x), Value::Number(y)) => {
                if let Some(value) = fold_binary(op, *x, *y) {
                    return Ok(value);
                }
            }
            (Value::Bool(x), Value::Bool(y)) if matches!(op, Binary::And | Binary::Or) => {
                return Ok(Value::Bool(if op == Binary::And { *x && *y } else { *x || *y }));
            }
            _ => {}
        }
        let logical = matches!(op, Binary::And | Binary::Or);
        let compares = matches!(op, Binary::Equal | Binary::NotEqual);
        let (left, right) = (self.operand(&a, &b.0)?, self.operand(&b, &a.0)?);
        let elements = (self.store.ty(left).element, self.store.ty(right).element);
        for (element, id, place) in [(elements.0, left, a.1), (elements.1, right, b.1)] {
            let agrees = if compares {
                (elements.0 == Element::Bool) == (elements.1 == Element::Bool)
            } else {
                (element == Element::Bool) == logical
            };
            if !agrees {
                return Err(self.wrong_element(element, id, place));
            }
        }
        let (left, right, axes) = self.broadcast((left, a.1), (right, b.1), carried)?;
        let element = match op {
            Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Max | Binary::Min | Binary::Modulo
                if elements == (Element::Int, Element::Int) =>
            {
                Element::Int
            }
            Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Power => Element::Real,
            Binary::Max | Binary::Min | Binary::Modulo => Element::Real,
            _ => Element::Bool,
        };
        Ok(Value::Tensor(self.store.intern(Prim::Binary(op), vec![left, right], element, axes, span)))
    }

    /// `where(on, yes, no)`.
    pub fn choose_where(&mut self, on: Placed<'m>, yes: Placed<'m>, no: Placed<'m>, span: Span, carried: &[Axis]) -> Outcome<'m> {
        if let Value::Bool(on) = on.0 {
            return Ok(if on { yes.0 } else { no.0 });
        }
        let condition = self.operand(&on, &Value::None)?;
        if self.store.ty(condition).element != Element::Bool {
            return Err(self.wrong_element(self.store.ty(condition).element, condition, on.1));
        }
        let (left, right) = (self.operand(&yes, &no.0)?, self.operand(&no, &yes.0)?);
        let elements = (self.store.ty(left).element, self.store.ty(right).element);
        if (elements.0 == Element::Bool) != (elements.1 == Element::Bool) {
            return Err(self.wrong_element(elements.1, right, no.1));
        }
        let (left, right, values) = self.broadcast((left, yes.1), (right, no.1), carried)?;
        let left_is_largest = self.store.ty(left).axes.len() >= values.len();
        let largest = if left_is_largest { (left, yes.1) } else { (right, no.1) };
        let (condition, largest, axes) = self.broadcast((condition, on.1), largest, carried)?;
        let (left, right) = if left_is_largest { (largest, right) } else { (left, largest) };
        let element = if elements.0 == elements.1 { elements.0 } else { Element::Real };
        Ok(Value::Tensor(self.store.intern(Prim::Where, vec![condition, left, right], element, axes, span)))
    }

    /// A value as a term; a whole number beside whole numbers is one.
    pub fn operand(&mut self, value: &Placed<'m>, beside: &Value<'m>) -> Result<TermId, Abort> {
        match &value.0 {
            Value::Number(number) => {
                let whole = matches!(beside, Value::Tensor(id) if self.store.ty(*id).element == Element::Int) && number.integer().is_some();
                let element = if whole { Element::Int } else { Element::Real };
                Ok(self.store.intern(Prim::Const(number.real()), vec![], element, vec![], value.1))
            }
            Value::Bool(known) => Ok(self.store.intern(Prim::Const(f64::from(u8::from(*known))), vec![], Element::Bool, vec![], value.1)),
            Value::Tensor(id) => Ok(*id),
            other => Err(self.expected("a number", other, value.1)),
        }
    }

    /// Both operands and the axes of the result. Where mapping puts axes on either side, the smaller is spread.
    pub fn broadcast(&mut self, a: (TermId, Span), b: (TermId, Span), carried: &[Axis]) -> Result<(TermId, TermId, Axes), Abort> {
        let (left, right) = (self.store.ty(a.0).axes.clone(), self.store.ty(b.0).axes.clone());
        for (axis, size) in &left {
            if let Some((_, other)) = right.iter().find(|(name, _)| name == axis)
                && other != size
            {
                return Err(self.size_mismatch(*axis, (a, *size), (b, *other)));
            }
        }
        let lacks =
            |of: &Axes, other: &Axes| of.iter().any(|(axis, _)| !carried.contains(axis) && other.iter().all(|(name, _)| name != axis));
        if lacks(&left, &right) && lacks(&right, &left) {
            return Err(self.axis_mismatch(a, b));
        }
        let mut axes = left.clone();
        axes.extend(right.iter().filter(|(axis, _)| left.iter().all(|(name, _)| name != axis)));
        axes.sort();
        let (mut x, mut y) = (a.0, b.0);
        if axes.len() > left.len() && axes.len() > right.len() {
            if lacks(&left, &right) {
                x = self.spread_to(x, axes.clone(), a.1);
            } else {
                y = self.spread_to(y, axes.clone(), b.1);
            }
        }
        Ok((x, y, axes))
    }

    /// A term repeated along the axes that it lacks.
    pub fn spread_to(&mut self, x: TermId, mut axes: Axes, span: Span) -> TermId {
        axes.sort();
        let ty = self.store.ty(x).clone();
        if ty.axes == axes { x } else { self.store.intern(Prim::Spread, vec![x], ty.element, axes, span) }
    }

    /// Axes and sizes of a term: `[height: 32, width: 32]`.
    pub fn shown(&self, id: TermId) -> String {
        self.shown_axes(&self.store.ty(id).axes)
    }

    /// Axes and sizes: `[height: 32, width: 32]`.
    pub fn shown_axes(&self, axes: &[(Axis, usize)]) -> String {
        if axes.is_empty() {
            return "no axes".into();
        }
        let parts: Vec<_> = axes.iter().map(|(axis, size)| format!("{}: {size}", self.axis_name(*axis))).collect();
        format!("[{}]", parts.join(", "))
    }

    /// The name of an axis.
    pub fn axis_name(&self, axis: Axis) -> &str {
        &self.spec.axes[usize::from(axis.0)]
    }

    fn axis_mismatch(&mut self, a: (TermId, Span), b: (TermId, Span)) -> Abort {
        let (left, right) = (self.shown(a.0), self.shown(b.0));
        let missing = |of: TermId, other: TermId| {
            let other = &self.store.ty(other).axes;
            let mut axes = self.store.ty(of).axes.clone();
            axes.retain(|(axis, _)| other.iter().all(|(name, _)| name != axis));
            axes
        };
        let (only_left, only_right) = (missing(a.0, b.0), missing(b.0, a.0));
        let names = |axes: &Axes| axes.iter().map(|(axis, _)| self.axis_name(*axis)).collect::<Vec<_>>();
        let (left_names, right_names) = (names(&only_left), names(&only_right));
        let over = if left_names.len() == 1 { left_names.join("") } else { format!("[{}]", left_names.join(", ")) };
        let help = format!(
            "Reduce one side, as in `mean(.., over: {over})`; or say that every `{}` meets every `{}`: `spread(.., {})`.",
            left_names.join(", "),
            right_names.join(", "),
            self.shown_axes(&only_right).trim_matches(['[', ']'])
        );
        let fault = Fault::error("axis-mismatch", "neither side has all the axes of the other", a.1, format!("this has {left}"));
        self.fault(fault.also(b.1, format!("this has {right}")).help(help))
    }

    /// One axis with two sizes.
    pub fn size_mismatch(&mut self, axis: Axis, a: ((TermId, Span), usize), b: ((TermId, Span), usize)) -> Abort {
        let name = self.axis_name(axis).to_string();
        let (left, right) = (self.shown(a.0.0), self.shown(b.0.0));
        let fault = Fault::error("size-mismatch", format!("`{name}` is {} here and {} there", a.1, b.1), a.0.1, format!("this has {left}"));
        self.fault(fault.also(b.0.1, format!("this has {right}")).help("A size is never stretched: resize, crop or slice one of them."))
    }

    fn wrong_element(&mut self, element: Element, id: TermId, span: Span) -> Abort {
        let shown = self.shown(id);
        let (message, help) = if element == Element::Bool {
            ("numbers are needed here, these are truth values", "Say `indicator(..)` to count true as one and false as zero.")
        } else {
            ("truth values are needed here, these are numbers", "Compare first, as in `m >= 1/2`.")
        };
        self.fault(Fault::error("wrong-kind", message, span, format!("has {shown}")).help(help))
    }
}

fn fold_unary(op: Unary, x: Number) -> Number {
    match op {
        Unary::Negate => x.negate(),
        Unary::Abs => {
            if x.real() < 0.0 {
                x.negate()
            } else {
                x
            }
        }
        Unary::Floor => x.floor(),
        Unary::Round => x.round(),
        Unary::Exp => x.map(f64::exp),
        Unary::Log => x.map(f64::ln),
        Unary::Log1p => x.map(f64::ln_1p),
        Unary::Cos => x.map(f64::cos),
        Unary::Sign => x.map(|x| if x == 0.0 { 0.0 } else { x.signum() }),
        Unary::Sqrt => x.map(f64::sqrt),
        Unary::Sin => x.map(f64::sin),
        Unary::Erf => x.map(erf),
        Unary::Tanh => x.map(f64::tanh),
        Unary::Sigmoid => x.map(|v| 1.0 / (1.0 + (-v).exp())),
        Unary::Softplus => x.map(|v| v.max(0.0) + (-v.abs()).exp().ln_1p()),
        Unary::Not => x,
    }
}

fn fold_binary<'m>(op: Binary, x: Number, y: Number) -> Option<Value<'m>> {
    let number = match op {
        Binary::Add => x.add(y),
        Binary::Subtract => x.subtract(y),
        Binary::Multiply => x.multiply(y),
        Binary::Divide => x.divide(y),
        Binary::Power => x.power(y),
        Binary::Max => {
            if y.compare(x)?.is_gt() {
                y
            } else {
                x
            }
        }
        Binary::Min => {
            if y.compare(x)?.is_lt() {
                y
            } else {
                x
            }
        }
        Binary::Modulo => x.modulo(y),
        Binary::Equal => return Some(Value::Bool(x == y)),
        Binary::NotEqual => return Some(Value::Bool(x != y)),
        Binary::Less => return Some(Value::Bool(x.compare(y)?.is_lt())),
        Binary::LessEqual => return Some(Value::Bool(x.compare(y)?.is_le())),
        Binary::Greater => return Some(Value::Bool(x.compare(y)?.is_gt())),
        Binary::GreaterEqual => return Some(Value::Bool(x.compare(y)?.is_ge())),
        Binary::And | Binary::Or => return None,
    };
    Some(Value::Number(number))
}

/// The error function by its series near zero and the continued fraction of its complement elsewhere; about 1e-15.
fn erf(x: f64) -> f64 {
    let square = x * x;
    if x.abs() < 2.5 {
        let (mut term, mut sum) = (x, x);
        for k in 1..80 {
            term *= -square / f64::from(k);
            sum += term / f64::from(2 * k + 1);
        }
        return sum * std::f64::consts::FRAC_2_SQRT_PI;
    }
    let fraction = (1..60).rev().fold(0.0, |below, k| f64::from(k) / 2.0 / (x.abs() + below));
    let beyond = (-square).exp() / ((x.abs() + fraction) * std::f64::consts::PI.sqrt());
    x.signum() * (1.0 - beyond)
}

#[cfg(test)]
mod tests {
    use super::erf;

    #[test]
    fn erf_agrees_with_tables() {
        for (x, y) in
            [(0.5, 0.520_499_877_813_046_5), (1.0, 0.842_700_792_949_714_9), (2.0, 0.995_322_265_018_952_7), (3.0, 0.999_977_909_503_001_4)]
        {
            assert!((erf(x) - y).abs() < 1e-13, "{x}");
            assert!((erf(-x) + y).abs() < 1e-13, "{x}");
        }
    }
}
