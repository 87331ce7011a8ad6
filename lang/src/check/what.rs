//! What a name or an expression stands for, as far as it can be told without evaluating anything.

use crate::modules::ModuleId;
use crate::syntax::{BinaryOp, Expr, ExprKind, Fn, Net};
use num_rational::Ratio;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Fields by name.
pub type Fields<'m> = Rc<BTreeMap<String, What<'m>>>;

/// What something is. `Unknown` fits everywhere, so that one fault does not cause others.
#[derive(Clone, Debug)]
pub enum What<'m> {
    /// Not known, or faulty and reported already.
    Unknown,
    /// A number, truth value or tensor.
    Value,
    /// A string, file or folder.
    Text,
    /// `none`.
    None,
    /// One of these words.
    Choice(Vec<&'m str>),
    /// A list of such elements.
    List(Box<What<'m>>),
    /// A record.
    Record(Fields<'m>),
    /// A number of steps, samples or epochs.
    Duration,
    /// A function of a module.
    Function(&'m Fn, ModuleId),
    /// A function given as an argument.
    AnyFunction,
    /// A net of a module.
    Net(&'m Net, ModuleId),
    /// A net given as an argument.
    AnyNet,
    /// A model, a part or a rule: a net that is built; which one, where that is known.
    Instance(Option<(&'m Net, ModuleId)>),
    /// A data item; its fields, or those of pictures.
    Data(Option<Fields<'m>>),
    /// A scene or perturbation.
    Scene(Rc<Layers<'m>>),
    /// A random distribution.
    Distribution,
    /// One axis or several.
    Axes,
    /// A training phase.
    Phase,
    /// A map of official names.
    Names,
    /// A variant.
    Variant,
}

/// The names of a scene.
#[derive(Clone, Debug, Default)]
pub struct Layers<'m> {
    /// The layers.
    pub layers: Vec<String>,
    /// Layers, lets and draws.
    pub fields: BTreeMap<String, What<'m>>,
}

impl<'m> What<'m> {
    /// In words, with an article.
    pub fn describe(&self) -> &'static str {
        match self {
            What::Unknown => "something unknown",
            What::Value => "a number or tensor",
            What::Text => "a text",
            What::None => "`none`",
            What::Choice(_) => "a choice",
            What::List(_) => "a list",
            What::Record(_) => "a record",
            What::Duration => "a duration",
            What::Function(..) | What::AnyFunction => "a function",
            What::Net(..) | What::AnyNet => "a net",
            What::Instance(_) => "a built net",
            What::Data(_) => "a data item",
            What::Scene(_) => "a scene",
            What::Distribution => "a distribution",
            What::Axes => "an axis",
            What::Phase => "a training phase",
            What::Names => "a map of official names",
            What::Variant => "a variant",
        }
    }

    /// Whether arithmetic can take it.
    pub fn is_number(&self) -> bool {
        matches!(self, What::Unknown | What::Value | What::None)
    }

    /// What both branches of an `if` may be.
    pub fn either(self, other: What<'m>) -> What<'m> {
        match (self, other) {
            (What::Value | What::None, What::Value) | (What::Value, What::None) => What::Value,
            (What::None, other) | (other, What::None) => other,
            (What::Text, What::Text) => What::Text,
            (What::Duration, What::Duration) => What::Duration,
            (What::Choice(a), What::Choice(_)) => What::Choice(a),
            (What::List(a), What::List(b)) => What::List(Box::new(a.either(*b))),
            (What::Data(a), What::Data(b)) => What::Data(a.or(b)),
            (What::Scene(a), What::Scene(_)) => What::Scene(a),
            (What::Record(a), What::Record(b)) => {
                let mut all = BTreeMap::clone(&a);
                for (name, what) in b.iter() {
                    all.entry(name.clone()).or_insert_with(|| what.clone());
                }
                What::Record(Rc::new(all))
            }
            (What::Instance(Some(a)), What::Instance(Some(b))) if std::ptr::eq(a.0, b.0) => What::Instance(Some(a)),
            (What::Instance(_), What::Instance(_)) => What::Instance(None),
            (What::Function(..) | What::AnyFunction, What::Function(..) | What::AnyFunction) => What::AnyFunction,
            (What::Net(..) | What::AnyNet, What::Net(..) | What::AnyNet) => What::AnyNet,
            (What::Distribution, What::Distribution) => What::Distribution,
            _ => What::Unknown,
        }
    }
}

/// The exact number that a literal expression is, if it is one and small enough to say.
pub fn literal(expr: &Expr) -> Option<Ratio<i128>> {
    match &*expr.kind {
        ExprKind::Number(text) => number(text),
        ExprKind::Negate(inner) => Some(-literal(inner)?),
        ExprKind::Binary(op, a, b) => {
            use num_rational::Ratio as R;
            let (a, b) = (literal(a)?, literal(b)?);
            let small = |r: &R<i128>| r.numer().abs() < 1 << 40 && *r.denom() < 1 << 40;
            if !small(&a) || !small(&b) {
                return None;
            }
            match op {
                BinaryOp::Add => Some(a + b),
                BinaryOp::Subtract => Some(a - b),
                BinaryOp::Multiply => Some(a * b),
                BinaryOp::Divide if *b.numer() != 0 => Some(a / b),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether a literal is written with a point or exponent, so that a param with this default is a real.
pub fn written_real(expr: &Expr) -> bool {
    match &*expr.kind {
        ExprKind::Number(text) => text.contains('.') && !text.ends_with(['k', 'M']) || text.contains("e-"),
        ExprKind::Negate(inner) => written_real(inner),
        ExprKind::Binary(_, a, b) => written_real(a) || written_real(b),
        _ => false,
    }
}

fn number(text: &str) -> Option<Ratio<i128>> {
    let (body, unit) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1_000),
        b'M' => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    let (mantissa, exponent) = match body.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (body, 0),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + part.len() > 17 || !(-18..=15).contains(&exponent) {
        return None;
    }
    let digits: i128 = format!("{whole}{part}").parse().ok()?;
    let shift = exponent - part.len() as i32;
    let scale = Ratio::from_integer(10i128).pow(shift);
    Some(Ratio::from_integer(digits * unit) * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact() {
        assert_eq!(number("2.5k"), Some(Ratio::from_integer(2500)));
        assert_eq!(number("1e-3"), Some(Ratio::new(1, 1000)));
        assert_eq!(number("1.2M"), Some(Ratio::from_integer(1_200_000)));
        assert_eq!(number("9999999999999999999"), None);
    }
}
