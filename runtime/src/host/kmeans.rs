//! k-means in colour, a baseline without any notion of place but the border.

use super::Array;
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
    let colours = Colours { values: &image.values, pixels: height * width };
    let mut centres = spread_out(&colours, count);
    let mut clusters = colours.nearest(&centres);
    for _ in 0..ROUNDS {
        colours.recentre(&clusters, &mut centres);
        let next = colours.nearest(&centres);
        if std::mem::replace(&mut clusters, next) == clusters {
            break;
        }
    }
    let mut border = vec![0usize; count];
    let on_border = |pixel: &usize| [0, width - 1].contains(&(pixel % width)) || [0, height - 1].contains(&(pixel / width));
    (0..height * width).filter(on_border).for_each(|pixel| border[clusters[pixel]] += 1);
    let object = (0..count).min_by_key(|&cluster| border[cluster]);
    let values = clusters.iter().map(|&cluster| if Some(cluster) == object { 1.0 } else { 0.0 }).collect();
    Array { shape: vec![height, width], values }
}

/// Planes of colours.
struct Colours<'a> {
    values: &'a [f32],
    pixels: usize,
}

impl Colours<'_> {
    fn at(&self, pixel: usize) -> impl Iterator<Item = f64> {
        self.values[pixel..].iter().step_by(self.pixels).map(|&value| f64::from(value))
    }

    fn distance(&self, pixel: usize, centre: &[f64]) -> f64 {
        self.at(pixel).zip(centre).map(|(value, centre)| (value - centre).powi(2)).sum()
    }

    /// The nearest centre of every pixel, the first of equals.
    fn nearest(&self, centres: &[Vec<f64>]) -> Vec<usize> {
        let nearest = |pixel| {
            let distances = centres.iter().map(|centre| self.distance(pixel, centre));
            distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(cluster, _)| cluster)
        };
        (0..self.pixels).map(nearest).collect()
    }

    /// Centres become means; one without pixels stays.
    fn recentre(&self, clusters: &[usize], centres: &mut [Vec<f64>]) {
        let mut sums: Vec<(f64, Vec<f64>)> = centres.iter().map(|centre| (0.0, vec![0.0; centre.len()])).collect();
        for (pixel, &cluster) in clusters.iter().enumerate() {
            let (count, sum) = &mut sums[cluster];
            *count += 1.0;
            sum.iter_mut().zip(self.at(pixel)).for_each(|(sum, value)| *sum += value);
        }
        for (centre, (count, sum)) in centres.iter_mut().zip(sums) {
            if count > 0.0 {
                *centre = sum.iter().map(|sum| sum / count).collect();
            }
        }
    }
}

/// k-means++: each further centre is a pixel drawn with odds of its squared distance to the nearest centre before it.
fn spread_out(colours: &Colours, count: usize) -> Vec<Vec<f64>> {
    if colours.pixels == 0 {
        return vec![Vec::new(); count];
    }
    let draw = Stream::new(0, "host.kmeans", Place::default());
    let first = draw.integer(count as u64, colours.pixels as u64) as usize;
    let mut centres: Vec<Vec<f64>> = vec![colours.at(first).collect()];
    let mut distances: Vec<f64> = vec![f64::INFINITY; colours.pixels];
    for number in 1..count {
        let newest = &centres[number - 1];
        distances.iter_mut().enumerate().for_each(|(pixel, distance)| *distance = distance.min(colours.distance(pixel, newest)));
        let mut left = draw.uniform(number as u64) * distances.iter().sum::<f64>();
        let passed = |distance: &f64| {
            left -= distance;
            left < 0.0
        };
        let chosen = distances.iter().position(passed).unwrap_or(0);
        centres.push(colours.at(chosen).collect());
    }
    centres
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
        let steps = vec![segc_lang::spec::Step::CenterCrop { side: 32 }];
        let span = segc_lang::source::Span { source: segc_lang::source::SourceId(0), start: 0, end: 0 };
        for (hard, bounds) in [(true, 0.43..0.53), (false, 0.63..0.72)] {
            let source = segc_lang::spec::Pictures::Scenes { hard };
            let data = segc_lang::spec::Data { name: "images".into(), source, steps: steps.clone(), size: (32, 32), span };
            let set = crate::data::open(&data, 0).unwrap();
            let iou = |index| {
                let sample = set.sample(segc_lang::spec::Part::Test, index).unwrap();
                let mask = kmeans(&[Array { shape: vec![3, 32, 32], values: sample.image().to_vec() }], &[2.0]).values;
                let pairs = || mask.iter().zip(sample.label().unwrap()).map(|(&m, &g)| (m > 0.5, g > 0.5));
                pairs().filter(|&(m, g)| m && g).count() as f64 / pairs().filter(|&(m, g)| m || g).count() as f64
            };
            let mean = (0..500).map(iou).sum::<f64>() / 500.0;
            assert!(bounds.contains(&mean), "hard {hard}: {mean}");
        }
    }
}
