//! Puts the mask of a sample back into its photograph.

use image::{GrayImage, Luma};

use super::Frame;

/// The mask at the photograph's own size, 8 bits: 0 to 255 for 0 to 1, bilinear between pixel centres inside the window of the frame,
/// 0 outside. `mask` has `size` = (height, width) values, row-major; others than 0..1 are cut.
pub fn place(mask: &[f32], size: (usize, usize), frame: &Frame) -> GrayImage {
    let (height, width) = size;
    let (left, top, w, h) = frame.window;
    let columns: Vec<Option<Between>> = (0..frame.photo.0).map(|x| between(x, left, w, width)).collect();
    let rows: Vec<Option<Between>> = (0..frame.photo.1).map(|y| between(y, top, h, height)).collect();
    GrayImage::from_fn(frame.photo.0, frame.photo.1, |x, y| {
        let (Some(across), Some(down)) = (columns[x as usize], rows[y as usize]) else { return Luma([0]) };
        let row = |row: usize| across.mix(mask[row * width + across.first], mask[row * width + across.second]);
        let value = down.mix(row(down.first), row(down.second));
        Luma([(value.clamp(0.0, 1.0) * 255.0).round() as u8])
    })
}

/// A place between two neighbours.
#[derive(Clone, Copy)]
struct Between {
    first: usize,
    second: usize,
    share: f32,
}

impl Between {
    fn mix(self, first: f32, second: f32) -> f32 {
        first + self.share * (second - first)
    }
}

/// Where the centre of a photograph's pixel lies among `count` samples that fill the window.
fn between(pixel: u32, start: f64, extent: f64, count: usize) -> Option<Between> {
    let at = (f64::from(pixel) + 0.5 - start) / extent;
    if !(0.0..1.0).contains(&at) || count == 0 {
        return None;
    }
    let place = (at * count as f64 - 0.5).clamp(0.0, count as f64 - 1.0);
    let first = place.floor() as usize;
    Some(Between { first, second: (first + 1).min(count - 1), share: (place - place.floor()) as f32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_size_changes_nothing() {
        let frame = Frame { photo: (2, 2), window: (0.0, 0.0, 2.0, 2.0) };
        assert_eq!(place(&[0.0, 1.0, 0.5, 2.0], (2, 2), &frame).into_raw(), [0, 255, 128, 255]);
    }

    #[test]
    fn outside_the_window_there_is_nothing() {
        let frame = Frame { photo: (8, 4), window: (2.0, 0.0, 4.0, 4.0) };
        let placed = place(&[1.0; 4], (2, 2), &frame);
        assert_eq!(placed.into_raw(), [0, 0, 255, 255, 255, 255, 0, 0].repeat(4));
    }

    #[test]
    fn between_samples_it_is_bilinear() {
        let frame = Frame { photo: (4, 1), window: (0.0, 0.0, 4.0, 1.0) };
        assert_eq!(place(&[0.0, 1.0], (1, 2), &frame).into_raw(), [0, 64, 191, 255]);
    }
}
