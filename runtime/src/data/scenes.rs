//! Generated scenes: one object before a background, with exact masks, made on the fly from the seed.
//!
//! **Hard** scenes, the default: both layers have two-tone textures and all four colours come from one palette, so that colour alone
//! tells little. **Easy** scenes: soft textures, lively objects. Scene number i is the same at every size up to its pixel noise.

use std::sync::Arc;

use segc_lang::spec::{Data, Part, Step};

use super::field::{Field, Values};
use super::outline::Outline;
use super::pipeline::{Cut, Prepared, fixed};
use super::texture::{Colour, Texture, between, hsv};
use super::{DataSet, Skipped};
use crate::outcome::RunError;
use crate::rng::{Place, Stream};

/// Scenes for training.
pub const TRAINING: usize = 10_000;
/// Scenes held out.
pub const HELD_OUT: usize = 500;
/// Deviation of the pixel noise; values are 0 to 1.
const NOISE: f64 = 0.02;

/// The generated data set: `TRAINING` scenes as a whole and for training, the next `HELD_OUT` for validation and test.
#[derive(Clone, Debug)]
pub struct Scenes {
    seed: u64,
    hard: bool,
    /// Width and height of the whole picture.
    photo: (u32, u32),
    /// What is rendered of it: all that the steps before the first random one leave.
    cut: Cut,
    steps: Vec<Step>,
}

/// A scene without size: what is where.
struct Scene {
    outline: Outline,
    object: Texture,
    background: Texture,
    noise: Stream,
}

impl Scenes {
    /// Scenes for a data item. The first resize (or crop) sets the size of the picture; scenes are drawn at the final size, never
    /// resampled.
    ///
    /// # Errors
    /// [`RunError::Data`] if a crop is larger than what it cuts from.
    pub fn new(data: &Data, hard: bool, seed: u64) -> Result<Scenes, RunError> {
        let first = data.steps.iter().find_map(|step| match *step {
            Step::ShorterSide { side, .. }
            | Step::Resize { side, .. }
            | Step::CenterCrop { side }
            | Step::RandomCrop { side }
            | Step::RandomResizedCrop { side, .. } => Some((side, side)),
            Step::SquareCrop | Step::Range { .. } | Step::Normalise { .. } | Step::Flip { .. } | Step::Chunk { .. } | Step::Most { .. } => {
                None
            }
        });
        let (width, height) = first.unwrap_or((data.size.1, data.size.0));
        let fault = |why| RunError::Data(format!("data `{}`, generated scenes: {why}", data.name));
        let after = |cut: Cut, steps: &[Step]| steps.iter().try_fold(cut, |cut, step| cut.after(step)).map_err(fault);
        let (first, rest) = data.steps.split_at(fixed(&data.steps).len());
        let cut = after(Cut::whole(width, height), first)?;
        after(cut, rest)?;
        Ok(Scenes { seed, hard, photo: (width as u32, height as u32), cut, steps: data.steps.clone() })
    }

    fn number(&self, part: Part, index: usize) -> Result<u32, Skipped> {
        if index >= self.len(part) {
            let why = format!("there is no scene {index}: this part has {}", self.len(part));
            return Err(Skipped { file: "scenes".into(), why });
        }
        Ok(match part {
            Part::Whole | Part::Train => index,
            Part::Test => TRAINING + index,
            Part::Valid => TRAINING + HELD_OUT + index,
        } as u32)
    }

    fn scene(&self, number: u32) -> Scene {
        let draw = |path| Stream::new(self.seed, path, Place { sample: number, ..Place::default() });
        let (object, background) = (draw("scenes.object.texture"), draw("scenes.background.texture"));
        let colours = draw("scenes.colours");
        let (texture, [front, back]): (fn(&Stream, _) -> _, _) =
            if self.hard { (Texture::hard, hard_colours(&colours)) } else { (Texture::easy, easy_colours(&colours)) };
        Scene {
            outline: Outline::new(&draw("scenes.outline")),
            object: texture(&object, front),
            background: texture(&background, back),
            noise: draw("scenes.noise"),
        }
    }

    /// The scene over a window: `cut` in pixels of a picture of `photo` pixels; gives three planes in 0..1 and the mask.
    fn render(&self, scene: &Scene, cut: &Cut) -> (Vec<f32>, Vec<f32>) {
        let (width, height) = cut.pixels;
        let (left, top, w, h) = cut.window;
        let x = |i: f64| (left + i * w / width as f64) / f64::from(self.photo.0);
        let y = |i: f64| (top + i * h / height as f64) / f64::from(self.photo.1);
        let plane = width * height;
        let mut image = vec![0.0; 3 * plane];
        let mut paint = |pixel: usize| {
            let (column, row) = ((pixel % width) as f64, (pixel / width) as f64);
            let quarters = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)];
            let inside = quarters.iter().filter(|(dx, dy)| scene.outline.contains(x(column + dx), y(row + dy))).count();
            let cover = inside as f64 / 4.0;
            let (u, v) = (x(column + 0.5), y(row + 0.5));
            let (front, back) = (scene.object.at(u, v), scene.background.at(u, v));
            for channel in 0..3 {
                let place = channel * plane + pixel;
                let clean = cover * front[channel] + (1.0 - cover) * back[channel];
                image[place] = (clean + NOISE * scene.noise.normal(place as u64)).clamp(0.0, 1.0) as f32;
            }
            cover as f32
        };
        let mask = (0..plane).map(&mut paint).collect();
        (image, mask)
    }
}

impl DataSet for Scenes {
    fn len(&self, part: Part) -> usize {
        match part {
            Part::Whole | Part::Train => TRAINING,
            Part::Valid | Part::Test => HELD_OUT,
        }
    }

    fn has(&self, field: &str) -> bool {
        matches!(field, "image" | "label")
    }

    fn steps(&self) -> &[Step] {
        &self.steps
    }

    fn prepared(&self, part: Part, index: usize) -> Result<Arc<Prepared>, Skipped> {
        let number = self.number(part, index)?;
        let (image, mask) = self.render(&self.scene(number), &self.cut);
        let pixels = Some((self.cut.pixels.1, self.cut.pixels.0));
        let field = |values| Field { values: Values::Floats(values), pixels };
        let fields = [("image".to_owned(), field(image)), ("label".to_owned(), field(mask))].into();
        Ok(Arc::new(Prepared { stem: format!("scene-{number:05}"), fields, cut: self.cut, photo: self.photo }))
    }

    fn photo(&self, part: Part, index: usize) -> Result<image::RgbImage, Skipped> {
        let scene = self.scene(self.number(part, index)?);
        let (width, height) = self.photo;
        let (planes, _) = self.render(&scene, &Cut::whole(width as usize, height as usize));
        let plane = (width * height) as usize;
        Ok(image::RgbImage::from_fn(width, height, |x, y| {
            let pixel = (y * width + x) as usize;
            image::Rgb([0, 1, 2].map(|channel| (planes[channel * plane + pixel] * 255.0).round() as u8))
        }))
    }

    fn skipped(&self) -> &[Skipped] {
        &[]
    }
}

/// Colours of object and background from one palette: hue any, saturation and value .2 to 1.
fn hard_colours(draw: &Stream) -> [[Colour; 2]; 2] {
    let colour = |i: u64| hsv(draw.uniform(4 * i), between(draw, 4 * i + 1, 0.2, 1.0), between(draw, 4 * i + 2, 0.2, 1.0));
    [[colour(0), colour(1)], [colour(2), colour(3)]]
}

/// Colours of object and background: the object is the more vivid one, its second colour with odds .3 close to its first.
fn easy_colours(draw: &Stream) -> [[Colour; 2]; 2] {
    let tone = |i: u64, saturation: (f64, f64), value: (f64, f64)| {
        let u = |k| draw.uniform(4 * i + k);
        [u(0), saturation.0 + (saturation.1 - saturation.0) * u(1), value.0 + (value.1 - value.0) * u(2)]
    };
    let lively = ((0.3, 1.0), (0.3, 1.0));
    let quiet = ((0.1, 0.9), (0.15, 0.95));
    let first = tone(0, lively.0, lively.1);
    let second = if draw.uniform(16) < 0.7 { tone(1, lively.0, lively.1) } else { jittered(first, draw) };
    let back = [tone(2, quiet.0, quiet.1), tone(3, quiet.0, quiet.1)];
    let colour = |[hue, saturation, value]: [f64; 3]| hsv(hue, saturation, value);
    [[colour(first), colour(second)], back.map(colour)]
}

fn jittered([hue, saturation, value]: [f64; 3], draw: &Stream) -> [f64; 3] {
    let change = 0.1 + 0.3 * draw.uniform(19);
    let sign = if draw.uniform(20) < 0.5 { -1.0 } else { 1.0 };
    [hue + between(draw, 17, -0.12, 0.12), saturation + between(draw, 18, -0.15, 0.15), value + sign * change]
}

#[cfg(test)]
mod tests {
    use super::*;
    use segc_lang::source::{SourceId, Span};
    use segc_lang::spec::{Filter, Pictures};

    fn scenes(hard: bool, steps: Vec<Step>, side: usize) -> Scenes {
        let data = Data {
            name: "images".into(),
            source: Pictures::Scenes { hard },
            steps,
            size: (side, side),
            span: Span { source: SourceId(0), start: 0, end: 0 },
        };
        Scenes::new(&data, hard, 0).unwrap()
    }

    fn square(side: usize) -> Vec<Step> {
        vec![Step::ShorterSide { side, by: Filter::Nearest }, Step::CenterCrop { side }]
    }

    fn iou(a: impl Fn(usize) -> bool, label: &[f32]) -> f64 {
        let (mut both, mut either) = (0, 0);
        for (pixel, &value) in label.iter().enumerate() {
            let (p, g) = (a(pixel), value > 0.5);
            both += usize::from(p && g);
            either += usize::from(p || g);
        }
        both as f64 / either as f64
    }

    #[test]
    fn baselines_are_those_of_the_recipe() {
        let set = scenes(true, square(32), 32);
        let labels: Vec<Vec<f32>> = (0..HELD_OUT).map(|i| set.sample(Part::Test, i).unwrap().label().unwrap().to_vec()).collect();
        let mean = |mask: &dyn Fn(usize) -> bool| labels.iter().map(|label| iou(mask, label)).sum::<f64>() / labels.len() as f64;
        let full = mean(&|_| true);
        assert!((full - 0.217).abs() < 0.008, "{full}");
        let disc = |radius: f64| mean(&|i: usize| ((i % 32) as f64 - 15.5).hypot((i / 32) as f64 - 15.5) <= radius);
        let best = (6..14).map(|r| disc(f64::from(r))).fold(0.0, f64::max);
        assert!((0.505..0.53).contains(&best), "{best}");
        let border = |label: &&Vec<f32>| (0..32).any(|i| [i, 31 * 32 + i, 32 * i, 32 * i + 31].iter().any(|&p| label[p] > 0.5));
        let touching = labels.iter().filter(border).count();
        assert!((40..70).contains(&touching), "{touching} of 500 touch the border");
    }

    #[test]
    fn a_scene_is_the_same_at_every_size() {
        for hard in [true, false] {
            let (small, large) = (scenes(hard, square(32), 32), scenes(hard, square(96), 96));
            for index in 0..8 {
                let (a, b) = (small.sample(Part::Whole, index).unwrap(), large.sample(Part::Whole, index).unwrap());
                let (label_a, label_b) = (a.label().unwrap(), b.label().unwrap());
                let averaged = |pixel: usize, plane: &[f32]| {
                    let (x, y) = (3 * (pixel % 32), 3 * (pixel / 32));
                    (0..9).map(|k| plane[(y + k / 3) * 96 + x + k % 3]).sum::<f32>() / 9.0
                };
                let mask: f32 = (0..1024).map(|p| (label_a[p] - averaged(p, label_b)).abs()).sum::<f32>() / 1024.0;
                let image: f32 = (0..1024).map(|p| (a.image()[p] - averaged(p, &b.image()[..9216])).abs()).sum::<f32>() / 1024.0;
                assert!(mask < 0.012 && image < 0.06, "{index}: {mask} {image}");
            }
        }
    }

    #[test]
    fn parts_do_not_share_scenes_and_draws_do_not_depend_on_threads() {
        let set = scenes(true, vec![Step::Resize { side: 16, by: Filter::Bilinear }, Step::Range { low: -1.0, high: 1.0 }], 16);
        assert_eq!((set.len(Part::Whole), set.len(Part::Test)), (10_000, 500));
        let first = set.sample(Part::Test, 0).unwrap();
        assert_eq!(first.stem, "scene-10000");
        assert!(first.image().iter().all(|v| (-1.0..=1.0).contains(v)) && first.image().iter().any(|v| *v < 0.0));
        assert_ne!(first.image(), set.sample(Part::Train, 0).unwrap().image());
        assert!(set.sample(Part::Test, 500).unwrap_err().why.contains("500"));
        let images = || (0..20).map(|i| set.sample(Part::Train, i).unwrap().fields).collect::<Vec<_>>();
        let here = images();
        let there = std::thread::scope(|scope| scope.spawn(images).join().unwrap());
        assert_eq!(here, there);
    }

    #[test]
    fn crops_are_windows_of_the_same_picture() {
        let steps = vec![Step::Resize { side: 36, by: Filter::Bilinear }, Step::CenterCrop { side: 32 }];
        let sample = scenes(true, steps, 32).sample(Part::Train, 3).unwrap();
        assert_eq!(sample.frame, super::super::Frame { photo: (36, 36), window: (2.0, 2.0, 32.0, 32.0) });
        let whole = scenes(true, square(36), 36).sample(Part::Train, 3).unwrap();
        let (whole, label) = (whole.label().unwrap(), sample.label().unwrap());
        assert!((0..32 * 32).all(|p| label[p] == whole[(p / 32 + 2) * 36 + p % 32 + 2]));
        let steps = vec![Step::Resize { side: 16, by: Filter::Bilinear }, Step::CenterCrop { side: 32 }];
        let data = Data {
            name: "x".into(),
            source: Pictures::Scenes { hard: true },
            steps,
            size: (32, 32),
            span: Span { source: SourceId(0), start: 0, end: 0 },
        };
        assert!(Scenes::new(&data, true, 0).unwrap_err().to_string().contains("too few"));
    }
}
