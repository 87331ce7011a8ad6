//! Parts of an axis: `concat`, `slice`, `embed`. All are copies of contiguous runs.

use super::{Hands, Room, around};

/// Operands one after the other along an axis.
pub(super) struct Concat {
    /// Elements of each operand that lie side by side.
    runs: Vec<usize>,
}

impl Concat {
    pub fn new(shapes: &[&[usize]], axis: usize) -> Concat {
        Concat { runs: shapes.iter().map(|shape| around(shape, axis)[1..].iter().product()).collect() }
    }
}

impl Room for Concat {
    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        hands.pieces(result, self.runs.iter().sum(), |outer, piece| {
            let mut rest = piece;
            for (run, operand) in self.runs.iter().zip(operands) {
                let (to, behind) = rest.split_at_mut(*run);
                to.copy_from_slice(&operand[outer * run..][..*run]);
                rest = behind;
            }
        });
    }
}

/// A part of an axis.
pub(super) struct Slice {
    /// Elements of the operand that lie side by side.
    run: usize,
    from: usize,
    part: usize,
}

impl Slice {
    pub fn new(shape: &[usize], result: &[usize], axis: usize, from: usize) -> Slice {
        let [_, size, inner] = around(shape, axis);
        Slice { run: size * inner, from: from * inner, part: result[axis] * inner }
    }
}

impl Room for Slice {
    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        hands.pieces(result, self.part, |outer, to| to.copy_from_slice(&operands[0][outer * self.run + self.from..][..to.len()]));
    }
}

/// A part put into a longer axis of zeros.
pub(super) struct Embed {
    part: usize,
    from: usize,
    /// Elements of the result that lie side by side.
    run: usize,
}

impl Embed {
    pub fn new(shape: &[usize], result: &[usize], axis: usize, from: usize) -> Embed {
        let [_, size, inner] = around(result, axis);
        Embed { part: shape[axis] * inner, from: from * inner, run: size * inner }
    }
}

impl Room for Embed {
    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        hands.pieces(result, self.run, |outer, to| {
            let (before, rest) = to.split_at_mut(self.from);
            let (middle, behind) = rest.split_at_mut(self.part);
            before.fill(0.0);
            middle.copy_from_slice(&operands[0][outer * self.part..][..self.part]);
            behind.fill(0.0);
        });
    }
}
