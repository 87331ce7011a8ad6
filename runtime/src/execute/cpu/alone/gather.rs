//! Elements at places of run time: taken (`gather`) or added up (`scatter`), and whole pictures moved (`shift`).

use super::{Hands, Room};

/// The place that an index means on an axis of `size`: rounded down, one outside is the nearest end.
fn meant(index: f32, size: usize) -> usize {
    f64::from(index).clamp(0.0, size as f64 - 1.0) as usize
}

/// `x: [b.., k, r..]` and `i: [b.., m..]` to `[b.., m.., r..]`.
pub(super) struct Gather {
    size: usize,
    /// Elements that lie side by side.
    run: usize,
    /// Indices of one place of the leading axes.
    indices: usize,
}

impl Gather {
    pub fn new(shape: &[usize], index: &[usize], batch: usize) -> Gather {
        Gather { size: shape[batch], run: shape[batch + 1..].iter().product(), indices: index[batch..].iter().product() }
    }
}

impl Room for Gather {
    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        let [x, index] = [operands[0], operands[1]];
        hands.pieces(result, self.run, |number, to| {
            let place = number / self.indices * self.size + meant(index[number], self.size);
            to.copy_from_slice(&x[place * self.run..][..self.run]);
        });
    }
}

/// `x: [b.., m.., r..]` and `i: [b.., m..]` to `[b.., k, r..]`, added up in the order of the index.
pub(super) struct Scatter {
    size: usize,
    run: usize,
    indices: usize,
}

impl Scatter {
    pub fn new(index: &[usize], result: &[usize], batch: usize) -> Scatter {
        Scatter { size: result[batch], run: result[batch + 1..].iter().product(), indices: index[batch..].iter().product() }
    }
}

impl Room for Scatter {
    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        let [x, index] = [operands[0], operands[1]];
        hands.pieces(result, self.size * self.run, |batch, to| {
            to.fill(0.0);
            for number in batch * self.indices..(batch + 1) * self.indices {
                let place = meant(index[number], self.size);
                let from = &x[number * self.run..][..self.run];
                for (to, x) in to[place * self.run..][..self.run].iter_mut().zip(from) {
                    *to += x;
                }
            }
        });
    }
}

/// `x: [b.., r.., h, w]` moved by whole pixels `right: [b..]` and `down: [b..]`; zeros come in.
pub(super) struct Shift {
    rows: usize,
    columns: usize,
    /// Pictures that move together.
    together: usize,
}

impl Shift {
    pub fn new(shape: &[usize], batch: usize) -> Shift {
        let last = shape.len() - 2;
        Shift { rows: shape[last], columns: shape[last + 1], together: shape[batch..last].iter().product() }
    }
}

impl Room for Shift {
    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        let plane = self.rows * self.columns;
        hands.pieces(result, plane, |number, to| {
            let from = &operands[0][number * plane..][..plane];
            let by = |operand: &[f32]| f64::from(operand[number / self.together]).round();
            let [(row, source_row, height), (column, source, width)] =
                [moved(by(operands[2]), self.rows), moved(by(operands[1]), self.columns)];
            to.fill(0.0);
            for line in 0..if width == 0 { 0 } else { height } {
                let from = &from[(source_row + line) * self.columns + source..][..width];
                to[(row + line) * self.columns + column..][..width].copy_from_slice(from);
            }
        });
    }
}

/// Along an axis of `size` moved by `by`: where what stays inside begins afterwards and before, and how much it is.
fn moved(by: f64, size: usize) -> (usize, usize, usize) {
    match by {
        by if by.abs() < size as f64 && by >= 0.0 => (by as usize, 0, size - by as usize),
        by if by.abs() < size as f64 => (0, -by as usize, size - -by as usize),
        _ => (0, 0, 0),
    }
}
