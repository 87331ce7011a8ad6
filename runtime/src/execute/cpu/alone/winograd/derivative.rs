//! Convolutions of large windows to three by three places, which the gradients of weights of three by three taps are, by minimal filtering
//! F(3 x 3, 2 x 2). It is the transpose of what [`super`] does with respect to the weights: pieces of two by two taps and the windows of
//! four by four pixels that they meet become sums at sixteen points, G^T [(B^T d B) * (A p A^T)] G is what a piece adds to the nine
//! places, and the products are summed over all pieces and samples before they leave the points. That is 16 products where the definition
//! has 36.

use std::ops::Range;

use pulp::Simd;
use segc_compiler::kernel::Slide;

use super::super::gemm::{self, Tiled};
use super::super::{Hands, Memory, Room};
use super::region::{self, Pictures, Pixel, Points, Region};
use super::{LANES, POINTS, get, put};

/// Pieces that are summed in registers; both sides of so many at all points fit into the second cache.
const DEPTH: usize = 64;

/// Pieces side by side that are laid out at a time.
const ACROSS: usize = 32;

/// Lines of a side that an item has at most.
const BLOCK: usize = 128;

/// Chunks of pieces that are added to one sum: sums of many are joined from parts.
const CHUNKS: usize = 64;

/// Items below which the pieces are cut into parts, and the fewest pieces of a part.
const ITEMS: usize = 8;
const LEAST: usize = 128;

/// Items below which blocks of lines are halved, while one has more than so many.
const FEW: usize = 4;
const SMALL: usize = 32;

/// Taps below which there is too little to sum.
const TAPS: usize = 16;

/// Lines of the picture and of the window, and their product, below which the transforms cost more than the products save.
const FEWEST: [usize; 3] = [8, 12, 256];

/// Pixels between the points, so that the same depth of all points does not compete for one set of the nearest cache.
const SKEW: usize = 3;

/// Elements of the result that threads join at once.
const JOINED: usize = 1 << 13;

/// A convolution.
pub(in super::super) struct Derivative {
    samples: usize,
    /// The picture and the window. Lines of the first are rows, those of the second columns of the products.
    sides: [Pictures; 2],
    /// Lines of each side that an item has.
    blocks: [usize; 2],
    /// Above and on the left.
    pad: [isize; 2],
    /// Pieces down and across.
    pieces: [usize; 2],
    /// Samples, and pieces down and across of one, that are a chunk. Chunks side by side are a band.
    chunk: [usize; 3],
    /// Bands of a part, and how many parts there are.
    share: usize,
    parts: usize,
    arch: pulp::Arch,
}

impl Derivative {
    /// The convolution `x: [n, c, h, w]` by `w: [o, c, kh, kw]` to the shape `to`; none where it is not of that kind or too small.
    pub fn new(slide: &Slide, x: &[usize], w: &[usize], to: &[usize], arch: pulp::Arch) -> Option<Derivative> {
        let plain = [slide.stride, slide.dilation, slide.input_dilation].iter().all(|pair| *pair == [1, 1]);
        let small = x[0] < FEWEST[0] || w[0] < FEWEST[1] || x[0] * w[0] < FEWEST[2];
        if !plain || slide.turned || slide.groups != 1 || to[2..] != [3, 3] || w[2] * w[3] < TAPS || small {
            return None;
        }
        let sides = [x, w].map(|shape| {
            let plane = shape[2] * shape[3];
            Pictures { channels: shape[0], size: [shape[2], shape[3]], steps: [shape[1] * plane, plane] }
        });
        let (samples, pieces) = (x[1], [w[2].div_ceil(2), w[3].div_ceil(2)]);
        let (blocks, parts) = shares([x[0], w[0]], samples * pieces[0] * pieces[1]);
        let chunk = chunk(samples, pieces);
        let mut room = Derivative { samples, sides, blocks, pad: [slide.pad[0], slide.pad[2]], pieces, chunk, share: 0, parts: 0, arch };
        let bands = room.bands();
        room.share = even(bands, bands.div_ceil(parts).min((CHUNKS / room.strips()).max(1)));
        room.parts = bands.div_ceil(room.share);
        Some(room)
    }

    fn bands(&self) -> usize {
        self.samples.div_ceil(self.chunk[0]) * self.pieces[0].div_ceil(self.chunk[1])
    }

    /// Chunks of a band.
    fn strips(&self) -> usize {
        self.pieces[1].div_ceil(self.chunk[2])
    }

    /// Samples and pieces down of a band.
    fn band(&self, number: usize) -> [Range<usize>; 2] {
        let down = self.pieces[0].div_ceil(self.chunk[1]);
        let range = |at: usize, axis: usize, all: usize| at * self.chunk[axis]..((at + 1) * self.chunk[axis]).min(all);
        [range(number / down, 0, self.samples), range(number % down, 1, self.pieces[0])]
    }

    /// Pixels of a side's panels from point to point.
    fn between(&self, side: usize) -> usize {
        self.chunk.iter().product::<usize>() * (self.blocks[side] / LANES) + SKEW
    }

    /// Rows and columns of a side's pictures in a band with so many pieces down.
    fn size(&self, side: usize, down: usize) -> [usize; 2] {
        let more = if side == 0 { 2 } else { 0 };
        [2 * down + more, 2 * self.pieces[1] + more]
    }

    /// Pixels of a side's pictures in a band: those of all lines, unless one chunk has all of the band.
    fn laid(&self, side: usize) -> usize {
        let lines = if self.strips() > 1 { self.blocks[side] / LANES } else { 1 };
        lines * self.chunk[0] * self.size(side, self.chunk[1]).iter().product::<usize>()
    }

    /// The items with their parts of the result, or of the parts of the result that are to be joined.
    fn items<'a>(&self, to: &'a mut [f32]) -> Vec<Item<'a>> {
        let [lines, columns] = self.sides.map(|side| side.channels);
        let [down, across] = [lines.div_ceil(self.blocks[0]), columns.div_ceil(self.blocks[1])];
        let range = |number: usize, size: usize, all: usize| number * size..((number + 1) * size).min(all);
        let mut items: Vec<Item> = (0..self.parts * down * across)
            .map(|number| Item {
                lines: [range(number / across % down, self.blocks[0], lines), range(number % across, self.blocks[1], columns)],
                bands: range(number / across / down, self.share, self.bands()),
                to: Vec::new(),
            })
            .collect();
        for (number, line) in to.chunks_mut(9 * columns).enumerate() {
            let first = (number / lines * down + number % lines / self.blocks[0]) * across;
            items[first..].iter_mut().zip(line.chunks_mut(9 * self.blocks[1])).for_each(|(item, piece)| item.to.push(piece));
        }
        items
    }
}

/// Lines of each side that an item has, and in how many parts the pieces are cut.
fn shares(lines: [usize; 2], pieces: usize) -> ([usize; 2], usize) {
    let block = |side: usize, most: usize| even(lines[side], most).next_multiple_of(LANES);
    let mut blocks = [block(0, BLOCK), block(1, BLOCK)];
    loop {
        let items = lines[0].div_ceil(blocks[0]) * lines[1].div_ceil(blocks[1]);
        let parts = ITEMS.div_ceil(items).min(pieces / LEAST).max(1);
        let larger = usize::from(blocks[1] >= blocks[0]);
        if items * parts >= FEW || blocks[larger] <= SMALL {
            return (blocks, parts);
        }
        blocks[larger] = block(larger, blocks[larger] / 2);
    }
}

/// The largest equal parts of `all` that are no larger than `most`.
fn even(all: usize, most: usize) -> usize {
    all.div_ceil(all.div_ceil(most.max(1)).max(1)).max(1)
}

/// Samples, and pieces down and across of one, that are [`DEPTH`] pieces or somewhat less.
fn chunk(samples: usize, [down, across]: [usize; 2]) -> [usize; 3] {
    if down * across <= DEPTH {
        return [even(samples, DEPTH / (down * across)), down, across];
    }
    let columns = even(across, ACROSS);
    [1, even(down, DEPTH / columns), columns]
}

/// Rows of the tiles of a product of `count` rows, the first and how many, given that a tile has at most `tall`. Two tiles of two thirds
/// are faster than a whole one with one of a third. No tile reads beyond the lanes of the last row.
pub(super) fn rows(count: usize, tall: usize) -> Vec<(usize, usize)> {
    let (whole, rest) = (count / tall, count % tall);
    let mut list: Vec<(usize, usize)> = (0..whole).map(|number| (number * tall, tall)).collect();
    let mut last = whole * tall;
    if let Some(before) = list.last_mut().filter(|_| rest > 0 && rest <= 4 && tall > 8) {
        before.1 = 8;
        last = before.0 + 8;
    }
    if last < count {
        let read = match count - last {
            ..=4 => 4,
            ..=8 if tall > 8 => 8,
            _ => tall,
        };
        last = last.min(count.next_multiple_of(LANES) - read);
        list.push((last, count - last));
    }
    list
}

/// A part of the result, of some of the pieces.
struct Item<'a> {
    /// Of both sides.
    lines: [Range<usize>; 2],
    bands: Range<usize>,
    /// The places of all columns, row by row.
    to: Vec<&'a mut [f32]>,
}

impl Room for Derivative {
    fn memory(&self) -> Memory {
        let (tall, wide) = gemm::tile(self.arch);
        let sums = POINTS * self.blocks[0].next_multiple_of(tall) * self.blocks[1].next_multiple_of(wide);
        let panels: usize = [0, 1].map(|side| POINTS * self.between(side) + self.laid(side)).iter().sum();
        let result = 9 * self.sides[0].channels * self.sides[1].channels;
        let common = if self.parts > 1 { self.parts * result } else { 0 };
        Memory { common, own: LANES * panels + sums }
    }

    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        if self.parts == 1 {
            return self.sum(operands, result, hands);
        }
        let (common, size) = (std::mem::take(&mut hands.common), result.len());
        let parts = &mut common[..self.parts * size];
        self.sum(operands, parts, hands);
        let parts = &*parts;
        hands.team.each(result.chunks_mut(JOINED).enumerate(), hands.own, |(number, to), _| {
            for (part, from) in parts.chunks(size).enumerate() {
                let from = &from[number * JOINED..][..to.len()];
                match part {
                    0 => to.copy_from_slice(from),
                    _ => to.iter_mut().zip(from).for_each(|(to, x)| *to += x),
                }
            }
        });
        hands.common = common;
    }
}

impl Derivative {
    /// All parts, one after the other.
    fn sum(&self, operands: &[&[f32]], parts: &mut [f32], hands: &mut Hands) {
        let arch = self.arch;
        hands.team.each(self.items(parts).into_iter(), hands.own, |item, memory| {
            arch.dispatch(Work { room: self, pictures: [operands[0], operands[1]], item, memory });
        });
    }
}

/// An item with what it reads.
struct Work<'a, 'b> {
    room: &'a Derivative,
    pictures: [&'a [f32]; 2],
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

impl Tiled for Work<'_, '_> {
    #[inline(always)]
    fn run<S: Simd, const M: usize, const V: usize, const W: usize>(mut self, simd: S) {
        let room = self.room;
        let memory = std::mem::take(&mut self.memory);
        let pixels = memory.as_chunks_mut::<LANES>().0;
        let (mut sides, sums) = room.workplaces(pixels);
        let sums = sums.as_flattened_mut().as_chunks_mut::<W>().0.as_chunks_mut::<M>().0;
        let rows = rows(self.item.lines[0].len(), M);
        let mut fresh = true;
        for band in self.item.bands.clone() {
            let [samples, down] = room.band(band);
            for (side, own) in sides.iter_mut().enumerate() {
                own.set(room, side, &samples, &down);
            }
            for first in (0..room.pieces[1]).step_by(room.chunk[2]) {
                let columns = first..(first + room.chunk[2]).min(room.pieces[1]);
                for (side, own) in sides.iter_mut().enumerate() {
                    self.transform(simd, side, [samples.len(), down.len()], &columns, own);
                }
                let depth = samples.len() * down.len() * columns.len();
                self.multiply::<S, M, V, W>(simd, &rows, depth, &sides, fresh, sums);
                fresh = false;
            }
        }
        self.leave::<S, M, W>(simd, &rows, sums);
    }
}

/// What an item makes of one side.
struct Workplace<'a> {
    region: Region,
    /// The pictures of a band.
    laid: &'a mut [Pixel],
    /// Windows or pieces of a chunk at the points.
    panels: &'a mut [Pixel],
}

impl Derivative {
    /// The workplaces of both sides, and the rest of the memory.
    fn workplaces<'a>(&self, memory: &'a mut [Pixel]) -> ([Workplace<'a>; 2], &'a mut [Pixel]) {
        let mut rest = memory;
        let mut take = |count: usize| {
            let (now, behind) = std::mem::take(&mut rest).split_at_mut(count);
            rest = behind;
            now
        };
        let sides = [0, 1].map(|side| {
            let (panels, laid) = (take(POINTS * self.between(side)), take(self.laid(side)));
            Workplace { region: Region::default(), laid, panels }
        });
        (sides, rest)
    }
}

impl Workplace<'_> {
    /// Turns to some samples and pieces down.
    fn set(&mut self, room: &Derivative, side: usize, samples: &Range<usize>, down: &Range<usize>) {
        let pad = if side == 0 { room.pad } else { [0; 2] };
        let origin = [2 * down.start as isize - pad[0], -pad[1]];
        self.region.set(&room.sides[side], samples.clone(), origin, room.size(side, down.len()));
    }
}

impl Work<'_, '_> {
    /// Lines of a side that lie side by side at a depth, in groups of the lanes.
    #[inline(always)]
    fn groups(&self, side: usize) -> usize {
        self.item.lines[side].len().div_ceil(LANES)
    }

    /// The windows or pieces of a chunk at the points, for all lines of the item. The first chunk of a band lays out the band.
    #[inline(always)]
    fn transform<S: Simd>(&self, simd: S, side: usize, [samples, down]: [usize; 2], columns: &Range<usize>, own: &mut Workplace) {
        let room = self.room;
        let [height, width] = room.size(side, down);
        let (groups, whole) = (self.groups(side), samples * height * width);
        let apart = if room.strips() > 1 { whole } else { 0 };
        let length = samples * down * columns.len() * groups;
        for group in 0..groups {
            let laid = &mut own.laid[group * apart..][..whole];
            if columns.start == 0 {
                let first = self.item.lines[side].start + group * LANES;
                own.region.lay(simd, self.pictures[side], &room.sides[side], first, laid);
            }
            let mut points = points(own.panels, room.between(side), group, length - group);
            let size = [samples, down, width];
            match side {
                0 => region::windows(simd, laid, size, columns.clone(), groups, &mut points),
                _ => region::pieces(simd, laid, size, columns.clone(), groups, &mut points),
            }
        }
    }

    /// Sums products over the pieces of a chunk at every point, onto those of earlier chunks unless there are none.
    #[inline(always)]
    fn multiply<S: Simd, const M: usize, const V: usize, const W: usize>(
        &self,
        simd: S,
        rows: &[(usize, usize)],
        depth: usize,
        places: &[Workplace; 2],
        fresh: bool,
        sums: &mut [[[f32; W]; M]],
    ) {
        let groups = [self.groups(0), self.groups(1)];
        let mut sums = sums.iter_mut();
        for point in 0..POINTS {
            let mut sides = [&[][..]; 2];
            for side in 0..2 {
                sides[side] = places[side].panels[point * self.room.between(side)..][..depth * groups[side]].as_flattened();
            }
            let strides = [groups[0] * LANES, groups[1] * LANES];
            for column in (0..strides[1]).step_by(W) {
                let narrow = strides[1] - column < W;
                for (row, height) in rows {
                    let Some(to) = sums.next() else { return };
                    let tile = Product { sides, strides, row: *row, column, fresh };
                    match (*height, narrow, M > 8) {
                        (..=4, true, _) => tile.sum::<S, 4, V, M, W, true>(simd, to),
                        (..=4, false, _) => tile.sum::<S, 4, V, M, W, false>(simd, to),
                        (5..=8, true, true) => tile.sum::<S, 8, V, M, W, true>(simd, to),
                        (5..=8, false, true) => tile.sum::<S, 8, V, M, W, false>(simd, to),
                        (_, true, _) => tile.sum::<S, M, V, M, W, true>(simd, to),
                        (_, false, _) => tile.sum::<S, M, V, M, W, false>(simd, to),
                    }
                }
            }
        }
    }

    /// Writes the places of all lines: G^T m G.
    #[inline(always)]
    fn leave<S: Simd, const M: usize, const W: usize>(&mut self, simd: S, rows: &[(usize, usize)], sums: &[[[f32; W]; M]]) {
        let across = (self.groups(1) * LANES).div_ceil(W);
        let between = across * rows.len();
        let mut made = [[0.0; LANES]; 9];
        for (tile, (row, height)) in rows.iter().enumerate() {
            for (line, to) in self.item.to[*row..row + height].iter_mut().enumerate() {
                for (number, to) in to.chunks_mut(9 * LANES).enumerate() {
                    let (column, first) = (number * LANES / W, number * LANES % W);
                    for part in 0..LANES / S::F32_LANES {
                        let mut own = [simd.splat_f32s(0.0); POINTS];
                        for point in 0..POINTS {
                            own[point] = get(simd, &sums[point * between + column * rows.len() + tile][line], first, part);
                        }
                        let places = places_of(simd, own);
                        for place in 0..9 {
                            put::<S, LANES>(&mut made[place], 0, part, places[place]);
                        }
                    }
                    interleave(simd, &made, to);
                }
            }
        }
    }
}

/// The places of lines side by side, line by line.
#[inline(always)]
fn interleave<S: Simd>(simd: S, made: &[[f32; LANES]; 9], to: &mut [f32]) {
    let to = to.as_chunks_mut::<9>().0;
    let Some(to) = to.first_chunk_mut::<LANES>() else {
        for (lane, to) in to.iter_mut().enumerate() {
            for place in 0..9 {
                to[place] = made[place][lane];
            }
        }
        return;
    };
    for first in [0, 4] {
        let turned = region::fours(simd, &[made[first], made[first + 1], made[first + 2], made[first + 3]]);
        for lane in 0..LANES {
            to[lane][first..first + 4].copy_from_slice(&turned[lane % 4][lane / 4 * 4..][..4]);
        }
    }
    for lane in 0..LANES {
        to[lane][8] = made[8][lane];
    }
}

/// Where the lanes of a group go at each point; `length` pixels of each.
#[inline(always)]
fn points(panel: &mut [Pixel], between: usize, group: usize, length: usize) -> Points<'_> {
    let mut list = Points::default();
    let mut rest = panel;
    for to in &mut list {
        let (now, behind) = std::mem::take(&mut rest).split_at_mut(between);
        *to = &mut now[group..][..length];
        rest = behind;
    }
    list
}

/// A tile of the product at a point.
struct Product<'a> {
    sides: [&'a [f32]; 2],
    /// Elements from depth to depth of both sides.
    strides: [usize; 2],
    row: usize,
    column: usize,
    /// Whether there are no sums yet.
    fresh: bool,
}

impl Product<'_> {
    /// The first `R` of `M` rows, all columns or the left half.
    #[inline(always)]
    fn sum<S: Simd, const R: usize, const V: usize, const M: usize, const W: usize, const HALF: bool>(
        self,
        simd: S,
        to: &mut [[f32; W]; M],
    ) {
        let registers = if HALF { V / 2 } else { V };
        let width = if HALF { W / 2 } else { W };
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        let left = self.sides[0].chunks_exact(self.strides[0]);
        for (a, b) in left.zip(self.sides[1].chunks_exact(self.strides[1])) {
            let Some(a) = a[self.row..].first_chunk::<R>() else { continue };
            let b = S::as_simd_f32s(&b[self.column..][..width]).0;
            let b = &b[..registers];
            for i in 0..R {
                let x = simd.splat_f32s(a[i]);
                for j in 0..registers {
                    sums[i][j] = simd.mul_add_e_f32s(x, b[j], sums[i][j]);
                }
            }
        }
        for i in 0..R {
            let to = &mut S::as_mut_simd_f32s(&mut to[i]).0[..registers];
            for j in 0..registers {
                to[j] = if self.fresh { sums[i][j] } else { simd.add_f32s(to[j], sums[i][j]) };
            }
        }
    }
}

/// Nine places from sums at the points.
#[inline(always)]
fn places_of<S: Simd>(simd: S, m: [S::f32s; POINTS]) -> [S::f32s; 9] {
    let mut half = [[m[0]; 3]; 4];
    for i in 0..4 {
        half[i] = of_products(simd, [m[4 * i], m[4 * i + 1], m[4 * i + 2], m[4 * i + 3]]);
    }
    let mut places = [m[0]; 9];
    for j in 0..3 {
        let made = of_products(simd, [half[0][j], half[1][j], half[2][j], half[3][j]]);
        for i in 0..3 {
            places[3 * i + j] = made[i];
        }
    }
    places
}

/// Three places of a line of sums: G^T m, where the sign at infinity is that of [`region::pieces`].
#[inline(always)]
fn of_products<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 3] {
    let half = simd.splat_f32s(0.5);
    let (even, odd) = (simd.mul_f32s(half, simd.add_f32s(b, c)), simd.mul_f32s(half, simd.sub_f32s(b, c)));
    [simd.add_f32s(a, even), odd, simd.sub_f32s(even, d)]
}
