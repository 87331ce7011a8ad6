//! k-means in colour, a baseline without any notion of place but the border.

use super::Array;
use super::clusters::Points;
use crate::rng::{Place, Stream};

/// Rounds of Lloyd's algorithm; it ends earlier when nothing changes.
const ROUNDS: usize = 20;

/// `kmeans(x [channel, height, width], k) -> [height, width]`: the pixels' colours in k clusters (k-means++ with a fixed seed, then
/// 20 rounds of Lloyd's algorithm); the mask is the cluster that has the fewest pixels on the border of the image, the **border
/// rule**. A picture of one colour gives an empty mask.
pub fn kmeans(arrays: &[Array], numbers: &[f64]) -> Array {
    let Some(image) = arrays.first() else { return Array { shape: Vec::new(), values: vec![0.0] } };
    let (height, width) = image.height_width();
    let count = numbers.first().map_or(2, |&k| (k as usize).max(1));
    let colour = |pixel: usize| image.values[pixel..].iter().step_by(height * width).map(|&value| f64::from(value)).collect();
    let clusters =
        Points((0..height * width).map(colour).collect()).clusters(count, ROUNDS, &Stream::new(0, "host.kmeans", Place::default()));
    let mut border = vec![0usize; count];
    let on_border = |pixel: &usize| [0, width - 1].contains(&(pixel % width)) || [0, height - 1].contains(&(pixel / width));
    (0..height * width).filter(on_border).for_each(|pixel| border[clusters[pixel]] += 1);
    let object = (0..count).min_by_key(|&cluster| border[cluster]);
    let values = clusters.iter().map(|&cluster| if Some(cluster) == object { 1.0 } else { 0.0 }).collect();
    Array { shape: vec![height, width], values }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(inside: f32, outside: f32, side: usize) -> Array {
        let disc = |i: usize| (i % side).abs_diff(side / 2) <= side / 4 && (i / side).abs_diff(side / 2) <= side / 4;
        let plane: Vec<f32> = (0..side * side).map(|i| if disc(i) { inside } else { outside } + (i % 7) as f32 * 0.01).collect();
        Array { shape: vec![3, side, side], values: plane.repeat(3) }
    }

    #[test]
    fn the_object_is_what_the_border_is_not() {
        for (inside, outside) in [(0.9, 0.1), (0.1, 0.9)] {
            let mask = kmeans(&[image(inside, outside, 16)], &[2.0]);
            assert_eq!(mask.shape, [16, 16]);
            assert_eq!(mask.values.iter().sum::<f32>(), 81.0);
            assert_eq!((mask.values[0], mask.values[8 * 16 + 8]), (0.0, 1.0));
        }
    }

    #[test]
    fn one_colour_gives_an_empty_mask() {
        let mask = kmeans(&[Array { shape: vec![3, 4, 4], values: vec![0.5; 48] }], &[2.0]);
        assert_eq!(mask.values, [0.0; 16]);
    }

    #[test]
    fn numbers_that_are_none_do_no_harm() {
        let mask = kmeans(&[Array { shape: vec![3, 2, 2], values: vec![f32::NAN; 12] }], &[3.0]);
        assert_eq!(mask.values.len(), 4);
    }

    #[test]
    fn the_baseline_on_generated_scenes_is_that_of_the_recipe() {
        for (hard, bounds) in [(true, 0.43..0.53), (false, 0.63..0.72)] {
            let mean = super::super::tests::iou_on_scenes(hard, |image| kmeans(&[image], &[2.0]));
            assert!(bounds.contains(&mean), "hard {hard}: {mean}");
        }
    }
}
