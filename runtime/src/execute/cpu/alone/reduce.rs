//! Reductions over any axes. Where the last axis is kept, rows are joined in single precision and emptied into double precision after
//! every 32 rows; where it is reduced, runs are joined as loops do.

use pulp::Simd;
use segc_compiler::kernel::Join;
use segc_compiler::tensor::strides;

use super::super::elementary::{maximum, minimum};
use super::super::partial::{Partial, joined, neutral};
use super::{Hands, ITEM, Room};

/// Rows that are joined in single precision.
const FLUSH: usize = 32;

/// Columns that are joined side by side.
const WIDE: usize = 128;

/// A reduction.
pub(super) struct Reduce {
    join: Join,
    /// Where the elements of each result begin, but for the last axis where that is kept.
    results: Vec<usize>,
    /// Where the parts of a result begin, from its own beginning.
    parts: Vec<usize>,
    /// Elements of a part that lie side by side: all of one result, or each of its own.
    run: usize,
    /// Whether the last axis is kept.
    side_by_side: bool,
}

impl Reduce {
    pub fn new(join: Join, shape: &[usize], over: &[usize]) -> Reduce {
        let steps = strides(shape);
        let list = (0..shape.len()).map(|axis| (shape[axis], steps[axis], over.contains(&axis)));
        Reduce::strided(join, list)
    }

    /// Size, step and whether it is reduced of each axis of the operand; the results have the kept ones in this order.
    pub fn strided(join: Join, list: impl Iterator<Item = (usize, usize, bool)>) -> Reduce {
        let mut axes: Vec<(usize, usize, bool)> = Vec::new();
        for (size, step, reduced) in list.filter(|(size, ..)| *size != 1) {
            match axes.last_mut() {
                Some(last) if last.1 == size * step && last.2 == reduced => *last = (last.0 * size, step, reduced),
                _ => axes.push((size, step, reduced)),
            }
        }
        let (run, side_by_side) = match axes.last() {
            Some(&(size, 1, reduced)) => (size, !reduced),
            _ => (1, false),
        };
        if matches!(axes.last(), Some((_, 1, _))) {
            axes.pop();
        }
        Reduce { join, results: starts(&axes, false), parts: starts(&axes, true), run, side_by_side }
    }
}

/// Where the indices of the reduced axes begin, or those of the kept ones.
fn starts(axes: &[(usize, usize, bool)], reduced: bool) -> Vec<usize> {
    axes.iter()
        .filter(|axis| axis.2 == reduced)
        .fold(vec![0], |starts, &(size, step, _)| starts.iter().flat_map(|start| (0..size).map(move |i| start + i * step)).collect())
}

impl Room for Reduce {
    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        let (from, arch) = (operands[0], hands.arch);
        if !self.side_by_side {
            let group = (ITEM / (self.parts.len() * self.run).max(1)).max(1);
            let items = result.chunks_mut(group).zip(self.results.chunks(group));
            return hands.team.each(items, hands.own, |(to, starts), _| {
                arch.dispatch(Runs { room: self, from, starts, to });
            });
        }
        let width = WIDE.max(ITEM / self.parts.len().max(1) / WIDE * WIDE);
        let items = result
            .chunks_mut(self.run)
            .zip(&self.results)
            .flat_map(|(to, start)| to.chunks_mut(width).enumerate().map(move |(number, to)| (start + number * width, to)));
        hands.team.each(items, hands.own, |(start, to), _| arch.dispatch(Rows { room: self, from: &from[start..], to }));
    }
}

/// Results whose elements lie in runs.
struct Runs<'a> {
    room: &'a Reduce,
    from: &'a [f32],
    starts: &'a [usize],
    to: &'a mut [f32],
}

impl pulp::WithSimd for Runs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (to, start) in self.to.iter_mut().zip(self.starts) {
            let mut sum = Partial::new(self.room.join);
            for part in &self.room.parts {
                sum.add(&self.from[start + part..][..self.room.run]);
            }
            *to = sum.finish();
        }
    }
}

/// Results that lie side by side, as their elements do.
struct Rows<'a> {
    room: &'a Reduce,
    from: &'a [f32],
    to: &'a mut [f32],
}

impl pulp::WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (number, to) in self.to.chunks_mut(WIDE).enumerate() {
            let from = &self.from[number * WIDE..];
            match self.room.join {
                Join::Sum => self.room.rows(from, to, |a, b| a + b),
                Join::Max => self.room.rows(from, to, maximum),
                Join::Min => self.room.rows(from, to, minimum),
            }
        }
    }
}

impl Reduce {
    #[inline(always)]
    fn rows(&self, from: &[f32], to: &mut [f32], join: impl Fn(f32, f32) -> f32) {
        let none = neutral(self.join);
        let mut totals = [f64::from(none); WIDE];
        for parts in self.parts.chunks(FLUSH) {
            let mut lanes = [none; WIDE];
            for part in parts {
                let row = &from[*part..][..to.len()];
                match row.first_chunk::<WIDE>() {
                    Some(row) => {
                        for (lane, x) in lanes.iter_mut().zip(row) {
                            *lane = join(*lane, *x);
                        }
                    }
                    None => {
                        for (lane, x) in lanes.iter_mut().zip(row) {
                            *lane = join(*lane, *x);
                        }
                    }
                }
            }
            for (total, lane) in totals.iter_mut().zip(lanes) {
                *total = joined(self.join, *total, f64::from(lane));
            }
        }
        for (to, total) in to.iter_mut().zip(totals) {
            *to = total as f32;
        }
    }
}
