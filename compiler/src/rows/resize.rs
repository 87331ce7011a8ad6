//! Resizing: where a place of the result lies in the source, and what it takes from there.

use segc_lang::spec::Filter;

use super::Row;

/// Parameter of the cubic of Keys (1981) for plain bicubic resizing.
const SHARP: f64 = -0.75;
/// The same for bicubic resizing that filters first.
const SMOOTH: f64 = -0.5;

/// Sizes and conventions of a resizing.
pub(super) struct Resize {
    pub from: usize,
    pub to: usize,
    pub corners: bool,
    pub scale: Option<f64>,
}

impl Resize {
    /// What the result's element at `place` is made of.
    pub fn row(&self, by: Filter, smooth: bool, place: usize) -> Row {
        match by {
            Filter::Nearest => vec![(self.nearest(place), 1.0)],
            Filter::Bilinear if smooth => self.filtered(place, 1.0, |x| 1.0 - x),
            Filter::Bicubic if smooth => self.filtered(place, 2.0, |x| cubic(x, SMOOTH)),
            Filter::Bilinear => self.bilinear(place),
            Filter::Bicubic => self.bicubic(place),
        }
    }

    /// Source elements per element of the result.
    fn step(&self) -> f64 {
        match (self.corners, self.scale) {
            (true, _) if self.to > 1 => (self.from - 1) as f64 / (self.to - 1) as f64,
            (true, _) => 0.0,
            (false, Some(scale)) => 1.0 / scale,
            (false, None) => self.from as f64 / self.to as f64,
        }
    }

    fn source(&self, place: usize) -> f64 {
        if self.corners { place as f64 * self.step() } else { (place as f64 + 0.5) * self.step() - 0.5 }
    }

    fn nearest(&self, place: usize) -> usize {
        let source = match self.scale {
            Some(scale) => (place as f64 / scale).floor() as usize,
            None => place * self.from / self.to,
        };
        source.min(self.from - 1)
    }

    fn bilinear(&self, place: usize) -> Row {
        let source = self.source(place).max(0.0);
        let (first, part) = (source.floor() as usize, source.fract());
        [(first, 1.0 - part), (first + 1, part)].map(|(at, weight)| (at.min(self.from - 1), weight)).into()
    }

    fn bicubic(&self, place: usize) -> Row {
        let source = self.source(place);
        let (first, part) = (source.floor(), source - source.floor());
        let tap = |k: i32| {
            let at = (first + f64::from(k)).clamp(0.0, (self.from - 1) as f64) as usize;
            (at, cubic((f64::from(k) - part).abs(), SHARP))
        };
        (-1..3).map(tap).collect()
    }

    /// A filter that is as wide as an element of the result, cut at the border and normalised, as PIL resizes.
    fn filtered(&self, place: usize, support: f64, weight: impl Fn(f64) -> f64) -> Row {
        let (step, centre) = (self.step(), (place as f64 + 0.5) * self.step());
        let wide = step.max(1.0);
        let first = (centre - support * wide + 0.5).max(0.0) as usize;
        let last = ((centre + support * wide + 0.5) as usize).min(self.from);
        let distance = |at: usize| ((at as f64 - centre + 0.5) / wide).abs();
        let row: Row = (first..last).filter(|at| distance(*at) < support).map(|at| (at, weight(distance(at)))).collect();
        let total: f64 = row.iter().map(|(_, weight)| weight).sum();
        row.into_iter().map(|(at, weight)| (at, weight / total)).collect()
    }
}

/// Keys' cubic convolution kernel with parameter `a` at a distance below 2.
fn cubic(x: f64, a: f64) -> f64 {
    if x <= 1.0 { ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0 } else { ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a }
}
