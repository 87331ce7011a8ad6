//! Textures and colours of the generated scenes, as functions of the place in the picture.

use std::f64::consts::TAU;

use crate::rng::Stream;

/// A colour, red, green, blue, 0 to 1.
pub type Colour = [f64; 3];

/// Two colours mixed by a field.
#[derive(Clone, Debug)]
pub struct Texture {
    field: Field,
    colours: [Colour; 2],
}

#[derive(Clone, Debug)]
enum Field {
    /// `1/2 + 1/2 sin(w p + a)`.
    Wave { w: f64, a: f64, angle: f64 },
    /// Linear from edge to edge.
    Gradient { angle: f64 },
    /// `sigmoid(gain * bicubic)` of a square grid of normal numbers.
    Noise { grid: Vec<f64>, side: usize, gain: f64 },
    /// `sigmoid(3 sin(w p + a))`.
    Stripes { w: f64, a: f64, angle: f64 },
    /// `sigmoid(6 sin(.8 w p + a) sin(.8 w q + b))`.
    Checks { w: f64, a: f64, b: f64, angle: f64 },
}

impl Texture {
    /// Two-tone: stripes, checks or noise with equal odds.
    pub fn hard(draw: &Stream, colours: [Colour; 2]) -> Texture {
        let angle = TAU * draw.uniform(1);
        let (w, a, b) = (between(draw, 2, 7.0, 13.0), TAU * draw.uniform(3), TAU * draw.uniform(4));
        let field = match draw.integer(0, 3) {
            0 => Field::Stripes { w, a, angle },
            1 => Field::Checks { w, a, b, angle },
            _ => Field::Noise { grid: grid(draw, 8), side: 8, gain: 3.0 },
        };
        Texture { field, colours }
    }

    /// Soft: noise, gradient or wave with equal odds.
    pub fn easy(draw: &Stream, colours: [Colour; 2]) -> Texture {
        let angle = TAU * draw.uniform(1);
        let field = match draw.integer(0, 3) {
            0 => Field::Noise { grid: grid(draw, 5), side: 5, gain: 1.5 },
            1 => Field::Gradient { angle },
            _ => Field::Wave { w: between(draw, 2, 4.0, 9.0), a: TAU * draw.uniform(3), angle },
        };
        Texture { field, colours }
    }

    /// Its colour at `x`, `y`, both 0 to 1 from edge to edge of the picture.
    pub fn at(&self, x: f64, y: f64) -> Colour {
        let t = self.field.at(x, y);
        std::array::from_fn(|c| self.colours[0][c] * (1.0 - t) + self.colours[1][c] * t)
    }
}

impl Field {
    fn at(&self, x: f64, y: f64) -> f64 {
        let along = |angle: f64| (2.0 * x - 1.0) * angle.cos() + (2.0 * y - 1.0) * angle.sin();
        match self {
            Field::Wave { w, a, angle } => 0.5 + 0.5 * (w * along(*angle) + a).sin(),
            Field::Gradient { angle } => 0.5 + 0.5 * along(*angle) / (angle.cos().abs() + angle.sin().abs()),
            Field::Noise { grid, side, gain } => sigmoid(gain * bicubic(grid, *side, x, y)),
            Field::Stripes { w, a, angle } => sigmoid(3.0 * (w * along(*angle) + a).sin()),
            Field::Checks { w, a, b, angle } => {
                let (p, q) = (along(*angle), along(angle + TAU / 4.0));
                sigmoid(6.0 * (0.8 * w * p + a).sin() * (0.8 * w * q + b).sin())
            }
        }
    }
}

/// Element `index` of a draw, uniform between two bounds.
pub fn between(draw: &Stream, index: u64, low: f64, high: f64) -> f64 {
    low + (high - low) * draw.uniform(index)
}

/// Hue (any real number, in turns), saturation and value (cut to 0..1) as a colour.
pub fn hsv(hue: f64, saturation: f64, value: f64) -> Colour {
    let (saturation, value) = (saturation.clamp(0.0, 1.0), value.clamp(0.0, 1.0));
    [5.0, 3.0, 1.0].map(|corner| {
        let k = (corner + 6.0 * hue.rem_euclid(1.0)) % 6.0;
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}

fn grid(draw: &Stream, side: usize) -> Vec<f64> {
    (0..(side * side) as u64).map(|i| draw.normal(64 + i)).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Keys' cubic with a = -3/4, half-pixel centres, edges repeated: the upsampling of PyTorch, at any point.
fn bicubic(grid: &[f64], side: usize, x: f64, y: f64) -> f64 {
    let (columns, rows) = (taps(side, x), taps(side, y));
    rows.iter().map(|&(row, wy)| wy * columns.iter().map(|&(column, wx)| wx * grid[row * side + column]).sum::<f64>()).sum()
}

fn taps(side: usize, at: f64) -> [(usize, f64); 4] {
    let place = at * side as f64 - 0.5;
    std::array::from_fn(|i| {
        let cell = place.floor() + i as f64 - 1.0;
        (cell.clamp(0.0, side as f64 - 1.0) as usize, keys((place - cell).abs()))
    })
}

fn keys(d: f64) -> f64 {
    const A: f64 = -0.75;
    if d <= 1.0 {
        ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0
    } else if d < 2.0 {
        ((A * d - 5.0 * A) * d + 8.0 * A) * d - 4.0 * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Place;

    #[test]
    fn corners_of_the_colour_space() {
        assert_eq!(hsv(0.0, 1.0, 1.0), [1.0, 0.0, 0.0]);
        assert_eq!(hsv(1.0 / 3.0, 1.0, 0.5), [0.0, 0.5, 0.0]);
        assert_eq!(hsv(-1.0 / 3.0, 1.0, 1.0), [0.0, 0.0, 1.0]);
        assert_eq!(hsv(0.7, 0.0, 0.25), [0.25; 3]);
        let orange = hsv(1.0 / 12.0, 1.0, 1.0);
        assert!((orange[1] - 0.5).abs() < 1e-12 && orange[2] == 0.0);
    }

    #[test]
    fn the_cubic_keeps_constants_and_grid_points() {
        assert!((bicubic(&[2.5; 64], 8, 0.123, 0.987) - 2.5).abs() < 1e-12);
        let grid: Vec<f64> = (0..64).map(f64::from).collect();
        assert!((bicubic(&grid, 8, 2.5 / 8.0, 5.5 / 8.0) - 42.0).abs() < 1e-9);
    }

    #[test]
    fn fields_stay_between_their_colours() {
        for sample in 0..60 {
            let draw = Stream::new(0, "test.texture", Place { sample, ..Place::default() });
            let colours = [[0.2, 0.9, 0.5], [0.6, 0.1, 0.5]];
            for texture in [Texture::hard(&draw, colours), Texture::easy(&draw, colours)] {
                for (x, y) in [(0.0, 0.0), (1.0, 1.0), (0.3, 0.8), (0.5, 0.5)] {
                    let colour = texture.at(x, y);
                    assert!((0.2 - 1e-9..=0.6 + 1e-9).contains(&colour[0]) && (colour[2] - 0.5).abs() < 1e-9, "{texture:?}");
                }
            }
        }
    }
}
