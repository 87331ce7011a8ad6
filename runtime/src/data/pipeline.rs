//! The steps of a data pipeline: what they do to a sample, and where its pixels lie afterwards.
//!
//! Conventions. `nearest` takes the source pixel `floor(i * scale)` with scale = source size / target size in f32, as PyTorch does.
//! `bilinear` and `bicubic` (a = -1/2) have half-pixel centres and widen with the scale when shrinking, as Pillow does; 8-bit
//! pictures are rounded to 8 bits. Of the shorter side's partner the fraction is dropped. A centred crop starts at half the
//! difference, rounded half to even, as torchvision does.

use std::collections::BTreeMap;

use segc_lang::spec::{Filter, Step};

use super::field::{Chance, Field, Motion};
use super::{Frame, Sample};
use crate::rng::Stream;

/// Longest side that a picture may have before or after a step, pixels.
pub const LONGEST_SIDE: usize = 16_384;

/// Bytes of a sample beside its pixels: its name, a node of the map of its fields, what the allocator adds.
const ENTRY: u64 = 1200;

/// Pixels of a sample on its way through the pipeline, and where they lie in the photograph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// Width and height, pixels.
    pub pixels: (usize, usize),
    /// Left, top, width, height in the photograph.
    pub window: (f64, f64, f64, f64),
}

/// A sample after the steps that are the same every time it is taken.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// As in [`Sample`].
    pub stem: String,
    /// The fields; `image` is 0 to 1.
    pub fields: BTreeMap<String, Field>,
    /// Where its pixels lie.
    pub cut: Cut,
    /// Width and height of the photograph.
    pub photo: (u32, u32),
}

impl Cut {
    /// A whole photograph.
    pub fn whole(width: usize, height: usize) -> Cut {
        Cut { pixels: (width, height), window: (0.0, 0.0, width as f64, height as f64) }
    }

    /// After one more step, without chance. The error says in words why the step cannot be done.
    pub fn after(self, step: &Step) -> Result<Cut, String> {
        self.moved(&Motion::of(step, self.pixels, None))
    }

    /// As the inverse that samples carry; `photo` is width and height of the photograph.
    pub fn frame(&self, photo: (u32, u32)) -> Frame {
        Frame { photo, window: self.window }
    }

    /// After a motion. A mirrored window is the window itself.
    fn moved(self, motion: &Motion) -> Result<Cut, String> {
        match *motion {
            Motion::Keep | Motion::Mirror => Ok(self),
            Motion::Resize { width, height, .. } => self.resized((width, height)),
            Motion::Crop { left, top, side } => self.cropped((left, top), (side, side)),
            Motion::Window { left, top, width, height, side, .. } => {
                self.cropped((left, top), (width, height)).and_then(|cut| cut.resized((side, side)))
            }
        }
    }

    fn resized(self, pixels: (usize, usize)) -> Result<Cut, String> {
        if pixels.0.max(pixels.1) > LONGEST_SIDE {
            let (width, height) = self.pixels;
            let (w, h) = pixels;
            return Err(format!("{width} x {height} pixels are too long and thin: resized it would have {w} x {h}; crop it first"));
        }
        Ok(Cut { pixels, ..self })
    }

    fn cropped(self, (x, y): (usize, usize), (columns, rows): (usize, usize)) -> Result<Cut, String> {
        let (width, height) = self.pixels;
        if columns > width || rows > height {
            return Err(format!("{width} x {height} pixels are too few for a crop of {columns} x {rows}; resize before the crop"));
        }
        let (left, top, w, h) = self.window;
        let (across, down) = (w / width as f64, h / height as f64);
        let window = (left + x as f64 * across, top + y as f64 * down, columns as f64 * across, rows as f64 * down);
        Ok(Cut { pixels: (columns, rows), window })
    }
}

impl Prepared {
    /// After one more step. The error says in words why the step cannot be done.
    pub fn after(&self, step: &Step, chance: Option<Chance>) -> Result<Prepared, String> {
        let motion = Motion::of(step, self.cut.pixels, chance);
        let cut = self.cut.moved(&motion)?;
        let filter = |name: &str| (name != "image").then_some(Filter::Nearest);
        let fields = self.fields.iter().map(|(name, field)| (name.clone(), field.moved(&motion, filter(name)))).collect();
        Ok(Prepared { stem: self.stem.clone(), fields, cut, photo: self.photo })
    }

    /// The sample after all steps, of which the first, up to the first random one, are done. `draw` makes what is random; without it
    /// crops are centred and nothing is mirrored. The error says in words why a step cannot be done.
    pub fn sample(&self, steps: &[Step], draw: Option<&Stream>) -> Result<Sample, String> {
        let mut last = None;
        for (place, step) in steps
            .iter()
            .enumerate()
            .skip(fixed(steps).len())
            .filter(|(_, step)| !matches!(step, Step::Range { .. } | Step::Normalise { .. }))
        {
            let chance = draw.map(|draw| Chance { draw, step: place as u64 });
            last = Some(last.as_ref().unwrap_or(self).after(step, chance)?);
        }
        let done = last.as_ref().unwrap_or(self);
        let colours = maps(steps);
        let numbers = |name: &str, field: &Field| field.numbers(if name == "image" { &colours } else { &[(1.0, 0.0)] });
        let fields = done.fields.iter().map(|(name, field)| (name.clone(), numbers(name, field))).collect();
        Ok(Sample { stem: done.stem.clone(), fields, frame: done.cut.frame(done.photo) })
    }

    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> u64 {
        ENTRY + self.fields.values().map(Field::bytes).sum::<u64>()
    }
}

/// The steps before the first random one.
pub fn fixed(steps: &[Step]) -> &[Step] {
    let first = steps.iter().position(Step::is_random).unwrap_or(steps.len());
    &steps[..first]
}

/// What a value in `0..1` becomes under all steps that change colours together: factor and offset of red, green and blue.
pub fn maps(steps: &[Step]) -> [(f64, f64); 3] {
    [0, 1, 2].map(|channel| {
        steps.iter().fold((1.0, 0.0), |(factor, offset), step| match *step {
            Step::Range { low, high } => (factor * (high - low), offset * (high - low) + low),
            Step::Normalise { mean, deviation } => (factor / deviation[channel], (offset - mean[channel]) / deviation[channel]),
            _ => (factor, offset),
        })
    })
}

/// What 0 and 1 become in red, green and blue.
pub fn ends(steps: &[Step]) -> Ends {
    maps(steps).map(|(factor, offset)| (offset as f32, (factor + offset) as f32))
}

/// The values of the darkest and the brightest red, green and blue.
pub type Ends = [(f32, f32); 3];

/// Width and height when the shorter side becomes `side`.
pub fn shorter_side(width: usize, height: usize, side: usize) -> (usize, usize) {
    if width <= height { (side, side * height / width.max(1)) } else { (side * width / height.max(1), side) }
}

/// Where a centred crop of `want` of `have` pixels starts.
pub fn crop_offset(have: usize, want: usize) -> usize {
    ((have.saturating_sub(want)) as f64 / 2.0).round_ties_even() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_and_offsets_round_as_torchvision() {
        assert_eq!(shorter_side(160, 213, 128), (128, 170));
        assert_eq!(shorter_side(213, 160, 128), (170, 128));
        assert_eq!(shorter_side(1, 1, 32), (32, 32));
        assert_eq!([(5, 4), (7, 4), (8, 4), (9, 4), (4, 4)].map(|(a, b)| crop_offset(a, b)), [0, 2, 2, 2, 0]);
    }

    #[test]
    fn windows_follow_the_steps() {
        let steps =
            [Step::ShorterSide { side: 10, by: Filter::Nearest }, Step::CenterCrop { side: 8 }, Step::Range { low: -1.0, high: 1.0 }];
        let cut = steps.iter().try_fold(Cut::whole(40, 20), |cut, step| cut.after(step)).unwrap();
        assert_eq!(cut, Cut { pixels: (8, 8), window: (12.0, 2.0, 16.0, 16.0) });
        assert!(Cut::whole(4, 9).after(&Step::CenterCrop { side: 5 }).unwrap_err().contains("too few"));
        assert!(Cut::whole(1, 9_000).after(&Step::ShorterSide { side: 64, by: Filter::Nearest }).unwrap_err().contains("long and thin"));
        assert_eq!(Cut::whole(7, 4).after(&Step::SquareCrop).unwrap().window, (2.0, 0.0, 4.0, 4.0));
    }

    #[test]
    fn ranges_compose() {
        assert_eq!(maps(&[]), [(1.0, 0.0); 3]);
        assert_eq!(maps(&[Step::Range { low: -1.0, high: 1.0 }]), [(2.0, -1.0); 3]);
        assert_eq!(maps(&[Step::Range { low: 0.0, high: 2.0 }, Step::Range { low: 1.0, high: 2.0 }]), [(2.0, 1.0); 3]);
        let colours = Step::Normalise { mean: [0.5, 0.25, 0.0], deviation: [0.5, 0.25, 2.0] };
        assert_eq!(maps(std::slice::from_ref(&colours)), [(2.0, -1.0), (4.0, -1.0), (0.5, 0.0)]);
        assert_eq!(ends(&[Step::Range { low: -1.0, high: 1.0 }, colours]), [(-3.0, 1.0), (-5.0, 3.0), (-0.5, 0.5)]);
    }
}
