//! Functions of elements, by dfdx's kernels. Where it has none they are composed of those that it has; steps, which have no slope, are
//! taken from the standard library.

use dfdx::prelude::{Cpu, Device, TryAdd, TryDiv, TryEq, TryGe, TryLe, TryLt, TryMul, TryNe, TrySub};
use segc_compiler::kernel::Function;

use super::tape::{Flat, Real, Tape, Truth, refused};

/// Beyond this erf is 1 in double precision.
const SATURATED: f64 = 6.0;

impl<E: Real> Tape<E>
where
    Cpu: Device<E>,
{
    /// A function of values of one size, which have ids of their own. `wanted` says through which ones a gradient goes.
    pub fn map(&mut self, function: Function, x: &[Flat<E>], wanted: &[bool]) -> Result<Flat<E>, String> {
        match x {
            [x] => self.unary(function, x),
            [a, b] => self.binary(function, a, b, wanted[1]),
            [on, yes, no] => self.choose(on.try_ne(E::of(0.0)).map_err(refused)?, yes, no),
            _ => Err(format!("{function:?} of {} values", x.len())),
        }
    }

    fn unary(&mut self, function: Function, x: &Flat<E>) -> Result<Flat<E>, String> {
        let own = x.clone();
        match function {
            Function::Negate => self.one(own, |x| x.try_negate()),
            Function::Exp => self.one(own, |x| x.try_exp()),
            Function::Log => self.one(own, |x| x.try_ln()),
            Function::Log1p => self.log1p(x),
            Function::Sqrt => self.one(own, |x| x.try_sqrt()),
            Function::Sin => self.one(own, |x| x.try_sin()),
            Function::Cos => self.one(own, |x| x.try_cos()),
            Function::Erf => self.erf(x),
            Function::Tanh => self.one(own, |x| x.try_tanh()),
            Function::Sigmoid => self.one(own, |x| x.try_sigmoid()),
            Function::Softplus => self.softplus(x),
            Function::Abs => self.one(own, |x| x.try_abs()),
            Function::Sign => self.plain(x, |x| if x == 0.0 || x.is_nan() { x } else { x.signum() }),
            Function::Floor => self.plain(x, f64::floor),
            Function::Round => self.plain(x, f64::round_ties_even),
            Function::Not => {
                let less = self.scaled(x, -1.0)?;
                self.shifted(&less, 1.0)
            }
            _ => self.again(x),
        }
    }

    fn binary(&mut self, function: Function, a: &Flat<E>, b: &Flat<E>, exponent_wanted: bool) -> Result<Flat<E>, String> {
        let (left, right) = (a.clone(), b.clone());
        let on = match function {
            Function::Add => return self.one(left, |a| a.try_add(right)),
            Function::Subtract => return self.one(left, |a| a.try_sub(right)),
            Function::Multiply => return self.one(left, |a| a.try_mul(right)),
            Function::Divide => return self.one(left, |a| a.try_div(right)),
            Function::Power => return self.power(a, b, exponent_wanted),
            Function::Maximum => return self.choose(self.wins(a, b.try_le(a))?, a, b),
            Function::Minimum => return self.choose(self.wins(a, a.try_le(b))?, a, b),
            Function::Modulo => {
                let turns = self.one(left, |a| a.try_div(right))?;
                let turns = self.plain(&turns, f64::floor)?;
                let whole = self.one(turns, |turns| turns.try_mul(b.clone()))?;
                return self.one(a.clone(), |a| a.try_sub(whole));
            }
            Function::Equal => a.try_eq(b),
            Function::NotEqual => a.try_ne(b),
            Function::Less => a.try_lt(b),
            Function::LessEqual => a.try_le(b),
            Function::And | Function::Or => return self.joined_truth(function, a, b),
            _ => return Err(format!("{function:?} of two values")),
        };
        self.numbers(on.map_err(refused)?)
    }

    /// Truth of two values: both, or one of them.
    fn joined_truth(&mut self, function: Function, a: &Flat<E>, b: &Flat<E>) -> Result<Flat<E>, String> {
        let truth = |x: &Flat<E>| x.try_ne(E::of(0.0)).map_err(refused);
        let (a, b) = (self.numbers(truth(a)?)?, self.numbers(truth(b)?)?);
        let least = if function == Function::And { 2.0 } else { 1.0 };
        let sum = self.one(a, |a| a.try_add(b))?;
        self.numbers(sum.try_ge(E::of(least)).map_err(refused)?)
    }

    /// Where the first of two values is taken: where it wins or ties, and where it is no number.
    fn wins(&self, a: &Flat<E>, wins: Result<Truth, dfdx::prelude::CpuError>) -> Result<Truth, String> {
        let number = a.try_eq(a).map_err(refused)?;
        Ok(wins.map_err(refused)? | !number)
    }

    /// A step function, without slope.
    fn plain(&mut self, x: &Flat<E>, function: impl Fn(f64) -> f64) -> Result<Flat<E>, String> {
        self.value(x.as_vec().into_iter().map(|x| E::of(function(x.wide()))).collect())
    }

    /// `ln(1 + x)`, with what the sum has rounded off put back to first order.
    fn log1p(&mut self, x: &Flat<E>) -> Result<Flat<E>, String> {
        let one = E::of(1.0);
        let lost =
            x.as_vec().into_iter().map(|x| if (one + x).wide().is_finite() { (x - ((one + x) - one)) / (one + x) } else { E::of(0.0) });
        let lost = self.value(lost.collect())?;
        let above = self.shifted(x, 1.0)?;
        let log = self.one(above, |above| above.try_ln())?;
        self.one(log, |log| log.try_add(lost))
    }

    /// `ln(exp(x - m) + exp(-m)) + m` for the larger one of x and 0, a constant: no overflow, and the slope at 0 is a half.
    fn softplus(&mut self, x: &Flat<E>) -> Result<Flat<E>, String> {
        let most: Vec<f64> = x.as_vec().into_iter().map(|x| x.wide().max(0.0)).collect();
        let below = self.value(most.iter().map(|m| E::of(-m)).collect())?;
        let rest = self.value(most.iter().map(|m| E::of((-m).exp())).collect())?;
        let most = self.value(most.into_iter().map(E::of).collect())?;
        let part = self.one(x.clone(), |x| x.try_add(below)?.try_exp())?;
        let sum = self.one(part, |part| part.try_add(rest))?;
        let log = self.one(sum, |sum| sum.try_ln())?;
        self.one(log, |log| log.try_add(most))
    }

    /// `2 / sqrt(pi) * exp(-x^2) * x * (1 + 2 x^2 / 3 * (1 + 2 x^2 / 5 * ..))`: a series without cancellation. dfdx has erf inside its gelu
    /// only, whose derivative is off by a factor of the square root of 2.
    fn erf(&mut self, x: &Flat<E>) -> Result<Flat<E>, String> {
        let inside = self.one(x.clone(), |x| x.try_clamp(-SATURATED, SATURATED))?;
        let most = inside.as_vec().into_iter().map(|x| 2.0 * x.wide().powi(2)).fold(0.0, f64::max);
        let other = self.again(&inside)?;
        let square = self.one(inside.clone(), |x| x.try_mul(other))?;
        let mut series = self.filled(1.0, inside.as_vec().len())?;
        for n in (1..=terms(most)).rev() {
            let share = self.scaled(&square, 2.0 / f64::from(2 * n + 1))?;
            let part = self.one(share, |share| share.try_mul(series))?;
            series = self.shifted(&part, 1.0)?;
        }
        let bell = self.one(square, |square| square.try_negate()?.try_exp())?;
        let odd = self.one(series, |series| series.try_mul(inside))?;
        let product = self.one(bell, |bell| bell.try_mul(odd))?;
        self.scaled(&product, std::f64::consts::FRAC_2_SQRT_PI)
    }

    /// A power by an exponent that is one number, by dfdx's kernel; by others `exp(b * ln(a))`, which needs a positive a.
    fn power(&mut self, a: &Flat<E>, b: &Flat<E>, exponent_wanted: bool) -> Result<Flat<E>, String> {
        let exponents = b.as_vec();
        match exponents.first() {
            Some(first) if !exponent_wanted && exponents.iter().all(|b| b == first) => self.one(a.clone(), |a| a.try_powf(first.wide())),
            _ => {
                let log = self.one(a.clone(), |a| a.try_ln())?;
                let b = b.clone();
                self.one(log, |log| log.try_mul(b)?.try_exp())
            }
        }
    }
}

/// How many terms of the series of erf matter up to `2 x^2`.
fn terms(most: f64) -> u32 {
    let (mut term, mut sum, mut n) = (1.0, 1.0, 0);
    while term > 1e-18 * sum {
        n += 1;
        term *= most / f64::from(2 * n + 1);
        sum += term;
    }
    n
}
