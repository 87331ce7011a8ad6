//! Weighted sums of moved rows: the inner loop of separable filters.

use super::prepare::Weights;
use super::tile::Tile;

/// Columns that are summed in registers at a time.
const WIDE: usize = 64;

/// Taps that are summed at a time.
const MOST: usize = 32;

/// Where a tap's row starts relative to the row at hand, and its weight.
type Tap = (usize, f32);

/// A stencil over a buffer whose rows lie `step` elements apart; `rows` of them exist.
#[inline(always)]
pub(super) fn from_buffer(tile: &Tile, weights: &Weights, from: &[f32], step: usize, rows: usize, padded: &mut [f32], result: &mut [f32]) {
    if weights.side == 0 {
        return vertical(tile, weights, from, step, rows, result);
    }
    let stride = weights.stride(tile.columns);
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
    let stride = weights.stride(tile.columns);
    for (target, source) in padded.chunks_exact_mut(stride).zip(from.chunks_exact(tile.columns)) {
        pad(target, weights.side, Some(source));
    }
    over_padded(tile, weights, stride, padded, result);
}

/// Rows come straight from the buffer; taps whose row lies outside fall away.
#[inline(always)]
fn vertical(tile: &Tile, weights: &Weights, from: &[f32], step: usize, rows: usize, result: &mut [f32]) {
    let mut taps: [Tap; MOST] = [(0, 0.0); MOST];
    let inside = |row: usize, down: isize| row.checked_add_signed(-down).filter(|source| *source < rows);
    let all_inside = inside(tile.row, weights.down.1).is_some() && inside(tile.row + tile.height - 1, weights.down.0).is_some();
    for (number, group) in weights.taps.chunks(MOST).enumerate() {
        let mut set = |row: usize| {
            let mut count = 0;
            for (down, _, weight) in group {
                if let Some(source) = inside(row, *down) {
                    taps[count] = (source * step, *weight);
                    count += 1;
                }
            }
            (taps, count)
        };
        let (mut now, mut count) = set(tile.row);
        for (line, target) in result.chunks_exact_mut(tile.columns).enumerate() {
            if !all_inside && line > 0 {
                (now, count) = set(tile.row + line);
            }
            let from = if all_inside { &from[line * step..] } else { from };
            weigh(&now[..count], target, from, number > 0);
        }
    }
}

#[inline(always)]
fn pad(target: &mut [f32], side: usize, row: Option<&[f32]>) {
    let Some(row) = row else { return target.fill(0.0) };
    let (left, rest) = target.split_at_mut(side);
    let (middle, right) = rest.split_at_mut(row.len());
    for x in left.iter_mut() {
        *x = 0.0;
    }
    for (to, from) in middle.iter_mut().zip(row) {
        *to = *from;
    }
    for x in right.iter_mut() {
        *x = 0.0;
    }
}

/// Every tap lies inside the padded block, so their starts differ from row to row by the same step.
#[inline(always)]
fn over_padded(tile: &Tile, weights: &Weights, stride: usize, padded: &[f32], result: &mut [f32]) {
    let mut taps: [Tap; MOST] = [(0, 0.0); MOST];
    for (number, group) in weights.taps.chunks(MOST).enumerate() {
        for (place, (down, right, weight)) in taps.iter_mut().zip(group) {
            *place = ((weights.down.1 - down) as usize * stride + (weights.side as isize - right) as usize, *weight);
        }
        for (line, target) in result.chunks_exact_mut(tile.columns).enumerate() {
            weigh(&taps[..group.len()], target, &padded[line * stride..], number > 0);
        }
    }
}

/// One row: the sum of the taps, added to what is there or in its place.
#[inline(always)]
fn weigh(taps: &[Tap], target: &mut [f32], from: &[f32], adds: bool) {
    let (wide, rest) = target.as_chunks_mut::<WIDE>();
    for (number, chunk) in wide.iter_mut().enumerate() {
        block(taps, chunk, from, number * WIDE, adds);
    }
    let done = wide.len() * WIDE;
    let (narrow, rest) = rest.as_chunks_mut::<16>();
    for (number, chunk) in narrow.iter_mut().enumerate() {
        block(taps, chunk, from, done + number * 16, adds);
    }
    let done = done + narrow.len() * 16;
    for (number, chunk) in rest.as_chunks_mut::<1>().0.iter_mut().enumerate() {
        block(taps, chunk, from, done + number, adds);
    }
}

#[inline(always)]
fn block<const N: usize>(taps: &[Tap], target: &mut [f32; N], from: &[f32], column: usize, adds: bool) {
    let mut sum = if adds { *target } else { [0.0; N] };
    let from = &from[column..];
    for (start, weight) in taps {
        let Some(row) = from.get(*start..).and_then(|rest| rest.first_chunk::<N>()) else { continue };
        for i in 0..N {
            sum[i] = row[i].mul_add(*weight, sum[i]);
        }
    }
    *target = sum;
}
