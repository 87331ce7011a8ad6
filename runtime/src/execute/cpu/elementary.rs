//! The functions of loops in f32, written once over [`Math`]: as arithmetic on numbers for the tiles, as instructions for machine code.

use segc_compiler::kernel::Function;

/// Operations of one value. `Halve` and `Exponent` take its bits as a whole number: half of it, rounded down, and its lowest bits where
/// the exponent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Unary {
    Sqrt,
    Floor,
    Round,
    Halve,
    Exponent,
    /// The bits from the exponent on as a whole number with a sign.
    Leading,
}

/// Operations of two values; those from `And` on take bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    /// The first one if it is larger, else the second one.
    Larger,
    /// The first one if it is smaller, else the second one.
    Smaller,
    And,
    Or,
    Xor,
    AddBits,
    SubtractBits,
}

/// What two values are compared by; all but `NotEqual` and `Unordered` are false where one is NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    Unordered,
}

/// What functions are made of. Every operation rounds once, so all that implement it agree bit for bit.
pub(super) trait Math {
    /// A number, or what will be one.
    type Value: Copy;

    fn number(&mut self, x: f32) -> Self::Value;
    fn unary(&mut self, op: Unary, a: Self::Value) -> Self::Value;
    fn binary(&mut self, op: Binary, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a * b + c`, rounded once.
    fn multiply_add(&mut self, a: Self::Value, b: Self::Value, c: Self::Value) -> Self::Value;
    /// `yes` where the comparison of both holds, else `no`.
    fn pick(&mut self, compare: (Compare, Self::Value, Self::Value), yes: Self::Value, no: Self::Value) -> Self::Value;
}

/// Arithmetic on numbers.
pub(super) struct Plain;

impl Math for Plain {
    type Value = f32;

    #[inline(always)]
    fn number(&mut self, x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn unary(&mut self, op: Unary, a: f32) -> f32 {
        match op {
            Unary::Sqrt => a.sqrt(),
            Unary::Floor => a.floor(),
            Unary::Round => a.round_ties_even(),
            Unary::Halve => f32::from_bits((a.to_bits() as i32 >> 1) as u32),
            Unary::Exponent => f32::from_bits(a.to_bits() << 23),
            Unary::Leading => f32::from_bits((a.to_bits() as i32 >> 23) as u32),
        }
    }

    #[inline(always)]
    fn binary(&mut self, op: Binary, a: f32, b: f32) -> f32 {
        let bits = |f: fn(u32, u32) -> u32| f32::from_bits(f(a.to_bits(), b.to_bits()));
        match op {
            Binary::Add => a + b,
            Binary::Subtract => a - b,
            Binary::Multiply => a * b,
            Binary::Divide => a / b,
            Binary::Larger => {
                if a > b {
                    a
                } else {
                    b
                }
            }
            Binary::Smaller => {
                if a < b {
                    a
                } else {
                    b
                }
            }
            Binary::And => bits(|a, b| a & b),
            Binary::Or => bits(|a, b| a | b),
            Binary::Xor => bits(|a, b| a ^ b),
            Binary::AddBits => bits(u32::wrapping_add),
            Binary::SubtractBits => bits(u32::wrapping_sub),
        }
    }

    #[inline(always)]
    fn multiply_add(&mut self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    #[inline(always)]
    fn pick(&mut self, (compare, a, b): (Compare, f32, f32), yes: f32, no: f32) -> f32 {
        let holds = match compare {
            Compare::Equal => a == b,
            Compare::NotEqual => a != b,
            Compare::Less => a < b,
            Compare::LessEqual => a <= b,
            Compare::Greater => a > b,
            Compare::Unordered => a.is_nan() | b.is_nan(),
        };
        if holds { yes } else { no }
    }
}

/// Whether [`one`] or [`two`] has a function; the others are those of the mathematical library, which have branches.
pub(super) fn has(function: Function) -> bool {
    !matches!(function, Function::Log1p | Function::Sin | Function::Cos | Function::Power)
}

/// A function of one value, or the value itself for what [`has`] denies.
#[inline(always)]
pub(super) fn one<M: Math>(m: &mut M, function: Function, x: M::Value) -> M::Value {
    match function {
        Function::Negate => negate(m, x),
        Function::Exp => exp(m, x),
        Function::Log => log(m, x),
        Function::Sqrt => m.unary(Unary::Sqrt, x),
        Function::Erf => erf(m, x),
        Function::Tanh => tanh(m, x),
        Function::Sigmoid => sigmoid(m, x),
        Function::Softplus => softplus(m, x),
        Function::Abs => abs(m, x),
        Function::Sign => sign(m, x),
        Function::Floor => m.unary(Unary::Floor, x),
        Function::Round => m.unary(Unary::Round, x),
        Function::Not => {
            let one = m.number(1.0);
            m.binary(Binary::Subtract, one, x)
        }
        _ => x,
    }
}

/// A function of two values, or the first one for what [`has`] denies.
#[inline(always)]
pub(super) fn two<M: Math>(m: &mut M, function: Function, a: M::Value, b: M::Value) -> M::Value {
    match function {
        Function::Add => m.binary(Binary::Add, a, b),
        Function::Subtract => m.binary(Binary::Subtract, a, b),
        Function::Multiply => m.binary(Binary::Multiply, a, b),
        Function::Divide => m.binary(Binary::Divide, a, b),
        Function::Maximum => extreme(m, Binary::Larger, a, b),
        Function::Minimum => extreme(m, Binary::Smaller, a, b),
        Function::Modulo => {
            let quotient = m.binary(Binary::Divide, a, b);
            let whole = m.unary(Unary::Floor, quotient);
            let product = m.binary(Binary::Multiply, b, whole);
            m.binary(Binary::Subtract, a, product)
        }
        Function::Equal => truth(m, (Compare::Equal, a, b)),
        Function::NotEqual => truth(m, (Compare::NotEqual, a, b)),
        Function::Less => truth(m, (Compare::Less, a, b)),
        Function::LessEqual => truth(m, (Compare::LessEqual, a, b)),
        Function::And => {
            let (zero, second) = (m.number(0.0), is_true(m, b));
            m.pick((Compare::NotEqual, a, zero), second, zero)
        }
        Function::Or => {
            let (zero, one, second) = (m.number(0.0), m.number(1.0), is_true(m, b));
            m.pick((Compare::NotEqual, a, zero), one, second)
        }
        _ => a,
    }
}

/// `yes` where `on` is not zero.
#[inline(always)]
pub(super) fn select<M: Math>(m: &mut M, on: M::Value, yes: M::Value, no: M::Value) -> M::Value {
    let zero = m.number(0.0);
    m.pick((Compare::NotEqual, on, zero), yes, no)
}

/// The larger one; NaN wins.
#[inline(always)]
pub(super) fn maximum(a: f32, b: f32) -> f32 {
    two(&mut Plain, Function::Maximum, a, b)
}

/// The smaller one; NaN wins.
#[inline(always)]
pub(super) fn minimum(a: f32, b: f32) -> f32 {
    two(&mut Plain, Function::Minimum, a, b)
}

#[inline(always)]
fn extreme<M: Math>(m: &mut M, op: Binary, a: M::Value, b: M::Value) -> M::Value {
    // A second value that is NaN is the result of the operation itself.
    let extreme = m.binary(op, a, b);
    m.pick((Compare::Unordered, a, a), a, extreme)
}

#[inline(always)]
fn truth<M: Math>(m: &mut M, compare: (Compare, M::Value, M::Value)) -> M::Value {
    let (one, zero) = (m.number(1.0), m.number(0.0));
    m.pick(compare, one, zero)
}

#[inline(always)]
fn is_true<M: Math>(m: &mut M, a: M::Value) -> M::Value {
    let zero = m.number(0.0);
    truth(m, (Compare::NotEqual, a, zero))
}

const SIGN: f32 = -0.0;

#[inline(always)]
fn negate<M: Math>(m: &mut M, x: M::Value) -> M::Value {
    let sign = m.number(SIGN);
    m.binary(Binary::Xor, x, sign)
}

#[inline(always)]
fn abs<M: Math>(m: &mut M, x: M::Value) -> M::Value {
    let rest = m.number(f32::from_bits(!SIGN.to_bits()));
    m.binary(Binary::And, x, rest)
}

/// The size of one value, which is not negative, with the sign of another.
#[inline(always)]
fn with_sign<M: Math>(m: &mut M, size: M::Value, x: M::Value) -> M::Value {
    let sign = m.number(SIGN);
    let sign = m.binary(Binary::And, x, sign);
    m.binary(Binary::Or, size, sign)
}

/// -1, 0 or 1; NaN stays.
#[inline(always)]
fn sign<M: Math>(m: &mut M, x: M::Value) -> M::Value {
    let [zero, above, below] = [0.0, 1.0, -1.0].map(|x| m.number(x));
    let low = m.pick((Compare::Less, x, zero), below, x);
    m.pick((Compare::Greater, x, zero), above, low)
}

/// A polynomial with the coefficient of the highest power first.
#[inline(always)]
fn polynomial<M: Math, const N: usize>(m: &mut M, x: M::Value, coefficients: [f32; N]) -> M::Value {
    let mut sum = m.number(coefficients[0]);
    for &next in &coefficients[1..] {
        let next = m.number(next);
        sum = m.multiply_add(sum, x, next);
    }
    sum
}

/// e to the power of x: x = n ln 2 + r with ln 2 in two parts (Cody & Waite 1980), the power of r as a polynomial (Moshier's Cephes), that
/// of two by its bits.
#[inline(always)]
fn exp<M: Math>(m: &mut M, x: M::Value) -> M::Value {
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    /// Added, it leaves a whole number in the last bits.
    const SHIFT: f32 = 12_582_912.0;
    // Beyond these bounds the result is infinite or zero all the same.
    let (top, bottom) = (m.number(89.0), m.number(-104.0));
    let x = m.binary(Binary::Smaller, top, x);
    let x = m.binary(Binary::Larger, bottom, x);
    let (shift, log2_e) = (m.number(SHIFT), m.number(std::f32::consts::LOG2_E));
    let shifted = m.multiply_add(x, log2_e, shift);
    let n = m.binary(Binary::Subtract, shifted, shift);
    let [high, low] = LN_2.map(|part| m.number(-part));
    let r = m.multiply_add(n, high, x);
    let r = m.multiply_add(n, low, r);
    let p = polynomial(m, r, [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1]);
    let p = m.binary(Binary::Multiply, p, r);
    let p = m.multiply_add(p, r, r);
    let one = m.number(1.0);
    let p = m.binary(Binary::Add, p, one);
    // In two factors, since the power alone may lie outside of what f32 holds.
    let power = m.binary(Binary::SubtractBits, shifted, shift);
    let half = m.unary(Unary::Halve, power);
    let rest = m.binary(Binary::SubtractBits, power, half);
    let bias = m.number(f32::from_bits(127));
    let [half, rest] = [half, rest].map(|n| {
        let biased = m.binary(Binary::AddBits, n, bias);
        m.unary(Unary::Exponent, biased)
    });
    let p = m.binary(Binary::Multiply, p, half);
    m.binary(Binary::Multiply, p, rest)
}

/// The natural logarithm: x = 2^n f with f between the roots of 1/2 and 2, ln f = 2 artanh((f - 1) / (f + 1)) as a series.
#[inline(always)]
fn log<M: Math>(m: &mut M, x: M::Value) -> M::Value {
    const LN_2: [f32; 2] = [0.693_145_75, 1.428_606_8e-6];
    const SHIFT: f32 = 12_582_912.0;
    // Numbers below the smallest normal one are made larger first.
    let (normal, larger, zero) = (m.number(f32::MIN_POSITIVE), m.number(8_388_608.0), m.number(0.0));
    let (twenty_three, one) = (m.number(23.0), m.number(1.0));
    let grown = m.binary(Binary::Multiply, x, larger);
    let bits = m.pick((Compare::Less, x, normal), grown, x);
    let extra = m.pick((Compare::Less, x, normal), twenty_three, zero);
    let root = m.number(std::f32::consts::FRAC_1_SQRT_2);
    let above = m.binary(Binary::SubtractBits, bits, root);
    let exponent = m.number(f32::from_bits(0xff80_0000));
    let whole = m.binary(Binary::And, above, exponent);
    let f = m.binary(Binary::SubtractBits, bits, whole);
    let shift = m.number(SHIFT);
    let n = m.unary(Unary::Leading, above);
    let n = m.binary(Binary::AddBits, n, shift);
    let n = m.binary(Binary::Subtract, n, shift);
    let n = m.binary(Binary::Subtract, n, extra);
    let above = m.binary(Binary::Subtract, f, one);
    let two = m.number(2.0);
    let below = m.binary(Binary::Add, above, two);
    let s = m.binary(Binary::Divide, above, below);
    let artanh = twice_artanh(m, s);
    let [high, low] = LN_2.map(|part| m.number(part));
    let result = m.multiply_add(n, low, artanh);
    let result = m.multiply_add(n, high, result);
    let [none, infinite, least] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(|x| m.number(x));
    let result = m.pick((Compare::Equal, x, infinite), infinite, result);
    let result = m.pick((Compare::Less, x, zero), none, result);
    let result = m.pick((Compare::Equal, x, zero), least, result);
    m.pick((Compare::Unordered, x, x), x, result)
}

/// 2 artanh(s) for |s| up to 1/3 as a series.
#[inline(always)]
fn twice_artanh<M: Math>(m: &mut M, s: M::Value) -> M::Value {
    let z = m.binary(Binary::Multiply, s, s);
    let p = polynomial(m, z, [2.0 / 13.0, 2.0 / 11.0, 2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0]);
    let p = m.binary(Binary::Multiply, p, z);
    let twice = m.binary(Binary::Add, s, s);
    m.multiply_add(p, s, twice)
}

/// The error function: near zero x + x P(x^2), elsewhere 1 - exp(Q(|x|)), both fitted to the smallest largest error.
#[inline(always)]
fn erf<M: Math>(m: &mut M, x: M::Value) -> M::Value {
    const P: [f32; 7] = [8.538_828e-5, -8.181_925e-4, 5.204_436e-3, -2.686_075_3e-2, 1.128_371_95e-1, -3.761_263_5e-1, 1.283_791_7e-1];
    const Q: [f32; 8] =
        [-2.090_991e-5, 4.323_068_7e-4, -4.160_544_6e-3, 2.509_154e-2, -1.082_366_83e-1, -6.333_866e-1, -1.129_495_2, 1.705_569e-4];
    let square = m.binary(Binary::Multiply, x, x);
    let near = polynomial(m, square, P);
    let near = m.multiply_add(near, x, x);
    let (end, one, border) = (m.number(4.0), m.number(1.0), m.number(0.9));
    let size = abs(m, x);
    // From 4 on the result is 1; NaN stays.
    let bounded = m.binary(Binary::Smaller, end, size);
    let power = polynomial(m, bounded, Q);
    let left = exp(m, power);
    let far = m.binary(Binary::Subtract, one, left);
    let far = with_sign(m, far, x);
    m.pick((Compare::Less, size, border), near, far)
}

/// The hyperbolic tangent: near zero a polynomial (Cephes), elsewhere by the exponential.
#[inline(always)]
fn tanh<M: Math>(m: &mut M, x: M::Value) -> M::Value {
    let square = m.binary(Binary::Multiply, x, x);
    let p = polynomial(m, square, [-5.704_988_7e-3, 2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1]);
    let p = m.binary(Binary::Multiply, p, square);
    let near = m.multiply_add(p, x, x);
    let size = abs(m, x);
    let twice = m.binary(Binary::Add, size, size);
    let power = exp(m, twice);
    let [one, two, border] = [1.0, 2.0, 0.625].map(|x| m.number(x));
    let below = m.binary(Binary::Add, power, one);
    let left = m.binary(Binary::Divide, two, below);
    let far = m.binary(Binary::Subtract, one, left);
    let far = with_sign(m, far, x);
    m.pick((Compare::Less, size, border), near, far)
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
fn sigmoid<M: Math>(m: &mut M, x: M::Value) -> M::Value {
    let minus = negate(m, x);
    let power = exp(m, minus);
    let one = m.number(1.0);
    let below = m.binary(Binary::Add, one, power);
    m.binary(Binary::Divide, one, below)
}

/// `ln(1 + exp(x))`: with t = exp(-|x|) it is max(x, 0) + ln(1 + t), and ln(1 + t) = 2 artanh(t / (2 + t)) as a series.
#[inline(always)]
fn softplus<M: Math>(m: &mut M, x: M::Value) -> M::Value {
    let (two, zero) = (m.number(2.0), m.number(0.0));
    let size = abs(m, x);
    let minus = negate(m, size);
    let t = exp(m, minus);
    let below = m.binary(Binary::Add, two, t);
    let s = m.binary(Binary::Divide, t, below);
    let log = twice_artanh(m, s);
    // NaN is lost here, but kept by the logarithm.
    let positive = m.binary(Binary::Larger, x, zero);
    m.binary(Binary::Add, log, positive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(function: Function) -> impl Fn(f32) -> f32 {
        move |x| one(&mut Plain, function, x)
    }

    /// The largest error over a range, in units of the last place of the correctly rounded result.
    fn worst(f: impl Fn(f32) -> f32, truth: fn(f64) -> f64, from: f32, to: f32) -> f64 {
        let at = |i: usize| from + (to - from) * i as f32 / 200_000.0;
        let error = |x: f32| {
            let exact = truth(f64::from(x));
            let rounded = exact as f32;
            let ulp = f64::from(f32::from_bits(rounded.abs().to_bits() + 1)) - f64::from(rounded.abs());
            (f64::from(f(x)) - exact).abs() / ulp
        };
        (0..=200_000).map(|i| error(at(i))).fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_right_to_three_units_of_the_last_place() {
        let sigmoid_of = |x: f64| 1.0 / (1.0 + (-x).exp());
        let softplus_of = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        for (from, to) in [(-1e-3, 1e-3), (-1.0, 1.0), (-20.0, 20.0), (-80.0, 80.0)] {
            let all = [
                ("exp", worst(of(Function::Exp), f64::exp, from, to)),
                ("erf", worst(of(Function::Erf), libm::erf, from, to)),
                ("tanh", worst(of(Function::Tanh), f64::tanh, from, to)),
                ("sigmoid", worst(of(Function::Sigmoid), sigmoid_of, from, to)),
                ("softplus", worst(of(Function::Softplus), softplus_of, from, to)),
            ];
            for (name, error) in all {
                assert!(error < 3.0, "{name} from {from} to {to}: {error}");
            }
        }
    }

    #[test]
    fn logarithms_are_right_to_three_units_of_the_last_place() {
        for (from, to) in [(1e-44, 1e-38), (1e-38, 1e-30), (1e-3, 0.7), (0.5, 2.0), (2.0, 100.0), (1e30, 3e38)] {
            let error = worst(of(Function::Log), f64::ln, from, to);
            assert!(error < 3.0, "from {from} to {to}: {error}");
        }
    }

    #[test]
    fn ends_and_numbers_that_are_none() {
        let [exp, log, erf, tanh, sigmoid, softplus] =
            [Function::Exp, Function::Log, Function::Erf, Function::Tanh, Function::Sigmoid, Function::Softplus].map(of);
        assert_eq!([log(f32::INFINITY), log(0.0), log(1.0)], [f32::INFINITY, f32::NEG_INFINITY, 0.0]);
        assert!(log(-1.0).is_nan());
        assert_eq!([erf(f32::INFINITY), erf(-50.0), erf(0.0)], [1.0, -1.0, 0.0]);
        assert_eq!([exp(f32::INFINITY), exp(f32::NEG_INFINITY), exp(0.0), exp(89.0)], [f32::INFINITY, 0.0, 1.0, f32::INFINITY]);
        assert_eq!([tanh(f32::INFINITY), tanh(-50.0), tanh(0.0)], [1.0, -1.0, 0.0]);
        assert_eq!([sigmoid(f32::INFINITY), sigmoid(f32::NEG_INFINITY), sigmoid(0.0)], [1.0, 0.0, 0.5]);
        assert_eq!([softplus(f32::INFINITY), softplus(f32::NEG_INFINITY)], [f32::INFINITY, 0.0]);
        assert!([&exp, &log, &erf, &tanh, &sigmoid, &softplus].iter().all(|f| f(f32::NAN).is_nan()));
        assert!(exp(-103.0) > 0.0, "below the smallest normal number");
    }
}
