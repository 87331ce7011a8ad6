//! The scalar functions in f32.

use segc_compiler::kernel::Function;

/// A function of one value; of a function of two values the value itself.
#[inline(always)]
pub(super) fn one(function: Function) -> fn(f32) -> f32 {
    match function {
        Function::Exp => f32::exp,
        Function::Log => f32::ln,
        Function::Log1p => f32::ln_1p,
        Function::Sin => f32::sin,
        Function::Cos => f32::cos,
        Function::Erf => libm::erff,
        Function::Tanh => f32::tanh,
        Function::Sigmoid => |x| 1.0 / (1.0 + (-x).exp()),
        Function::Softplus => |x| x.max(0.0) + (-x.abs()).exp().ln_1p(),
        _ => |x| x,
    }
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
