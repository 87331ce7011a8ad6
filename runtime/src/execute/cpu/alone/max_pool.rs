//! The largest of windows, or where it stands.

use std::ops::Range;

use pulp::Simd;
use segc_compiler::kernel::Window;

use super::{Hands, Room};

/// Windows that are looked at side by side.
const SIDE_BY_SIDE: usize = 64;

/// Windows over the last two axes.
pub(super) struct MaxPool {
    place: bool,
    picture: [usize; 2],
    /// For rows and columns, what each window covers.
    spans: [Vec<Range<usize>>; 2],
    /// Columns of a window that nothing cuts off, how far the next one is, and which windows of a row these are.
    size: usize,
    stride: usize,
    whole: Range<usize>,
    arch: pulp::Arch,
}

impl MaxPool {
    pub fn new(window: &Window, place: bool, shape: &[usize], result: &[usize], arch: pulp::Arch) -> MaxPool {
        let last = shape.len() - 2;
        let picture = [shape[last], shape[last + 1]];
        let span = |axis: usize, at: usize| {
            let start = at * window.stride[axis];
            let end = (start + window.size[axis]).saturating_sub(window.pad[2 * axis]).min(picture[axis]);
            start.saturating_sub(window.pad[2 * axis]).min(end)..end
        };
        let spans = [0, 1].map(|axis| (0..result[last + axis]).map(|at| span(axis, at)).collect::<Vec<_>>());
        let (size, stride) = (window.size[1], window.stride[1]);
        let is_whole = |span: &Range<usize>| span.len() == size;
        let start = spans[1].iter().position(is_whole).unwrap_or(0);
        let whole = start..start + spans[1][start.min(spans[1].len())..].iter().take_while(|span| is_whole(span)).count();
        MaxPool { place, picture, spans, size, stride, whole, arch }
    }

    /// One row of the result. Whole windows side by side are looked at pixel by pixel, so that an instruction serves many of them.
    #[inline(always)]
    fn row(&self, from: &[f32], rows: &Range<usize>, to: &mut [f32]) {
        let mut done = self.whole.start;
        while done < self.whole.end {
            let part = &mut to[done..self.whole.end];
            let count = match self.stride {
                1 => self.side_by_side::<1>(from, rows, done, part),
                2 => self.side_by_side::<2>(from, rows, done, part),
                _ => 0,
            };
            if count == 0 {
                break;
            }
            done += count;
        }
        let rest = (0..self.whole.start).chain(done.max(self.whole.start)..to.len());
        for at in rest {
            let (value, place) = self.winner(from, rows, &self.spans[1][at]);
            to[at] = if self.place { place as f32 } else { value };
        }
    }

    /// Whole windows from the one with the number `first` on, a stride `S` apart; how many there were.
    #[inline(always)]
    fn side_by_side<const S: usize>(&self, from: &[f32], rows: &Range<usize>, first: usize, to: &mut [f32]) -> usize {
        if rows.is_empty() {
            return 0;
        }
        let (width, column) = (self.picture[1], self.spans[1][first].start);
        // Of the pixels behind a window as many are read as make whole strides; the last windows of a picture may lack them.
        let there = (from.len() - (rows.end - 1) * width - column) / S;
        let count = to.len().min(SIDE_BY_SIDE).min(there.saturating_sub((self.size.max(1) - 1) / S));
        let (mut best, mut places) = ([f32::NEG_INFINITY; SIDE_BY_SIDE], [0.0; SIDE_BY_SIDE]);
        for (number, row) in rows.clone().enumerate() {
            let start = row * width + column;
            let strides = from[start..].as_chunks::<S>().0;
            for tap in 0..self.size {
                let pixels = &strides[tap / S..][..count];
                let new = number == 0 && tap == 0;
                for (at, ((best, place), pixel)) in best.iter_mut().zip(&mut places).zip(pixels).enumerate() {
                    let (value, own) = (pixel[tap % S], (start + tap + at * S) as i32 as f32);
                    let wins = new | (value > *best);
                    *best = if wins { value } else { *best };
                    *place = if wins { own } else { *place };
                }
            }
        }
        to[..count].copy_from_slice(if self.place { &places[..count] } else { &best[..count] });
        count
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
            self.arch.dispatch(Work { room: self, from, to });
        });
    }
}

/// A picture and its windows.
struct Work<'a> {
    room: &'a MaxPool,
    from: &'a [f32],
    to: &'a mut [f32],
}

impl pulp::WithSimd for Work<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let _ = simd;
        let [rows, columns] = &self.room.spans;
        for (rows, to) in rows.iter().zip(self.to.chunks_mut(columns.len().max(1))) {
            self.room.row(self.from, rows, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::team::Team;
    use super::*;

    /// Pixels with many equal ones and some that are none.
    fn pixel(number: usize) -> f32 {
        match number * 7919 % 101 {
            0 => f32::NAN,
            other => (other % 9) as f32 - 4.0,
        }
    }

    #[test]
    fn windows_side_by_side_are_those_one_by_one() {
        for (size, stride, pad) in [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 1, 0), (4, 3, 1)] {
            for [height, width] in [[8, 150], [7, 7], [9, 131], [4, 4]] {
                let window = Window { size: [size; 2], stride: [stride; 2], pad: [pad; 4] };
                let made = [height, width].map(|side| (side + 2 * pad - size) / stride + 1);
                let from: Vec<f32> = (0..2 * height * width).map(pixel).collect();
                for place in [false, true] {
                    let room = MaxPool::new(&window, place, &[2, height, width], &[2, made[0], made[1]], pulp::Arch::new());
                    let mut result = vec![0.0; 2 * made[0] * made[1]];
                    let mut hands = Hands { team: &Team::default(), arch: room.arch, common: &mut [], own: &mut [Default::default()] };
                    room.run(&[&from], &mut result, &mut hands);
                    let wanted = from.chunks(height * width).flat_map(|plane| {
                        let columns = || room.spans[1].iter();
                        let windows = room.spans[0].iter().flat_map(move |row| columns().map(move |column| (row, column)));
                        let both = windows.map(|(row, column)| room.winner(plane, row, column)).collect::<Vec<_>>();
                        both.into_iter().map(|(value, at)| if place { at as f32 } else { value })
                    });
                    let same = |(a, b): (&f32, f32)| a.to_bits() == b.to_bits();
                    assert!(result.iter().zip(wanted).all(same), "{size} {stride} {pad} {height} {width} {place}");
                }
            }
        }
    }
}
