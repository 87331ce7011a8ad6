//! Products with few rows: matrix and vector, dot products. The right side is read once and never packed.

use pulp::Simd;

use super::gemm::{Strided, contiguous};
use super::{Hands, ITEM};

/// Columns that are summed side by side.
const WIDE: usize = 64;

/// Depths that are summed on their own.
const DEPTH: usize = 256;

/// Partial sums of a dot product.
const LANES: usize = 64;

/// Two sides of a product.
pub(super) struct Thin<'a> {
    pub left: Strided<'a>,
    pub right: Strided<'a>,
}

impl Thin<'_> {
    /// All rows of all products, `columns` elements each; `rows` says which batch and row each is.
    pub fn run(&self, rows: &[(usize, usize)], columns: usize, to: &mut [f32], hands: &mut Hands) {
        let arch = hands.arch;
        let width = WIDE.max(ITEM / self.left.places.depths.len().max(1) / WIDE * WIDE);
        let group = if columns < WIDE { (ITEM / (columns * self.left.places.depths.len()).max(1)).max(1) } else { 1 };
        let items = to.chunks_mut(columns * group).zip(rows.chunks(group)).flat_map(|(lines, rows)| {
            let size = if rows.len() > 1 { lines.len() } else { width };
            lines.chunks_mut(size).enumerate().map(move |(number, part)| (rows, number * size, part))
        });
        hands.team.each(items, hands.own, |(rows, first, to), _| {
            arch.dispatch(Part { thin: self, rows, first, columns, to });
        });
    }
}

/// Several whole rows, or a part of one from column `first` on.
struct Part<'a, 'b> {
    thin: &'a Thin<'a>,
    rows: &'a [(usize, usize)],
    first: usize,
    columns: usize,
    to: &'b mut [f32],
}

impl pulp::WithSimd for Part<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Thin { left, right } = self.thin;
        let straight = contiguous(&left.places.depths) && contiguous(&right.places.depths);
        for (line, &(batch, row)) in self.to.chunks_mut(self.columns).zip(self.rows) {
            let x = &left.data[left.places.batches[batch] + left.places.lines[row]..];
            let y = &right.data[right.places.batches[batch]..];
            for (number, to) in line.chunks_mut(WIDE).enumerate() {
                let lines = &right.places.lines[self.first + number * WIDE..][..to.len()];
                if lines.len() > 1 && contiguous(lines) {
                    self.thin.side_by_side(x, &y[lines[0]..], to);
                } else {
                    for (to, line) in to.iter_mut().zip(lines) {
                        *to = self.thin.dot(straight, x, &y[*line..]);
                    }
                }
            }
        }
    }
}

impl Thin<'_> {
    /// Up to [`WIDE`] columns that lie side by side.
    #[inline(always)]
    fn side_by_side(&self, x: &[f32], y: &[f32], to: &mut [f32]) {
        let mut total = [0.0f32; WIDE];
        let depths = self.left.places.depths.chunks(DEPTH).zip(self.right.places.depths.chunks(DEPTH));
        for (lefts, rights) in depths {
            let mut sums = [0.0f32; WIDE];
            for (left, right) in lefts.iter().zip(rights) {
                let (factor, row) = (x[*left], &y[*right..]);
                match row.first_chunk::<WIDE>().filter(|_| to.len() == WIDE) {
                    Some(row) => {
                        for i in 0..WIDE {
                            sums[i] = row[i].mul_add(factor, sums[i]);
                        }
                    }
                    None => {
                        for (sum, y) in sums.iter_mut().zip(&row[..to.len()]) {
                            *sum = y.mul_add(factor, *sum);
                        }
                    }
                }
            }
            for i in 0..WIDE {
                total[i] += sums[i];
            }
        }
        to.copy_from_slice(&total[..to.len()]);
    }

    /// One element; `straight` where both sides' depths lie one after the other.
    #[inline(always)]
    fn dot(&self, straight: bool, x: &[f32], y: &[f32]) -> f32 {
        let (lefts, rights) = (&self.left.places.depths, &self.right.places.depths);
        let mut lanes = [0.0f32; LANES];
        if straight {
            let (x, y) = (&x[lefts[0]..][..lefts.len()], &y[rights[0]..][..rights.len()]);
            let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
            for (x, y) in x.iter().zip(y) {
                for i in 0..LANES {
                    lanes[i] = x[i].mul_add(y[i], lanes[i]);
                }
            }
            for (lane, (x, y)) in lanes.iter_mut().zip(x_rest.iter().zip(y_rest)) {
                *lane = x.mul_add(*y, *lane);
            }
        } else {
            for (number, (left, right)) in lefts.iter().zip(rights).enumerate() {
                lanes[number % LANES] = x[*left].mul_add(y[*right], lanes[number % LANES]);
            }
        }
        lanes.iter().map(|lane| f64::from(*lane)).sum::<f64>() as f32
    }
}
