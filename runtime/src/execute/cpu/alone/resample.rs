//! Sparse linear maps along an axis.

use pulp::Simd;

use super::{Hands, Room, around};

/// Entries that are summed in single precision where they are not summed side by side.
const SHORT: usize = 16;

/// A map along an axis.
pub(super) struct Resample {
    size: usize,
    inner: usize,
    /// Where the entries of each place begin, and their end.
    starts: Vec<usize>,
    entries: Vec<(usize, f32)>,
}

impl Resample {
    pub fn new(shape: &[usize], axis: usize, rows: &[Vec<(usize, f64)>]) -> Resample {
        let [_, size, inner] = around(shape, axis);
        let starts = rows.iter().scan(0, |end, row| {
            *end += row.len();
            Some(*end)
        });
        let entries = rows.iter().flatten().map(|(place, weight)| (*place, *weight as f32)).collect();
        Resample { size, inner, starts: std::iter::once(0).chain(starts).collect(), entries }
    }

    fn row(&self, number: usize) -> &[(usize, f32)] {
        &self.entries[self.starts[number]..self.starts[number + 1]]
    }
}

impl Room for Resample {
    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        let (rows, arch) = (self.starts.len() - 1, hands.arch);
        let (block, whole) = (self.size * self.inner, rows * self.inner);
        hands.pieces(result, whole, |outer, to| {
            arch.dispatch(Block { room: self, from: &operands[0][outer * block..][..block], to });
        });
    }
}

/// The axis at one place of the axes before it.
struct Block<'a> {
    room: &'a Resample,
    from: &'a [f32],
    to: &'a mut [f32],
}

impl pulp::WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let inner = self.room.inner;
        if inner == 1 {
            for (number, to) in self.to.iter_mut().enumerate() {
                *to = match self.room.row(number) {
                    [(place, 1.0)] => self.from[*place],
                    row if row.len() <= SHORT => row.iter().fold(0.0, |sum, (place, weight)| self.from[*place].mul_add(*weight, sum)),
                    row => row.iter().map(|(place, weight)| f64::from(*weight) * f64::from(self.from[*place])).sum::<f64>() as f32,
                };
            }
            return;
        }
        for (number, to) in self.to.chunks_mut(inner).enumerate() {
            let line = |place: usize| &self.from[place * inner..][..inner];
            match self.room.row(number) {
                [] => to.fill(0.0),
                [(place, 1.0)] => to.copy_from_slice(line(*place)),
                [(place, weight), rest @ ..] => {
                    to.iter_mut().zip(line(*place)).for_each(|(to, x)| *to = weight * x);
                    for (place, weight) in rest {
                        to.iter_mut().zip(line(*place)).for_each(|(to, x)| *to = x.mul_add(*weight, *to));
                    }
                }
            }
        }
    }
}
