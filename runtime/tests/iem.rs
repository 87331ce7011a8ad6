//! IEM, as `specs/iem.seg` says it, against what the authors' code gives on a synthetic image (128 pixels, sigma 5, lambda 0.001).

use segc_compiler::build::{Leaf, Request};
use segc_lang::params::Overrides;
use segc_lang::source::{LoadError, Loader};
use segc_lang::spec::{Spec, TermId};
use segc_runtime::execute::{Cpu, Device, Executable, Reference};

const SIDE: usize = 128;

struct Specs;

impl Loader for Specs {
    fn load(&self, _: &str, _: &str) -> Result<(String, String), LoadError> {
        Err(LoadError::Missing(Vec::new()))
    }
}

fn spec(variant: &str, sets: &[(&str, &str)]) -> Spec {
    let text = include_str!("../../specs/iem.seg");
    let (modules, faults) = segc_lang::modules::load("specs/iem.seg", text, &Specs);
    assert!(faults.is_empty(), "{faults:?}");
    let overrides = Overrides {
        variants: vec![variant.to_owned()],
        sets: sets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..Overrides::default()
    };
    let (spec, faults) = segc_lang::elaborate::elaborate(&modules, &overrides);
    assert!(faults.is_empty(), "{faults:?}");
    spec.expect("an elaborated spec")
}

/// The image of the fact sheet: background and foreground waves, foreground in a disc.
fn image() -> Vec<f32> {
    let mut image = Vec::new();
    for c in 0..3 {
        for i in 0..SIDE {
            for j in 0..SIDE {
                let (i, j, c) = (i as f64, j as f64, f64::from(c));
                let inside = (i - 60.0).powi(2) + (j - 70.0).powi(2) <= 900.0;
                let back = -0.30 + 0.20 * (0.15 * i + 0.09 * j + c).sin();
                let front = 0.45 + 0.15 * (0.25 * i - 0.20 * j + 0.7 * c).cos();
                image.push(if inside { front } else { back } as f32);
            }
        }
    }
    image
}

struct Steps {
    ready: Box<dyn Executable>,
    image: Vec<f32>,
    mask: Vec<f32>,
}

impl Steps {
    fn new(spec: &Spec, device: &dyn Device, fused: bool) -> Steps {
        let member = &spec.solves[0].members[0];
        let watched = |name: &str| -> (String, TermId) { member.watched.iter().find(|(own, _)| own == name).cloned().expect(name) };
        let roots = [("next m".to_owned(), member.states[0].next), watched("error"), watched("spread")];
        let program = segc_compiler::compile(spec, &roots, &Request::default(), fused).expect("a program");
        let first =
            segc_compiler::compile(spec, &[("m".to_owned(), member.states[0].first)], &Request::default(), fused).expect("a program");
        let first = device.prepare(first).expect("ready");
        let mut scratch = first.scratch();
        first.run(&[], &mut scratch).expect("run");
        Steps { ready: device.prepare(program).expect("ready"), image: image(), mask: scratch.outputs.remove(0) }
    }

    /// One round: error and deviation before it, area after it.
    fn round(&mut self) -> (f32, f32, usize) {
        let mut scratch = self.ready.scratch();
        let inputs: Vec<&[f32]> = self
            .ready
            .program()
            .inputs
            .iter()
            .map(|(leaf, _)| match leaf {
                Leaf::Field(..) => self.image.as_slice(),
                _ => self.mask.as_slice(),
            })
            .collect();
        self.ready.run(&inputs, &mut scratch).expect("run");
        let (error, spread) = (scratch.outputs[1][0], scratch.outputs[2][0]);
        self.mask = scratch.outputs.swap_remove(0);
        (error, spread, self.mask.iter().filter(|m| **m > 0.5).count())
    }
}

fn near(what: &str, ours: f32, theirs: f64, relative: f64) {
    let error = (f64::from(ours) - theirs).abs() / theirs.abs();
    assert!(error < relative, "{what}: {ours} instead of {theirs}");
}

#[test]
fn the_image_is_the_one_of_the_sheet() {
    let image = image();
    near("sum", image.iter().map(|x| f64::from(*x)).sum::<f64>() as f32, -8492.1609, 1e-6);
    near("one value", image[2 * SIDE * SIDE + 60 * SIDE + 70], 0.339391, 1e-5);
}

/// Start, and for some rounds: error before, deviation before, area after.
type Known = (&'static str, [(usize, f64, f64, usize); 7]);

const KNOWN: [Known; 3] = [
    (
        "44/128",
        [
            (0, 1.02342, 2681.654, 2032),
            (1, 1.10354, 2437.697, 2115),
            (2, 1.15310, 2236.178, 2201),
            (5, 1.25868, 1748.482, 2447),
            (10, 1.39006, 1146.412, 2784),
            (20, 1.46429, 973.462, 2861),
            (40, 1.46429, 973.462, 2861),
        ],
    ),
    (
        "78/128",
        [
            (0, 0.66485, 3522.926, 5825),
            (1, 0.69388, 3418.524, 5556),
            (2, 0.72732, 3301.679, 5276),
            (5, 0.85479, 2898.260, 4540),
            (10, 1.06993, 2191.650, 3653),
            (20, 1.42336, 1077.708, 2893),
            (40, 1.46429, 973.462, 2861),
        ],
    ),
    (
        "92/128",
        [
            (0, 0.49469, 4105.774, 8289),
            (1, 0.50475, 4066.695, 8073),
            (2, 0.51732, 4014.617, 7816),
            (5, 0.57053, 3819.971, 6952),
            (10, 0.69929, 3378.239, 5548),
            (20, 1.09955, 2111.034, 3564),
            (40, 1.46429, 973.462, 2861),
        ],
    ),
];

#[test]
fn rounds_are_those_of_the_authors_code() {
    for (start, known) in KNOWN {
        let spec = spec("paper", &[("starts", &format!("[{start}]"))]);
        let mut steps = Steps::new(&spec, &Cpu::default(), true);
        let mut done = 0;
        for (round, error, spread, area) in known {
            let mut last = steps.round();
            done += 1;
            while done <= round {
                last = steps.round();
                done += 1;
            }
            near(&format!("error of {start} in round {round}"), last.0, error, if round == 0 { 5e-5 } else { 5e-4 });
            near(&format!("deviation of {start} in round {round}"), last.1, spread, if round == 0 { 5e-5 } else { 5e-4 });
            assert!(last.2.abs_diff(area) <= 3, "area of {start} in round {round}: {} instead of {area}", last.2);
        }
    }
}

#[test]
fn fixed_points_of_the_ablations() {
    let cases = [("no_deviation", 1.46429, 2861), ("all_pixels", 1.46429, 2861), ("no_smoothing", 1.50493, 2821)];
    for (variant, error, area) in cases {
        let spec = spec(variant, &[("starts", "[78/128]")]);
        let mut steps = Steps::new(&spec, &Cpu::default(), true);
        let last = (0..60).map(|_| steps.round()).last().expect("rounds");
        near(&format!("error of {variant}"), last.0, error, 5e-4);
        assert!(last.2.abs_diff(area) <= 3, "{variant}: {} instead of {area}", last.2);
    }
}

#[test]
fn fused_unfused_and_reference_agree() {
    let spec = spec("released", &[]);
    let mut fused = Steps::new(&spec, &Cpu::default(), true);
    let mut unfused = Steps::new(&spec, &Cpu::default(), false);
    for _ in 0..5 {
        assert_eq!(fused.round(), unfused.round());
        assert_eq!(fused.mask, unfused.mask);
    }
    let mut steps = Steps::new(&spec, &Cpu::default(), true);
    let mut reference = Steps::new(&spec, &Reference, true);
    let (ours, theirs) = (steps.round(), reference.round());
    near("error", ours.0, f64::from(theirs.0), 1e-5);
    near("deviation", ours.1, f64::from(theirs.1), 1e-5);
    assert!(ours.2.abs_diff(theirs.2) <= 3);
}
