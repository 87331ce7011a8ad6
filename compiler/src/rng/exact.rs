//! Functions in double precision made of additions, multiplications and divisions alone, in one order: every processor and every card
//! makes the same bits of them, which no mathematical library promises. Each is right to two units of the last place.

/// ln 2 in two parts; products of the first with whole numbers below 2^20 are exact.
const LN_2: [f64; 2] = [f64::from_bits(0x3fe6_2e42_fee0_0000), f64::from_bits(0x3dea_39ef_3579_3c76)];
/// Bits of the mantissa.
const MANTISSA: u64 = 0x000f_ffff_ffff_ffff;

/// `c[0] + c[1] x + c[2] x^2 ..`, the last coefficient first.
fn polynomial<const N: usize>(x: f64, c: [f64; N]) -> f64 {
    c.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

/// The natural logarithm of a positive normal number: it is m 2^k with m between the roots of 1/2 and 2, and
/// ln m = 2 artanh(s) with s = (m - 1) / (m + 1), as a series.
pub(super) fn ln(x: f64) -> f64 {
    let mantissa = x.to_bits() & MANTISSA;
    let above = u64::from(mantissa >= std::f64::consts::SQRT_2.to_bits() & MANTISSA);
    let k = ((x.to_bits() >> 52) as i32 - 1023 + above as i32) as f64;
    let m = f64::from_bits(mantissa | (1023 - above) << 52);
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let rest = polynomial(
        z,
        [2.0 / 3.0, 2.0 / 5.0, 2.0 / 7.0, 2.0 / 9.0, 2.0 / 11.0, 2.0 / 13.0, 2.0 / 15.0, 2.0 / 17.0, 2.0 / 19.0, 2.0 / 21.0, 2.0 / 23.0],
    );
    k * LN_2[0] + (2.0 * s + (s * z * rest + k * LN_2[1]))
}

/// e to the power of x: x = n ln 2 + r, e^r as a series, the power of two by its bits. Below -745 it is 0, above 709.7 infinite.
pub(super) fn exp(x: f64) -> f64 {
    /// Added, it leaves a whole number in the last bits.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    let x = x.clamp(-800.0, 800.0);
    let n = (x * std::f64::consts::LOG2_E + SHIFT) - SHIFT;
    let r = (x - n * LN_2[0]) - n * LN_2[1];
    let series = polynomial(
        r,
        [
            1.0,
            1.0,
            1.0 / 2.0,
            1.0 / 6.0,
            1.0 / 24.0,
            1.0 / 120.0,
            1.0 / 720.0,
            1.0 / 5_040.0,
            1.0 / 40_320.0,
            1.0 / 362_880.0,
            1.0 / 3_628_800.0,
            1.0 / 39_916_800.0,
            1.0 / 479_001_600.0,
            1.0 / 6_227_020_800.0,
            1.0 / 87_178_291_200.0,
        ],
    );
    // In two factors, since the power alone may lie outside of what f64 holds.
    let half = (n as i32) >> 1;
    let two_to = |n: i32| f64::from_bits(((n + 1023) as u64) << 52);
    series * two_to(half) * two_to(n as i32 - half)
}

/// Sine and cosine of a turn's part `v / 2^32`: whole quarters are taken off exactly, the rest is a series.
pub(super) fn sin_cos_turn(v: u32) -> (f64, f64) {
    // Rounded to the nearest quarter; what is left lies between -1/8 and 1/8 of a turn.
    let quarter = v.wrapping_add(1 << 29) >> 30;
    let left = f64::from(v.wrapping_sub(quarter << 30) as i32) * (1.0 / 4_294_967_296.0);
    let x = left * std::f64::consts::TAU;
    let z = x * x;
    let sine = x * polynomial(
        z,
        [
            1.0,
            -1.0 / 6.0,
            1.0 / 120.0,
            -1.0 / 5_040.0,
            1.0 / 362_880.0,
            -1.0 / 39_916_800.0,
            1.0 / 6_227_020_800.0,
            -1.0 / 1_307_674_368_000.0,
            1.0 / 355_687_428_096_000.0,
        ],
    );
    let cosine = polynomial(
        z,
        [
            1.0,
            -1.0 / 2.0,
            1.0 / 24.0,
            -1.0 / 720.0,
            1.0 / 40_320.0,
            -1.0 / 3_628_800.0,
            1.0 / 479_001_600.0,
            -1.0 / 87_178_291_200.0,
            1.0 / 20_922_789_888_000.0,
            -1.0 / 6_402_373_705_728_000.0,
        ],
    );
    match quarter & 3 {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How far a value is from the true one, in units of the last place.
    fn units(value: f64, truth: f64) -> f64 {
        let ulp = f64::from_bits(truth.abs().max(f64::MIN_POSITIVE).to_bits() + 1) - truth.abs().max(f64::MIN_POSITIVE);
        (value - truth).abs() / ulp
    }

    #[test]
    fn logarithms_are_right_to_two_units() {
        let all = (0..200_000u32).flat_map(|i| [f64::from(i + 1) * 2f64.powi(-32), f64::from(i) * 1e-5 + 0.3, f64::from(i + 1).powi(9)]);
        let worst = all.map(|x| (units(ln(x), x.ln()), x)).fold((0.0, 0.0), |a, b| if b.0 > a.0 { b } else { a });
        assert!(worst.0 <= 2.0, "{worst:?}");
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn powers_are_right_to_two_units() {
        let all = (-70_000..70_000).map(|i| f64::from(i) * 0.01001);
        let worst =
            all.filter(|x| x.abs() < 700.0).map(|x| (units(exp(x), x.exp()), x)).fold((0.0, 0.0), |a, b| if b.0 > a.0 { b } else { a });
        assert!(worst.0 <= 2.0, "{worst:?}");
        assert_eq!([exp(0.0), exp(-1e9), exp(1e9), exp(f64::NEG_INFINITY)], [1.0, 0.0, f64::INFINITY, 0.0]);
    }

    #[test]
    fn turns_are_right_to_the_rounding_of_their_angle() {
        let all = (0..400_000u32).map(|i| i.wrapping_mul(2_654_435_761)).chain([0, 1 << 29, 1 << 30, 3 << 30, u32::MAX]);
        for v in all {
            let (sine, cosine) = sin_cos_turn(v);
            let (true_sine, true_cosine) = (std::f64::consts::TAU * f64::from(v) * 2f64.powi(-32)).sin_cos();
            // The angle of the comparison is rounded, by up to 4e-16, and so is the circle's, by 2e-16.
            assert!((sine - true_sine).abs() < 1e-15 && (cosine - true_cosine).abs() < 1e-15, "{v}");
        }
        assert_eq!([sin_cos_turn(0), sin_cos_turn(1 << 31)], [(0.0, 1.0), (0.0, -1.0)]);
    }
}
