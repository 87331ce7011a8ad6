//! Minimal filtering with the instructions of every processor that this one can stand for, against sums in double precision.

use segc_compiler::kernel::Slide;

use super::derivative::rows;
use super::region::{Pictures, Region};
use super::{Derivative, LANES, Winograd};
use crate::execute::Lines;
use crate::execute::cpu::alone::{Hands, Room, gemm};
use crate::execute::cpu::team::Team;

const PLAIN: Slide = Slide { stride: [1, 1], pad: [1; 4], dilation: [1, 1], input_dilation: [1, 1], groups: 1, turned: false };

fn processors() -> Vec<pulp::Arch> {
    let mut list = vec![pulp::Arch::Scalar, pulp::Arch::new()];
    #[cfg(target_arch = "x86_64")]
    list.extend(pulp::x86::V3::try_new().map(pulp::Arch::V3));
    list
}

/// Between -1 and 1, the same in every run.
fn elements(count: usize, seed: u64) -> Vec<f32> {
    let mut state = 2 * seed + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// The convolution of `x: [n, c, h, w]` by `w: [o, c, kh, kw]`.
fn definition(pad: [isize; 4], x: (&[f32], [usize; 4]), w: (&[f32], [usize; 4]), to: [usize; 4]) -> Vec<f64> {
    let ((x, [_, c, height, width]), (w, [_, _, rows, columns])) = (x, w);
    let mut made = Vec::new();
    for place in 0..to.iter().product::<usize>() {
        let (column, row) = (place % to[3], place / to[3] % to[2]);
        let (line, sample) = (place / to[3] / to[2] % to[1], place / to[3] / to[2] / to[1]);
        let mut total = 0.0;
        for tap in 0..c * rows * columns {
            let (channel, down, right) = (tap / columns / rows, tap / columns % rows, tap % columns);
            let (y, z) = ((row + down).wrapping_add_signed(-pad[0]), (column + right).wrapping_add_signed(-pad[2]));
            if y < height && z < width {
                total += f64::from(x[((sample * c + channel) * height + y) * width + z]) * f64::from(w[line * c * rows * columns + tap]);
            }
        }
        made.push(total);
    }
    made
}

fn run(room: &dyn Room, arch: pulp::Arch, operands: &[&[f32]], count: usize) -> Vec<f32> {
    let memory = room.memory();
    let (mut common, mut own) = (vec![f32::NAN; memory.common], [Lines::new(memory.own)]);
    own[0].fill(f32::NAN);
    let mut result = vec![f32::NAN; count];
    room.run(operands, &mut result, &mut Hands { team: &Team::default(), arch, common: &mut common, own: &mut own });
    result
}

fn check(pad: [isize; 4], x: [usize; 4], w: [usize; 4], room: impl Fn(&Slide, &[usize; 4], pulp::Arch) -> Option<Box<dyn Room>>) {
    let slide = Slide { pad, ..PLAIN };
    let made = |axis: usize| (x[axis] + 1).wrapping_add_signed(pad[2 * axis - 4] + pad[2 * axis - 3]) - w[axis];
    let to = [x[0], w[0], made(2), made(3)];
    let (a, b) = (elements(x.iter().product(), 1), elements(w.iter().product(), 2));
    let truth = definition(pad, (&a, x), (&b, w), to);
    let largest = truth.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    for arch in processors() {
        let room = room(&slide, &to, arch).unwrap_or_else(|| panic!("{x:?} {w:?} does not go through minimal filtering"));
        let ours = run(&*room, arch, &[&a, &b], truth.len());
        for (at, (a, b)) in ours.iter().zip(&truth).enumerate() {
            assert!((f64::from(*a) - b).abs() <= 2e-6 * largest, "{x:?} {w:?} {arch:?} at {at}: {a} instead of {b}");
        }
    }
}

#[test]
fn derivatives_of_weights() {
    let cases = [
        ([17, 2, 9, 11], [33, 2, 9, 11], [1; 4]),
        ([29, 3, 4, 5], [12, 3, 4, 5], [1; 4]),
        // Several blocks of lines, several chunks side by side.
        ([8, 1, 6, 70], [140, 1, 6, 70], [1; 4]),
        ([140, 2, 4, 4], [15, 2, 4, 4], [1; 4]),
        // Parts that are joined.
        ([16, 3, 36, 37], [16, 3, 36, 37], [1; 4]),
        // Pads of all kinds; windows that are larger than the picture.
        ([12, 2, 9, 14], [30, 2, 10, 13], [2, 1, -1, 2]),
        ([20, 2, 3, 3], [20, 2, 7, 5], [3, 3, 2, 2]),
    ];
    for (x, w, pad) in cases {
        check(pad, x, w, |slide, to, arch| Some(Box::new(Derivative::new(slide, &x, &w, to, arch)?)));
    }
}

#[test]
fn convolutions_of_nine_taps() {
    for (x, w) in [([2, 33, 12, 12], [20, 33, 3, 3]), ([1, 40, 15, 31], [47, 40, 3, 3])] {
        check([1; 4], x, w, |slide, to, arch| Some(Box::new(Winograd::new(slide, &x, &w, to, arch)?)));
    }
}

#[test]
fn tiles_cover_all_rows_and_read_no_others() {
    for (count, tall) in (1..200).flat_map(|count| [4, 6, 12].map(|tall| (count, tall))) {
        let list = rows(count, tall);
        assert_eq!(list.len(), count.div_ceil(tall));
        let read = |height: usize| {
            if height <= 4 {
                4
            } else if height <= 8 && tall > 8 {
                8
            } else {
                tall
            }
        };
        assert!(list.iter().all(|(row, height)| row + read(*height) <= count.next_multiple_of(LANES)), "{count} {tall}");
        assert!((0..count).all(|row| list.iter().any(|(first, height)| (*first..first + height).contains(&row))), "{count} {tall}");
    }
}

/// What `deinterleave_shfl_f32s` does to lanes is said by this test only.
#[test]
fn channels_come_side_by_side() {
    struct Lay<'a>(&'a Region, &'a [f32], &'a Pictures, &'a mut [[f32; LANES]]);
    impl pulp::WithSimd for Lay<'_> {
        type Output = ();

        fn with_simd<S: pulp::Simd>(self, simd: S) {
            self.0.lay(simd, self.1, self.2, 5, self.3);
        }
    }
    let pictures = Pictures { channels: 19, size: [4, 7], steps: [56, 28] };
    let data: Vec<f32> = (0..19 * 56).map(|x| x as f32).collect();
    for arch in processors() {
        assert!(gemm::tile(arch).1 >= LANES);
        let mut region = Region::default();
        region.set(&pictures, 0..2, [1, -1], [4, 9]);
        let mut laid = vec![[f32::NAN; LANES]; 2 * 4 * 9];
        arch.dispatch(Lay(&region, &data, &pictures, &mut laid));
        for (at, pixel) in laid.iter().enumerate() {
            let (sample, row, column) = (at / 36, at / 9 % 4 + 1, at % 9);
            for (lane, x) in pixel.iter().enumerate() {
                let inside = row < 4 && (1..8).contains(&column);
                let from = || (5 + lane).min(18) * 56 + sample * 28 + row * 7 + column - 1;
                assert_eq!(*x, if inside { from() as f32 } else { 0.0 }, "{arch:?} {at} {lane}");
            }
        }
    }
}
