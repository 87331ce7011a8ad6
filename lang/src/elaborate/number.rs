//! Numbers at compile time: exact rationals, and reals where an irrational function or an overflow leaves the rationals.

use std::cmp::Ordering;

use num_rational::Ratio;

/// Beyond this, a numerator or denominator is given up in favour of a real.
const LARGEST: i128 = 1 << 100;

/// A number known when compiling. Whole numbers are rationals with denominator one.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// `9/8`.
    Exact(Ratio<i128>),
    /// `sqrt(2)`.
    Real(f64),
}

impl Number {
    /// Nought.
    pub const ZERO: Number = Number::Exact(Ratio::new_raw(0, 1));
    /// One.
    pub const ONE: Number = Number::Exact(Ratio::new_raw(1, 1));
    /// A half.
    pub const HALF: Number = Number::Exact(Ratio::new_raw(1, 2));

    /// A whole number.
    pub fn whole(value: i64) -> Number {
        Number::Exact(Ratio::from_integer(value.into()))
    }

    /// A number as written: `0.15`, `60k`, `1e-3`. `None` where the text is none.
    pub fn parse(text: &str) -> Option<Number> {
        // Most numbers are short and whole.
        if text.len() < 10 && text.bytes().all(|digit| digit.is_ascii_digit()) {
            return text.parse().ok().map(Number::whole);
        }
        let (digits, scale) = match text.as_bytes().last()? {
            b'k' => (&text[..text.len() - 1], 1_000),
            b'M' => (&text[..text.len() - 1], 1_000_000),
            _ => (text, 1),
        };
        let exact = || {
            let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
            let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
            let exponent = exponent.parse::<i32>().ok()? - i32::try_from(part.len()).ok()?;
            let power = 10i128.checked_pow(exponent.unsigned_abs())?;
            let value = format!("{whole}{part}").parse::<i128>().ok()?.checked_mul(scale)?;
            if exponent < 0 { ratio(value, power) } else { ratio(value.checked_mul(power)?, 1) }
        };
        exact().or_else(|| digits.parse::<f64>().ok().map(|value| Number::Real(value * scale as f64)))
    }

    /// The nearest real.
    pub fn real(self) -> f64 {
        match self {
            Number::Exact(value) => *value.numer() as f64 / *value.denom() as f64,
            Number::Real(value) => value,
        }
    }

    /// The value, where it is whole and fits.
    pub fn integer(self) -> Option<i64> {
        match self {
            Number::Exact(value) if value.is_integer() => i64::try_from(*value.numer()).ok(),
            Number::Real(value) if value.fract() == 0.0 && value.abs() < 9e15 => Some(value as i64),
            _ => None,
        }
    }

    /// Sum.
    pub fn add(self, other: Number) -> Number {
        self.combine(other, |a, b, c, d| ratio(a.checked_mul(d)?.checked_add(c.checked_mul(b)?)?, b.checked_mul(d)?), |x, y| x + y)
    }

    /// Difference.
    pub fn subtract(self, other: Number) -> Number {
        self.add(other.negate())
    }

    /// Product.
    pub fn multiply(self, other: Number) -> Number {
        self.combine(other, |a, b, c, d| ratio(a.checked_mul(c)?, b.checked_mul(d)?), |x, y| x * y)
    }

    /// Quotient; by zero it is infinite or not a number, as for reals.
    pub fn divide(self, other: Number) -> Number {
        self.combine(other, |a, b, c, d| ratio(a.checked_mul(d)?, b.checked_mul(c)?), |x, y| x / y)
    }

    /// Power; exact for whole exponents.
    pub fn power(self, other: Number) -> Number {
        if let (Number::Exact(base), Some(exponent)) = (self, other.integer())
            && let Ok(count) = u32::try_from(exponent.unsigned_abs())
            && let (Some(above), Some(below)) = (base.numer().checked_pow(count), base.denom().checked_pow(count))
            && let Some(value) = if exponent < 0 { ratio(below, above) } else { ratio(above, below) }
        {
            return value;
        }
        Number::Real(self.real().powf(other.real()))
    }

    /// Remainder with the sign of the divisor.
    pub fn modulo(self, other: Number) -> Number {
        self.subtract(other.multiply(self.divide(other).floor()))
    }

    /// The number on the other side of zero.
    pub fn negate(self) -> Number {
        match self {
            Number::Exact(value) => Number::Exact(-value),
            Number::Real(value) => Number::Real(-value),
        }
    }

    /// The largest whole number that is not above.
    pub fn floor(self) -> Number {
        match self {
            Number::Exact(value) => Number::Exact(value.floor()),
            Number::Real(value) => Number::Real(value.floor()),
        }
    }

    /// The nearest whole number, halves to even, as devices round.
    pub fn round(self) -> Number {
        match self {
            Number::Exact(value) => {
                let below = value.floor();
                let half = Ratio::new(1, 2);
                let up = match (value - below).cmp(&half) {
                    Ordering::Less => false,
                    Ordering::Greater => true,
                    Ordering::Equal => below.numer() % 2 != 0,
                };
                Number::Exact(if up { below + Ratio::from_integer(1) } else { below })
            }
            Number::Real(value) => Number::Real(value.round_ties_even()),
        }
    }

    /// Order; none with what is not a number.
    pub fn compare(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Exact(a), Number::Exact(b)) => Some(a.cmp(&b)),
            (a, b) => a.real().partial_cmp(&b.real()),
        }
    }

    /// Applies a function of reals; the result is exact again only where it is whole and the argument was exact.
    pub fn map(self, function: impl Fn(f64) -> f64) -> Number {
        let value = Number::Real(function(self.real()));
        match (self, value.integer()) {
            (Number::Exact(_), Some(whole)) => Number::whole(whole),
            _ => value,
        }
    }

    fn combine(self, other: Number, exact: impl Fn(i128, i128, i128, i128) -> Option<Number>, real: impl Fn(f64, f64) -> f64) -> Number {
        if let (Number::Exact(a), Number::Exact(b)) = (self, other)
            && let Some(value) = exact(*a.numer(), *a.denom(), *b.numer(), *b.denom())
        {
            return value;
        }
        Number::Real(real(self.real(), other.real()))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.compare(*other) == Some(Ordering::Equal)
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Number::Exact(value) => write!(f, "{value}"),
            Number::Real(value) => write!(f, "{value}"),
        }
    }
}

fn ratio(above: i128, below: i128) -> Option<Number> {
    let fits = below != 0 && below.unsigned_abs() < i128::MAX as u128 && above.unsigned_abs() < i128::MAX as u128;
    if !fits {
        return None;
    }
    let value = Ratio::new(above, below);
    (value.numer().abs() < LARGEST && *value.denom() < LARGEST).then_some(Number::Exact(value))
}

#[cfg(test)]
mod tests {
    use super::Number;

    fn n(text: &str) -> Number {
        Number::parse(text).expect("a number")
    }

    #[test]
    fn decimals_and_quotients_are_exact() {
        assert_eq!(n("9").divide(n("8")).multiply(n("64")).integer(), Some(72));
        assert_eq!(n("0.1").add(n("0.2")), n("0.3"));
        assert_eq!(n("1.2M").integer(), Some(1_200_000));
        assert_eq!(n("1e-3").real(), 1e-3);
        assert_eq!(n("2").power(n("0").subtract(n("3"))), n("0.125"));
    }

    #[test]
    fn overflow_and_irrational_functions_fall_back_to_reals() {
        let large = n("10").power(n("30"));
        assert!(large.multiply(large).real() > 9e59);
        assert!((n("2").map(f64::sqrt).real() - std::f64::consts::SQRT_2).abs() < 1e-15);
        assert_eq!(n("4").map(f64::sqrt).integer(), Some(2));
        assert!(n("1").divide(n("0")).real().is_infinite());
    }

    #[test]
    fn rounding_halves_goes_to_even() {
        let rounded: Vec<_> = ["0.5", "1.5", "2.5", "2.6"].iter().map(|t| n(t).round().integer()).collect();
        assert_eq!(rounded, [Some(0), Some(2), Some(2), Some(3)]);
    }
}
