//! GrabCut (Rother, Kolmogorov, Blake, SIGGRAPH 2004), a baseline that knows colours, edges and a box.
//!
//! The constants are those of OpenCV: five Gaussians for each side, started by k-means++ with ten rounds; a covariance with a determinant
//! of 1e-6 or less gets 0.01 on its diagonal; edges weigh 50, and beta is one half of the inverse mean squared difference of neighbours.

use super::Array;
use super::clusters::Points;
use super::mincut::{NEIGHBOURS, Network};
use crate::rng::{Place, Stream};

/// Gaussians of a side.
const GAUSSIANS: usize = 5;
/// Rounds of k-means.
const ROUNDS: usize = 10;
/// Weight of the edges, and that of a pixel's certain side.
const GAMMA: f64 = 50.0;
const CERTAIN: f64 = 9.0 * GAMMA;

type Colour = [f64; 3];

/// `grabcut(x [channel: 3, height, width], margin, rounds) -> [height, width]`: what is left of a box as foreground.
///
/// The box leaves `margin` of the sides on each edge; outside is background for certain. Each round fits the colours of both sides and
/// cuts anew. Colours of -1 to 1 are taken as 0 to 255, for which the constants are made.
pub fn grabcut(arrays: &[Array], numbers: &[f64]) -> Array {
    let Some(image) = arrays.first() else { return Array { shape: Vec::new(), values: vec![0.0] } };
    let (height, width) = image.height_width();
    let margin = numbers.first().copied().unwrap_or(0.125);
    let rounds = numbers.get(1).map_or(5, |rounds| *rounds as usize);
    let picture = Picture::new(&image.values, width, height);
    let inside = boxed(width, height, margin);
    let front = picture.segmented(&inside, rounds);
    Array { shape: vec![height, width], values: front.into_iter().map(|front| f32::from(u8::from(front))).collect() }
}

/// Whether each pixel's centre is in the box.
fn boxed(width: usize, height: usize, margin: f64) -> Vec<bool> {
    let within = |at: usize, side: usize| {
        let centre = (at as f64 + 0.5) / side as f64;
        (margin..1.0 - margin).contains(&centre)
    };
    (0..width * height).map(|pixel| within(pixel % width, width) && within(pixel / width, height)).collect()
}

struct Picture {
    colours: Vec<Colour>,
    width: usize,
    /// Ties of the pixels to their neighbours.
    ties: Vec<[f64; 8]>,
}

impl Picture {
    fn new(values: &[f32], width: usize, height: usize) -> Picture {
        let plane = width * height;
        let byte = |at: usize| values.get(at).map_or(0.0, |value| 127.5 * (f64::from(*value) + 1.0));
        let colours: Vec<Colour> = (0..plane).map(|pixel| [0, 1, 2].map(|channel| byte(channel * plane + pixel))).collect();
        let other = |pixel: usize, (across, down): (isize, isize)| {
            let (x, y) = ((pixel % width).checked_add_signed(across)?, (pixel / width).checked_add_signed(down)?);
            (x < width && y < height).then_some(y * width + x)
        };
        let gaps: Vec<[Option<f64>; 8]> =
            (0..plane).map(|pixel| NEIGHBOURS.map(|to| other(pixel, to).map(|to| gap(&colours[pixel], &colours[to])))).collect();
        let known = || gaps.iter().flatten().flatten();
        let mean = known().sum::<f64>() / known().count().max(1) as f64;
        let beta = if mean > 0.0 { 1.0 / (2.0 * mean) } else { 0.0 };
        let tie = |direction: usize, gap: Option<f64>| {
            let (across, down) = NEIGHBOURS[direction];
            let far = ((across * across + down * down) as f64).sqrt();
            gap.map_or(0.0, |gap| GAMMA / far * (-beta * gap).exp())
        };
        let ties = gaps.iter().map(|gaps| std::array::from_fn(|direction| tie(direction, gaps[direction]))).collect();
        Picture { colours, width, ties }
    }

    /// Which pixels are foreground; it may be where `inside` is true.
    fn segmented(&self, inside: &[bool], rounds: usize) -> Vec<bool> {
        let mut front = inside.to_vec();
        let (Some(mut back_colours), Some(mut front_colours)) = (self.mixture(&front, false), self.mixture(&front, true)) else {
            return front;
        };
        for _ in 0..rounds {
            let fitted = [(false, &back_colours), (true, &front_colours)].map(|(side, model)| self.refitted(&front, side, model));
            let [Some(back), Some(fore)] = fitted else { break };
            (back_colours, front_colours) = (back, fore);
            let terminal = |pixel: usize| match inside[pixel] {
                true => front_colours.log(&self.colours[pixel]) - back_colours.log(&self.colours[pixel]),
                false => -CERTAIN,
            };
            let terminal = (0..front.len()).map(terminal).collect();
            let next = Network { width: self.width, terminal, ties: self.ties.clone() }.source_side();
            if std::mem::replace(&mut front, next) == front {
                break;
            }
        }
        front
    }

    /// Colours of a side in clusters; none for a side without pixels.
    fn mixture(&self, front: &[bool], side: bool) -> Option<Mixture> {
        let own: Vec<Colour> = self.side(front, side).collect();
        let points = Points(own.iter().map(|colour| colour.to_vec()).collect());
        let draw = Stream::new(0, "host.grabcut", Place { sample: u32::from(side), ..Place::default() });
        let clusters = points.clusters(GAUSSIANS, ROUNDS, &draw);
        Mixture::fit(&own, &clusters)
    }

    /// Each pixel of a side goes to its likeliest Gaussian, then all are fitted.
    fn refitted(&self, front: &[bool], side: bool, model: &Mixture) -> Option<Mixture> {
        let own: Vec<Colour> = self.side(front, side).collect();
        let clusters: Vec<usize> = own.iter().map(|colour| model.likeliest(colour)).collect();
        Mixture::fit(&own, &clusters)
    }

    fn side(&self, front: &[bool], side: bool) -> impl Iterator<Item = Colour> {
        self.colours.iter().zip(front).filter(move |(_, front)| **front == side).map(|(colour, _)| *colour)
    }
}

/// A mixture of Gaussians; those without points are none.
struct Mixture([Option<Gaussian>; GAUSSIANS]);

struct Gaussian {
    mean: Colour,
    inverse: [Colour; 3],
    /// Minus half of the logarithm of the covariance's determinant.
    log_scale: f64,
    /// Logarithm of its share of the points.
    log_share: f64,
}

impl Mixture {
    fn fit(colours: &[Colour], clusters: &[usize]) -> Option<Mixture> {
        let of = |cluster: usize| {
            let own: Vec<Colour> = colours.iter().zip(clusters).filter(|(_, own)| **own == cluster).map(|(colour, _)| *colour).collect();
            Gaussian::fit(&own, colours.len())
        };
        (!colours.is_empty()).then(|| Mixture(std::array::from_fn(of)))
    }

    /// The logarithm of the density, but for a constant.
    fn log(&self, colour: &Colour) -> f64 {
        let logs = || self.0.iter().flatten().map(|gaussian| gaussian.log_share + gaussian.log(colour));
        let most = logs().fold(f64::NEG_INFINITY, f64::max);
        most + logs().map(|log| (log - most).exp()).sum::<f64>().ln()
    }

    /// The Gaussian that has the largest density here, whatever its share.
    fn likeliest(&self, colour: &Colour) -> usize {
        let known = self.0.iter().enumerate().filter_map(|(place, gaussian)| gaussian.as_ref().map(|own| (place, own.log(colour))));
        known.reduce(|best, next| if next.1 > best.1 { next } else { best }).map_or(0, |(place, _)| place)
    }
}

impl Gaussian {
    /// Of these among `all` points; none without points.
    fn fit(colours: &[Colour], all: usize) -> Option<Gaussian> {
        let count = colours.len() as f64;
        if colours.is_empty() {
            return None;
        }
        let mean: Colour = [0, 1, 2].map(|channel| colours.iter().map(|colour| colour[channel]).sum::<f64>() / count);
        let product = |i: usize, j: usize| colours.iter().map(|colour| colour[i] * colour[j]).sum::<f64>() / count - mean[i] * mean[j];
        let mut covariance = [0, 1, 2].map(|i| [0, 1, 2].map(|j| product(i, j)));
        if determinant(&covariance) <= 1e-6 {
            (0..3).for_each(|i| covariance[i][i] += 0.01);
        }
        // Rounding can leave less than nothing of a flat cloud far from zero.
        let size = determinant(&covariance).max(1e-12);
        Some(Gaussian { mean, inverse: inverse(&covariance, size), log_scale: -0.5 * size.ln(), log_share: (count / all as f64).ln() })
    }

    fn log(&self, colour: &Colour) -> f64 {
        let off = [0, 1, 2].map(|channel| colour[channel] - self.mean[channel]);
        let square: f64 = (0..3).map(|i| off[i] * (0..3).map(|j| self.inverse[i][j] * off[j]).sum::<f64>()).sum();
        self.log_scale - 0.5 * square
    }
}

/// Signed minor of a 3 x 3 matrix.
fn cofactor(m: &[Colour; 3], i: usize, j: usize) -> f64 {
    let at = |rows: usize, columns: usize| m[(i + rows) % 3][(j + columns) % 3];
    at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1)
}

fn determinant(m: &[Colour; 3]) -> f64 {
    (0..3).map(|j| m[0][j] * cofactor(m, 0, j)).sum()
}

fn inverse(m: &[Colour; 3], determinant: f64) -> [Colour; 3] {
    [0, 1, 2].map(|i| [0, 1, 2].map(|j| cofactor(m, j, i) / determinant))
}

/// Squared distance.
fn gap(a: &Colour, b: &Colour) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(values: Vec<f32>, side: usize, margin: f64) -> Vec<f32> {
        grabcut(&[Array { shape: vec![3, side, side], values }], &[margin, 5.0]).values
    }

    #[test]
    fn a_disc_of_another_colour_is_found() {
        let disc = |i: usize| ((i % 24) as f64 - 11.5).hypot((i / 24) as f64 - 11.5) <= 6.0;
        let speckle = |i: usize| ((i * 7919) % 13) as f32 * 0.02;
        let plane: Vec<f32> = (0..576).map(|i| if disc(i) { 0.6 } else { -0.6 } + speckle(i)).collect();
        let mask = run(plane.repeat(3), 24, 0.125);
        assert!((0..576).all(|i| (mask[i] > 0.5) == disc(i)), "{mask:?}");
    }

    #[test]
    fn degenerate_pictures_do_no_harm() {
        assert_eq!(run(vec![0.25; 3 * 64], 8, 0.125).len(), 64);
        assert_eq!(run(vec![f32::NAN; 3 * 16], 4, 0.125).len(), 16);
        assert_eq!(run(vec![0.5; 3 * 16], 4, 0.0), [1.0; 16]);
        assert_eq!(run(vec![0.5; 3 * 16], 4, 0.5), [0.0; 16]);
        assert!(grabcut(&[Array { shape: vec![3, 0, 0], values: vec![] }], &[0.1, 5.0]).values.is_empty());
    }

    #[test]
    fn matrices_are_inverted() {
        let m = [[2.0, 0.5, 0.1], [0.5, 3.0, -0.4], [0.1, -0.4, 1.5]];
        let inverse = inverse(&m, determinant(&m));
        for (i, row) in m.iter().enumerate() {
            for j in 0..3 {
                let entry: f64 = row.iter().zip(&inverse).map(|(a, b)| a * b[j]).sum();
                assert!((entry - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
        }
    }

    /// OpenCV 5 gives .63 and .75, and 99 % of the pixels as here; with the larger box .89 and .92.
    #[test]
    fn the_baseline_on_generated_scenes_hangs_on_the_box() {
        for (hard, margin, bounds) in [(true, 0.125, 0.63..0.68), (false, 0.125, 0.74..0.78), (true, 0.04, 0.87..0.90)] {
            let mean = super::super::tests::iou_on_scenes(hard, |image| grabcut(&[image], &[margin, 5.0]));
            assert!(bounds.contains(&mean), "hard {hard}, margin {margin}: {mean}");
        }
    }
}
