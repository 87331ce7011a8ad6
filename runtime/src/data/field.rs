//! A named field of a sample on its way through a pipeline, and how a step moves its pixels.

use image::{ImageBuffer, Luma, Primitive, imageops};
use segc_lang::spec::{Filter, Step};

use super::pipeline::{crop_offset, shorter_side};
use crate::rng::Stream;

/// Values of a field, planes of rows; the last two axes are those of its pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The values.
    pub values: Values,
    /// Height and width; none for a field without pixels, which no step moves.
    pub pixels: Option<(usize, usize)>,
}

/// Values in the depth in which they came.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 0 to 255 for 0 to 1.
    Bytes(Vec<u8>),
    /// As they are.
    Floats(Vec<f32>),
}

/// What a step does to pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Motion {
    /// Nothing.
    Keep,
    /// A square is cut out.
    Crop {
        /// Columns left of it.
        left: usize,
        /// Rows above it.
        top: usize,
        /// Its side.
        side: usize,
    },
    /// Left and right change places.
    Mirror,
    /// A rectangle is cut out and brought to a square.
    Window {
        /// Columns left of it.
        left: usize,
        /// Rows above it.
        top: usize,
        /// Its columns.
        width: usize,
        /// Its rows.
        height: usize,
        /// Side of the square.
        side: usize,
        /// Filter of the image; other fields take the nearest pixel.
        by: Filter,
    },
    /// Another size.
    Resize {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Filter of the image; other fields take the nearest pixel.
        by: Filter,
    },
}

/// Where a random step finds its numbers: the draw of the sample taken and the place of the step in the pipeline. Each step has three
/// elements of the draw for itself, and further ones far beyond.
#[derive(Clone, Copy, Debug)]
pub struct Chance<'a> {
    /// The draw.
    pub draw: &'a Stream,
    /// Place of the step.
    pub step: u64,
}

/// Elements of the draw that a step with many numbers has.
const MANY: u64 = 32;

/// Where they begin; no pipeline has so many steps that the others reach it.
const BEYOND: u64 = 1 << 24;

/// How often a random window is drawn anew that does not fit, as torchvision has it.
const TRIES: u64 = 10;

impl Motion {
    /// What a step does to pictures of `width` x `height` pixels. Without chance a random crop is the centred one, and nothing is
    /// mirrored.
    pub fn of(step: &Step, (width, height): (usize, usize), chance: Option<Chance>) -> Motion {
        let resize = |(width, height), by| Motion::Resize { width, height, by };
        let centred = |side| Motion::Crop { left: crop_offset(width, side), top: crop_offset(height, side), side };
        match *step {
            Step::ShorterSide { side, by } => resize(shorter_side(width, height, side), by),
            Step::Resize { side, by } => resize((side, side), by),
            Step::CenterCrop { side } => centred(side),
            Step::SquareCrop => centred(width.min(height)),
            Step::RandomCrop { side } => match chance {
                Some(chance) => Motion::Crop { left: chance.place(0, width, side), top: chance.place(1, height, side), side },
                None => centred(side),
            },
            Step::Flip { chance: odds } => match chance {
                Some(chance) if chance.coin() < odds => Motion::Mirror,
                _ => Motion::Keep,
            },
            Step::RandomResizedCrop { side, scale, ratio, by } => {
                let least = width.min(height);
                let (left, top, width, height) = match chance {
                    Some(chance) => chance.window((width, height), scale, ratio),
                    None => (crop_offset(width, least), crop_offset(height, least), least, least),
                };
                Motion::Window { left, top, width, height, side, by }
            }
            Step::Range { .. } | Step::Normalise { .. } | Step::Chunk { .. } | Step::Most { .. } => Motion::Keep,
        }
    }
}

impl Chance<'_> {
    fn place(self, element: u64, have: usize, want: usize) -> usize {
        self.draw.integer(3 * self.step + element, have.saturating_sub(want) as u64 + 1) as usize
    }

    /// Number `element` of the many, in `0..1`.
    fn number(self, element: u64) -> f64 {
        self.draw.uniform(4 * (BEYOND + MANY * self.step + element))
    }

    /// Left, top, width and height of a window of random area and aspect (torchvision's `RandomResizedCrop`): of the windows drawn the
    /// first that fits, or the largest centred one whose aspect is allowed.
    fn window(self, (width, height): (usize, usize), scale: (f64, f64), ratio: (f64, f64)) -> (usize, usize, usize, usize) {
        let (across, down) = (width as f64, height as f64);
        let whole = |length: f64| length.round_ties_even().max(0.0) as usize;
        for attempt in 0..TRIES {
            let between = |(low, high): (f64, f64), element| low + (high - low) * self.number(2 * attempt + element);
            let area = across * down * between(scale, 0);
            let aspect = between((ratio.0.ln(), ratio.1.ln()), 1).exp();
            let (w, h) = (whole((area * aspect).sqrt()), whole((area / aspect).sqrt()));
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                let offset = |element, have: usize, want: usize| {
                    self.draw.integer(BEYOND + MANY * self.step + 2 * TRIES + element, (have - want) as u64 + 1) as usize
                };
                return (offset(0, width, w), offset(1, height, h), w, h);
            }
        }
        let own = across / down;
        let (w, h) = if own < ratio.0 {
            (width, whole(across / ratio.0).clamp(1, height))
        } else if own > ratio.1 {
            (whole(down * ratio.1).clamp(1, width), height)
        } else {
            (width, height)
        };
        ((width - w) / 2, (height - h) / 2, w, h)
    }

    fn coin(self) -> f64 {
        self.draw.uniform(4 * (3 * self.step + 2))
    }
}

impl Field {
    /// The field with its pixels moved; `by` overrules the filter of a resize. The motion fits the pixels.
    pub fn moved(&self, motion: &Motion, by: Option<Filter>) -> Field {
        let Some(size) = self.pixels else { return self.clone() };
        let (values, size) = match &self.values {
            Values::Bytes(values) => moved(values, size, motion, by, Values::Bytes),
            Values::Floats(values) => moved(values, size, motion, by, Values::Floats),
        };
        Field { values, pixels: Some(size) }
    }

    /// The numbers themselves, `factor * value + offset`; each of the maps is for an equal part of the planes.
    pub fn numbers(&self, maps: &[(f64, f64)]) -> Vec<f32> {
        let number = |(factor, offset): (f64, f64), value: f32| (f64::from(value) * factor + offset) as f32;
        let part = |count: usize| count.div_ceil(maps.len().max(1)).max(1);
        match &self.values {
            Values::Bytes(values) => {
                let table = |map| (0..=u8::MAX).map(|byte| number(map, f32::from(byte) / 255.0)).collect::<Vec<f32>>();
                let tables: Vec<_> = maps.iter().map(|map| table(*map)).collect();
                let parts = values.chunks(part(values.len())).zip(&tables);
                parts.flat_map(|(part, table)| part.iter().map(|&byte| table[usize::from(byte)])).collect()
            }
            Values::Floats(values) if maps.iter().all(|map| *map == (1.0, 0.0)) => values.clone(),
            Values::Floats(values) => {
                let parts = values.chunks(part(values.len())).zip(maps);
                parts.flat_map(|(part, map)| part.iter().map(|&value| number(*map, value))).collect()
            }
        }
    }

    /// Bytes of memory that its values take.
    pub fn bytes(&self) -> u64 {
        match &self.values {
            Values::Bytes(values) => values.len() as u64,
            Values::Floats(values) => 4 * values.len() as u64,
        }
    }
}

type Moved = (Values, (usize, usize));

fn moved<T: Primitive + 'static>(
    values: &[T],
    size: (usize, usize),
    motion: &Motion,
    by: Option<Filter>,
    wrap: fn(Vec<T>) -> Values,
) -> Moved {
    let (height, width) = size;
    let planes = values.chunks_exact((height * width).max(1));
    match *motion {
        Motion::Keep => (wrap(values.to_vec()), size),
        Motion::Mirror => (wrap(values.chunks_exact(width.max(1)).flat_map(|row| row.iter().rev().copied()).collect()), size),
        Motion::Crop { left, top, side } => {
            let rows = planes.flat_map(|plane| plane.chunks_exact(width).skip(top).take(side));
            (wrap(rows.flat_map(|row| row[left..left + side].iter().copied()).collect()), (side, side))
        }
        Motion::Window { left, top, width: w, height: h, side, by: own } => {
            let cut =
                planes.map(|plane| plane.chunks_exact(width).skip(top).take(h).flat_map(|row| &row[left..left + w]).copied().collect());
            let square = |plane: Vec<T>| resized(&plane, (h, w), (side, side), by.unwrap_or(own));
            (wrap(cut.flat_map(square).collect()), (side, side))
        }
        Motion::Resize { width: w, height: h, by: own } => {
            let resized = planes.flat_map(|plane| resized(plane, size, (h, w), by.unwrap_or(own)));
            (wrap(resized.collect()), (h, w))
        }
    }
}

/// One plane at another size.
fn resized<T: Primitive + 'static>(plane: &[T], from: (usize, usize), to: (usize, usize), by: Filter) -> Vec<T> {
    let smooth = |filter| {
        let whole: Option<ImageBuffer<Luma<T>, Vec<T>>> = ImageBuffer::from_raw(from.1 as u32, from.0 as u32, plane.to_vec());
        whole.map(|whole| imageops::resize(&whole, to.1 as u32, to.0 as u32, filter).into_raw()).unwrap_or_default()
    };
    match by {
        Filter::Bilinear => smooth(imageops::FilterType::Triangle),
        Filter::Bicubic => smooth(imageops::FilterType::CatmullRom),
        Filter::Nearest => nearest(plane, from, to),
    }
}

fn nearest<T: Copy>(plane: &[T], from: (usize, usize), to: (usize, usize)) -> Vec<T> {
    let source = |to: usize, from: usize| {
        let scale = from as f32 / to as f32;
        move |i: usize| ((i as f32 * scale).floor() as usize).min(from - 1)
    };
    let (down, across) = (source(to.0, from.0), source(to.1, from.1));
    let columns: Vec<usize> = (0..to.1).map(across).collect();
    let rows = (0..to.0).map(|y| &plane[down(y) * from.1..][..from.1]);
    rows.flat_map(|row| columns.iter().map(|x| row[*x])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Place;

    fn bytes(values: &[u8], pixels: (usize, usize)) -> Field {
        Field { values: Values::Bytes(values.to_vec()), pixels: Some(pixels) }
    }

    #[test]
    fn nearest_takes_the_floor() {
        let row = [0, 1, 2, 3, 4];
        assert_eq!(nearest(&row, (1, 5), (1, 3)), [0, 1, 3]);
        assert_eq!(nearest(&row, (1, 5), (1, 8)), [0, 0, 1, 1, 2, 3, 3, 4]);
    }

    #[test]
    fn linear_filters_average_when_shrinking() {
        let stripes: Vec<u8> = (0..64).map(|x| if x % 2 == 0 { 0 } else { 200 }).collect();
        for by in [Filter::Bilinear, Filter::Bicubic] {
            let small = resized(&stripes, (1, 64), (1, 4), by);
            assert!(small.iter().all(|p| p.abs_diff(100) <= 4), "{by:?} {small:?}");
        }
        // Half-pixel centres: a ramp keeps its middle.
        assert_eq!(resized(&[0u8, 200], (1, 2), (1, 4), Filter::Bilinear), [0, 50, 150, 200]);
    }

    #[test]
    fn every_plane_is_cut_and_mirrored() {
        let field = bytes(&(0..24).collect::<Vec<_>>(), (3, 4));
        let cut = field.moved(&Motion::Crop { left: 1, top: 1, side: 2 }, None);
        assert_eq!(cut, bytes(&[5, 6, 9, 10, 17, 18, 21, 22], (2, 2)));
        assert_eq!(cut.moved(&Motion::Mirror, None), bytes(&[6, 5, 10, 9, 18, 17, 22, 21], (2, 2)));
        let score = Field { values: Values::Floats(vec![0.25]), pixels: None };
        assert_eq!(score.moved(&Motion::Mirror, None), score);
    }

    #[test]
    fn a_window_is_cut_and_brought_to_a_square() {
        let field = bytes(&(0..24).collect::<Vec<_>>(), (3, 4));
        let window = Motion::Window { left: 1, top: 0, width: 2, height: 1, side: 2, by: Filter::Nearest };
        assert_eq!(field.moved(&window, None), bytes(&[1, 2, 1, 2, 13, 14, 13, 14], (2, 2)));
    }

    #[test]
    fn random_windows_have_allowed_areas_and_aspects() {
        let (scale, ratio) = ((0.25, 0.64), (0.8, 1.25));
        let step = Step::RandomResizedCrop { side: 10, scale, ratio, by: Filter::Bicubic };
        let (mut areas, mut aspects) = (Vec::new(), Vec::new());
        for sample in 0..400 {
            let draw = Stream::new(0, "test.window", Place { sample, ..Place::default() });
            let chance = Some(Chance { draw: &draw, step: 3 });
            let Motion::Window { left, top, width, height, side: 10, .. } = Motion::of(&step, (300, 200), chance) else { panic!() };
            assert!(left + width <= 300 && top + height <= 200);
            areas.push((width * height) as f64 / 6e4);
            aspects.push(width as f64 / height as f64);
        }
        // Lengths are rounded to whole pixels.
        assert!(areas.iter().all(|area| (0.245..0.645).contains(area)) && aspects.iter().all(|aspect| (0.79..1.26).contains(aspect)));
        let spread = |values: &[f64]| values.iter().cloned().fold(0.0, f64::max) - values.iter().cloned().fold(9.0, f64::min);
        assert!(spread(&areas) > 0.36 && spread(&aspects) > 0.42);
        assert!((areas.iter().sum::<f64>() / 400.0 - 0.445).abs() < 0.02);
        let still = Motion::of(&step, (300, 200), None);
        assert_eq!(still, Motion::Window { left: 50, top: 0, width: 200, height: 200, side: 10, by: Filter::Bicubic });
    }

    #[test]
    fn a_window_that_never_fits_is_the_largest_that_is_allowed() {
        let step = Step::RandomResizedCrop { side: 8, scale: (1.0, 1.0), ratio: (0.75, 4.0 / 3.0), by: Filter::Bilinear };
        let draw = Stream::new(0, "test.window", Place::default());
        let window = |size| match Motion::of(&step, size, Some(Chance { draw: &draw, step: 0 })) {
            Motion::Window { left, top, width, height, .. } => (left, top, width, height),
            other => panic!("{other:?}"),
        };
        assert_eq!(window((400, 30)), (180, 0, 40, 30));
        assert_eq!(window((30, 400)), (0, 180, 30, 40));
    }

    #[test]
    fn each_colour_has_its_map() {
        let maps = [(1.0, 0.0), (255.0, 1.0), (-255.0, 0.0)];
        assert_eq!(bytes(&[0, 255, 1, 2, 1, 0], (1, 2)).numbers(&maps), [0.0, 1.0, 2.0, 3.0, -1.0, 0.0]);
        let floats = Field { values: Values::Floats(vec![1.0, 2.0, 3.0]), pixels: None };
        assert_eq!(floats.numbers(&maps), [1.0, 511.0, -765.0]);
        assert_eq!(floats.numbers(&[(1.0, 0.0)]), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn random_crops_reach_every_place_and_flips_keep_their_odds() {
        let (mut places, mut mirrored) = (std::collections::BTreeSet::new(), 0);
        for sample in 0..600 {
            let draw = Stream::new(0, "test.crop", Place { sample, ..Place::default() });
            let chance = |step| Some(Chance { draw: &draw, step });
            if let Motion::Crop { left, top, side: 4 } = Motion::of(&Step::RandomCrop { side: 4 }, (6, 5), chance(0)) {
                places.insert((left, top));
            }
            mirrored += usize::from(Motion::of(&Step::Flip { chance: 0.25 }, (6, 5), chance(1)) == Motion::Mirror);
        }
        assert_eq!(places.into_iter().collect::<Vec<_>>(), [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]);
        assert!((110..190).contains(&mirrored), "{mirrored}");
        let still = Motion::of(&Step::RandomCrop { side: 4 }, (6, 5), None);
        assert_eq!(still, Motion::Crop { left: 1, top: 0, side: 4 });
        assert_eq!(Motion::of(&Step::Flip { chance: 1.0 }, (6, 5), None), Motion::Keep);
    }
}
