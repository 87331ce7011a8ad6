//! Two handwritten digits, an even and an odd one, each of one colour, on a ground of one colour: colored-2-MNIST (Chen, Artieres,
//! Denoyer, NeurIPS 2019, and its published code), made from the MNIST files.
//!
//! The ground is drawn from U(.33, .66) for each channel with red and green equal; the even digit from U(0, .33) with green and blue
//! equal, the odd one from U(.66, 1) with red and blue equal. Digits have 7/16 of the side (56 of 128 pixels), resized by nearest
//! neighbour, and are all or nothing at one half; their corners are uniform over the whole numbers from 0 to one below what would touch
//! the edge; which one lies on top is a coin.

use std::path::Path;
use std::sync::Arc;

use segc_lang::spec::{Data, Part, Step};

use super::field::{Field, Values};
use super::idx::{self, Digit};
use super::pipeline::{Cut, Prepared, fixed};
use super::texture::between;
use super::{DataSet, Skipped};
use crate::outcome::RunError;
use crate::rng::{Place, Stream};

/// Pictures for training, made of the digits for training.
pub const TRAINING: usize = 10_000;
/// Pictures for validation and as many for test, made of the digits for test.
pub const HELD_OUT: usize = 1_000;

/// The data set: `TRAINING` pictures as a whole and for training, and twice `HELD_OUT`. The field `label` is one where a digit is.
pub struct Digits {
    seed: u64,
    side: usize,
    steps: Vec<Step>,
    training: Kinds,
    held_out: Kinds,
}

/// Digits of a file by parity.
struct Kinds {
    even: Vec<Digit>,
    odd: Vec<Digit>,
}

impl Digits {
    /// Reads the MNIST files of a folder.
    ///
    /// # Errors
    /// [`RunError::Data`] if no folder is given, if one of its files is missing or is not what its name says, or if a crop does not fit.
    pub fn open(data: &Data, side: usize, from: Option<&str>, seed: u64) -> Result<Digits, RunError> {
        let fault = |why: String| RunError::Data(format!("data `{}`: {why}", data.name));
        let folder = from.ok_or_else(|| fault(format!("`two_digits` needs the folder of the MNIST files: {}", idx::FILES)))?;
        let read = |set: &str| idx::read(Path::new(folder), set).and_then(|digits| Kinds::of(digits, set));
        data.steps.iter().try_fold(Cut::whole(side, side), |cut, step| cut.after(step)).map_err(fault)?;
        let (training, held_out) = (read("train").map_err(fault)?, read("t10k").map_err(fault)?);
        Ok(Digits { seed, side, steps: data.steps.clone(), training, held_out })
    }

    fn place(&self, part: Part, index: usize) -> Result<(&Kinds, u32), Skipped> {
        if index >= self.len(part) {
            let why = format!("there is no picture {index}: this part has {}", self.len(part));
            return Err(Skipped { file: "digits".into(), why });
        }
        let (kinds, first) = match part {
            Part::Whole | Part::Train => (&self.training, 0),
            Part::Valid => (&self.held_out, TRAINING),
            Part::Test => (&self.held_out, TRAINING + HELD_OUT),
        };
        Ok((kinds, (first + index) as u32))
    }

    /// Picture `number`: three planes in 0..1, and where the even and the odd digit are seen.
    fn draw(&self, kinds: &Kinds, number: u32) -> (Vec<f32>, [Vec<f32>; 2]) {
        let draw = Stream::new(self.seed, "digits", Place { sample: number, ..Place::default() });
        let small = 7 * self.side / 16;
        let digits = [(&kinds.even, 0), (&kinds.odd, 1)].map(|(kind, element)| &kind[draw.integer(element, kind.len() as u64) as usize]);
        let corner = |element| draw.integer(element, (self.side - small).max(1) as u64) as usize;
        let corners = [(corner(2), corner(3)), (corner(4), corner(5))];
        let even_on_top = draw.integer(6, 2) == 1;
        let covers = |digit: usize, pixel: usize| {
            let (x, y) = ((pixel % self.side).wrapping_sub(corners[digit].0), (pixel / self.side).wrapping_sub(corners[digit].1));
            x < small && y < small && digits[digit].at(x, y, small)
        };
        let seen = |digit: usize, pixel: usize| covers(digit, pixel) && ((digit == 0) == even_on_top || !covers(1 - digit, pixel));
        let plane = self.side * self.side;
        let masks = [0, 1].map(|digit| (0..plane).map(|pixel| f32::from(u8::from(seen(digit, pixel)))).collect::<Vec<f32>>());
        let [ground, even, odd] = colours(&draw);
        let colour = |channel: usize, pixel: usize| match (masks[0][pixel] > 0.5, masks[1][pixel] > 0.5) {
            (true, _) => even[channel],
            (_, true) => odd[channel],
            _ => ground[channel],
        };
        let image = (0..3).flat_map(|channel| (0..plane).map(move |pixel| (channel, pixel)));
        (image.map(|(channel, pixel)| colour(channel, pixel)).collect(), masks)
    }
}

/// Of the ground, the even and the odd digit.
fn colours(draw: &Stream) -> [[f32; 3]; 3] {
    let value = |element: u64, low, high| between(draw, 64 + element, low, high) as f32;
    let (ground, blue) = (value(0, 0.33, 0.66), value(1, 0.33, 0.66));
    let (red, even) = (value(2, 0.0, 0.33), value(3, 0.0, 0.33));
    let (odd, green) = (value(4, 0.66, 1.0), value(5, 0.66, 1.0));
    [[ground, ground, blue], [red, even, even], [odd, green, odd]]
}

impl Kinds {
    fn of(digits: Vec<Digit>, set: &str) -> Result<Kinds, String> {
        let (even, odd): (Vec<Digit>, Vec<Digit>) = digits.into_iter().partition(|digit| digit.class.is_multiple_of(2));
        match (even.is_empty(), odd.is_empty()) {
            (false, false) => Ok(Kinds { even, odd }),
            (none, _) => Err(format!("the files of `{set}` hold no {} digit", if none { "even" } else { "odd" })),
        }
    }
}

impl DataSet for Digits {
    fn len(&self, part: Part) -> usize {
        match part {
            Part::Whole | Part::Train => TRAINING,
            Part::Valid | Part::Test => HELD_OUT,
        }
    }

    fn has(&self, field: &str) -> bool {
        matches!(field, "image" | "label")
    }

    fn steps(&self) -> &[Step] {
        &self.steps
    }

    fn prepared(&self, part: Part, index: usize) -> Result<Arc<Prepared>, Skipped> {
        let (kinds, number) = self.place(part, index)?;
        let (image, [even, odd]) = self.draw(kinds, number);
        let label = even.iter().zip(&odd).map(|(even, odd)| even + odd).collect();
        let field = |values| Field { values: Values::Floats(values), pixels: Some((self.side, self.side)) };
        let named = [("image", image), ("label", label)];
        let fields = named.into_iter().map(|(name, values)| (name.to_owned(), field(values))).collect();
        let side = self.side as u32;
        let whole = Prepared { stem: format!("digits-{number:05}"), fields, cut: Cut::whole(self.side, self.side), photo: (side, side) };
        let done = fixed(&self.steps).iter().try_fold(whole, |sample, step| sample.after(step, None));
        done.map(Arc::new).map_err(|why| Skipped { file: "digits".into(), why })
    }

    fn photo(&self, part: Part, index: usize) -> Result<image::RgbImage, Skipped> {
        let (kinds, number) = self.place(part, index)?;
        let (planes, _) = self.draw(kinds, number);
        let (side, plane) = (self.side as u32, self.side * self.side);
        Ok(image::RgbImage::from_fn(side, side, |x, y| {
            let pixel = (y * side + x) as usize;
            image::Rgb([0, 1, 2].map(|channel| (planes[channel * plane + pixel] * 255.0).round() as u8))
        }))
    }

    fn skipped(&self) -> &[Skipped] {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use segc_lang::source::{SourceId, Span};
    use segc_lang::spec::Pictures;

    use super::*;

    /// Digits of one bright pixel at the place of their number, 28 by 28, with a frame of grey that is below one half.
    fn write(folder: &Path, set: &str, classes: &[u8], zipped: bool) {
        let mut images = [0x0803u32, classes.len() as u32, 28, 28].map(u32::to_be_bytes).concat();
        let mut labels = [0x0801u32, classes.len() as u32].map(u32::to_be_bytes).concat();
        for class in classes {
            images.extend((0..784).map(|pixel| if pixel / 28 / 3 == usize::from(*class) % 9 { 200 } else { 100 }));
            labels.push(*class);
        }
        for (name, bytes) in [(format!("{set}-images-idx3-ubyte"), images), (format!("{set}-labels-idx1-ubyte"), labels)] {
            if zipped {
                let file = std::fs::File::create(folder.join(format!("{name}.gz"))).unwrap();
                flate2::write::GzEncoder::new(file, flate2::Compression::fast()).write_all(&bytes).unwrap();
            } else {
                std::fs::write(folder.join(name), bytes).unwrap();
            }
        }
    }

    fn digits(folder: &Path) -> Result<Digits, RunError> {
        let from = Some(folder.to_string_lossy().into_owned());
        let span = Span { source: SourceId(0), start: 0, end: 0 };
        let source = Pictures::Digits { side: 64, from: from.clone() };
        let data = Data { name: "images".into(), source, steps: vec![Step::Range { low: -1.0, high: 1.0 }], size: (64, 64), span };
        Digits::open(&data, 64, from.as_deref(), 0)
    }

    #[test]
    fn pictures_are_those_of_the_recipe() {
        let folder = tempfile::TempDir::new().unwrap();
        write(folder.path(), "train", &[0, 1, 2, 3, 4, 5], true);
        write(folder.path(), "t10k", &[6, 7], false);
        let set = digits(folder.path()).unwrap();
        assert_eq!([Part::Whole, Part::Train, Part::Valid, Part::Test].map(|part| set.len(part)), [10_000, 10_000, 1_000, 1_000]);
        for index in 0..40 {
            let sample = set.sample(Part::Train, index).unwrap();
            let (image, plane) = (sample.image(), 64 * 64);
            let (_, seen) = set.draw(&set.training, index as u32);
            let shares = [0, 1].map(|digit| seen[digit].iter().sum::<f32>());
            // A bar of 3 of 28 rows, resized to 28 columns; the lower digit may be hidden in part.
            assert!(shares[0].max(shares[1]) == 84.0 && shares[0].min(shares[1]) >= 0.0, "{shares:?}");
            for pixel in 0..plane {
                let [red, green, blue] = [0, 1, 2].map(|channel| (image[channel * plane + pixel] + 1.0) / 2.0);
                let (even, odd) = (seen[0][pixel] > 0.5, seen[1][pixel] > 0.5);
                assert_eq!(sample.label().unwrap()[pixel] > 0.5, even || odd);
                let fits = match (even, odd) {
                    (true, false) => green == blue && red.max(green) <= 0.33,
                    (false, true) => red == blue && red.min(green) >= 0.66,
                    _ => red == green && (0.33..=0.66).contains(&red),
                };
                assert!(fits && !(even && odd), "{red} {green} {blue} {even} {odd}");
            }
        }
        let (valid, test) = (set.sample(Part::Valid, 0).unwrap(), set.sample(Part::Test, 0).unwrap());
        assert_eq!((valid.stem.as_str(), test.stem.as_str()), ("digits-10000", "digits-11000"));
        assert_ne!(valid.fields, test.fields);
    }

    #[test]
    fn files_that_are_missing_or_wrong_are_named() {
        let folder = tempfile::TempDir::new().unwrap();
        let told = |words: &str| {
            let error = digits(folder.path()).err().unwrap().to_string();
            assert!(error.contains(words), "{words} not in {error}");
        };
        told("no `train-images-idx3-ubyte` and no `train-images-idx3-ubyte.gz`");
        write(folder.path(), "train", &[0, 1], true);
        told("no `t10k-images-idx3-ubyte`");
        write(folder.path(), "t10k", &[0, 2], false);
        told("the files of `t10k` hold no odd digit");
        write(folder.path(), "t10k", &[0, 1], false);
        assert!(digits(folder.path()).is_ok());
        let file = folder.path().join("t10k-labels-idx1-ubyte");
        std::fs::write(&file, [0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3]).unwrap();
        told("has 3 labels, `t10k-images-idx3-ubyte` 2 digits");
        std::fs::write(&file, [0, 0, 8, 1, 0, 0, 0, 2, 1]).unwrap();
        told("promises 2 bytes behind its head and has 1");
        std::fs::write(&file, "no idx").unwrap();
        told("begins with 6e 6f 20 69, an idx file of bytes with 1 axis with 00 00 08 01");
        let zipped = folder.path().join("train-images-idx3-ubyte.gz");
        let bytes = std::fs::read(&zipped).unwrap();
        std::fs::write(&zipped, &bytes[..bytes.len() / 2]).unwrap();
        told("train-images-idx3-ubyte.gz` cannot be read");
        let none = Digits::open(
            &Data {
                name: "images".into(),
                source: Pictures::Digits { side: 64, from: None },
                steps: vec![],
                size: (64, 64),
                span: Span { source: SourceId(0), start: 0, end: 0 },
            },
            64,
            None,
            0,
        );
        assert!(none.err().unwrap().to_string().contains("needs the folder of the MNIST files"));
    }
}
