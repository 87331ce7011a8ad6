//! What the machine reaches at most, measured: products and sums in registers, numbers streamed through memory.

use std::time::{Duration, Instant};

use pulp::{Arch, Simd, WithSimd};

/// What a number of threads reach together.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Ceiling {
    /// Operations per second of fused multiply-adds in f32, two each.
    pub flop_per_second: f64,
    /// Bytes per second of `a = b + c * d` over arrays that no cache holds.
    pub bytes_per_second: f64,
}

/// So many independent sums hide the latency of a multiply-add.
const SUMS: usize = 12;
/// Rounds of all sums between two looks at the clock.
const ROUNDS: usize = 200_000;
/// Elements of an array of a thread.
const ELEMENTS: usize = 8 << 20;

/// The best of several tries on so many threads at once.
pub fn ceiling(threads: usize) -> Ceiling {
    let flop = best(threads, 5, |arch| {
        let kept = arch.dispatch(Products);
        assert!(kept.is_finite());
        (2 * SUMS * ROUNDS * lanes(arch)) as f64
    });
    let bytes = streams(threads);
    Ceiling { flop_per_second: flop, bytes_per_second: bytes }
}

/// Work per second, all threads together, of the quickest of some tries.
fn best(threads: usize, tries: usize, work: impl Fn(Arch) -> f64 + Sync) -> f64 {
    let arch = Arch::new();
    let rates = (0..tries).map(|_| {
        let start = Instant::now();
        let done: f64 = std::thread::scope(|scope| {
            let all: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(|| work(arch))).collect();
            all.into_iter().map(|thread| thread.join().unwrap_or(0.0)).sum()
        });
        done / seconds(start.elapsed())
    });
    rates.fold(0.0, f64::max)
}

fn streams(threads: usize) -> f64 {
    std::thread::scope(|scope| {
        let one = || {
            let (mut a, b, c, d) = (vec![0.0f32; ELEMENTS], vec![1.0f32; ELEMENTS], vec![2.0f32; ELEMENTS], vec![3.0f32; ELEMENTS]);
            let arch = Arch::new();
            (0..6)
                .map(|_| {
                    let start = Instant::now();
                    arch.dispatch(|| a.iter_mut().zip(&b).zip(c.iter().zip(&d)).for_each(|((a, b), (c, d))| *a = b + c * d));
                    std::hint::black_box(&mut a);
                    (16 * ELEMENTS) as f64 / seconds(start.elapsed())
                })
                .fold(0.0, f64::max)
        };
        let all: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|thread| thread.join().unwrap_or(0.0)).sum()
    })
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64().max(1e-9)
}

fn lanes(arch: Arch) -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    arch.dispatch(Lanes)
}

struct Products;

impl WithSimd for Products {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let mut sums = [simd.splat_f32s(0.0); SUMS];
        let (a, b) = (simd.splat_f32s(std::hint::black_box(0.5)), simd.splat_f32s(std::hint::black_box(1e-6)));
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, a, b);
            }
        }
        sums.iter().map(|sum| simd.reduce_sum_f32s(*sum)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_does_something() {
        let one = ceiling(1);
        assert!(one.flop_per_second > 1e8 && one.bytes_per_second > 1e7, "{one:?}");
    }
}
