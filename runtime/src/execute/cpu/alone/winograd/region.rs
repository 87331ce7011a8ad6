//! Parts of pictures with channels side by side, so that what is done to a window is done to the windows of many channels at once, and
//! their transforms.

use std::ops::Range;

use pulp::Simd;

use super::{LANES, POINTS, get, of_window, put};

/// The same pixel of channels side by side.
pub(super) type Pixel = [f32; LANES];

/// For each point where the lanes of channels go, a depth after the other.
pub(super) type Points<'a> = [&'a mut [Pixel]; POINTS];

/// Which pixels of a channel lie where in a part of some samples; around them are zeros.
#[derive(Default)]
pub(super) struct Region {
    /// Runs of pixels of a channel: where they begin, and which of `places` are theirs.
    runs: Vec<(usize, Range<usize>)>,
    places: Vec<usize>,
    /// Whether the places are others than those before, so that zeros may be missing.
    moved: bool,
}

/// One of the pictures of a product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pictures {
    pub channels: usize,
    /// Rows and columns.
    pub size: [usize; 2],
    /// Elements from channel to channel and from sample to sample.
    pub steps: [usize; 2],
}

impl Region {
    /// The part from the row and column `origin` on, of `size` rows and columns of each of the samples.
    pub fn set(&mut self, pictures: &Pictures, samples: Range<usize>, origin: [isize; 2], size: [usize; 2]) {
        self.runs.clear();
        let before = std::mem::take(&mut self.places);
        let [rows, columns] = [0, 1].map(|axis| {
            let first = (-origin[axis]).clamp(0, size[axis] as isize) as usize;
            let end = (pictures.size[axis] as isize - origin[axis]).clamp(first as isize, size[axis] as isize) as usize;
            first..end
        });
        for (number, sample) in samples.enumerate() {
            for row in rows.clone() {
                let line = row.wrapping_add_signed(origin[0]) * pictures.size[1];
                let from = sample * pictures.steps[1] + line + columns.start.wrapping_add_signed(origin[1]);
                let (first, place) = (self.places.len(), (number * size[0] + row) * size[1]);
                self.places.extend(columns.clone().map(|column| place + column));
                match self.runs.last_mut() {
                    Some((start, run)) if *start + run.len() == from => run.end = self.places.len(),
                    _ => self.runs.push((from, first..self.places.len())),
                }
            }
        }
        self.moved = self.places != before;
    }

    /// Lays out channels `first` on, as many as there are lanes; behind the last channel it is repeated.
    #[inline(always)]
    pub fn lay<S: Simd>(&self, simd: S, data: &[f32], pictures: &Pictures, first: usize, to: &mut [Pixel]) {
        if self.moved {
            to.fill([0.0; LANES]);
        }
        for (from, places) in &self.runs {
            let places = &self.places[places.clone()];
            let mut rows = [&[][..]; LANES];
            for (i, row) in rows.iter_mut().enumerate() {
                let channel = (first + i).min(pictures.channels - 1);
                *row = &data[channel * pictures.steps[0] + from..][..places.len()];
            }
            turn(simd, rows, places, to);
        }
    }
}

/// Pixel `i` of all rows, which are equally long, to place `places[i]`.
#[inline(always)]
fn turn<S: Simd>(simd: S, from: [&[f32]; LANES], places: &[usize], to: &mut [Pixel]) {
    let count = places.len();
    let mut rows = [&[][..]; LANES];
    for i in 0..LANES {
        rows[i] = &from[i][..count];
    }
    if count < 4 {
        for (pixel, place) in places.iter().enumerate() {
            let to = &mut to[*place];
            for i in 0..LANES {
                to[i] = rows[i][pixel];
            }
        }
        return;
    }
    for block in 0..count.div_ceil(4) {
        // The last four may have been turned already.
        let at = (4 * block).min(count - 4);
        let mut four = [[0.0; LANES]; 4];
        for i in 0..4 {
            for j in 0..4 {
                four[i][4 * j..4 * j + 4].copy_from_slice(&rows[4 * j + i][at..at + 4]);
            }
        }
        let turned = fours(simd, &four);
        for i in 0..4 {
            to[places[at + i]] = turned[i];
        }
    }
}

/// Four lanes of four rows turned like a matrix, all fours of lanes alike.
#[inline(always)]
pub(super) fn fours<S: Simd>(simd: S, from: &[[f32; LANES]; 4]) -> [[f32; LANES]; 4] {
    let mut to = [[0.0; LANES]; 4];
    if S::IS_SCALAR {
        for lane in 0..LANES {
            for i in 0..4 {
                to[lane % 4][lane / 4 * 4 + i] = from[i][lane];
            }
        }
        return to;
    }
    for part in 0..LANES / S::F32_LANES {
        let mut lines = [simd.splat_f32s(0.0); 4];
        for i in 0..4 {
            lines[i] = get(simd, &from[i], 0, part);
        }
        let turned = simd.deinterleave_shfl_f32s(lines);
        for i in 0..4 {
            put::<S, LANES>(&mut to[i], 0, part, turned[i]);
        }
    }
    to
}

/// Windows of four by four pixels, two pixels apart, at the points: B^T d B. They are those of some `columns` of so many `samples` with
/// windows `down`, in rows of `width` pixels; from window to window are `step` places of the points.
#[inline(always)]
pub(super) fn windows<S: Simd>(
    simd: S,
    from: &[Pixel],
    [samples, down, width]: [usize; 3],
    columns: Range<usize>,
    step: usize,
    to: &mut Points,
) {
    for part in 0..LANES / S::F32_LANES {
        let mut at = 0;
        for line in 0..samples * down {
            let first = (line / down * (2 * down + 2) + 2 * (line % down)) * width;
            let lines = lines_of::<4>(from, first, width);
            let first = 2 * columns.start;
            let (mut a, mut b) = (window_down(simd, &lines, first, part), window_down(simd, &lines, first + 1, part));
            for column in columns.start + 1..columns.end + 1 {
                let (c, d) = (window_down(simd, &lines, 2 * column, part), window_down(simd, &lines, 2 * column + 1, part));
                for i in 0..4 {
                    let made = of_window(simd, [a[i], b[i], c[i], d[i]]);
                    for j in 0..4 {
                        put::<S, LANES>(&mut to[4 * i + j][at], 0, part, made[j]);
                    }
                }
                (a, b) = (c, d);
                at += step;
            }
        }
    }
}

/// Pieces of two by two pixels at the points, A p A^T, but with the opposite sign at infinity.
#[inline(always)]
pub(super) fn pieces<S: Simd>(
    simd: S,
    from: &[Pixel],
    [samples, down, width]: [usize; 3],
    columns: Range<usize>,
    step: usize,
    to: &mut Points,
) {
    for part in 0..LANES / S::F32_LANES {
        let mut at = 0;
        for line in 0..samples * down {
            let [above, below] = lines_of::<2>(from, 2 * line * width, width);
            for column in columns.clone() {
                let (left, right) = (2 * column, 2 * column + 1);
                let a = of_piece(simd, [get(simd, &above[left], 0, part), get(simd, &below[left], 0, part)]);
                let b = of_piece(simd, [get(simd, &above[right], 0, part), get(simd, &below[right], 0, part)]);
                for i in 0..4 {
                    let made = of_piece(simd, [a[i], b[i]]);
                    for j in 0..4 {
                        put::<S, LANES>(&mut to[4 * i + j][at], 0, part, made[j]);
                    }
                }
                at += step;
            }
        }
    }
}

#[inline(always)]
fn lines_of<const N: usize>(from: &[Pixel], first: usize, width: usize) -> [&[Pixel]; N] {
    let mut lines = [&[][..]; N];
    for i in 0..N {
        lines[i] = &from[first + i * width..][..width];
    }
    lines
}

/// A column of four lines at the points.
#[inline(always)]
fn window_down<S: Simd>(simd: S, lines: &[&[Pixel]; 4], column: usize, part: usize) -> [S::f32s; 4] {
    let mut pixels = [simd.splat_f32s(0.0); 4];
    for i in 0..4 {
        pixels[i] = get(simd, &lines[i][column], 0, part);
    }
    of_window(simd, pixels)
}

/// Two pixels at the points 0, 1, -1 and infinity: A p.
#[inline(always)]
fn of_piece<S: Simd>(simd: S, [a, b]: [S::f32s; 2]) -> [S::f32s; 4] {
    [a, simd.add_f32s(a, b), simd.sub_f32s(a, b), b]
}
