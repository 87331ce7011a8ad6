//! Axes in another order: runs where the last axis stays, else blocks that are turned inside the nearest cache.

use segc_compiler::tensor::strides;

use super::{Hands, Room};

/// Elements of a side of a block.
const SIDE: usize = 32;

/// Axes in another order, neighbours that stay together taken as one.
pub(super) struct Permute {
    /// Size and step in the operand of each axis of the result.
    axes: Vec<(usize, usize)>,
}

impl Permute {
    pub fn new(shape: &[usize], order: &[usize]) -> Permute {
        let steps = strides(shape);
        Permute::strided(order.iter().map(|&axis| (shape[axis], steps[axis])))
    }

    /// The operand's elements at any steps: size and step of each axis of the result.
    pub fn strided(list: impl Iterator<Item = (usize, usize)>) -> Permute {
        let mut axes: Vec<(usize, usize)> = Vec::new();
        for (size, step) in list.filter(|(size, _)| *size != 1) {
            match axes.last_mut() {
                Some(last) if last.1 == size * step => *last = (last.0 * size, step),
                _ => axes.push((size, step)),
            }
        }
        Permute { axes }
    }
}

impl Room for Permute {
    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        let from = operands[0];
        let Some((&(size, step), before)) = self.axes.split_last() else { return result.copy_from_slice(&from[..1]) };
        if step == 1 {
            return hands.pieces(result, size, |row, to| to.copy_from_slice(&from[start(before, row)..][..size]));
        }
        let turned = before.iter().rposition(|(_, step)| *step == 1);
        let Some(turned) = turned else {
            return hands.pieces(result, size, |row, to| gather(to, &from[start(before, row)..], step));
        };
        // A slab: up to SIDE places of the axis that is contiguous in the operand, everything behind it in the result.
        let (outer, height) = (&before[..turned], before[turned].0);
        let middle = &before[turned + 1..];
        let row: usize = middle.iter().map(|(size, _)| size).product::<usize>() * size;
        let slabs = result.chunks_mut((height * row).max(1)).enumerate().flat_map(|(number, slab)| {
            let begin = start(outer, number);
            slab.chunks_mut(SIDE * row).enumerate().map(move |(block, part)| (begin + block * SIDE, part))
        });
        hands.team.each(slabs, hands.own, |(begin, part), _| turn(part, &from[begin..], row, middle, (size, step)));
    }
}

/// Where row `number` of the axes before the last begins.
fn start(axes: &[(usize, usize)], number: usize) -> usize {
    let mut rest = number;
    let mut at = 0;
    for (size, step) in axes.iter().rev() {
        at += rest % size * step;
        rest /= size;
    }
    at
}

fn gather(to: &mut [f32], from: &[f32], step: usize) {
    for (to, from) in to.iter_mut().zip(from.iter().step_by(step.max(1))) {
        *to = *from;
    }
}

/// A slab of rows whose neighbours are neighbours in the operand.
fn turn(part: &mut [f32], from: &[f32], row: usize, middle: &[(usize, usize)], (size, step): (usize, usize)) {
    for (number, first) in (0..row).step_by(size).enumerate() {
        let from = &from[start(middle, number)..];
        for block in (0..size).step_by(SIDE) {
            let end = (block + SIDE).min(size);
            for (down, line) in part.chunks_mut(row).enumerate() {
                gather(&mut line[first + block..first + end], &from[down + block * step..], step);
            }
        }
    }
}
