//! Along one axis: an index of run time, and the place of the largest element.

use super::{Hands, Room, around};

/// One index of an axis, given by the second operand, kept inside the axis.
pub(super) struct PickAt {
    size: usize,
    inner: usize,
}

impl PickAt {
    pub fn new(shape: &[usize], axis: usize) -> PickAt {
        let [_, size, inner] = around(shape, axis);
        PickAt { size, inner }
    }
}

impl Room for PickAt {
    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        let index = f64::from(operands[1][0]).clamp(0.0, self.size as f64 - 1.0) as usize;
        hands.pieces(result, self.inner, |outer, to| {
            to.copy_from_slice(&operands[0][(outer * self.size + index) * self.inner..][..to.len()])
        });
    }
}

/// The place of the first largest element along an axis; NaN never wins.
pub(super) struct ArgMax {
    size: usize,
    inner: usize,
}

impl ArgMax {
    pub fn new(shape: &[usize], axis: usize) -> ArgMax {
        let [_, size, inner] = around(shape, axis);
        ArgMax { size, inner }
    }
}

impl Room for ArgMax {
    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        hands.pieces(result, self.inner, |outer, to| {
            let from = &operands[0][outer * self.size * self.inner..][..self.size * self.inner];
            for (column, place) in to.iter_mut().enumerate() {
                let (mut first, mut best) = (0, f32::NEG_INFINITY);
                for (at, value) in from.iter().skip(column).step_by(self.inner).enumerate() {
                    if *value > best {
                        (first, best) = (at, *value);
                    }
                }
                *place = first as f32;
            }
        });
    }
}
