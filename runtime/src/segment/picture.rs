//! What is written of a photograph.

use image::{ExtendedColorType, GrayImage, ImageError, RgbImage, Rgba, RgbaImage};

use crate::record::pictures;

/// The kinds of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The mask: 8-bit grey, 0 to 255 for 0 to 1.
    Mask,
    /// The photograph with the mask as its alpha.
    Cutout,
    /// The photograph with the object marked.
    Overlay,
}

/// Pixels of a photograph's longest side for each pixel of the outline's width.
const OUTLINE: u32 = 320;

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Mask, Kind::Cutout, Kind::Overlay];

    /// The name of the file for a photograph's stem.
    pub fn file(self, stem: &str) -> String {
        let word = match self {
            Kind::Mask => "mask",
            Kind::Cutout => "cutout",
            Kind::Overlay => "overlay",
        };
        format!("{stem}.{word}.png")
    }

    /// The PNG of a photograph and its mask, which are of one size.
    pub(super) fn png(self, photo: &RgbImage, mask: &GrayImage) -> Result<Vec<u8>, ImageError> {
        let (width, height) = mask.dimensions();
        let png = |bytes: &[u8], colour| pictures::png(bytes, width, height, colour);
        match self {
            Kind::Mask => png(mask, ExtendedColorType::L8),
            Kind::Cutout => png(&cutout(photo, mask), ExtendedColorType::Rgba8),
            Kind::Overlay => png(&pictures::overlay(photo, mask, outline(width, height)), ExtendedColorType::Rgb8),
        }
    }
}

fn cutout(photo: &RgbImage, mask: &GrayImage) -> RgbaImage {
    RgbaImage::from_fn(mask.width(), mask.height(), |x, y| {
        let [red, green, blue] = photo.get_pixel(x, y).0;
        Rgba([red, green, blue, mask.get_pixel(x, y)[0]])
    })
}

/// Width of the outline: what is seen of a large photograph is shrunk.
fn outline(width: u32, height: u32) -> usize {
    (width.max(height) / OUTLINE).max(1) as usize
}
