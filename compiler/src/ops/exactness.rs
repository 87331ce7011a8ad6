//! How near to its definition an op is computed in single precision; it follows from the op's form.

use super::Form;
use crate::kernel::{Chance, Function, Join};

/// How near to its definition a result is when executors compute in single precision, from the nearest to the farthest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exactness {
    /// Moved elements, comparisons, whole numbers: the same bits on every executor.
    Exact,
    /// The single-precision number nearest to the true value: the same bits on every executor.
    Rounded,
    /// Sums, whose order is the executor's, functions that no processor rounds correctly, and several roundings in a row.
    Approximate,
}

impl Exactness {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Exactness::Exact => "exact",
            Exactness::Rounded => "rounded",
            Exactness::Approximate => "approximate",
        }
    }

    /// That of a weighted sum with these weights, or of several: it copies, multiplies once, or sums.
    fn of_sums<'a>(sums: impl Iterator<Item = Vec<&'a f64>>) -> Exactness {
        let one = |weights: Vec<&f64>| match weights[..] {
            [] | [&1.0] => Exactness::Exact,
            // A weight that single precision does not hold is rounded as well.
            [weight] if f64::from(*weight as f32) == *weight => Exactness::Rounded,
            _ => Exactness::Approximate,
        };
        sums.map(one).max().unwrap_or(Exactness::Exact)
    }
}

impl Form {
    /// How near to its definition an op of this form is computed.
    pub fn exactness(&self) -> Exactness {
        match self {
            Form::Input(_)
            | Form::Expand(_)
            | Form::Pick(..)
            | Form::Reshape
            | Form::PickAt(_)
            | Form::ArgMax(_)
            | Form::MaxPool { .. }
            | Form::Permute(_)
            | Form::Concat(_)
            | Form::Slice(..)
            | Form::Embed(..)
            | Form::Gather(_)
            | Form::Shift(_)
            | Form::Reduce(Join::Max | Join::Min, _)
            | Form::Random(Chance::Uniform | Chance::Integer(_) | Chance::Permutation, _) => Exactness::Exact,
            // The definition in double precision, rounded once.
            Form::Constant(_) | Form::Whole => Exactness::Rounded,
            Form::Map(function) => function.exactness(),
            Form::Stencil(taps) => Exactness::of_sums(std::iter::once(taps.iter().map(|tap| &tap.weight).collect())),
            Form::Resample(_, rows) => Exactness::of_sums(rows.iter().map(|row| row.iter().map(|(_, weight)| weight).collect())),
            Form::Reduce(Join::Sum, _)
            | Form::Contract(..)
            | Form::Conv(_)
            | Form::Scatter(_)
            | Form::Random(Chance::Normal | Chance::Beta(..), _)
            | Form::Host(..) => Exactness::Approximate,
        }
    }
}

impl Function {
    fn exactness(self) -> Exactness {
        match self {
            Function::Copy
            | Function::Negate
            | Function::Abs
            | Function::Sign
            | Function::Floor
            | Function::Round
            | Function::Not
            | Function::Maximum
            | Function::Minimum
            | Function::Equal
            | Function::NotEqual
            | Function::Less
            | Function::LessEqual
            | Function::And
            | Function::Or
            | Function::Select => Exactness::Exact,
            Function::Sqrt | Function::Add | Function::Subtract | Function::Multiply | Function::Divide => Exactness::Rounded,
            Function::Exp
            | Function::Log
            | Function::Log1p
            | Function::Sin
            | Function::Cos
            | Function::Erf
            | Function::Tanh
            | Function::Sigmoid
            | Function::Softplus
            | Function::Power
            | Function::Modulo => Exactness::Approximate,
        }
    }
}
