//! The scalar functions in f32.

use segc_compiler::kernel::Function;

/// A function of one value; of a function of two values the value itself. Those that loops spend their time on have no branches and no
/// calls, so that loops over them become SIMD.
#[inline(always)]
pub(super) fn one(function: Function) -> fn(f32) -> f32 {
    match function {
        Function::Exp => exp,
        Function::Log => f32::ln,
        Function::Log1p => f32::ln_1p,
        Function::Sin => f32::sin,
        Function::Cos => f32::cos,
        Function::Erf => libm::erff,
        Function::Tanh => tanh,
        Function::Sigmoid => sigmoid,
        Function::Softplus => softplus,
        _ => |x| x,
    }
}

/// e to the power of x: x = n ln 2 + r with ln 2 in two parts (Cody & Waite 1980), the power of r as a polynomial (Moshier's Cephes), that
/// of two by its bits.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    /// Added, it leaves a whole number in the last bits.
    const SHIFT: f32 = 12_582_912.0;
    // Beyond these bounds the result is infinite or zero all the same.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, SHIFT);
    let n = shifted - SHIFT;
    let r = n.mul_add(-LN_2[1], n.mul_add(-LN_2[0], x));
    let p = 1.987_569_1e-4f32.mul_add(r, 1.398_199_9e-3).mul_add(r, 8.333_452e-3).mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_5e-1).mul_add(r, 5e-1);
    let p = (p * r).mul_add(r, r) + 1.0;
    // In two factors, since the power alone may lie outside of what f32 holds.
    let power = (shifted.to_bits() as i32).wrapping_sub(SHIFT.to_bits() as i32);
    let half = power >> 1;
    let two_to = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
    p * two_to(half) * two_to(power.wrapping_sub(half))
}

/// The hyperbolic tangent: near zero a polynomial (Cephes), elsewhere by the exponential.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let square = x * x;
    let p = (-5.704_988_7e-3f32).mul_add(square, 2.063_909e-2).mul_add(square, -5.373_971_6e-2);
    let p = p.mul_add(square, 1.333_144_2e-1).mul_add(square, -3.333_328e-1);
    let near = (p * square).mul_add(x, x);
    let far = (1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0)).copysign(x);
    if x.abs() < 0.625 { near } else { far }
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `ln(1 + exp(x))`: with t = exp(-|x|) it is max(x, 0) + ln(1 + t), and ln(1 + t) = 2 artanh(t / (2 + t)) as a series.
#[inline(always)]
pub(super) fn softplus(x: f32) -> f32 {
    let t = exp(-x.abs());
    let s = t / (2.0 + t);
    let z = s * s;
    let p = (2.0f32 / 13.0).mul_add(z, 2.0 / 11.0).mul_add(z, 2.0 / 9.0).mul_add(z, 2.0 / 7.0).mul_add(z, 2.0 / 5.0).mul_add(z, 2.0 / 3.0);
    let log = (p * z).mul_add(s, 2.0 * s);
    // A maximum of the hardware would lose NaN, which `log` keeps.
    log + if x > 0.0 { x } else { 0.0 }
}

/// -1, 0 or 1; NaN stays.
#[inline(always)]
pub(super) fn sign(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
    }
}

/// The larger one; NaN wins.
#[inline(always)]
pub(super) fn maximum(a: f32, b: f32) -> f32 {
    if a.is_nan() || a >= b { a } else { b }
}

/// The smaller one; NaN wins.
#[inline(always)]
pub(super) fn minimum(a: f32, b: f32) -> f32 {
    if a.is_nan() || a <= b { a } else { b }
}

/// Truth as a number.
#[inline(always)]
pub(super) fn truth(on: bool) -> f32 {
    if on { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error over a range, in units of the last place of the correctly rounded result.
    fn worst(f: fn(f32) -> f32, truth: fn(f64) -> f64, from: f32, to: f32) -> f64 {
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
                ("exp", worst(exp, f64::exp, from, to)),
                ("tanh", worst(tanh, f64::tanh, from, to)),
                ("sigmoid", worst(sigmoid, sigmoid_of, from, to)),
                ("softplus", worst(softplus, softplus_of, from, to)),
            ];
            for (name, error) in all {
                assert!(error < 3.0, "{name} from {from} to {to}: {error}");
            }
        }
    }

    #[test]
    fn ends_and_numbers_that_are_none() {
        assert_eq!([exp(f32::INFINITY), exp(f32::NEG_INFINITY), exp(0.0), exp(89.0)], [f32::INFINITY, 0.0, 1.0, f32::INFINITY]);
        assert_eq!([tanh(f32::INFINITY), tanh(-50.0), tanh(0.0)], [1.0, -1.0, 0.0]);
        assert_eq!([sigmoid(f32::INFINITY), sigmoid(f32::NEG_INFINITY), sigmoid(0.0)], [1.0, 0.0, 0.5]);
        assert_eq!([softplus(f32::INFINITY), softplus(f32::NEG_INFINITY)], [f32::INFINITY, 0.0]);
        assert!([exp, tanh, sigmoid, softplus].iter().all(|f| f(f32::NAN).is_nan()));
        assert!(exp(-103.0) > 0.0, "below the smallest normal number");
    }
}
