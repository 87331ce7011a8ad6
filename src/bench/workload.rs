//! What is measured.

use std::time::{Duration, Instant};

use segc_lang::params::Overrides;
use segc_runtime::session::{On, Options};
use segc_runtime::train::{cost, timing};

use super::{Measured, kernels, solving};
use crate::compiled::Moments;
use crate::console;
use crate::shipped::{self, PERTURBGAN, REDO};

/// Something that is measured.
pub struct Workload {
    /// `W2`.
    pub name: &'static str,
    /// In a few words.
    pub what: &'static str,
    /// Whether arithmetic is its limit, or traffic.
    pub bound: Bound,
    /// Steps before the clock starts, and steps that are timed. Where something comes every eighth step they are multiples of eight.
    pub steps: (usize, usize),
    kind: Kind,
}

/// What a workload's ceiling is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Arithmetic,
    Traffic,
}

enum Kind {
    /// Steps of a phase.
    Training {
        name: &'static str,
        text: &'static str,
        variants: &'static [&'static str],
        sets: &'static [(&'static str, &'static str)],
        phase: &'static str,
    },
    /// Steps of a `solve` of IEM, for many images.
    Solving { images: usize },
    /// A large product of matrices and a large copy.
    Ceiling,
    /// Convolutions with both gradients.
    Convolutions,
    /// Chains of element-wise ops, norms.
    Streams,
}

const MOVE: &str = include_str!("../../benches/move.seg");
const UNET: &str = include_str!("../../benches/unet.seg");

/// All of them.
pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "W1",
        what: "IEM: one step of 32 masks; 128 px",
        bound: Bound::Arithmetic,
        steps: (2, 6),
        kind: Kind::Solving { images: 32 },
    },
    Workload {
        name: "W2",
        what: "PerturbGAN, default: critic, R1 every eighth step, generators, averages; 32 px, batch 16",
        bound: Bound::Arithmetic,
        steps: (8, 16),
        kind: Kind::Training { name: "perturbgan", text: PERTURBGAN, variants: &[], sets: &[], phase: "grow[32]" },
    },
    Workload {
        name: "W3",
        what: "PerturbGAN, published networks while 64 px fade in: critic with gradient penalty, generators; batch 4",
        bound: Bound::Arithmetic,
        steps: (1, 2),
        kind: Kind::Training {
            name: "perturbgan",
            text: PERTURBGAN,
            variants: &["paper"],
            sets: &[("resolution", "64"), ("batch_n", "4"), ("chunks", "0")],
            phase: "grow[64]",
        },
    },
    Workload {
        name: "W4",
        what: "ReDO, published networks (base 32): generators, discriminator; 128 px, batch 2",
        bound: Bound::Arithmetic,
        steps: (1, 2),
        kind: Kind::Training { name: "redo", text: REDO, variants: &["flowers"], sets: &[("batch_n", "2")], phase: "redraw" },
    },
    Workload {
        name: "W5",
        what: "MOVE's segmenter over features of a ViT-S/8: one update; 224 px, batch 2",
        bound: Bound::Arithmetic,
        steps: (1, 2),
        kind: Kind::Training { name: "move", text: MOVE, variants: &[], sets: &[], phase: "learn" },
    },
    Workload {
        name: "W6",
        what: "U-Net segmenter: one update; 64 px, batch 16",
        bound: Bound::Arithmetic,
        steps: (4, 8),
        kind: Kind::Training { name: "unet", text: UNET, variants: &[], sets: &[], phase: "learn" },
    },
    Workload {
        name: "W7",
        what: "convolution with both gradients, twenty sizes",
        bound: Bound::Arithmetic,
        steps: (1, 1),
        kind: Kind::Convolutions,
    },
    Workload { name: "W8", what: "element-wise chains and norms, 16 MB each", bound: Bound::Traffic, steps: (1, 1), kind: Kind::Streams },
];

/// What a card reaches at most; it is no workload of its own.
pub const CEILING: Workload =
    Workload { name: "ceiling", what: "a large product and a large copy", bound: Bound::Arithmetic, steps: (1, 1), kind: Kind::Ceiling };

impl Workload {
    /// Measures it in this process, a training with other params. Errors in words.
    pub fn measure(&self, steps: (usize, usize), on: On, threads: usize, other: &[(String, String)]) -> Result<Measured, String> {
        match &self.kind {
            Kind::Training { name, text, variants, sets, phase } => {
                let sets = sets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).chain(other.iter().cloned());
                training(name, text, variants, sets.collect(), phase, steps, Options { on, ..Options::plain(threads) })
            }
            Kind::Solving { images } => match on {
                On::Cuda(cuda) => solving::on_card(*images, cuda),
                _ => solving::steps(*images, steps, threads),
            },
            Kind::Ceiling => kernels::ceiling(on, threads),
            Kind::Convolutions => kernels::convolutions(on, threads),
            Kind::Streams => kernels::streams(on, threads),
        }
    }
}

fn training(
    name: &str,
    text: &str,
    variants: &[&str],
    sets: Vec<(String, String)>,
    phase: &str,
    (warm, steps): (usize, usize),
    options: Options,
) -> Result<Measured, String> {
    let begin = Instant::now();
    let overrides = Overrides { variants: variants.iter().map(ToString::to_string).collect(), sets, ..Overrides::default() };
    let (checked, end) = shipped::compiled(name, text, &overrides)?;
    let number = end.phases.iter().position(|own| own.name == phase).ok_or_else(|| format!("{name} has no phase {phase}"))?;
    let moments = Moments { checked: &checked, overrides };
    let timing = timing::steps(&end, &moments, &options, number, (warm, steps)).map_err(|error| error.to_string())?;
    // Before anything else takes memory.
    let mb = console::peak_memory().map_or(0.0, |bytes| bytes as f64 / 1e6);
    let elaborated = begin.elapsed() - timing.ready - timing.steps.iter().sum::<Duration>();
    let cost = cost::of_phase(&moments, &options, number).map_err(|error| error.to_string())?;
    let (flop, bytes) = cost.step();
    let total: Duration = timing.steps[warm..].iter().sum();
    let ms = |time: Duration| 1e3 * time.as_secs_f64();
    Ok(Measured {
        ms: ms(total) / steps as f64,
        first_ms: ms(elaborated + timing.ready + timing.steps[0]),
        compile_ms: ms(timing.compiled),
        flop,
        bytes,
        mb,
        ..Measured::default()
    })
}
