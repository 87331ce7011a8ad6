//! Convolutions of three by three taps by minimal filtering F(2 x 2, 3 x 3) (Winograd 1980; Lavin & Gray, CVPR 2016, section 4.1): windows
//! of four by four pixels and the weights become sums at sixteen points, a product of matrices at each point makes two by two results of
//! a window. That is 16 products where the definition has 36.

mod derivative;
mod region;
#[cfg(test)]
mod tests;

use std::ops::Range;

use pulp::Simd;
use segc_compiler::kernel::Slide;

pub(super) use derivative::Derivative;

use super::gemm::{self, DEPTH, Places, Tiled};
use super::{Hands, Memory, Room, conv};

/// Windows that are transformed side by side.
const LANES: usize = 16;
/// With fewer windows a sweep is as fast, and transformed weights, nearly twice as large as they are, would only take memory.
const FEWEST: usize = 48;
/// Elements of transformed weights that are made at a time: 16 MB.
const LARGEST: usize = 4 << 20;

/// Points at which products are made.
const POINTS: usize = 16;

/// Rows of a panel between the points, so that the same row of all points does not compete for one set of the nearest cache.
const SKEW: usize = 3;

/// Channels and results, and their product, below which the transforms cost more than the products save.
const LEAST: [usize; 2] = [16, 512];

/// A window or its sums at the points, for windows side by side.
type Square = [[f32; LANES]; POINTS];

/// A convolution.
pub(super) struct Winograd {
    samples: usize,
    channels: usize,
    results: usize,
    picture: [usize; 2],
    made: [usize; 2],
    /// Above and on the left.
    pad: [isize; 2],
    /// Windows down and across.
    windows: [usize; 2],
    cut: Cut,
    /// Results whose weights are transformed at a time, those of whole items.
    block: usize,
    weights: Places,
    arch: pulp::Arch,
}

/// What an item has: all windows of some samples, or some rows of windows of one, and some results.
#[derive(Clone, Copy, Debug)]
struct Cut {
    samples: usize,
    rows: usize,
    results: usize,
}

impl Cut {
    fn new(samples: usize, windows: [usize; 2], channels: usize, results: usize, tile: (usize, usize)) -> Cut {
        // Windows and sums of an item stay in the second cache where there are few channels.
        let wanted = if channels + results <= 128 { 128 } else { 64 };
        let (all, rows) = (windows[0] * windows[1], (wanted / windows[1]).clamp(1, windows[0]));
        let (samples_of, rows) = if all <= wanted { ((wanted / all).min(samples), windows[0]) } else { (1, rows) };
        let items = samples.div_ceil(samples_of) * windows[0].div_ceil(rows);
        // Where items are few, threads share the results, and each transforms the windows.
        let parts = (8 / items.max(1)).min(results / 192).clamp(1, 4);
        Cut { samples: samples_of, rows, results: results.div_ceil(parts).next_multiple_of(tile.0) }
    }
}

impl Winograd {
    /// The convolution `x: [n, c, h, w]` by `w: [o, c, 3, 3]` to the shape `to`; none where it is not of that kind or too small.
    pub fn new(slide: &Slide, x: &[usize], w: &[usize], to: &[usize], arch: pulp::Arch) -> Option<Winograd> {
        let plain = [slide.stride, slide.dilation, slide.input_dilation].iter().all(|pair| *pair == [1, 1]);
        let windows = [to[2].div_ceil(2), to[3].div_ceil(2)];
        let small = x[1].min(w[0]) < LEAST[0] || x[1] * w[0] < LEAST[1];
        let few = x[0] * windows[0] * windows[1] < FEWEST;
        if !plain || slide.groups != 1 || w[2..] != [3, 3] || small || few {
            return None;
        }
        let mut cut = Cut::new(x[0], windows, x[1], w[0], gemm::tile(arch));
        let tile = gemm::tile(arch).0;
        let block = (LARGEST / (POINTS * x[1] * tile)).max(1) * tile;
        cut.results = cut.results.min(block);
        Some(Winograd {
            samples: x[0],
            channels: x[1],
            results: w[0],
            picture: [x[2], x[3]],
            made: [to[2], to[3]],
            pad: [slide.pad[0], slide.pad[2]],
            windows,
            weights: conv::weights(slide, w[0], w[1], 9),
            block: block / cut.results * cut.results,
            cut,
            arch,
        })
    }

    /// Elements of the weights of a block at the points.
    fn packed(&self) -> usize {
        POINTS * self.block.min(self.results).next_multiple_of(gemm::tile(self.arch).0) * self.channels
    }

    /// Rows and columns of the padded part of a picture that an item reads of one sample. The even columns of a row lie before the odd
    /// ones, so that the same pixel of neighbouring windows is a neighbour.
    fn padded(&self, rows: usize) -> [usize; 2] {
        [2 * rows + 2, 2 * self.windows[1] + 2]
    }

    fn items<'a>(&self, result: &'a mut [f32]) -> Vec<Item<'a>> {
        let Cut { samples, rows, results } = self.cut;
        let (blocks, down) = (self.samples.div_ceil(samples), self.windows[0].div_ceil(rows));
        let parts = self.results.div_ceil(results);
        let mut items: Vec<Item> = (0..blocks * parts * down)
            .map(|number| {
                let (row, line, first) = (number % down * rows, number / down % parts * results, number / down / parts * samples);
                Item {
                    samples: first..(first + samples).min(self.samples),
                    rows: row..(row + rows).min(self.windows[0]),
                    results: line..(line + results).min(self.results),
                    to: Vec::new(),
                }
            })
            .collect();
        for (number, plane) in result.chunks_mut(self.made[0] * self.made[1]).enumerate() {
            let (sample, line) = (number / self.results, number % self.results);
            let first = (sample / samples * parts + line / results) * down;
            let pieces = plane.chunks_mut(2 * rows * self.made[1]);
            items[first..].iter_mut().zip(pieces).for_each(|(item, piece)| item.to.push(piece));
        }
        items
    }
}

/// A part of the result.
struct Item<'a> {
    samples: Range<usize>,
    /// Of windows.
    rows: Range<usize>,
    results: Range<usize>,
    /// The results of the first sample, then of the next.
    to: Vec<&'a mut [f32]>,
}

impl Room for Winograd {
    fn memory(&self) -> Memory {
        let (height, width) = gemm::tile(self.arch);
        let Cut { samples, rows, results } = self.cut;
        let windows = (samples * rows * self.windows[1]).next_multiple_of(width);
        let [down, across] = self.padded(rows);
        let sums = results.min(self.results).next_multiple_of(height);
        let own = POINTS * (windows * (self.channels + sums) + SKEW * width) + samples * down * across + 4 * windows;
        Memory { common: self.packed(), own }
    }

    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        let (common, arch) = (std::mem::take(&mut hands.common), self.arch);
        let tile = gemm::tile(arch).0;
        let mut items = self.items(result);
        for first in (0..self.results).step_by(self.block) {
            let count = self.block.min(self.results - first).div_ceil(tile);
            let packed = &mut common[..count * POINTS * self.channels * tile];
            hands.team.each(packed.chunks_mut(POINTS * self.channels * tile).enumerate(), hands.own, |(number, to), _| {
                arch.dispatch(Pack { room: self, weights: operands[1], number: first / tile + number, to });
            });
            let (now, later): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| item.results.start < first + self.block);
            let packed = &*packed;
            hands.team.each(now.into_iter(), hands.own, |item, memory| {
                arch.dispatch(Work { room: self, packed, first, picture: operands[0], item, memory });
            });
            items = later;
        }
        hands.common = common;
    }
}

/// A panel of weights: some results at all points.
struct Pack<'a> {
    room: &'a Winograd,
    weights: &'a [f32],
    number: usize,
    to: &'a mut [f32],
}

impl pulp::WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        gemm::with_tile(simd, self);
    }
}

impl Tiled for Pack<'_> {
    #[inline(always)]
    fn run<S: Simd, const M: usize, const V: usize, const W: usize>(self, _: S) {
        let Winograd { channels, results, ref weights, .. } = *self.room;
        let first = self.number * M;
        let height = M.min(results - first);
        let to = self.to.as_chunks_mut::<M>().0;
        for channel in 0..channels {
            let mut taps = [[0.0; M]; 9];
            for line in 0..height {
                let from = &self.weights[weights.lines[first + line]..];
                for (to, depth) in taps.iter_mut().zip(&weights.depths[9 * channel..]) {
                    to[line] = from[*depth];
                }
            }
            // Rows, then columns: G g G^T.
            let mut half = [[0.0; M]; 12];
            for column in 0..3 {
                let made = at_points([taps[column], taps[3 + column], taps[6 + column]]);
                for row in 0..4 {
                    half[3 * row + column] = made[row];
                }
            }
            for row in 0..4 {
                let made = at_points([half[3 * row], half[3 * row + 1], half[3 * row + 2]]);
                for column in 0..4 {
                    to[(4 * row + column) * channels + channel] = made[column];
                }
            }
        }
    }
}

/// Three taps at the points 0, 1, -1 and infinity.
#[inline(always)]
fn at_points<const N: usize>([a, b, c]: [[f32; N]; 3]) -> [[f32; N]; 4] {
    let mut made = [a, [0.0; N], [0.0; N], c];
    for i in 0..N {
        let (even, odd) = (0.5 * (a[i] + c[i]), 0.5 * b[i]);
        made[1][i] = even + odd;
        made[2][i] = even - odd;
    }
    made
}

/// An item with what it reads.
struct Work<'a, 'b> {
    room: &'a Winograd,
    packed: &'a [f32],
    /// The first result of the block that is packed.
    first: usize,
    picture: &'a [f32],
    item: Item<'b>,
    memory: &'a mut [f32],
}

impl pulp::WithSimd for Work<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        gemm::with_tile(simd, self);
    }
}

impl Work<'_, '_> {
    /// Where runs of `size` windows of one row begin in the padded pictures.
    fn pieces(&self, size: usize) -> Vec<usize> {
        let across = self.room.windows[1];
        let [down, stride] = self.room.padded(self.item.rows.len());
        let rows =
            (0..self.item.samples.len()).flat_map(|sample| (0..self.item.rows.len()).map(move |row| (sample * down + 2 * row) * stride));
        rows.flat_map(|row| (0..across).step_by(size).map(move |column| row + column)).collect()
    }

    /// One channel of the item's pictures, with zeros around, which are there already.
    #[inline(always)]
    fn pad(&self, channel: usize, to: &mut [f32]) {
        let Winograd { channels, picture: [height, width], pad, .. } = *self.room;
        let [down, across] = self.room.padded(self.item.rows.len());
        let top = 2 * self.item.rows.start as isize - pad[0];
        let columns = Columns::new(pad[1], width, across);
        for (sample, to) in self.item.samples.clone().zip(to.chunks_exact_mut(down * across)) {
            let plane = &self.picture[(sample * channels + channel) * height * width..][..height * width];
            for (line, to) in to.chunks_exact_mut(across).enumerate() {
                let row = top + line as isize;
                if row >= 0 && row < height as isize {
                    columns.copy(&plane[row as usize * width..][..width], to);
                }
            }
        }
    }
}

/// Which pixels of a row are part of a padded one.
struct Columns {
    /// The first, and how many.
    from: usize,
    count: usize,
    /// The padded column of the first.
    to: usize,
}

impl Columns {
    fn new(pad: isize, width: usize, across: usize) -> Columns {
        let (from, to) = ((-pad).max(0) as usize, pad.max(0) as usize);
        Columns { from, count: width.saturating_sub(from).min(across.saturating_sub(to)), to }
    }

    /// Pixels to even and odd columns in turns.
    #[inline(always)]
    fn copy(&self, row: &[f32], to: &mut [f32]) {
        if self.count == 0 {
            return;
        }
        let (even, odd) = to.split_at_mut(to.len() / 2);
        let (first, second) = if self.to.is_multiple_of(2) { (even, odd) } else { (odd, even) };
        let (first, second) = (&mut first[self.to / 2..], &mut second[self.to.div_ceil(2)..]);
        let (pairs, last) = row[self.from..][..self.count].as_chunks::<2>();
        let mut done = part::<16>(pairs, first, second, 0);
        done = part::<8>(pairs, first, second, done);
        done = part::<4>(pairs, first, second, done);
        part::<1>(pairs, first, second, done);
        if let [last] = last {
            first[pairs.len()] = *last;
        }
    }
}

/// Pairs from `done` on as two rows, `N` at a time; gives how many are done.
#[inline(always)]
fn part<const N: usize>(pairs: &[[f32; 2]], first: &mut [f32], second: &mut [f32], done: usize) -> usize {
    let chunks = pairs[done..].as_chunks::<N>().0;
    for (number, chunk) in chunks.iter().enumerate() {
        let (mut a, mut b) = ([0.0; N], [0.0; N]);
        for i in 0..N {
            [a[i], b[i]] = chunk[i];
        }
        first[done + number * N..][..N].copy_from_slice(&a);
        second[done + number * N..][..N].copy_from_slice(&b);
    }
    done + chunks.len() * N
}

/// Two rows as pairs from `done` on, `N` at a time; gives how many are done.
#[inline(always)]
fn pair<const N: usize>(pairs: &mut [[f32; 2]], first: &[f32], second: &[f32], done: usize) -> usize {
    let chunks = pairs[done..].as_chunks_mut::<N>().0;
    let count = chunks.len();
    for (number, chunk) in chunks.iter_mut().enumerate() {
        let (a, b) = (&first[done + number * N..][..N], &second[done + number * N..][..N]);
        let mut own = [[0.0; 2]; N];
        for i in 0..N {
            own[i] = [a[i], b[i]];
        }
        *chunk = own;
    }
    done + count * N
}

impl Tiled for Work<'_, '_> {
    #[inline(always)]
    fn run<S: Simd, const M: usize, const V: usize, const W: usize>(self, simd: S) {
        match self.room.windows[1] {
            across if across.is_multiple_of(16) => self.run_by::<S, M, V, W, 16>(simd),
            across if across.is_multiple_of(8) => self.run_by::<S, M, V, W, 8>(simd),
            across if across.is_multiple_of(4) => self.run_by::<S, M, V, W, 4>(simd),
            _ => self.run_by::<S, M, V, W, 1>(simd),
        }
    }
}

impl Work<'_, '_> {
    /// With pieces of `P` windows.
    #[inline(always)]
    fn run_by<S: Simd, const M: usize, const V: usize, const W: usize, const P: usize>(mut self, simd: S) {
        let memory = std::mem::take(&mut self.memory);
        let pieces = self.pieces(P);
        let count = pieces.len() * P;
        let (channels, panels, down) = (self.room.channels, count.div_ceil(W), self.item.results.len().div_ceil(M));
        let (windows, rest) = memory.split_at_mut(POINTS * (panels * channels + SKEW) * W);
        let (sums, rest) = rest.split_at_mut(POINTS * panels * down * M * W);
        let [rows, across] = self.room.padded(self.item.rows.len());
        let (padded, made) = rest.split_at_mut(self.item.samples.len() * rows * across);
        padded.fill(0.0);
        let windows = windows.as_chunks_mut::<W>().0;
        let mut square: Square = [[0.0; LANES]; POINTS];
        for channel in 0..channels {
            self.pad(channel, padded);
            for (number, pieces) in pieces.chunks(LANES / P).enumerate() {
                let (panel, first) = (number * LANES / W, number * LANES % W);
                gather::<P>(padded, pieces, across, &mut square);
                let to = |point: usize| point * (panels * channels + SKEW) + panel * channels + channel;
                transform(simd, &square, |point, part, x| put::<S, W>(&mut windows[to(point)], first, part, x));
            }
        }
        let sums = sums.as_chunks_mut::<W>().0.as_chunks_mut::<M>().0;
        self.multiply::<S, M, V, W>(simd, windows, count, sums);
        let sides = made.as_chunks_mut::<LANES>().0;
        let vectors = count.div_ceil(LANES);
        for line in 0..self.item.results.len() {
            for number in 0..vectors {
                let (panel, first) = (number * LANES / W, number * LANES % W);
                let from = |point: usize| &sums[(point * panels + panel) * down + line / M][line % M];
                results_of(
                    simd,
                    |point, part| get::<S, W>(simd, from(point), first, part),
                    |side, part, x| {
                        put::<S, LANES>(&mut sides[side * vectors + number], 0, part, x);
                    },
                );
            }
            self.leave(line, sides[..4 * vectors].as_flattened());
        }
    }

    /// Weights times windows at every point.
    #[inline(always)]
    fn multiply<S: Simd, const M: usize, const V: usize, const W: usize>(
        &self,
        simd: S,
        windows: &[[f32; W]],
        count: usize,
        sums: &mut [[[f32; W]; M]],
    ) {
        let (channels, panels, results) = (self.room.channels, count.div_ceil(W), &self.item.results);
        let down = results.len().div_ceil(M);
        for point in 0..POINTS {
            for line in 0..down {
                let height = M.min(results.len() - line * M);
                let at = (((results.start - self.first) / M + line) * POINTS + point) * channels * M;
                let left = self.packed[at..][..channels * M].as_chunks::<M>().0;
                for panel in 0..panels {
                    let right = &windows[point * (panels * channels + SKEW) + panel * channels..][..channels];
                    let width = W.min(count - panel * W);
                    let total = &mut sums[(point * panels + panel) * down + line];
                    for (number, (left, right)) in left.chunks(DEPTH).zip(right.chunks(DEPTH)).enumerate() {
                        let mut made = [[0.0; W]; M];
                        gemm::sum_tile::<S, M, V, W>(simd, height, width, left, right.iter().map(Some), &mut made);
                        if number > 0 {
                            gemm::add(&mut made, total);
                        }
                        *total = made;
                    }
                }
            }
        }
    }

    /// Writes the two by two results of all windows of the item.
    #[inline(always)]
    fn leave(&mut self, line: usize, made: &[f32]) {
        let ([_, across], width) = (self.room.windows, self.room.made[1]);
        let (rows, results) = (self.item.rows.len(), self.item.results.len());
        let side = made.len() / 4;
        for sample in 0..self.item.samples.len() {
            let to = &mut self.item.to[sample * results + line];
            for (number, to) in to.chunks_mut(width).enumerate() {
                let at = (sample * rows + number / 2) * across;
                let from = number % 2 * 2 * side + at;
                let (even, odd) = (&made[from..][..across], &made[from + side..][..across]);
                let (pairs, last) = to.as_chunks_mut::<2>();
                let mut done = pair::<16>(pairs, even, odd, 0);
                done = pair::<8>(pairs, even, odd, done);
                done = pair::<4>(pairs, even, odd, done);
                pair::<1>(pairs, even, odd, done);
                if let [last] = last {
                    *last = even[across - 1];
                }
            }
        }
    }
}

/// The pixels of windows side by side.
#[inline(always)]
fn gather<const P: usize>(padded: &[f32], pieces: &[usize], across: usize, square: &mut Square) {
    for (piece, to) in pieces.iter().zip((0..LANES).step_by(P)) {
        for row in 0..4 {
            let (even, odd) = padded[piece + row * across..].split_at(across / 2);
            square[4 * row][to..to + P].copy_from_slice(&even[..P]);
            square[4 * row + 1][to..to + P].copy_from_slice(&odd[..P]);
            square[4 * row + 2][to..to + P].copy_from_slice(&even[1..P + 1]);
            square[4 * row + 3][to..to + P].copy_from_slice(&odd[1..P + 1]);
        }
    }
}

/// A register of a row from its lane `first` on.
#[inline(always)]
fn get<S: Simd, const N: usize>(simd: S, from: &[f32; N], first: usize, part: usize) -> S::f32s {
    let from = S::as_simd_f32s(&from[first..first + LANES]).0;
    from.get(part).copied().unwrap_or(simd.splat_f32s(0.0))
}

#[inline(always)]
fn put<S: Simd, const N: usize>(to: &mut [f32; N], first: usize, part: usize, x: S::f32s) {
    if let Some(to) = S::as_mut_simd_f32s(&mut to[first..first + LANES]).0.get_mut(part) {
        *to = x;
    }
}

/// Windows at the points, B^T d B; `leave` is told the point, the part of the lanes and the values. What runs here is written without
/// iterators over arrays, which may become functions of their own.
#[inline(always)]
fn transform<S: Simd>(simd: S, d: &Square, mut leave: impl FnMut(usize, usize, S::f32s)) {
    for part in 0..LANES / S::F32_LANES {
        let at = |number: usize| get::<S, LANES>(simd, &d[number], 0, part);
        let rows = turned([
            of_window(simd, [at(0), at(4), at(8), at(12)]),
            of_window(simd, [at(1), at(5), at(9), at(13)]),
            of_window(simd, [at(2), at(6), at(10), at(14)]),
            of_window(simd, [at(3), at(7), at(11), at(15)]),
        ]);
        for (row, line) in rows.into_iter().enumerate() {
            let [a, b, c, e] = of_window(simd, line);
            leave(4 * row, part, a);
            leave(4 * row + 1, part, b);
            leave(4 * row + 2, part, c);
            leave(4 * row + 3, part, e);
        }
    }
}

/// Results from sums at the points, A^T m A: above on the left, above on the right, below on the left, below on the right.
#[inline(always)]
fn results_of<S: Simd>(simd: S, sums: impl Fn(usize, usize) -> S::f32s, mut leave: impl FnMut(usize, usize, S::f32s)) {
    for part in 0..LANES / S::F32_LANES {
        let at = |number: usize| sums(number, part);
        let [a, e] = of_sums(simd, [at(0), at(4), at(8), at(12)]);
        let [b, f] = of_sums(simd, [at(1), at(5), at(9), at(13)]);
        let [c, g] = of_sums(simd, [at(2), at(6), at(10), at(14)]);
        let [d, h] = of_sums(simd, [at(3), at(7), at(11), at(15)]);
        let ([a, b], [c, d]) = (of_sums(simd, [a, b, c, d]), of_sums(simd, [e, f, g, h]));
        leave(0, part, a);
        leave(1, part, b);
        leave(2, part, c);
        leave(3, part, d);
    }
}

/// A line of a window at the points 0, 1, -1 and infinity: B^T d.
#[inline(always)]
fn of_window<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
    [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
}

/// Two results of a line of sums: A^T m.
#[inline(always)]
fn of_sums<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
    [simd.add_f32s(simd.add_f32s(a, b), c), simd.sub_f32s(simd.sub_f32s(b, c), d)]
}

/// Columns as rows.
#[inline(always)]
fn turned<T: Copy>([a, b, c, d]: [[T; 4]; 4]) -> [[T; 4]; 4] {
    [[a[0], b[0], c[0], d[0]], [a[1], b[1], c[1], d[1]], [a[2], b[2], c[2], d[2]], [a[3], b[3], c[3], d[3]]]
}
