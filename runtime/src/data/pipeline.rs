//! The steps of a data pipeline: what they do to pixels, and where the pixels lie afterwards.
//!
//! Conventions. `nearest` takes the source pixel `floor(i * scale)` with scale = source size / target size in f32, as PyTorch does.
//! `bilinear` and `bicubic` (a = -1/2) have half-pixel centres and widen with the scale when shrinking, as Pillow does; 8-bit
//! pictures are rounded to 8 bits. Of the shorter side's partner the fraction is dropped. A centred crop starts at half the
//! difference, rounded half to even, as torchvision does.

use image::{DynamicImage, GrayImage, ImageBuffer, Pixel, imageops};
use segc_lang::spec::{Filter, Step};

use super::Frame;

/// Longest side that a picture may have before or after a step, pixels.
pub const LONGEST_SIDE: usize = 16_384;

/// Pixels of a sample on its way through the pipeline, and where they lie in the photograph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// Width and height, pixels.
    pub pixels: (usize, usize),
    /// Left, top, width, height in the photograph.
    pub window: (f64, f64, f64, f64),
}

impl Cut {
    /// A whole photograph.
    pub fn whole(width: usize, height: usize) -> Cut {
        Cut { pixels: (width, height), window: (0.0, 0.0, width as f64, height as f64) }
    }

    /// After one more step. The error says in words why the step cannot be done.
    pub fn after(self, step: &Step) -> Result<Cut, String> {
        let (width, height) = self.pixels;
        match *step {
            Step::ShorterSide { side, .. } => self.resized(shorter_side(width, height, side)),
            Step::Resize { side, .. } => self.resized((side, side)),
            Step::CenterCrop { side } => self.cropped(side),
            Step::SquareCrop => self.cropped(width.min(height)),
            Step::Range { .. } => Ok(self),
        }
    }

    /// As the inverse that samples carry; `photo` is width and height of the photograph.
    pub fn frame(&self, photo: (u32, u32)) -> Frame {
        Frame { photo, window: self.window }
    }

    fn resized(self, pixels: (usize, usize)) -> Result<Cut, String> {
        if pixels.0.max(pixels.1) > LONGEST_SIDE {
            let (width, height) = self.pixels;
            let (w, h) = pixels;
            return Err(format!("{width} x {height} pixels are too long and thin: resized it would have {w} x {h}; crop it first"));
        }
        Ok(Cut { pixels, ..self })
    }

    fn cropped(self, side: usize) -> Result<Cut, String> {
        let (width, height) = self.pixels;
        if side > width.min(height) {
            return Err(format!("{width} x {height} pixels are too few for a crop of {side} x {side}; resize before the crop"));
        }
        let (left, top, w, h) = self.window;
        let (across, down) = (w / width as f64, h / height as f64);
        let (x, y) = (crop_offset(width, side) as f64, crop_offset(height, side) as f64);
        let window = (left + x * across, top + y * down, side as f64 * across, side as f64 * down);
        Ok(Cut { pixels: (side, side), window })
    }
}

/// A photograph and its mask, cut alike.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The photograph: RGB, 8 or 16 bits or f32.
    pub photo: DynamicImage,
    /// Its mask.
    pub mask: Option<GrayImage>,
}

impl Pair {
    /// The pixels after a step that leads to `to`.
    pub fn after(self, step: &Step, to: &Cut) -> Pair {
        let (width, height) = (to.pixels.0 as u32, to.pixels.1 as u32);
        match *step {
            Step::ShorterSide { by, .. } | Step::Resize { by, .. } => {
                let mask = self.mask.map(|mask| nearest(&mask, width, height));
                Pair { photo: resize(&self.photo, width, height, by), mask }
            }
            Step::CenterCrop { .. } | Step::SquareCrop => {
                let x = crop_offset(self.photo.width() as usize, to.pixels.0) as u32;
                let y = crop_offset(self.photo.height() as usize, to.pixels.1) as u32;
                let mask = self.mask.map(|mask| imageops::crop_imm(&mask, x, y, width, height).to_image());
                Pair { photo: self.photo.crop_imm(x, y, width, height), mask }
            }
            Step::Range { .. } => self,
        }
    }
}

/// What a value in `0..1` becomes under all range steps together: factor and offset.
pub fn range(steps: &[Step]) -> (f64, f64) {
    steps.iter().fold((1.0, 0.0), |(factor, offset), step| match *step {
        Step::Range { low, high } => (factor * (high - low), offset * (high - low) + low),
        _ => (factor, offset),
    })
}

/// Width and height when the shorter side becomes `side`.
pub fn shorter_side(width: usize, height: usize, side: usize) -> (usize, usize) {
    if width <= height { (side, side * height / width.max(1)) } else { (side * width / height.max(1), side) }
}

/// Where a centred crop of `want` of `have` pixels starts.
pub fn crop_offset(have: usize, want: usize) -> usize {
    ((have.saturating_sub(want)) as f64 / 2.0).round_ties_even() as usize
}

fn resize(photo: &DynamicImage, width: u32, height: u32, by: Filter) -> DynamicImage {
    match by {
        Filter::Bilinear => photo.resize_exact(width, height, imageops::FilterType::Triangle),
        Filter::Bicubic => photo.resize_exact(width, height, imageops::FilterType::CatmullRom),
        Filter::Nearest => match photo {
            DynamicImage::ImageRgb8(photo) => nearest(photo, width, height).into(),
            DynamicImage::ImageRgb16(photo) => nearest(photo, width, height).into(),
            other => nearest(&other.to_rgb32f(), width, height).into(),
        },
    }
}

fn nearest<P: Pixel>(from: &ImageBuffer<P, Vec<P::Subpixel>>, width: u32, height: u32) -> ImageBuffer<P, Vec<P::Subpixel>> {
    let source = |to: u32, from: u32| {
        let scale = from as f32 / to as f32;
        move |i: u32| ((i as f32 * scale).floor() as u32).min(from - 1)
    };
    let (across, down) = (source(width, from.width()), source(height, from.height()));
    ImageBuffer::from_fn(width, height, |x, y| *from.get_pixel(across(x), down(y)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_takes_the_floor() {
        let row = GrayImage::from_fn(5, 1, |x, _| image::Luma([x as u8]));
        assert_eq!(nearest(&row, 3, 1).into_raw(), [0, 1, 3]);
        assert_eq!(nearest(&row, 8, 1).into_raw(), [0, 0, 1, 1, 2, 3, 3, 4]);
    }

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
    fn linear_filters_average_when_shrinking() {
        let photo = DynamicImage::ImageRgb8(image::RgbImage::from_fn(64, 1, |x, _| image::Rgb([if x % 2 == 0 { 0 } else { 200 }; 3])));
        for by in [Filter::Bilinear, Filter::Bicubic] {
            let small = resize(&photo, 4, 1, by).to_rgb8();
            assert!(small.pixels().all(|p| p[0].abs_diff(100) <= 4), "{by:?} {small:?}");
        }
        // Half-pixel centres: a ramp keeps its middle.
        let ramp = DynamicImage::ImageRgb8(image::RgbImage::from_raw(2, 1, vec![0, 0, 0, 200, 200, 200]).unwrap());
        let wide: Vec<u8> = resize(&ramp, 4, 1, Filter::Bilinear).to_rgb8().pixels().map(|p| p[0]).collect();
        assert_eq!(wide, [0, 50, 150, 200]);
    }

    #[test]
    fn ranges_compose() {
        assert_eq!(range(&[]), (1.0, 0.0));
        assert_eq!(range(&[Step::Range { low: -1.0, high: 1.0 }]), (2.0, -1.0));
        assert_eq!(range(&[Step::Range { low: 0.0, high: 2.0 }, Step::Range { low: 1.0, high: 2.0 }]), (2.0, 1.0));
    }
}
