//! Convolutions with few results to a group (depthwise ones, masks): windows are summed where they lie.

use pulp::Simd;

use super::conv::{Frame, NOTHING, Source};
use super::{Hands, Room};

/// Taps of a row that are summed side by side.
const LANES: usize = 32;

/// A convolution that is summed directly.
pub(super) struct Direct {
    pub frame: Frame,
}

impl Room for Direct {
    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        let arch = hands.arch;
        hands.pieces(result, self.frame.places(), |number, to| {
            arch.dispatch(Plane { frame: &self.frame, picture: operands[0], weights: operands[1], number, to });
        });
    }
}

/// One result of one sample.
struct Plane<'a> {
    frame: &'a Frame,
    picture: &'a [f32],
    weights: &'a [f32],
    number: usize,
    to: &'a mut [f32],
}

impl pulp::WithSimd for Plane<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Plane { frame, picture, weights, number, to } = self;
        let (sample, group) = (number / frame.results / frame.groups, number / frame.results % frame.groups);
        let size = frame.taps[0] * frame.taps[1];
        let result = number % (frame.results * frame.groups);
        to.fill(0.0);
        for channel in 0..frame.channels {
            let from = &picture[frame.channel(sample, group, channel)..][..frame.picture[0] * frame.picture[1]];
            let taps = &weights[(result * frame.channels + channel) * size..][..size];
            if frame.taps[1] > frame.made[1] {
                frame.dots(from, taps, to);
            } else {
                frame.sums(from, taps, to);
            }
        }
    }
}

impl Frame {
    /// Adds one channel, row by row of the result.
    #[inline(always)]
    fn sums(&self, from: &[f32], taps: &[f32], to: &mut [f32]) {
        for (row, to) in to.chunks_mut(self.made[1].max(1)).enumerate() {
            for (tap_row, taps) in taps.chunks(self.taps[1]).enumerate() {
                let Some(line) = self.line(from, tap_row, row) else { continue };
                for (weight, source) in taps.iter().zip(&self.sources[1]) {
                    add(to, line, source, *weight);
                }
            }
        }
    }

    /// Adds one channel, row by row of the taps.
    #[inline(always)]
    fn dots(&self, from: &[f32], taps: &[f32], to: &mut [f32]) {
        for (place, to) in to.iter_mut().enumerate() {
            let (row, column) = (place / self.made[1], place % self.made[1]);
            let mut total = 0.0f64;
            let mut lanes = [0.0f32; LANES];
            for (tap_row, taps) in taps.chunks(self.taps[1]).enumerate() {
                if let Some(line) = self.line(from, tap_row, row) {
                    self.dot(&mut lanes, line, taps, column);
                }
                if tap_row % LANES == LANES - 1 {
                    total += empty(&mut lanes);
                }
            }
            *to += (total + empty(&mut lanes)) as f32;
        }
    }

    #[inline(always)]
    fn dot(&self, lanes: &mut [f32; LANES], line: &[f32], taps: &[f32], column: usize) {
        let sources = &self.sources[1];
        let first = sources.iter().position(|source| source.places[column] != NOTHING).unwrap_or(taps.len());
        let apart = sources.get(first + 1).map_or(1, |next| next.places[column].wrapping_sub(sources[first].places[column]));
        if first < taps.len() && apart == 1 {
            let line = &line[sources[first].places[column]..];
            let taps = &taps[first..];
            let count = line.len().min(taps.len());
            let ((line, line_rest), (taps, taps_rest)) = (line[..count].as_chunks::<LANES>(), taps[..count].as_chunks::<LANES>());
            for (x, w) in line.iter().zip(taps) {
                for i in 0..LANES {
                    lanes[i] = x[i].mul_add(w[i], lanes[i]);
                }
            }
            for (lane, (x, w)) in lanes.iter_mut().zip(line_rest.iter().zip(taps_rest)) {
                *lane = x.mul_add(*w, *lane);
            }
        } else {
            for (number, (weight, source)) in taps.iter().zip(sources).enumerate() {
                let x = line.get(source.places[column]).copied().unwrap_or(0.0);
                lanes[number % LANES] = x.mul_add(*weight, lanes[number % LANES]);
            }
        }
    }

    /// The row of the picture that a tap reads for a row of the result.
    #[inline(always)]
    fn line<'a>(&self, from: &'a [f32], tap: usize, row: usize) -> Option<&'a [f32]> {
        from.chunks(self.picture[1]).nth(self.sources[0][tap].places[row])
    }
}

fn empty(lanes: &mut [f32; LANES]) -> f64 {
    let total = lanes.iter().map(|lane| f64::from(*lane)).sum();
    *lanes = [0.0; LANES];
    total
}

/// Adds what one tap reads to a row of the result.
#[inline(always)]
fn add(to: &mut [f32], line: &[f32], source: &Source, weight: f32) {
    let valid = source.valid.clone();
    if source.straight && !valid.is_empty() {
        let from = &line[source.places[valid.start]..][..valid.len()];
        for (to, x) in to[valid].iter_mut().zip(from) {
            *to = x.mul_add(weight, *to);
        }
    } else {
        for (to, place) in to.iter_mut().zip(&source.places) {
            if let Some(x) = line.get(*place) {
                *to = x.mul_add(weight, *to);
            }
        }
    }
}
