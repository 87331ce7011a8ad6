//! Weighted sums of moved rows: the inner loop of separable filters.

use super::prepare::Weights;
use super::tile::Tile;

/// Columns that are summed in registers at a time.
const WIDE: usize = 64;

/// A stencil over a buffer whose rows lie `step` elements apart; `rows` of them exist.
#[inline(always)]
pub(super) fn from_buffer(tile: &Tile, weights: &Weights, from: &[f32], step: usize, rows: usize, padded: &mut [f32], result: &mut [f32]) {
    let mut taps: [(usize, f32); 64] = [(0, 0.0); 64];
    if weights.side == 0 {
        for (line, target) in result.chunks_exact_mut(tile.columns).enumerate() {
            let row = (tile.row + line) as isize;
            sum_taps(&mut taps, weights, target, from, |(down, _)| {
                let source = row - down;
                (source >= 0 && source < rows as isize).then(|| source as usize * step)
            });
        }
        return;
    }
    let stride = tile.columns + 2 * weights.side;
    let top = tile.row as isize - weights.down.1;
    let height = tile.height + (weights.down.1 - weights.down.0) as usize;
    for (line, target) in padded.chunks_exact_mut(stride).take(height).enumerate() {
        let source = top + line as isize;
        let inside = source >= 0 && source < rows as isize;
        pad(target, weights.side, inside.then(|| &from[source as usize * step..source as usize * step + tile.columns]));
    }
    over_padded(tile, weights, stride, padded, result);
}

/// A stencil within the rows of a tile.
#[inline(always)]
pub(super) fn within_rows(tile: &Tile, weights: &Weights, from: &[f32], padded: &mut [f32], result: &mut [f32]) {
    let stride = tile.columns + 2 * weights.side;
    for (target, source) in padded.chunks_exact_mut(stride).zip(from.chunks_exact(tile.columns)) {
        pad(target, weights.side, Some(source));
    }
    over_padded(tile, weights, stride, padded, result);
}

#[inline(always)]
fn pad(target: &mut [f32], side: usize, row: Option<&[f32]>) {
    let Some(row) = row else { return target.fill(0.0) };
    target[..side].fill(0.0);
    target[side..side + row.len()].copy_from_slice(row);
    target[side + row.len()..].fill(0.0);
}

#[inline(always)]
fn over_padded(tile: &Tile, weights: &Weights, stride: usize, padded: &[f32], result: &mut [f32]) {
    let mut taps: [(usize, f32); 64] = [(0, 0.0); 64];
    for (line, target) in result.chunks_exact_mut(tile.columns).enumerate() {
        sum_taps(&mut taps, weights, target, padded, |(down, right)| {
            let row = (line as isize + weights.down.1 - down) as usize;
            Some(row * stride + (weights.side as isize - right) as usize)
        });
    }
}

/// Sums the taps of one row, at most 64 at a time. `start` gives the first element of a tap's row, or nothing outside.
#[inline(always)]
fn sum_taps(
    taps: &mut [(usize, f32); 64],
    weights: &Weights,
    target: &mut [f32],
    from: &[f32],
    start: impl Fn((isize, isize)) -> Option<usize>,
) {
    target.fill(0.0);
    for group in weights.taps.chunks(64) {
        let mut count = 0;
        for (down, right, weight) in group {
            if let Some(place) = start((*down, *right)) {
                taps[count] = (place, *weight);
                count += 1;
            }
        }
        weigh(&taps[..count], target, from);
    }
}

#[inline(always)]
fn weigh(taps: &[(usize, f32)], target: &mut [f32], from: &[f32]) {
    let mut column = 0;
    while column + WIDE <= target.len() {
        block::<WIDE>(taps, target, from, column);
        column += WIDE;
    }
    while column + 16 <= target.len() {
        block::<16>(taps, target, from, column);
        column += 16;
    }
    for column in column..target.len() {
        for (start, weight) in taps {
            target[column] = from[start + column].mul_add(*weight, target[column]);
        }
    }
}

#[inline(always)]
fn block<const N: usize>(taps: &[(usize, f32)], target: &mut [f32], from: &[f32], column: usize) {
    let Some(target) = target[column..].first_chunk_mut::<N>() else { return };
    let mut sum = *target;
    for (start, weight) in taps {
        let Some(row) = from[start + column..].first_chunk::<N>() else { continue };
        for i in 0..N {
            sum[i] = row[i].mul_add(*weight, sum[i]);
        }
    }
    *target = sum;
}
