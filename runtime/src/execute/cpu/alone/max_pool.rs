//! The largest of windows, or where it stands.

use std::ops::Range;

use segc_compiler::kernel::Window;

use super::{Hands, Room};

/// Windows over the last two axes.
pub(super) struct MaxPool {
    place: bool,
    picture: [usize; 2],
    /// For rows and columns, what each window covers.
    spans: [Vec<Range<usize>>; 2],
}

impl MaxPool {
    pub fn new(window: &Window, place: bool, shape: &[usize], result: &[usize]) -> MaxPool {
        let last = shape.len() - 2;
        let picture = [shape[last], shape[last + 1]];
        let span = |axis: usize, at: usize| {
            let start = at * window.stride[axis];
            let end = (start + window.size[axis]).saturating_sub(window.pad[2 * axis]).min(picture[axis]);
            start.saturating_sub(window.pad[2 * axis]).min(end)..end
        };
        let spans = [0, 1].map(|axis| (0..result[last + axis]).map(|at| span(axis, at)).collect());
        MaxPool { place, picture, spans }
    }

    /// Value and place of the first largest pixel.
    fn winner(&self, from: &[f32], rows: &Range<usize>, columns: &Range<usize>) -> (f32, usize) {
        let width = self.picture[1];
        let first = rows.start * width + columns.start;
        let (mut best, mut place) = (from[first], first);
        for row in rows.clone() {
            let start = row * width;
            for (at, value) in from[start + columns.start..start + columns.end].iter().enumerate() {
                if *value > best {
                    (best, place) = (*value, start + columns.start + at);
                }
            }
        }
        (best, place)
    }
}

impl Room for MaxPool {
    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        let [rows, columns] = &self.spans;
        let plane = self.picture[0] * self.picture[1];
        hands.pieces(result, rows.len() * columns.len(), |number, to| {
            let from = &operands[0][number * plane..][..plane];
            let windows = rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column)));
            for (to, (row, column)) in to.iter_mut().zip(windows) {
                let (value, place) = self.winner(from, row, column);
                *to = if self.place { place as f32 } else { value };
            }
        });
    }
}
