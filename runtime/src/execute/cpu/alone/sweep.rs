//! Convolutions of few taps: tiles of several results by a run of places, summed over channels and taps straight from the pictures as
//! [`super::planes`] lays them out.

use std::ops::Range;

use pulp::Simd;
use segc_compiler::kernel::Slide;

use super::gemm::{self, DEPTH, Places, Sizes, Strided, Tiled};
use super::planes::{Axis, Layout, ROUND, Reach};
use super::{Hands, Memory, Room, conv};

/// Places of an item with the gaps between them, unless a row has more.
const RUN: usize = 512;

/// Results of an item.
const TALL: usize = 192;

/// Results of a tile where the usual one leaves a few over, which would not keep the processor busy.
const EVEN: usize = 8;

/// Elements of pictures that a thread lays out for itself, as near as whole samples allow, and at most: they stay in its second cache
/// until they are read.
const OWN: [usize; 2] = [1 << 16, 1 << 17];

/// How many such items there are at least.
const ITEMS: usize = 8;

/// A tile reads at most so far beyond the last plane.
const BEYOND: usize = 64;

/// A convolution.
pub(super) struct Sweep {
    groups: usize,
    /// Channels and results of a group.
    channels: usize,
    results: usize,
    picture: usize,
    layout: Layout,
    /// Samples that are laid out at a time.
    together: usize,
    /// Whether each thread lays them out for itself.
    apart: bool,
    phases: Vec<Phase>,
    cut: Cut,
    /// Results of a tile.
    tall: usize,
    arch: pulp::Arch,
}

/// Places of the result that meet the same taps.
struct Phase {
    /// Number of the phase of the rows and of that of the columns.
    number: [usize; 2],
    weights: Places,
    sizes: Sizes,
    /// For each depth where the first place of a group reads.
    reads: Vec<usize>,
    /// Where its packed weights begin.
    packed: usize,
}

/// Results of a tile: [`EVEN`] where that leaves none over and the usual tile leaves a few.
fn tall(results: usize, arch: pulp::Arch) -> usize {
    match gemm::tile(arch).0 {
        usual if usual > EVEN && (1..=4).contains(&(results % usual)) && results.is_multiple_of(EVEN) => EVEN,
        usual => usual,
    }
}

/// How the places of a phase are shared by items: some samples, or some rows of one.
#[derive(Clone, Copy, Debug)]
struct Cut {
    samples: usize,
    rows: usize,
}

impl Sweep {
    /// The convolution `x: [n, c, h, w]` by `w: [o, c / groups, kh, kw]` to the shape `to`; none where too little of a run would be
    /// results.
    pub fn new(slide: &Slide, x: &[usize], w: &[usize], to: &[usize], arch: pulp::Arch) -> Option<Sweep> {
        let axes = [0, 1].map(|axis| Axis::new(slide, axis, x[2 + axis], w[2 + axis], to[2 + axis]));
        let one = Layout::new(axes.clone(), 1);
        let useful: usize = axes.iter().map(Axis::places).product();
        if 2 * useful < one.sample() {
            return None;
        }
        let planes = (x[1] * one.channel()).max(1);
        let apart = planes <= OWN[1] && x[0] >= ITEMS;
        let together = if apart { (OWN[0] / planes).clamp(1, x[0] / ITEMS) } else { (ROUND / planes).clamp(1, x[0].max(1)) };
        let layout = Layout::new(axes, together);
        let (channels, results) = (w[1], w[0] / slide.groups);
        let tall = tall(results, arch);
        let weights = conv::weights(slide, results, channels, w[2] * w[3]);
        let mut phases: Vec<Phase> = Vec::new();
        for number in (0..layout.axes[0].every).flat_map(|a| (0..layout.axes[1].every).map(move |b| [a, b])) {
            let packed = phases.last().map_or(0, |last| last.packed + last.sizes.packed(tall));
            phases.push(Phase::new(&layout, number, &weights, [w[2], w[3]], packed));
        }
        let cut = Cut::new(&layout, together, gemm::tile(arch).1);
        let picture = x[2] * x[3];
        Some(Sweep { groups: slide.groups, channels, results, picture, layout, together, apart, phases, cut, tall, arch })
    }

    fn packed(&self) -> usize {
        self.phases.last().map_or(0, |last| last.packed + last.sizes.packed(self.tall))
    }

    fn laid(&self) -> usize {
        self.groups * self.channels * self.layout.channel()
    }

    /// One channel of some samples.
    fn lay(&self, pictures: &[f32], channel: usize, to: &mut [f32]) {
        let picture = self.picture;
        let samples = pictures.chunks((self.groups * self.channels * picture).max(1));
        self.layout.lay(samples.map(|sample| &sample[channel * picture..][..picture]), to);
    }

    /// Places of the result of one sample.
    fn made(&self) -> usize {
        self.layout.axes[0].made * self.layout.axes[1].made
    }

    /// The items of some samples with their parts of the result.
    fn items<'a>(&self, result: &'a mut [f32]) -> Vec<Item<'a>> {
        let rows = &self.layout.axes[0];
        let samples = result.len() / (self.groups * self.results * self.made()).max(1);
        let (blocks, across, down) =
            (samples.div_ceil(self.cut.samples), rows.places().div_ceil(self.cut.rows), self.results.div_ceil(TALL));
        let mut items: Vec<Item> = (0..blocks * self.groups * down * across)
            .map(|number| {
                let (row, line) = (number % across * self.cut.rows, number / across % down * TALL);
                let first = number / across / down / self.groups * self.cut.samples;
                Item {
                    group: number / across / down % self.groups,
                    samples: first..(first + self.cut.samples).min(samples),
                    rows: row..(row + self.cut.rows).min(rows.places()),
                    results: line..(line + TALL).min(self.results),
                    to: Vec::new(),
                }
            })
            .collect();
        let piece = self.cut.rows * rows.every * self.layout.axes[1].made;
        for (number, plane) in result.chunks_mut(self.made()).enumerate() {
            let (sample, group, line) = (number / self.results / self.groups, number / self.results % self.groups, number % self.results);
            let first = ((sample / self.cut.samples * self.groups + group) * down + line / TALL) * across;
            items[first..].iter_mut().zip(plane.chunks_mut(piece)).for_each(|(item, piece)| item.to.push(piece));
        }
        items
    }
}

impl Phase {
    /// `weights` has all depths, of which the phase has some.
    fn new(layout: &Layout, number: [usize; 2], weights: &Places, taps: [usize; 2], packed: usize) -> Phase {
        let [rows, columns] = [0, 1].map(|axis: usize| &layout.axes[axis].phases[number[axis]]);
        let channels = weights.depths.len() / (taps[0] * taps[1]).max(1);
        let reaches = || {
            (0..channels)
                .flat_map(move |channel| rows.iter().flat_map(move |down| columns.iter().map(move |right| (channel, *down, *right))))
        };
        let depth = |(channel, down, right): (usize, Reach, Reach)| weights.depths[(channel * taps[0] + down.tap) * taps[1] + right.tap];
        let depths = reaches().map(depth).collect();
        let reads: Vec<usize> = reaches().map(|(channel, down, right)| channel * layout.channel() + layout.read(down, right)).collect();
        let sizes = Sizes { batches: weights.batches.len(), rows: weights.lines.len(), columns: 0, depth: reads.len() };
        let weights = Places { depths, ..weights.clone() };
        Phase { number, weights, sizes, reads, packed }
    }
}

impl Cut {
    /// The cut with the fewest tiles of `width` places.
    fn new(layout: &Layout, together: usize, width: usize) -> Cut {
        let (rows, stride) = (layout.axes[0].places(), layout.axes[1].stride);
        let tiles = |cut: Cut| {
            let all = together / cut.samples * (rows / cut.rows) * tiles(layout, cut.samples, cut.rows, width);
            let rest_rows = tiles(layout, 1, rows % cut.rows, width) * together;
            all + rest_rows + tiles(layout, together % cut.samples, rows, width)
        };
        let some = |rows: usize| Cut { samples: 1, rows };
        let samples = |samples: usize| Cut { samples, rows };
        let most = (RUN / layout.sample().max(1)).min(together);
        match most {
            0 | 1 => (1..=rows.min((RUN / stride.max(1)).max(1))).map(some).min_by_key(|cut| (tiles(*cut), usize::MAX - cut.rows)),
            _ => (1..=most).map(samples).min_by_key(|cut| (tiles(*cut), usize::MAX - cut.samples)),
        }
        .unwrap_or(Cut { samples: 1, rows: 1 })
    }
}

/// Tiles of some rows of some samples.
fn tiles(layout: &Layout, samples: usize, rows: usize, width: usize) -> usize {
    let columns = layout.axes[1].places();
    match (samples, rows) {
        (0, _) | (_, 0) => 0,
        _ if columns.is_multiple_of(width) => samples * rows * columns / width,
        _ => ((samples - 1) * layout.sample() + (rows - 1) * layout.axes[1].stride + columns).div_ceil(width),
    }
}

/// A part of the result.
struct Item<'a> {
    group: usize,
    /// Counted from the first that is laid out.
    samples: Range<usize>,
    /// Of each phase.
    rows: Range<usize>,
    results: Range<usize>,
    /// The results of the first sample, then of the next.
    to: Vec<&'a mut [f32]>,
}

impl Room for Sweep {
    fn memory(&self) -> Memory {
        let (height, width) = (self.tall, gemm::tile(self.arch).1);
        let long = self.phases.iter().any(|phase| phase.reads.len() > DEPTH);
        let run = tiles(&self.layout, self.cut.samples, self.cut.rows, width) * width;
        let own = if long { self.results.min(TALL).next_multiple_of(height) * run } else { 0 };
        let planes = (self.laid() + BEYOND).next_multiple_of(16);
        let (common, laid) = if self.apart { (0, planes) } else { (planes, 0) };
        Memory { common: self.packed() + common, own: laid + own }
    }

    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        let common = std::mem::take(&mut hands.common);
        let (packed, planes) = common.split_at_mut(self.packed());
        for phase in &self.phases {
            let left = Strided { data: operands[1], places: &phase.weights };
            gemm::pack_left(phase.sizes, self.tall, &left, &mut packed[phase.packed..][..phase.sizes.packed(self.tall)], hands);
        }
        let whole = self.groups * self.channels * self.picture;
        let made = self.together * self.groups * self.results * self.made();
        let rounds = operands[0].chunks((self.together * whole).max(1)).zip(result.chunks_mut(made.max(1)));
        let (packed, arch) = (&*packed, self.arch);
        if self.apart {
            hands.team.each(rounds, hands.own, |(pictures, result), memory| {
                let (planes, memory) = memory.split_at_mut((self.laid() + BEYOND).next_multiple_of(16));
                let channels = planes[..self.laid()].chunks_mut(self.layout.channel().max(1)).enumerate();
                channels.for_each(|(channel, to)| self.lay(pictures, channel, to));
                for item in self.items(result) {
                    arch.dispatch(Work { sweep: self, packed, planes, item, memory });
                }
            });
        } else {
            for (pictures, result) in rounds {
                let channels = planes[..self.laid()].chunks_mut(self.layout.channel().max(1)).enumerate();
                hands.team.each(channels, hands.own, |(channel, to), _| self.lay(pictures, channel, to));
                let planes = &planes[..self.laid() + BEYOND];
                hands.team.each(self.items(result).into_iter(), hands.own, |item, memory| {
                    arch.dispatch(Work { sweep: self, packed, planes, item, memory });
                });
            }
        }
        hands.common = common;
    }
}

/// An item with what it reads.
struct Work<'a, 'b> {
    sweep: &'a Sweep,
    packed: &'a [f32],
    planes: &'a [f32],
    item: Item<'b>,
    memory: &'a mut [f32],
}

impl pulp::WithSimd for Work<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for phase in &self.sweep.phases {
            let runs = Runs::new(self.sweep, phase, &self.item, gemm::tile(self.sweep.arch).1);
            gemm::with_tile(simd, Part { work: &mut self, phase, runs: &runs });
        }
    }
}

/// The tiles of an item for one phase.
struct Runs {
    /// Where each tile begins, from the first place of the first sample on, its places, and its stretches.
    tiles: Vec<(usize, usize, Range<usize>)>,
    stretches: Vec<Stretch>,
}

/// Places of a tile that lie in one row of the result.
struct Stretch {
    /// The first in the tile.
    from: usize,
    count: usize,
    /// Counted from the first of the item.
    sample: usize,
    /// Where the first lies in the item's part of a result.
    to: usize,
}

impl Runs {
    fn new(sweep: &Sweep, phase: &Phase, item: &Item, width: usize) -> Runs {
        let [rows, columns] = &sweep.layout.axes;
        let count = columns.places_of(phase.number[1]);
        let end = item.rows.end.min(rows.places_of(phase.number[0]));
        let mut runs = Runs { tiles: Vec::new(), stretches: Vec::new() };
        let aligned = columns.places().is_multiple_of(width);
        for sample in item.samples.clone() {
            for row in item.rows.start..end {
                let at = sample * sweep.layout.sample() + row * columns.stride;
                let line = rows.every * (row - item.rows.start) + phase.number[0];
                let mut done = 0;
                while done < count {
                    let fits =
                        runs.tiles.last().filter(|(start, ..)| at + done < start + width && !(aligned && done.is_multiple_of(width)));
                    let start = fits.map_or(at + done, |(start, ..)| *start);
                    let from = at + done - start;
                    let now = (width - from).min(count - done);
                    let to = (line * columns.made) + phase.number[1] + done * columns.every;
                    if from == 0 {
                        runs.tiles.push((start, 0, runs.stretches.len()..runs.stretches.len()));
                    }
                    runs.stretches.push(Stretch { from, count: now, sample: sample - item.samples.start, to });
                    if let Some(tile) = runs.tiles.last_mut() {
                        (tile.1, tile.2.end) = (from + now, runs.stretches.len());
                    }
                    done += now;
                }
            }
        }
        runs
    }
}

/// One phase of an item.
struct Part<'a, 'b, 'c> {
    work: &'a mut Work<'b, 'c>,
    phase: &'a Phase,
    runs: &'a Runs,
}

impl Tiled for Part<'_, '_, '_> {
    #[inline(always)]
    fn run<S: Simd, const M: usize, const V: usize, const W: usize>(self, simd: S) {
        match self.work.sweep.tall {
            EVEN if M > EVEN => self.tiles::<S, EVEN, V, W>(simd),
            _ => self.tiles::<S, M, V, W>(simd),
        }
    }
}

impl Part<'_, '_, '_> {
    /// Tiles of `M` results.
    #[inline(always)]
    fn tiles<S: Simd, const M: usize, const V: usize, const W: usize>(self, simd: S) {
        let Part { work, phase, runs } = self;
        let Work { sweep, packed, planes, item, memory } = work;
        let (depth, padded) = (phase.reads.len(), sweep.results.next_multiple_of(M));
        let down = item.results.len().div_ceil(M);
        let packed = &packed[phase.packed + item.group * padded * depth..][..padded * depth];
        let planes = &planes[item.group * sweep.channels * sweep.layout.channel()..];
        let sums = memory.as_chunks_mut::<W>().0.as_chunks_mut::<M>().0;
        let mut first = 0;
        loop {
            let depths = DEPTH.min(depth - first);
            let (block, reads) = (&packed[padded * first..][..padded * depths], &phase.reads[first..first + depths]);
            for (number, (at, width, stretches)) in runs.tiles.iter().enumerate() {
                for line in 0..down {
                    let row = item.results.start + line * M;
                    let height = M.min(item.results.end - row);
                    let left = block[row * depths..][..M * depths].as_chunks::<M>().0;
                    let right = reads.iter().map(|read| planes[at + read..].first_chunk::<W>());
                    let mut made = [[0.0; W]; M];
                    gemm::sum_tile::<S, M, V, W>(simd, height, *width, left, right, &mut made);
                    if first > 0 {
                        gemm::add(&mut made, &sums[number * down + line]);
                    }
                    if first + depths == depth {
                        let (from, to) = (sweep.layout.axes[1].every, &mut item.to);
                        leave(&runs.stretches[stretches.clone()], line * M, height, item.results.len(), from, &made, to);
                    } else {
                        sums[number * down + line] = made;
                    }
                }
            }
            first += depths;
            if first == depth {
                break;
            }
        }
    }
}

/// Writes a tile's results from `row` on.
#[inline(always)]
fn leave<const W: usize>(
    stretches: &[Stretch],
    row: usize,
    height: usize,
    results: usize,
    every: usize,
    made: &[[f32; W]],
    to: &mut [&mut [f32]],
) {
    for stretch in stretches {
        let to = &mut to[stretch.sample * results + row..][..height];
        for (to, line) in to.iter_mut().zip(made) {
            let to = &mut to[stretch.to..];
            match to.first_chunk_mut::<W>().filter(|_| every == 1 && stretch.count == W) {
                Some(to) => *to = *line,
                None => {
                    let line = &line[stretch.from..][..stretch.count];
                    match every {
                        1 => to[..line.len()].copy_from_slice(line),
                        _ => {
                            for (to, x) in to.iter_mut().step_by(every).zip(line) {
                                *to = *x;
                            }
                        }
                    }
                }
            }
        }
    }
}
