//! A mask made to follow the edges of a picture: the bilateral solver of Barron & Poole (ECCV 2016), as TokenCut and MOVE use it.
//!
//! Pixels of like place and colour share a cell of a grid over column, row, luma and two chromas. On the cells a value is sought that
//! is near the mask and alike in neighbouring cells.

use std::collections::HashMap;

use super::Array;

/// Trust in the mask, the same everywhere.
const TRUST: f64 = 0.999;
/// Weight of smoothness.
const SMOOTH: f64 = 256.0;
/// Least diagonal of the preconditioner.
const FLOOR: f64 = 1e-5;
/// Rounds of conjugate gradients at most, and the residual beside the right side at which they end.
const ROUNDS: usize = 25;
const NEAR: f64 = 1e-5;
/// Rounds that make the blur bistochastic.
const BALANCING: usize = 10;
/// Axes of the grid.
const AXES: usize = 5;

type Cell = [i32; AXES];

/// `bilateral(m [height, width], guide [channel: 3, height, width], space, luma, chroma) -> [height, width]`: the sizes of a cell in
/// pixels and in 8-bit steps of luma and chroma; the guide's colours lie between 0 and 1. Results may leave 0..1 a little.
pub fn bilateral(arrays: &[Array], numbers: &[f64]) -> Array {
    let ([mask, guide], &[space, luma, chroma]) = (arrays, numbers) else { return arrays.first().cloned().unwrap_or_else(empty) };
    let sizes = [space, space, luma, chroma, chroma];
    let grid = Grid::new(guide, mask.height_width(), sizes);
    let target: Vec<f64> = mask.values.iter().map(|value| f64::from(*value)).collect();
    let found = grid.solved(&target);
    Array { shape: mask.shape.clone(), values: grid.cell_of.iter().map(|&cell| found[cell] as f32).collect() }
}

fn empty() -> Array {
    Array { shape: Vec::new(), values: vec![0.0] }
}

/// The cells that some pixel lies in.
struct Grid {
    /// The cell of every pixel.
    cell_of: Vec<usize>,
    /// The cells beside a cell along any axis.
    beside: Vec<Vec<usize>>,
    /// What the blur is multiplied by on both sides, and what it then adds up to.
    balance: Vec<f64>,
    mass: Vec<f64>,
}

impl Grid {
    fn new(guide: &Array, (height, width): (usize, usize), sizes: [f64; AXES]) -> Grid {
        let plane = height * width;
        let byte = |at: usize| guide.values.get(at).map_or(0.0, |value| (f64::from(*value) * 255.0).round().clamp(0.0, 255.0));
        let (mut known, mut places, mut cell_of) = (HashMap::new(), Vec::<Cell>::new(), Vec::with_capacity(plane));
        for pixel in 0..plane {
            let colour = yuv([0, 1, 2].map(|channel| byte(channel * plane + pixel)));
            let at = [(pixel % width) as f64, (pixel / width) as f64, colour[0], colour[1], colour[2]];
            let mut place = [0; AXES];
            place.iter_mut().zip(at.iter().zip(sizes)).for_each(|(cell, (at, size))| *cell = (at / size.max(1e-3)) as i32);
            cell_of.push(*known.entry(place).or_insert_with(|| {
                places.push(place);
                places.len() - 1
            }));
        }
        let beside = places.iter().map(|place| around(*place).filter_map(|near| known.get(&near).copied()).collect()).collect();
        let mut grid = Grid { cell_of, beside, balance: vec![1.0; places.len()], mass: Vec::new() };
        grid.balanced();
        grid
    }

    fn balanced(&mut self) {
        let pixels = self.splat(&vec![1.0; self.cell_of.len()]);
        for _ in 0..BALANCING {
            let blurred = self.blur(&self.balance);
            let all = self.balance.iter().zip(&pixels).zip(blurred);
            self.balance = all.map(|((own, pixels), blurred)| (own * pixels / blurred).sqrt()).collect();
        }
        let blurred = self.blur(&self.balance);
        self.mass = self.balance.iter().zip(blurred).map(|(own, blurred)| own * blurred).collect();
    }

    /// The sum over the pixels of every cell.
    fn splat(&self, pixels: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.beside.len()];
        self.cell_of.iter().zip(pixels).for_each(|(&cell, value)| sums[cell] += value);
        sums
    }

    /// One, two, one along every axis, summed.
    fn blur(&self, cells: &[f64]) -> Vec<f64> {
        let near = |beside: &Vec<usize>| beside.iter().map(|&cell| cells[cell]).sum::<f64>();
        self.beside.iter().zip(cells).map(|(beside, own)| 2.0 * AXES as f64 * own + near(beside)).collect()
    }

    /// The matrix of the problem times a vector.
    fn applied(&self, x: &[f64], weight: &[f64]) -> Vec<f64> {
        let scaled: Vec<f64> = x.iter().zip(&self.balance).map(|(x, n)| x * n).collect();
        let blurred = self.blur(&scaled);
        let smooth = |cell: usize| self.mass[cell] * x[cell] - self.balance[cell] * blurred[cell];
        (0..x.len()).map(|cell| SMOOTH * smooth(cell) + weight[cell] * x[cell]).collect()
    }

    /// The value of every cell, by conjugate gradients with the diagonal as preconditioner.
    fn solved(&self, target: &[f64]) -> Vec<f64> {
        let weight = self.splat(&vec![TRUST; target.len()]);
        let right: Vec<f64> = self.splat(&target.iter().map(|value| TRUST * value).collect::<Vec<_>>());
        let diagonal = |cell: usize| SMOOTH * (self.mass[cell] - 2.0 * AXES as f64 * self.balance[cell].powi(2)) + weight[cell];
        let inverse: Vec<f64> = (0..right.len()).map(|cell| 1.0 / diagonal(cell).max(FLOOR)).collect();
        let mut x: Vec<f64> = right.iter().zip(&weight).map(|(right, weight)| right / weight).collect();
        let mut rest: Vec<f64> = right.iter().zip(self.applied(&x, &weight)).map(|(right, own)| right - own).collect();
        let enough = NEAR * dot(&right, &right).sqrt();
        let (mut way, mut before) = (Vec::new(), 0.0);
        for round in 0..ROUNDS {
            if dot(&rest, &rest).sqrt() <= enough {
                break;
            }
            let scaled: Vec<f64> = rest.iter().zip(&inverse).map(|(rest, inverse)| rest * inverse).collect();
            let now = dot(&rest, &scaled);
            way = if round == 0 {
                scaled
            } else {
                scaled.iter().zip(&way).map(|(new, old): (&f64, &f64)| new + now / before * old).collect()
            };
            let along = self.applied(&way, &weight);
            let step = now / dot(&way, &along);
            x.iter_mut().zip(&way).for_each(|(x, way)| *x += step * way);
            rest.iter_mut().zip(&along).for_each(|(rest, along)| *rest -= step * along);
            before = now;
        }
        x
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The two neighbours along each axis.
fn around(place: Cell) -> impl Iterator<Item = Cell> {
    (0..AXES).flat_map(move |axis| {
        [-1, 1].map(|step| {
            let mut near = place;
            near[axis] += step;
            near
        })
    })
}

/// Full-range luma and chromas (ITU-R BT.601) of red, green and blue, all 0 to 255.
fn yuv([r, g, b]: [f64; 3]) -> [f64; 3] {
    [0.299 * r + 0.587 * g + 0.114 * b, -0.168736 * r - 0.331264 * g + 0.5 * b + 128.0, 0.5 * r - 0.418688 * g - 0.081312 * b + 128.0]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 24;

    /// A bright disc before waves.
    fn guide() -> Array {
        let value = |channel: usize, pixel: usize| {
            let (x, y) = ((pixel % SIDE) as f32, (pixel / SIDE) as f32);
            let inside = (x - 11.0).powi(2) + (y - 12.0).powi(2) < 49.0;
            let wave = 0.5 + 0.2 * (0.7 * x + 0.4 * y + channel as f32).sin();
            if inside { 0.9 - 0.3 * channel as f32 } else { wave }
        };
        let values = (0..3).flat_map(|channel| (0..SIDE * SIDE).map(move |pixel| value(channel, pixel))).collect();
        Array { shape: vec![3, SIDE, SIDE], values }
    }

    /// A square that is too far right.
    fn rough() -> Array {
        let value = |pixel: usize| if (8..20).contains(&(pixel % SIDE)) && (6..18).contains(&(pixel / SIDE)) { 0.9 } else { 0.1 };
        Array { shape: vec![SIDE, SIDE], values: (0..SIDE * SIDE).map(value).collect() }
    }

    /// Numbers of the same problem written with scipy's sparse matrices and conjugate gradients.
    #[test]
    fn it_follows_the_edges_of_the_guide() {
        let cases = [
            (16.0, 172.692570, [0.166315, 0.164745, 0.712216, 0.712216, 0.712216, 0.712216, 0.715357, 0.181193, 0.150277]),
            (4.0, 172.798435, [0.1, 0.1, 0.686919, 0.710336, 0.710336, 0.721342, 0.727404, 0.9, 0.1]),
        ];
        for (space, sum, row) in cases {
            let found = bilateral(&[rough(), guide()], &[space, 16.0, 8.0]).values;
            let own = [0, 3, 5, 8, 11, 15, 17, 19, 23].map(|x| f64::from(found[12 * SIDE + x]));
            assert!(own.iter().zip(row).all(|(a, b)| (a - b).abs() < 1e-5), "{own:?}");
            assert!((found.iter().map(|value| f64::from(*value)).sum::<f64>() - sum).abs() < 1e-3);
        }
    }

    #[test]
    fn a_mask_without_edges_stays() {
        let flat = Array { values: vec![0.25; SIDE * SIDE], ..rough() };
        let found = bilateral(&[flat, guide()], &[16.0, 16.0, 8.0]);
        assert!(found.values.iter().all(|value| (value - 0.25).abs() < 1e-5));
    }

    #[test]
    fn nonsense_is_survived() {
        let broken = Array { values: vec![f32::NAN; SIDE * SIDE], ..rough() };
        assert_eq!(bilateral(&[broken.clone(), guide()], &[0.0, 0.0, 0.0]).values.len(), SIDE * SIDE);
        assert_eq!(bilateral(&[rough()], &[]), rough());
    }
}
