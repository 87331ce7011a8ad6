//! Outlines of the objects in generated scenes: ellipse, polygon, star and blob of a given area.

use std::f64::consts::{PI, TAU};

use super::texture::between;
use crate::rng::Stream;

/// A closed curve around a centre; coordinates are parts of the picture's side.
#[derive(Clone, Debug)]
pub struct Outline {
    kind: Kind,
    centre: (f64, f64),
    rotation: f64,
    /// Half axes for radius 1.
    axes: (f64, f64),
}

#[derive(Clone, Debug)]
enum Kind {
    Ellipse,
    /// Regular, with so many corners.
    Polygon(f64),
    /// `1 + .28 cos(n theta)`.
    Star(f64),
    /// `1 +` sum over k = 2..4 of `amplitude cos(k theta + phase)`.
    Blob([(f64, f64); 3]),
}

impl Outline {
    /// A random outline: kinds with equal odds, area .10 to .35 of the picture, aspect .65 to 1.35, centre within .15 of the
    /// middle, any rotation.
    pub fn new(draw: &Stream) -> Outline {
        let kind = match draw.integer(0, 4) {
            0 => Kind::Ellipse,
            1 => Kind::Polygon(3.0 + draw.integer(1, 4) as f64),
            2 => Kind::Star(4.0 + draw.integer(2, 3) as f64),
            _ => Kind::Blob(std::array::from_fn(|k| (0.22 * draw.uniform(16 + 2 * k as u64), TAU * draw.uniform(17 + 2 * k as u64)))),
        };
        let area = between(draw, 24, 0.10, 0.35);
        let aspect = between(draw, 25, 0.65, 1.35).sqrt();
        let centre = (between(draw, 26, 0.35, 0.65), between(draw, 27, 0.35, 0.65));
        let scale = (area / kind.area()).sqrt();
        Outline { kind, centre, rotation: TAU * draw.uniform(28), axes: (scale * aspect, scale / aspect) }
    }

    /// Whether a point lies inside.
    pub fn contains(&self, x: f64, y: f64) -> bool {
        let (dx, dy) = (x - self.centre.0, y - self.centre.1);
        let (sine, cosine) = self.rotation.sin_cos();
        let (u, v) = ((dx * cosine + dy * sine) / self.axes.0, (dy * cosine - dx * sine) / self.axes.1);
        u.hypot(v) <= self.kind.radius(v.atan2(u))
    }
}

impl Kind {
    fn radius(&self, angle: f64) -> f64 {
        match self {
            Kind::Ellipse => 1.0,
            Kind::Polygon(corners) => {
                let sector = TAU / corners;
                (PI / corners).cos() / (angle.rem_euclid(sector) - sector / 2.0).cos()
            }
            Kind::Star(points) => 1.0 + 0.28 * (points * angle).cos(),
            Kind::Blob(waves) => {
                1.0 + waves.iter().zip(2..).map(|(&(size, phase), k)| size * (f64::from(k) * angle + phase).cos()).sum::<f64>()
            }
        }
    }

    /// Area at scale 1: half the integral of the squared radius.
    fn area(&self) -> f64 {
        const PARTS: i32 = 720;
        let sum: f64 = (0..PARTS).map(|i| self.radius((f64::from(i) + 0.5) * TAU / f64::from(PARTS)).powi(2)).sum();
        0.5 * sum * TAU / f64::from(PARTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Place;

    #[test]
    fn areas_are_those_of_the_formulas() {
        assert!((Kind::Ellipse.area() - PI).abs() < 1e-9);
        assert!((Kind::Polygon(4.0).area() - 2.0).abs() < 1e-3);
        assert!((Kind::Star(5.0).area() - PI * (1.0 + 0.28f64.powi(2) / 2.0)).abs() < 1e-9);
    }

    #[test]
    fn areas_and_centres_are_in_their_bounds() {
        for sample in 0..40 {
            let outline = Outline::new(&Stream::new(1, "test.outline", Place { sample, ..Place::default() }));
            // Over more than the picture, so that nothing is cut off.
            let inside =
                (0..400 * 400).filter(|i| outline.contains(f64::from(i % 400) / 200.0 - 0.5, f64::from(i / 400) / 200.0 - 0.5)).count();
            let area = inside as f64 / 40_000.0;
            assert!((0.095..0.355).contains(&area), "{area} {outline:?}");
            assert!(outline.contains(outline.centre.0, outline.centre.1));
        }
    }
}
