//! Products whose left side has its depths one after the other: its rows are read where they lie, and the right side alone is packed,
//! once for all items. So nothing of a large left side is copied (the shares of an attention, the features of many tokens).
//! Every element is summed over blocks of [`block`] depths in order, so its bits depend on the depth alone.

use std::ops::Range;

use pulp::Simd;

use super::Hands;
use super::gemm::{self, BLOCK, Item, Places, Sizes, Strided, Tiled, contiguous};

/// Depths that are summed in registers at most: a panel of them stays in the nearest cache beside the rows of a tile.
const DEPTH: usize = 272;

/// Rows of an item: a block of their depths and their sums fit into the second cache beside the panels.
const TALL: usize = 240;

/// Rows of an item where there would be too few of them.
const FEW: usize = 96;

/// Rows from which on packing the right side ahead pays.
const LEAST: usize = 32;

/// Elements of a packed right side that count as few.
const SMALL: usize = 1 << 20;

/// Depths that are read of each row at a time.
const STEP: usize = 4;

/// Whether a product is of this kind: the packed right side takes no more memory than the left side, or little.
pub(super) fn fits(left: &Places, sizes: Sizes) -> bool {
    let most = (sizes.batches * sizes.rows * sizes.depth).max(SMALL);
    sizes.rows >= LEAST && contiguous(&left.depths) && sizes.batches * sizes.columns * sizes.depth <= most
}

/// Elements of the packed right side, for all threads.
pub(super) fn packed(sizes: Sizes, arch: pulp::Arch) -> usize {
    sizes.batches * sizes.columns.next_multiple_of(gemm::tile(arch).1) * sizes.depth
}

/// Rows of an item.
pub(super) fn height(sizes: Sizes) -> usize {
    let items = sizes.batches * sizes.columns.div_ceil(BLOCK) * sizes.rows.div_ceil(TALL);
    sizes.rows.min(if items < 8 { FEW } else { TALL })
}

/// Depths that are summed in registers: equal parts of the depth, but for the last one.
fn block(depth: usize) -> usize {
    depth.div_ceil(depth.div_ceil(DEPTH).max(1)).next_multiple_of(STEP)
}

/// Makes all items, each a part of one product. `hands.common` begins with room for the packed right side.
pub(super) fn multiply<'a>(sizes: Sizes, left: &Strided, right: &Strided, items: impl Iterator<Item = Item<'a>> + Send, hands: &mut Hands) {
    let (arch, block) = (hands.arch, block(sizes.depth));
    let common = std::mem::take(&mut hands.common);
    let packed = &mut common[..packed(sizes, arch)];
    gemm::pack_right(sizes, block, right, packed, hands);
    let packed = &*packed;
    hands.team.each(items, hands.own, |item, _| arch.dispatch(Job { sizes, block, left, packed, item }));
    hands.common = common;
}

/// An item with what it reads.
struct Job<'a, 'b> {
    sizes: Sizes,
    block: usize,
    left: &'a Strided<'a>,
    packed: &'a [f32],
    item: Item<'b>,
}

impl pulp::WithSimd for Job<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        gemm::with_tile(simd, self);
    }
}

impl Tiled for Job<'_, '_> {
    #[inline(always)]
    fn run<S: Simd, const M: usize, const V: usize, const W: usize>(mut self, simd: S) {
        let (depth, padded) = (self.sizes.depth, self.sizes.columns.next_multiple_of(W));
        let (batch, rows, wanted) = (self.item.batch, self.item.rows.clone(), self.item.columns.clone());
        let packed = &self.packed[batch * padded * depth..][..padded * depth];
        let Places { batches, lines, depths } = self.left.places;
        let (data, lines) = (&self.left.data[batches[batch] + depths[0]..], &lines[rows]);
        for first in (0..depth).step_by(self.block) {
            let depths = self.block.min(depth - first);
            let panels = packed[padded * first..][..padded * depths].as_chunks::<W>().0.chunks(depths).skip(wanted.start / W);
            for (column, panel) in (0..wanted.len()).step_by(W).zip(panels) {
                let columns = column..(column + W).min(wanted.len());
                for (lines, to) in lines.chunks(M).zip(self.item.to.chunks_mut(M)) {
                    let tile = Tile { data: &data[first..], lines, panel, columns: columns.clone(), further: first > 0 };
                    tile.sum::<S, M, V>(simd, to);
                }
            }
        }
    }
}

/// Rows where they lie, times a panel.
struct Tile<'a, const W: usize> {
    data: &'a [f32],
    /// Where in the data each row begins.
    lines: &'a [usize],
    panel: &'a [[f32; W]],
    /// Where the sums belong in lines of the result.
    columns: Range<usize>,
    /// Whether they come to what is there.
    further: bool,
}

impl<const W: usize> Tile<'_, W> {
    /// Few rows or columns leave registers out.
    #[inline(always)]
    fn sum<S: Simd, const M: usize, const V: usize>(&self, simd: S, to: &mut [&mut [f32]]) {
        match (self.lines.len(), self.columns.len() <= W / 2, M > 8) {
            (..=4, true, _) => self.rows::<S, 4, V, true>(simd, to),
            (..=4, false, _) => self.rows::<S, 4, V, false>(simd, to),
            (5..=8, true, true) => self.rows::<S, 8, V, true>(simd, to),
            (5..=8, false, true) => self.rows::<S, 8, V, false>(simd, to),
            (_, true, _) => self.rows::<S, M, V, true>(simd, to),
            (_, false, _) => self.rows::<S, M, V, false>(simd, to),
        }
    }

    /// `R` rows, the last one again where there are fewer; all columns or the left half.
    #[inline(always)]
    fn rows<S: Simd, const R: usize, const V: usize, const HALF: bool>(&self, simd: S, to: &mut [&mut [f32]]) {
        let registers = if HALF { V / 2 } else { V };
        let (steps, rest) = self.panel.as_chunks::<STEP>();
        let mut rows: [&[[f32; STEP]]; R] = [&[]; R];
        let mut ends: [&[f32]; R] = [&[]; R];
        for i in 0..R {
            let line = self.lines[i.min(self.lines.len() - 1)];
            let (row, end) = self.data[line..][..self.panel.len()].as_chunks::<STEP>();
            (rows[i], ends[i]) = (&row[..steps.len()], &end[..rest.len()]);
        }
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        for (at, step) in steps.iter().enumerate() {
            for d in 0..STEP {
                let Some(b) = S::as_simd_f32s(&step[d]).0.first_chunk::<V>() else { continue };
                for i in 0..R {
                    let x = simd.splat_f32s(rows[i][at][d]);
                    for j in 0..registers {
                        sums[i][j] = simd.mul_add_e_f32s(x, b[j], sums[i][j]);
                    }
                }
            }
        }
        for (at, b) in rest.iter().enumerate() {
            let Some(b) = S::as_simd_f32s(b).0.first_chunk::<V>() else { continue };
            for i in 0..R {
                let x = simd.splat_f32s(ends[i][at]);
                for j in 0..registers {
                    sums[i][j] = simd.mul_add_e_f32s(x, b[j], sums[i][j]);
                }
            }
        }
        for (line, sums) in to.iter_mut().zip(&sums) {
            self.leave(simd, &mut line[self.columns.clone()], &sums[..registers]);
        }
    }

    /// Writes the sums of a row, or adds them to those of earlier depths.
    #[inline(always)]
    fn leave<S: Simd>(&self, simd: S, line: &mut [f32], sums: &[S::f32s]) {
        if line.len() == W {
            for (to, sum) in S::as_mut_simd_f32s(line).0.iter_mut().zip(sums) {
                *to = if self.further { simd.add_f32s(*to, *sum) } else { *sum };
            }
            return;
        }
        let mut made = [0.0; W];
        for (to, sum) in S::as_mut_simd_f32s(&mut made).0.iter_mut().zip(sums) {
            *to = *sum;
        }
        for (to, x) in line.iter_mut().zip(&made) {
            *to = if self.further { *to + x } else { *x };
        }
    }
}
