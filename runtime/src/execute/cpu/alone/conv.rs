//! Convolutions as matrix products: weights over windows. The matrix of windows is never made; its panels are packed from the picture
//! block by block. Depths are channels and taps, columns are the places of all samples.

use std::ops::Range;

use segc_compiler::kernel::Slide;

use super::direct::Direct;
use super::dots::Dots;
use super::gemm::{self, Item, Places, Side, Sizes, Strided, clear_end, spread};
use super::sweep::Sweep;
use super::winograd::{Derivative, Winograd};
use super::{Hands, Memory, Room};

/// Results of a group up to which windows are summed directly.
const FEW: usize = 4;

/// Columns of a result below which places are looked up one by one.
const NARROW: usize = 16;

/// The sizes of a convolution.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub samples: usize,
    pub groups: usize,
    /// Channels of a group.
    pub channels: usize,
    /// Results of a group.
    pub results: usize,
    /// Rows and columns of the picture, the taps and the result.
    pub picture: [usize; 2],
    pub taps: [usize; 2],
    pub made: [usize; 2],
    /// For rows and columns and each tap: the place in the picture for each place of the result.
    pub sources: [Vec<Source>; 2],
}

/// What one tap reads along one axis.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The places of the result that read something.
    pub valid: Range<usize>,
    /// The place in the picture of each place of the result, [`NOTHING`] where it reads none.
    pub places: Vec<usize>,
    /// Whether neighbours inside of `valid` read neighbours.
    pub straight: bool,
}

/// No place in the picture.
pub(super) const NOTHING: usize = usize::MAX;

impl Frame {
    fn new(slide: &Slide, x: &[usize], w: &[usize], to: &[usize]) -> Frame {
        let (taps, made) = ([w[2], w[3]], [to[2], to[3]]);
        let sources = [0, 1].map(|axis| (0..taps[axis]).map(|tap| source(slide, axis, tap, made[axis], x[2 + axis])).collect());
        Frame {
            samples: x[0],
            groups: slide.groups,
            channels: w[1],
            results: w[0] / slide.groups,
            picture: [x[2], x[3]],
            taps,
            made,
            sources,
        }
    }

    /// Places of a result.
    pub fn places(&self) -> usize {
        self.made[0] * self.made[1]
    }

    /// Channel, row and column of the tap at a depth.
    fn tap(&self, depth: usize) -> (usize, usize, usize) {
        (depth / self.taps[1] / self.taps[0], depth / self.taps[1] % self.taps[0], depth % self.taps[1])
    }

    /// Where a channel of a group of a sample begins.
    pub fn channel(&self, sample: usize, group: usize, channel: usize) -> usize {
        ((sample * self.groups + group) * self.channels + channel) * self.picture[0] * self.picture[1]
    }
}

impl Frame {
    /// For each tap and each place of a result what it reads in a channel.
    fn lookup(&self) -> Vec<usize> {
        let [rows, columns] = &self.sources;
        let tap = |(down, right): (&Source, &Source)| -> Vec<usize> {
            let place =
                |row: usize, column: usize| if row == NOTHING || column == NOTHING { NOTHING } else { row * self.picture[1] + column };
            down.places.iter().flat_map(|row| right.places.iter().map(move |column| place(*row, *column))).collect()
        };
        rows.iter().flat_map(|down| columns.iter().flat_map(move |right| tap((down, right)))).collect()
    }
}

fn source(slide: &Slide, axis: usize, tap: usize, made: usize, size: usize) -> Source {
    let apart = slide.input_dilation[axis];
    let place = |at: usize| {
        let from = (slide.stride[axis] * at + slide.dilation[axis] * tap).checked_add_signed(-slide.pad[2 * axis])?;
        (from % apart == 0 && from / apart < size).then_some(from / apart)
    };
    let places: Vec<usize> = (0..made).map(|at| place(at).unwrap_or(NOTHING)).collect();
    let first = places.iter().position(|place| *place != NOTHING).unwrap_or(0);
    let end = places.iter().rposition(|place| *place != NOTHING).map_or(first, |last| last + 1);
    let straight = gemm::contiguous(&places[first..end]);
    Source { valid: first..end, places, straight }
}

/// A convolution as products, one for each group.
pub(super) struct Conv {
    frame: Frame,
    sizes: Sizes,
    weights: Places,
    /// For each column of the result what its taps read.
    across: Vec<Source>,
    /// For narrow results: for each tap and place what it reads in a channel, [`NOTHING`] where it reads none.
    lookup: Vec<usize>,
    arch: pulp::Arch,
}

impl Conv {
    /// The way that suits the sizes.
    pub fn room(slide: &Slide, x: &[usize], w: &[usize], to: &[usize], arch: pulp::Arch) -> Box<dyn Room> {
        // As if the weight was not turned.
        let w = &if slide.turned { [w[1], w[0], w[2], w[3]] } else { [w[0], w[1], w[2], w[3]] };
        let frame = Frame::new(slide, x, w, to);
        if let Some(room) = Derivative::new(slide, x, w, to, arch) {
            return Box::new(room);
        }
        if let Some(room) = Dots::new(slide, x, w, to).filter(|_| !slide.turned) {
            return Box::new(room);
        }
        if let Some(room) = Winograd::new(slide, x, w, to, arch) {
            return Box::new(room);
        }
        if let Some(room) = Sweep::new(slide, x, w, to, arch).filter(|_| frame.groups == 1 || frame.results > FEW) {
            return Box::new(room);
        }
        if frame.results <= FEW && !slide.turned {
            return Box::new(Direct { frame });
        }
        let depth = frame.channels * frame.taps[0] * frame.taps[1];
        let sizes = Sizes { batches: frame.groups, rows: frame.results, columns: frame.samples * frame.places(), depth };
        let weights = weights(slide, frame.results, frame.channels, frame.taps[0] * frame.taps[1]);
        let across = (0..frame.made[1]).map(|column| turned(&frame.sources[1], column)).collect();
        let lookup = if frame.made[1] < NARROW && frame.taps[1] <= frame.made[1] { frame.lookup() } else { Vec::new() };
        Box::new(Conv { frame, sizes, weights, across, lookup, arch })
    }

    /// Samples of an item and columns of one piece of it.
    fn pieces(&self) -> (usize, usize) {
        let places = self.frame.places();
        if places >= gemm::BLOCK { (1, gemm::BLOCK) } else { ((gemm::BLOCK / places).clamp(1, self.frame.samples), places) }
    }

    fn items<'a>(&self, result: &'a mut [f32]) -> Vec<Item<'a>> {
        let Frame { samples, groups, results, .. } = self.frame;
        let places = self.frame.places();
        let (together, width) = self.pieces();
        let (blocks, across) = (samples.div_ceil(together), places.div_ceil(width));
        let height = self.sizes.height(groups * blocks * across);
        let down = results.div_ceil(height);
        let mut items: Vec<Item> = (0..groups * blocks * down * across)
            .map(|number| {
                let (column, row) = (number % across * width, number / across % down * height);
                let block = number / across / down % blocks;
                let first = block * together * places + column;
                let size = if across == 1 { together.min(samples - block * together) * places } else { width.min(places - column) };
                Item {
                    batch: number / across / down / blocks,
                    rows: row..(row + height).min(results),
                    columns: first..first + size,
                    to: Vec::new(),
                    width: width.min(places - column),
                }
            })
            .collect();
        for (number, line) in result.chunks_mut(places).enumerate() {
            let (sample, group, row) = (number / results / groups, number / results % groups, number % results);
            let first = ((group * blocks + sample / together) * down + row / height) * across;
            items[first..].iter_mut().zip(line.chunks_mut(width)).for_each(|(item, piece)| item.to.push(piece));
        }
        items
    }
}

/// Where the weights of the groups lie: lines are results of a group, depths its channels and taps.
pub(super) fn weights(slide: &Slide, results: usize, channels: usize, taps: usize) -> Places {
    let depth = channels * taps;
    let batches = (0..slide.groups).map(|group| group * results * depth).collect();
    if slide.turned {
        let depths = (0..depth).map(|depth| depth / taps * results * taps + taps - 1 - depth % taps).collect();
        return Places { batches, lines: (0..results).map(|line| line * taps).collect(), depths };
    }
    Places { batches, lines: (0..results).map(|line| line * depth).collect(), depths: (0..depth).collect() }
}

/// For one column of the result what each tap reads.
fn turned(taps: &[Source], column: usize) -> Source {
    let places: Vec<usize> = taps.iter().map(|tap| tap.places[column]).collect();
    let first = places.iter().position(|place| *place != NOTHING).unwrap_or(0);
    let end = places.iter().rposition(|place| *place != NOTHING).map_or(first, |last| last + 1);
    Source { valid: first..end, straight: gemm::contiguous(&places[first..end]), places }
}

impl Room for Conv {
    fn memory(&self) -> Memory {
        Memory { common: self.sizes.common(self.arch), own: self.sizes.own(self.arch) }
    }

    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        if self.sizes.depth == 0 || result.is_empty() {
            return result.fill(0.0);
        }
        let left = Strided { data: operands[1], places: &self.weights };
        let items = self.items(result);
        let right = Windows { conv: self, picture: operands[0] };
        gemm::multiply(self.sizes, &left, &right, items.into_iter(), hands);
    }
}

/// The matrix of windows: lines are places of all samples, depths are channels and taps.
struct Windows<'a> {
    conv: &'a Conv,
    picture: &'a [f32],
}

impl Side for Windows<'_> {
    #[inline(always)]
    fn pack<const W: usize>(&self, group: usize, lines: Range<usize>, depths: Range<usize>, panels: &mut [[f32; W]]) {
        let frame = &self.conv.frame;
        clear_end(lines.len(), depths.len(), panels);
        if frame.taps[1] > frame.made[1] {
            for (number, line) in lines.enumerate() {
                let panel = &mut panels[number / W * depths.len()..][..depths.len()];
                self.down(group, line, depths.clone(), number % W, panel);
            }
        } else if frame.made[1] < NARROW {
            self.one_by_one(group, lines, depths, panels);
        } else {
            self.along(group, lines, depths, panels);
        }
    }
}

/// Places of a result that lie in one of its rows.
struct Stretch {
    /// Where the sample's group begins.
    picture: usize,
    row: usize,
    column: usize,
    count: usize,
    /// The first line, counted from the first of the block.
    line: usize,
}

impl Windows<'_> {
    /// Depth by depth, row by row of the result.
    #[inline(always)]
    fn along<const W: usize>(&self, group: usize, lines: Range<usize>, depths: Range<usize>, panels: &mut [[f32; W]]) {
        let frame = &self.conv.frame;
        let [height, width] = frame.picture;
        let stretches = self.stretches(group, lines);
        let mut row = [0.0; gemm::BLOCK];
        for depth in depths.clone() {
            let (channel, tap_row, tap) = frame.tap(depth);
            for stretch in &stretches {
                let to = &mut row[..stretch.count];
                match frame.sources[0][tap_row].places[stretch.row] {
                    NOTHING => to.fill(0.0),
                    source => {
                        let from = &self.picture[stretch.picture + (channel * height + source) * width..][..width];
                        copy(to, from, &frame.sources[1][tap], stretch.column);
                    }
                }
                spread(panels, depths.len(), depth - depths.start, stretch.line, to);
            }
        }
    }

    fn stretches(&self, group: usize, lines: Range<usize>) -> Vec<Stretch> {
        let frame = &self.conv.frame;
        let mut list = Vec::with_capacity(lines.len() / frame.made[1] + 2);
        let mut line = lines.start;
        while line < lines.end {
            let (sample, row, column) = (line / frame.places(), line / frame.made[1] % frame.made[0], line % frame.made[1]);
            let count = (frame.made[1] - column).min(lines.end - line);
            list.push(Stretch { picture: frame.channel(sample, group, 0), row, column, count, line: line - lines.start });
            line += count;
        }
        list
    }

    /// Depth by depth, every place looked up.
    #[inline(always)]
    fn one_by_one<const W: usize>(&self, group: usize, lines: Range<usize>, depths: Range<usize>, panels: &mut [[f32; W]]) {
        let frame = &self.conv.frame;
        let (places, plane) = (frame.places(), frame.picture[0] * frame.picture[1]);
        let own: Vec<(usize, usize)> = lines.map(|line| (frame.channel(line / places, group, 0), line % places)).collect();
        for depth in depths.clone() {
            let (channel, tap_row, tap) = frame.tap(depth);
            let lookup = &self.conv.lookup[(tap_row * frame.taps[1] + tap) * places..][..places];
            for (number, own) in own.chunks(W).enumerate() {
                let to = &mut panels[number * depths.len() + depth - depths.start];
                for (to, (picture, place)) in to.iter_mut().zip(own) {
                    let from = lookup[*place];
                    *to = if from == NOTHING { 0.0 } else { self.picture[picture + channel * plane + from] };
                }
            }
        }
    }

    /// One line at all depths.
    #[inline(always)]
    fn down<const W: usize>(&self, group: usize, line: usize, depths: Range<usize>, number: usize, panel: &mut [[f32; W]]) {
        let frame = &self.conv.frame;
        let (sample, row, column) = (line / frame.places(), line / frame.made[1] % frame.made[0], line % frame.made[1]);
        let source = &self.conv.across[column];
        let mut depth = depths.start;
        while depth < depths.end {
            let (channel, tap_row, tap) = frame.tap(depth);
            let now = (frame.taps[1] - tap).min(depths.end - depth);
            let to = &mut panel[depth - depths.start..][..now];
            match frame.sources[0][tap_row].places[row] {
                NOTHING => {
                    for row in to.iter_mut() {
                        row[number] = 0.0;
                    }
                }
                place => {
                    let from = &self.picture[frame.channel(sample, group, channel) + place * frame.picture[1]..][..frame.picture[1]];
                    scatter(to, number, from, source, tap);
                }
            }
            depth += now;
        }
    }
}

/// Places `first` on of a row as a tap reads them.
#[inline(always)]
fn copy(to: &mut [f32], from: &[f32], source: &Source, first: usize) {
    let count = to.len();
    let begin = source.valid.start.clamp(first, first + count) - first;
    let end = source.valid.end.clamp(first, first + count) - first;
    if source.straight && begin < end {
        to[..begin].fill(0.0);
        to[begin..end].copy_from_slice(&from[source.places[first + begin]..][..end - begin]);
        to[end..].fill(0.0);
    } else {
        let places = &source.places[first..first + count];
        for (to, place) in to.iter_mut().zip(places) {
            *to = from.get(*place).copied().unwrap_or(0.0);
        }
    }
}

/// Taps `first` on into one column of a panel.
#[inline(always)]
fn scatter<const W: usize>(to: &mut [[f32; W]], number: usize, from: &[f32], source: &Source, first: usize) {
    let count = to.len();
    let begin = source.valid.start.clamp(first, first + count) - first;
    let end = source.valid.end.clamp(first, first + count) - first;
    if source.straight && begin < end {
        for row in to[..begin].iter_mut() {
            row[number] = 0.0;
        }
        let from = &from[source.places[first + begin]..][..end - begin];
        for (row, x) in to[begin..end].iter_mut().zip(from) {
            row[number] = *x;
        }
        for row in to[end..].iter_mut() {
            row[number] = 0.0;
        }
    } else {
        let places = &source.places[first..first + count];
        for (row, place) in to.iter_mut().zip(places) {
            row[number] = from.get(*place).copied().unwrap_or(0.0);
        }
    }
}
