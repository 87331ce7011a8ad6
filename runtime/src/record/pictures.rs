//! Pictures for people: of each image a strip of photograph, mask, overlay and ground truth; of many strips a grid.

use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType as PngFilter, PngEncoder};
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, GrayImage, ImageEncoder, Luma, Rgb, RgbImage, Rgba, RgbaImage};

use crate::outcome::Found;

/// Side of a tile of a strip, pixels.
const TILE: u32 = 160;
/// Space between the tiles of a strip.
const GAP: u32 = 4;
/// Space between the strips of a grid and around it.
const MARGIN: u32 = 16;
/// Colour of the mask in overlays; rare in photographs and plain to the colour-blind beside grey.
const MARK: [f32; 3] = [255.0, 64.0, 120.0];

/// The strip of one image: photograph, mask, the two together, and the ground truth where there is one, all of the photograph's
/// size. What a tile does not fill is transparent; the strip is as high as its pictures.
pub(super) fn strip(photo: &RgbImage, mask: &GrayImage, truth: Option<&GrayImage>) -> RgbaImage {
    let photo = fit(photo);
    let mask = fit(&colour(mask));
    let overlay = overlay(&photo, &GrayImage::from_fn(mask.width(), mask.height(), |x, y| Luma([mask.get_pixel(x, y)[0]])), 1);
    let truth = truth.map(|truth| fit(&colour(truth)));
    let tiles: Vec<&RgbImage> = [&photo, &mask, &overlay].into_iter().chain(&truth).collect();
    let mut strip = RgbaImage::new(tiles.len() as u32 * (TILE + GAP) - GAP, photo.height());
    for (place, tile) in tiles.iter().enumerate() {
        let left = place as u32 * (TILE + GAP) + (TILE - tile.width()) / 2;
        for (x, y, &Rgb([r, g, b])) in tile.enumerate_pixels() {
            strip.put_pixel(left + x, y, Rgba([r, g, b, 255]));
        }
    }
    strip
}

/// Strips on white, in the order of reading; more than four stand in two columns. Below them whole pictures, one under the other.
pub(super) fn grid(strips: &[RgbaImage], below: &[RgbImage]) -> RgbImage {
    let columns = if strips.len() > 4 { 2 } else { 1 };
    let width = strips.iter().map(RgbaImage::width).max().unwrap_or(TILE);
    let heights = strips.chunks(columns).map(|row| row.iter().map(RgbaImage::height).max().unwrap_or(0));
    let mut tops = vec![MARGIN];
    for height in heights.chain(below.iter().map(RgbImage::height)) {
        tops.push(tops[tops.len() - 1] + height + MARGIN);
    }
    let widest = below.iter().map(|picture| picture.width() + 2 * MARGIN).max().unwrap_or(0);
    let whole = (columns as u32 * (width + MARGIN) + MARGIN).max(widest);
    let mut grid = RgbImage::from_pixel(whole, tops[tops.len() - 1], Rgb([255; 3]));
    for (place, strip) in strips.iter().enumerate() {
        let left = (place % columns) as u32 * (width + MARGIN) + MARGIN;
        for (x, y, &Rgba([r, g, b, a])) in strip.enumerate_pixels() {
            if a > 0 {
                grid.put_pixel(left + x, tops[place / columns] + y, Rgb([r, g, b]));
            }
        }
    }
    for (picture, top) in below.iter().zip(&tops[strips.len().div_ceil(columns)..]) {
        imageops::replace(&mut grid, picture, i64::from(MARGIN), i64::from(*top));
    }
    grid
}

/// The strip of an image whose photograph is not at hand: its sample, taken back from the range of the pipeline.
pub(super) fn sample_strip(found: &Found) -> RgbaImage {
    let (height, width) = found.size;
    let plane = height * width;
    let byte = |value: f32| (value * 255.0).round().clamp(0.0, 255.0) as u8;
    let grey = |plane: &[f32]| {
        let pixel = |x, y| plane.get(y as usize * width + x as usize).copied().unwrap_or(0.0);
        GrayImage::from_fn(width as u32, height as u32, |x, y| Luma([byte(pixel(x, y))]))
    };
    let photo = RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let at = y as usize * width + x as usize;
        let channel = |number: usize| {
            let (low, high) = found.range[number];
            byte((found.image.get(number * plane + at).copied().unwrap_or(low) - low) / (high - low))
        };
        Rgb([channel(0), channel(1), channel(2)])
    });
    strip(&photo, &grey(&found.mask), found.label.as_ref().map(|label| grey(label)).as_ref())
}

/// Whether a strip, as a PNG, has a tile of ground truth.
pub(super) fn has_truth(png: &[u8]) -> bool {
    let size = image::ImageReader::with_format(Cursor::new(png), image::ImageFormat::Png).into_dimensions();
    size.is_ok_and(|(width, _)| width > 3 * (TILE + GAP))
}

/// A PNG in memory.
pub(crate) fn png(bytes: &[u8], width: u32, height: u32, colour: ExtendedColorType) -> Result<Vec<u8>, image::ImageError> {
    let mut file = Cursor::new(Vec::new());
    PngEncoder::new_with_quality(&mut file, CompressionType::Fast, PngFilter::Adaptive).write_image(bytes, width, height, colour)?;
    Ok(file.into_inner())
}

fn colour(grey: &GrayImage) -> RgbImage {
    RgbImage::from_fn(grey.width(), grey.height(), |x, y| {
        let Luma([value]) = *grey.get_pixel(x, y);
        Rgb([value; 3])
    })
}

/// The picture as large as a tile allows: tiny ones grow by whole factors, so that their pixels stay visible.
fn fit(picture: &RgbImage) -> RgbImage {
    let (width, height) = (picture.width().max(1), picture.height().max(1));
    let longest = width.max(height);
    if longest * 4 <= TILE {
        let factor = TILE / longest;
        return imageops::resize(picture, width * factor, height * factor, FilterType::Nearest);
    }
    let scaled = |side: u32| (u64::from(side) * u64::from(TILE) / u64::from(longest)).max(1) as u32;
    if longest > TILE {
        imageops::thumbnail(picture, scaled(width), scaled(height))
    } else {
        imageops::resize(picture, scaled(width), scaled(height), FilterType::Triangle)
    }
}

/// The photograph with the background greyed and dimmed and the mask's outline drawn, `outline` pixels wide. Both are of one size.
pub(crate) fn overlay(photo: &RgbImage, mask: &GrayImage, outline: usize) -> RgbImage {
    let columns = mask.width() as usize;
    let inside: Vec<bool> = mask.as_raw().iter().map(|value| *value >= 128).collect();
    let border = border(&inside, columns, outline);
    RgbImage::from_fn(photo.width(), photo.height(), |x, y| {
        let pixel = photo.get_pixel(x, y).0.map(f32::from);
        let share = f32::from(mask.get_pixel(x, y)[0]) / 255.0;
        let grey = 0.3 * pixel[0] + 0.59 * pixel[1] + 0.11 * pixel[2];
        let edge = border[y as usize * columns + x as usize];
        let mut out = [0; 3];
        for channel in 0..3 {
            let dimmed = 0.55 * (0.8 * grey + 0.2 * pixel[channel]) + 20.0;
            let tinted = 0.88 * pixel[channel] + 0.12 * MARK[channel];
            let value = if edge { MARK[channel] } else { share * tinted + (1.0 - share) * dimmed };
            out[channel] = value.round().clamp(0.0, 255.0) as u8;
        }
        Rgb(out)
    })
}

/// The pixels inside that are at most `width` steps along a row or a column away from one outside.
fn border(inside: &[bool], columns: usize, width: usize) -> Vec<bool> {
    let mut border = vec![false; inside.len()];
    let mut walk = |places: &mut dyn Iterator<Item = usize>| {
        let mut steps = width;
        for at in places {
            steps = if inside[at] { steps + 1 } else { 0 };
            border[at] |= (1..=width).contains(&steps);
        }
    };
    for row in (0..inside.len()).step_by(columns.max(1)) {
        walk(&mut (row..row + columns));
        walk(&mut (row..row + columns).rev());
    }
    for column in 0..columns {
        walk(&mut (column..inside.len()).step_by(columns));
        walk(&mut (column..inside.len()).step_by(columns).rev());
    }
    border
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_shapes_fit_their_tiles() {
        for (width, height) in [(1, 1), (3000, 20), (1, 900), (160, 160), (81, 159), (4000, 3000)] {
            let photo = RgbImage::new(width, height);
            let mask = GrayImage::new(width, height);
            let strip = strip(&photo, &mask, Some(&mask));
            assert!(strip.width() == 4 * TILE + 3 * GAP && (1..=TILE).contains(&strip.height()), "{width} x {height}");
        }
    }

    #[test]
    fn the_mask_keeps_its_place_in_the_overlay() {
        let photo = RgbImage::from_pixel(16, 16, Rgb([200, 100, 50]));
        let mask = GrayImage::from_fn(16, 16, |x, _| Luma([if x < 8 { 255 } else { 0 }]));
        let strip = strip(&photo, &mask, None);
        let left = strip.get_pixel(2 * (TILE + GAP) + 20, 80).0;
        let right = strip.get_pixel(2 * (TILE + GAP) + 140, 80).0;
        assert!(left[0] > 180 && right[0] < 120, "{left:?} {right:?}");
    }

    #[test]
    fn the_border_is_as_wide_as_asked_and_not_that_of_the_picture() {
        let inside: Vec<bool> = (0..35).map(|at| at % 7 < 5).collect();
        let row = |width: usize| border(&inside, 7, width)[..7].iter().map(|&on| u8::from(on)).collect::<Vec<_>>();
        assert_eq!((row(1), row(2)), (vec![0, 0, 0, 0, 1, 0, 0], vec![0, 0, 0, 1, 1, 0, 0]));
        assert!(!border(&[true; 6], 3, 2).contains(&true) && border(&[], 0, 1).is_empty());
    }

    #[test]
    fn a_grid_of_nothing_is_still_a_picture() {
        assert_eq!(grid(&[], &[]).width(), TILE + 2 * MARGIN);
    }
}
