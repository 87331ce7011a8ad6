//! Convolutions of many taps and few places, which gradients of weights are (but those that [`super::winograd`] takes): every result is
//! one long dot product of two pictures that [`super::planes`] lays out alike, so that a place is a distance between them. Tiles of
//! several results by several places are summed in [`LANES`] lanes, whatever the processor has, and emptied after a fixed number of
//! elements.

use std::ops::Range;

use pulp::Simd;
use segc_compiler::kernel::Slide;

use super::planes::{Axis, Layout, ROUND};
use super::{Hands, Memory, Room};

/// Partial sums of a result.
const LANES: usize = 16;

/// Elements that are read at a time: those of a tile stay in the nearest cache.
const RUN: usize = 1024;

/// Runs after which partial sums are emptied.
const FLUSH: usize = 16;

/// Elements below which a product of matrices is faster.
const LEAST: usize = 512;

/// Results of an item.
const TALL: usize = 4;

/// Places of an item at most, and how many items there are at least where places allow.
const WIDE: usize = 384;
const ITEMS: usize = 8;

/// A convolution.
pub(super) struct Dots {
    groups: usize,
    /// Of a group; they are summed over.
    channels: usize,
    /// Of a group.
    results: usize,
    picture: usize,
    window: [usize; 2],
    layout: Layout,
    /// Samples that are laid out at a time, and those of an item.
    together: usize,
    share: usize,
    /// For each place what the first tap of a sample reads.
    places: Vec<usize>,
    /// Elements of a window with all its channels and the gaps between them.
    long: usize,
}

impl Dots {
    /// The convolution `x: [n, c, h, w]` by `w: [o, c / groups, kh, kw]`; none where it is not of that kind.
    pub fn new(slide: &Slide, x: &[usize], w: &[usize], to: &[usize]) -> Option<Dots> {
        let turned = Slide { stride: slide.dilation, dilation: slide.stride, ..*slide };
        let axes = [0, 1].map(|axis| Axis::new(&turned, axis, x[2 + axis], to[2 + axis], w[2 + axis]));
        let (taps, made) = (w[2] * w[3], to[2] * to[3]);
        // Places that meet zeros between the pixels only have no distance.
        let meets = |(axis, places): (&Axis, &usize)| axis.every == 1 && axis.phases[0].len() == *places;
        if taps < 2 * made || !axes.iter().zip(&to[2..]).all(meets) {
            return None;
        }
        let (channels, results) = (w[1], w[0] / slide.groups);
        let layout = Layout::new(axes, channels);
        if channels * taps < LEAST || 2 * taps < layout.sample() {
            return None;
        }
        let [rows, columns] = [0, 1].map(|axis| layout.axes[axis].phases[0].clone());
        let places = rows.iter().flat_map(|down| columns.iter().map(|right| layout.read(*down, *right))).collect();
        let together = (ROUND / (slide.groups * layout.channel()).max(1)).clamp(1, x[0].max(1));
        let least = (together * slide.groups * results.div_ceil(TALL)).div_ceil(ITEMS);
        let share = (WIDE / made.max(1)).min(least).clamp(1, together);
        let last = (w[2] - 1) * layout.axes[1].stride + w[3];
        let long = ((channels - 1) * layout.sample() + last).next_multiple_of(LANES);
        Some(Dots {
            groups: slide.groups,
            channels,
            results,
            picture: x[2] * x[3],
            window: [w[2], w[3]],
            layout,
            together,
            share,
            places,
            long,
        })
    }

    fn windows(&self) -> usize {
        self.groups * self.results * self.long
    }

    fn laid(&self) -> usize {
        self.together * self.groups * self.layout.channel()
    }

    /// One result's window with the gaps that pictures have.
    fn lay(&self, window: &[f32], to: &mut [f32]) {
        to.fill(0.0);
        let [rows, columns] = self.window;
        for (channel, to) in window.chunks(rows * columns).zip(to.chunks_mut(self.layout.sample())) {
            for (line, to) in channel.chunks(columns).zip(to.chunks_mut(self.layout.axes[1].stride)) {
                to[..columns].copy_from_slice(line);
            }
        }
    }

    /// The items of some samples with their parts of the result.
    fn items<'a>(&self, result: &'a mut [f32]) -> Vec<Item<'a>> {
        let (places, down) = (self.places.len(), self.results.div_ceil(TALL));
        let samples = result.len() / (self.groups * self.results * places).max(1);
        let mut items: Vec<Item> = (0..samples.div_ceil(self.share) * self.groups * down)
            .map(|number| {
                let (line, first) = (number % down * TALL, number / down / self.groups * self.share);
                Item {
                    group: number / down % self.groups,
                    results: line..(line + TALL).min(self.results),
                    samples: first..(first + self.share).min(samples),
                    to: Vec::new(),
                }
            })
            .collect();
        for (number, part) in result.chunks_mut((self.results * places).max(1)).enumerate() {
            let (sample, group) = (number / self.groups, number % self.groups);
            let first = (sample / self.share * self.groups + group) * down;
            items[first..].iter_mut().zip(part.chunks_mut(TALL * places)).for_each(|(item, part)| item.to.push(part));
        }
        items
    }
}

/// A part of the result.
struct Item<'a> {
    group: usize,
    results: Range<usize>,
    /// Counted from the first that is laid out.
    samples: Range<usize>,
    /// For each sample the places of its results.
    to: Vec<&'a mut [f32]>,
}

impl Room for Dots {
    fn memory(&self) -> Memory {
        // Emptied sums lie behind those in the making.
        let sums = (self.share * self.places.len()).next_multiple_of(WIDTH) * TALL;
        Memory { common: self.windows() + self.laid() + LANES, own: sums * (LANES + 1) }
    }

    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        let common = std::mem::take(&mut hands.common);
        let (windows, planes) = common.split_at_mut(self.windows());
        let planes = &mut planes[..self.laid() + LANES];
        planes[self.laid()..].fill(0.0);
        let own = operands[1].chunks((self.channels * self.window[0] * self.window[1]).max(1));
        hands.team.each(windows.chunks_mut(self.long).zip(own), hands.own, |(to, window), _| self.lay(window, to));
        let whole = (self.channels * self.picture).max(1);
        let parts = self.together * self.groups * self.results * self.places.len();
        for (pictures, result) in operands[0].chunks(self.together * self.groups * whole).zip(result.chunks_mut(parts.max(1))) {
            let channels = planes.chunks_mut(self.layout.channel()).zip(pictures.chunks(whole));
            hands.team.each(channels, hands.own, |(to, picture), _| self.layout.lay(picture.chunks(self.picture), to));
            let (windows, planes, arch) = (&*windows, &*planes, hands.arch);
            hands.team.each(self.items(result).into_iter(), hands.own, |item, memory| {
                arch.dispatch(Work { dots: self, windows, planes, item, memory });
            });
        }
        hands.common = common;
    }
}

/// An item with what it reads.
struct Work<'a, 'b> {
    dots: &'a Dots,
    windows: &'a [f32],
    planes: &'a [f32],
    item: Item<'b>,
    memory: &'a mut [f32],
}

/// Places of a tile at most.
const WIDTH: usize = 6;

impl pulp::WithSimd for Work<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.run::<S, 4, 6, 1>(simd),
            8 => self.run::<S, 2, 2, 2>(simd),
            4 => self.run::<S, 1, 2, 4>(simd),
            _ => self.run::<S, 1, 1, 16>(simd),
        }
    }
}

impl Work<'_, '_> {
    /// Tiles of `R` results and `C` places, [`LANES`] in `V` registers.
    #[inline(always)]
    fn run<S: Simd, const R: usize, const C: usize, const V: usize>(mut self, simd: S) {
        let Work { dots, windows, planes, item, memory } = &mut self;
        let (places, channel) = (dots.places.len(), dots.layout.channel());
        let columns = item.samples.len() * places;
        let (down, across) = (item.results.len().div_ceil(R), columns.div_ceil(C));
        let row = |line: usize| (item.group * dots.results + item.results.start + line.min(item.results.len() - 1)) * dots.long;
        let column = |number: usize| {
            let number = number.min(columns - 1);
            ((item.samples.start + number / places) * dots.groups + item.group) * channel + dots.places[number % places]
        };
        let (sums, totals) = memory.split_at_mut(down * R * across * C * LANES);
        let sums = sums.as_chunks_mut::<LANES>().0.as_chunks_mut::<C>().0.as_chunks_mut::<R>().0;
        let totals = &mut totals[..down * R * across * C];
        totals.fill(0.0);
        for (run, first) in (0..dots.long).step_by(RUN).enumerate() {
            let length = RUN.min(dots.long - first);
            let (fresh, ends) = (run % FLUSH == 0, run % FLUSH == FLUSH - 1 || first + length == dots.long);
            for ((number, sums), totals) in sums.iter_mut().enumerate().zip(totals.chunks_mut(R * C)) {
                let (line, place) = (number / across * R, number % across * C);
                let (mut lefts, mut rights) = ([&[][..]; R], [&[][..]; C]);
                for i in 0..R {
                    lefts[i] = S::as_simd_f32s(&windows[row(line + i) + first..][..length]).0;
                }
                for j in 0..C {
                    rights[j] = S::as_simd_f32s(&planes[column(place + j) + first..][..length]).0;
                }
                if fresh {
                    *sums = [[[0.0; LANES]; C]; R];
                }
                dots_of::<S, R, C, V>(simd, length / LANES, lefts, rights, sums);
                if ends {
                    let sums = sums.iter().flatten();
                    for (total, lanes) in totals.iter_mut().zip(sums) {
                        *total += joined(lanes);
                    }
                }
            }
        }
        for (number, totals) in totals.chunks(R * C).enumerate() {
            for (i, line) in totals.chunks(C).enumerate().map(|(i, line)| (number / across * R + i, line)).take(item.results.len()) {
                for (j, total) in line.iter().enumerate().map(|(j, total)| (number % across * C + j, total)) {
                    if i < item.results.len() && j < columns {
                        item.to[j / places][i * places + j % places] = *total;
                    }
                }
            }
        }
    }
}

/// Goes on with the dot products of `R` by `C` runs.
#[inline(always)]
fn dots_of<S: Simd, const R: usize, const C: usize, const V: usize>(
    simd: S,
    steps: usize,
    lefts: [&[S::f32s]; R],
    rights: [&[S::f32s]; C],
    sums: &mut [[[f32; LANES]; C]; R],
) {
    let mut own = [[[simd.splat_f32s(0.0); V]; C]; R];
    for i in 0..R {
        for j in 0..C {
            let Some(lanes) = S::as_simd_f32s(&sums[i][j]).0.first_chunk::<V>() else { return };
            own[i][j] = *lanes;
        }
    }
    // The lengths are known to be the same, so that no place is checked.
    let (mut a, mut b) = ([&[][..]; R], [&[][..]; C]);
    for i in 0..R {
        a[i] = &lefts[i].as_chunks::<V>().0[..steps];
    }
    for j in 0..C {
        b[j] = &rights[j].as_chunks::<V>().0[..steps];
    }
    for step in 0..steps {
        for v in 0..V {
            for j in 0..C {
                let x = b[j][step][v];
                for i in 0..R {
                    own[i][j][v] = simd.mul_add_e_f32s(a[i][step][v], x, own[i][j][v]);
                }
            }
        }
    }
    for i in 0..R {
        for j in 0..C {
            let Some(lanes) = S::as_mut_simd_f32s(&mut sums[i][j]).0.first_chunk_mut::<V>() else { return };
            *lanes = own[i][j];
        }
    }
}

/// All lanes together: halves are joined, then their halves.
#[inline(always)]
fn joined(lanes: &[f32; LANES]) -> f32 {
    let mut now = *lanes;
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = now.split_at_mut(half);
        for (a, b) in low.iter_mut().zip(high) {
            *a += *b;
        }
        half /= 2;
    }
    now[0]
}
