//! Matrix products: both sides are packed into panels, a tile of the product stays in registers while it runs through a block of depths.
//! Every element is summed over blocks of [`DEPTH`] in order, so its bits depend on the depth alone.

use std::ops::Range;

use pulp::Simd;

use super::Hands;

/// Depths that are summed in registers.
pub(super) const DEPTH: usize = 256;

/// Columns of an item: its panels of a block of depths fit into the second cache.
pub(super) const BLOCK: usize = 256;

/// Rows of an item at most: its sums fit into the second cache beside the panels.
const TALL: usize = 480;

/// Rows of an item where columns alone give too few of them.
const FEW: usize = 192;

/// One side of a product: lines (rows of the left side, columns of the right one) over depths.
pub(super) trait Side: Sync {
    /// Packs lines, `W` to a panel: row `p * depths.len() + d` of `panels` holds lines `lines.start + p * W` on at depth
    /// `depths.start + d`, and zeros where there are no more lines.
    fn pack<const W: usize>(&self, batch: usize, lines: Range<usize>, depths: Range<usize>, panels: &mut [[f32; W]]);
}

/// The sizes of products that are made together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub batches: usize,
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
}

/// A part of one product and where it goes.
pub(super) struct Item<'a> {
    pub batch: usize,
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// All rows of the first `width` columns, all rows of the next, ..
    pub to: Vec<&'a mut [f32]>,
    pub width: usize,
}

/// Rows and columns of a tile: as many as the registers hold.
pub(super) fn tile(arch: pulp::Arch) -> (usize, usize) {
    struct Lanes;
    impl pulp::WithSimd for Lanes {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    match arch.dispatch(Lanes) {
        16 => (12, 32),
        8 => (6, 16),
        _ => (4, 16),
    }
}

impl Sizes {
    /// Elements of the packed left side, for all threads.
    pub fn common(&self, arch: pulp::Arch) -> usize {
        self.packed(tile(arch).0)
    }

    /// Elements of the left side packed so many rows to a panel.
    pub fn packed(&self, rows: usize) -> usize {
        self.batches * self.rows.next_multiple_of(rows) * self.depth
    }

    /// Elements of the packed right side, of each thread.
    pub fn own(&self, arch: pulp::Arch) -> usize {
        let width = BLOCK.min(self.columns.next_multiple_of(32));
        let sums = if self.depth > DEPTH { self.rows.min(TALL).next_multiple_of(tile(arch).0) * width } else { 0 };
        DEPTH.min(self.depth) * width + sums
    }

    /// Rows of an item, given how many items the columns make.
    pub fn height(&self, items: usize) -> usize {
        self.rows.min(if items < 8 { FEW } else { TALL })
    }

    fn padded(&self, arch: pulp::Arch) -> usize {
        self.rows.next_multiple_of(tile(arch).0)
    }
}

/// Makes all items. `hands.common` begins with room for the packed left side.
pub(super) fn multiply<'a>(
    sizes: Sizes,
    left: &impl Side,
    right: &impl Side,
    items: impl Iterator<Item = Item<'a>> + Send,
    hands: &mut Hands,
) {
    let (arch, padded) = (hands.arch, sizes.padded(hands.arch));
    let common = std::mem::take(&mut hands.common);
    let packed = &mut common[..sizes.common(arch)];
    pack_left(sizes, tile(arch).0, left, packed, hands);
    let packed = &*packed;
    hands.team.each(items, hands.own, |item, memory| {
        let packed = &packed[item.batch * padded * sizes.depth..][..padded * sizes.depth];
        arch.dispatch(Job { packed, padded, depth: sizes.depth, right, item, memory });
    });
    hands.common = common;
}

/// Packs the left side into panels of so many rows.
pub(super) fn pack_left(sizes: Sizes, rows: usize, left: &impl Side, packed: &mut [f32], hands: &mut Hands) {
    let lines = (sizes.rows, sizes.depth);
    match rows {
        12 => pack_panels::<12>(lines, DEPTH, left, packed, hands),
        8 => pack_panels::<8>(lines, DEPTH, left, packed, hands),
        6 => pack_panels::<6>(lines, DEPTH, left, packed, hands),
        _ => pack_panels::<4>(lines, DEPTH, left, packed, hands),
    }
}

/// Packs the right side into panels of blocks of so many depths.
pub(super) fn pack_right(sizes: Sizes, block: usize, right: &impl Side, packed: &mut [f32], hands: &mut Hands) {
    let lines = (sizes.columns, sizes.depth);
    match tile(hands.arch).1 {
        32 => pack_panels::<32>(lines, block, right, packed, hands),
        _ => pack_panels::<16>(lines, block, right, packed, hands),
    }
}

/// All batches of so many lines and depths, block of depths by block of depths, each in panels of `M` lines.
fn pack_panels<const M: usize>((lines, depth): (usize, usize), block: usize, side: &impl Side, packed: &mut [f32], hands: &mut Hands) {
    let padded = lines.next_multiple_of(M);
    let panels = packed.chunks_mut((padded * depth).max(1)).enumerate().flat_map(|(batch, all)| {
        all.chunks_mut(padded * block).enumerate().flat_map(move |(number, chunk)| {
            let depths = chunk.len() / padded;
            // Some panels at a time, so that an item is not too small.
            chunk.chunks_mut(8 * M * depths).enumerate().map(move |(group, part)| (batch, number * block, depths, group * 8 * M, part))
        })
    });
    hands.team.each(panels, hands.own, |(batch, first, depths, line, part), _| {
        side.pack(batch, line..(line + 8 * M).min(lines), first..first + depths, part.as_chunks_mut::<M>().0);
    });
}

/// An item with its memory.
struct Job<'a, 'b, R> {
    packed: &'a [f32],
    padded: usize,
    depth: usize,
    right: &'a R,
    item: Item<'b>,
    memory: &'a mut [f32],
}

impl<R: Side> pulp::WithSimd for Job<'_, '_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        with_tile(simd, self);
    }
}

/// What is made of tiles of `M` rows and `W` columns, `V` registers wide.
pub(super) trait Tiled {
    fn run<S: Simd, const M: usize, const V: usize, const W: usize>(self, simd: S);
}

/// Runs with tiles as [`tile`] says.
#[inline(always)]
pub(super) fn with_tile<S: Simd>(simd: S, work: impl Tiled) {
    match S::F32_LANES {
        16 => work.run::<S, 12, 2, 32>(simd),
        8 => work.run::<S, 6, 2, 16>(simd),
        4 => work.run::<S, 4, 4, 16>(simd),
        _ => work.run::<S, 4, 16, 16>(simd),
    }
}

impl<R: Side> Tiled for Job<'_, '_, R> {
    #[inline(always)]
    fn run<S: Simd, const M: usize, const V: usize, const W: usize>(mut self, simd: S) {
        let (rows, columns) = (self.item.rows.clone(), self.item.columns.clone());
        let (down, across) = (rows.len().div_ceil(M), columns.len().div_ceil(W));
        let (panels, sums) = self.memory.split_at_mut(DEPTH.min(self.depth) * across * W);
        let (panels, sums) = (panels.as_chunks_mut::<W>().0, sums.as_chunks_mut::<W>().0.as_chunks_mut::<M>().0);
        for first in (0..self.depth).step_by(DEPTH) {
            let depths = DEPTH.min(self.depth - first);
            self.right.pack(self.item.batch, columns.clone(), first..first + depths, &mut panels[..across * depths]);
            let block = &self.packed[self.padded * first..][..self.padded * depths];
            for (number, panel) in panels.chunks(depths).take(across).enumerate() {
                let (column, width) = (number * W, W.min(columns.len() - number * W));
                for line in 0..down {
                    let row = rows.start + line * M;
                    let height = M.min(rows.end - row);
                    let left = block[row * depths..][..M * depths].as_chunks::<M>().0;
                    let mut made = [[0.0; W]; M];
                    sum_tile::<S, M, V, W>(simd, height, width, left, panel.iter().map(Some), &mut made);
                    // Sums of earlier depths wait in this thread's memory.
                    if first > 0 {
                        add(&mut made, &sums[number * down + line]);
                    }
                    if first + depths == self.depth {
                        self.item.leave(row, height, column, width, &made);
                    } else {
                        sums[number * down + line] = made;
                    }
                }
            }
        }
    }
}

#[inline(always)]
pub(super) fn add<const W: usize, const M: usize>(made: &mut [[f32; W]; M], before: &[[f32; W]; M]) {
    for (to, from) in made.iter_mut().zip(before) {
        for (to, x) in to.iter_mut().zip(from) {
            *to += x;
        }
    }
}

impl Item<'_> {
    /// Writes a tile.
    #[inline(always)]
    fn leave<const W: usize>(&mut self, row: usize, height: usize, column: usize, width: usize, made: &[[f32; W]]) {
        let mut done = 0;
        while done < width {
            let (piece, from) = ((column + done) / self.width, (column + done) % self.width);
            let now = (self.width - from).min(width - done);
            let first = piece * self.rows.len() + row - self.rows.start;
            for (to, line) in self.to[first..first + height].iter_mut().zip(made) {
                for (to, x) in to[from..from + now].iter_mut().zip(&line[done..done + now]) {
                    *to = *x;
                }
            }
            done += now;
        }
    }
}

/// Sums depths. Tiles with few rows or columns leave registers out.
#[inline(always)]
pub(super) fn sum_tile<'a, S: Simd, const M: usize, const V: usize, const W: usize>(
    simd: S,
    height: usize,
    width: usize,
    left: &[[f32; M]],
    right: impl Iterator<Item = Option<&'a [f32; W]>>,
    made: &mut [[f32; W]; M],
) {
    let narrow = width <= W / 2;
    match (height, narrow, M > 8) {
        (..=4, true, _) => sum::<S, 4, V, M, W, true>(simd, left, right, made),
        (..=4, false, _) => sum::<S, 4, V, M, W, false>(simd, left, right, made),
        (5..=8, true, true) => sum::<S, 8, V, M, W, true>(simd, left, right, made),
        (5..=8, false, true) => sum::<S, 8, V, M, W, false>(simd, left, right, made),
        (_, true, _) => sum::<S, M, V, M, W, true>(simd, left, right, made),
        (_, false, _) => sum::<S, M, V, M, W, false>(simd, left, right, made),
    }
}

/// The first `R` of `M` rows, all columns or the left half.
#[inline(always)]
fn sum<'a, S: Simd, const R: usize, const V: usize, const M: usize, const W: usize, const HALF: bool>(
    simd: S,
    left: &[[f32; M]],
    right: impl Iterator<Item = Option<&'a [f32; W]>>,
    made: &mut [[f32; W]; M],
) {
    let registers = if HALF { V / 2 } else { V };
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    for (a, b) in left.iter().zip(right) {
        let (Some(a), Some(b)) = (a.first_chunk::<R>(), b) else { continue };
        let Some(b) = S::as_simd_f32s(b).0.first_chunk::<V>() else { continue };
        for i in 0..R {
            let x = simd.splat_f32s(a[i]);
            for j in 0..registers {
                sums[i][j] = simd.mul_add_e_f32s(x, b[j], sums[i][j]);
            }
        }
    }
    for (line, sums) in made.iter_mut().zip(&sums) {
        for (to, sum) in S::as_mut_simd_f32s(line).0.iter_mut().zip(&sums[..registers]) {
            *to = *sum;
        }
    }
}

/// A side whose elements lie anywhere: element = batch + line + depth.
pub(super) struct Strided<'a> {
    pub data: &'a [f32],
    pub places: &'a Places,
}

/// Where batches, lines and depths of a side lie.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub batches: Vec<usize>,
    pub lines: Vec<usize>,
    pub depths: Vec<usize>,
}

impl Side for Strided<'_> {
    #[inline(always)]
    fn pack<const W: usize>(&self, batch: usize, lines: Range<usize>, depths: Range<usize>, panels: &mut [[f32; W]]) {
        let data = &self.data[self.places.batches[batch]..];
        let (lines, depths) = (&self.places.lines[lines], &self.places.depths[depths]);
        clear_end(lines.len(), depths.len(), panels);
        if lines.len() > 1 && contiguous(lines) {
            for (depth, from) in depths.iter().enumerate() {
                let from = &data[from + lines[0]..][..lines.len()];
                spread(panels, depths.len(), depth, 0, from);
            }
            return;
        }
        let straight = contiguous(depths);
        for (number, line) in lines.iter().enumerate() {
            let panel = &mut panels[number / W * depths.len()..][..depths.len()];
            if straight {
                let from = &data[line + depths[0]..][..depths.len()];
                for (row, x) in panel.iter_mut().zip(from) {
                    row[number % W] = *x;
                }
            } else {
                for (row, depth) in panel.iter_mut().zip(depths) {
                    row[number % W] = data[line + depth];
                }
            }
        }
    }
}

/// Zeros into the last panel if lines do not fill it.
#[inline(always)]
pub(super) fn clear_end<const W: usize>(lines: usize, depths: usize, panels: &mut [[f32; W]]) {
    if !lines.is_multiple_of(W) {
        for row in panels[lines / W * depths..].iter_mut() {
            *row = [0.0; W];
        }
    }
}

/// Neighbouring lines at one depth, from line `first` on, over panels of so many depths.
#[inline(always)]
pub(super) fn spread<const W: usize>(panels: &mut [[f32; W]], depths: usize, depth: usize, first: usize, from: &[f32]) {
    let mut line = first;
    let mut rest = from;
    while !rest.is_empty() {
        let to = &mut panels[line / W * depths + depth];
        match rest.split_first_chunk::<W>().filter(|_| line.is_multiple_of(W)) {
            Some((all, behind)) => (*to, rest, line) = (*all, behind, line + W),
            None => {
                let (now, behind) = rest.split_at(rest.len().min(W - line % W));
                for (to, x) in to[line % W..][..now.len()].iter_mut().zip(now) {
                    *to = *x;
                }
                (rest, line) = (behind, line + now.len());
            }
        }
    }
}

/// Whether each place follows the one before.
pub(super) fn contiguous(places: &[usize]) -> bool {
    places.windows(2).all(|pair| pair[1] == pair[0] + 1)
}
