//! A random draw: a function of the seed, its name path and its place in the run.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::kernel::Chance;
use crate::rng::{Place, Stream};
use crate::tensor::Tensor;

/// A draw. Its operands are [`crate::build::Leaf::Clock`] and, where every sample has a draw of its own,
/// [`crate::build::Leaf::Samples`]: `[2]` for one sample, `[n, 2]` for n, whose draws lie along a leading axis.
#[derive(Clone, Debug)]
pub struct Random {
    /// What it gives.
    pub chance: Chance,
    /// The name path that keys it.
    pub path: String,
    /// Sizes of one draw.
    pub shape: Shape,
}

/// The number of its parts below 2^16, the lowest first.
fn joined(parts: &[f64]) -> u64 {
    parts.iter().rev().fold(0, |number, part| number << 16 | *part as u64)
}

/// The elements of one draw, row-major; `row` is the size of the last axis.
pub fn elements(stream: &Stream, chance: Chance, count: usize, row: usize) -> Vec<f64> {
    let each = |value: &dyn Fn(u64) -> f64| (0..count as u64).map(value).collect();
    match chance {
        Chance::Normal => each(&|i| stream.normal(i)),
        Chance::Uniform => each(&|i| stream.uniform(i)),
        Chance::Integer(below) => each(&|i| stream.integer(i, below) as f64),
        Chance::Beta(a, b) => each(&|i| stream.beta(i, f64::from_bits(a), f64::from_bits(b))),
        Chance::Permutation => (0..count / row.max(1)).flat_map(|i| stream.permutation(i as u64, row)).map(|i| i as f64).collect(),
    }
}

/// The stream of a draw from the values of its operands: the clock, and the parts of one sample's number.
pub fn stream(path: &str, clock: &[f64], sample: &[f64]) -> Stream {
    let place = Place {
        phase: clock[4] as u16,
        turn: clock[5] as u16,
        step: joined(&clock[6..8]) as u32,
        sample: joined(sample) as u32,
    };
    Stream::new(joined(&clock[..4]), path, place)
}

impl Op for Random {
    fn name(&self) -> &'static str {
        Random::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        match operands {
            [[8]] | [[8], [2]] => Ok(self.shape.clone()),
            [[8], [samples, 2]] => Ok([&[*samples], &self.shape[..]].concat()),
            _ => Err("a draw takes the clock, `[8]`, and perhaps the numbers of the samples, `[2]` or `[n, 2]`".into()),
        }
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        vec![None; at.operands.len()]
    }

    fn derivative(&self) -> Derivative {
        Derivative::None("its operands are places in the run")
    }

    fn form(&self) -> Form {
        Form::Random(self.chance, self.path.clone())
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let clock = &operands[0].data;
        let samples = operands.get(1).map_or(vec![&[][..]], |samples| samples.data.chunks(2).collect());
        let (count, row) = (self.shape.iter().product(), self.shape.last().copied().unwrap_or(1));
        let draw = |sample: &[f64]| elements(&stream(&self.path, clock, sample), self.chance, count, row);
        Tensor::new(shape.to_vec(), samples.into_iter().flat_map(draw).collect())
    }
}

impl Room for Random {
    const NAME: &'static str = "random";
    const MANUAL: &'static str = "a random draw, a function of seed, name path, phase, step, turn and sample";

    fn samples() -> Vec<Sample> {
        let beta = Chance::Beta(0.5f64.to_bits(), 2.5f64.to_bits());
        let cases = [
            (Chance::Normal, vec![5], None),
            (Chance::Normal, vec![2, 3, 3], Some(vec![3, 2])),
            (Chance::Uniform, vec![], Some(vec![2])),
            (Chance::Uniform, vec![7], Some(vec![1, 2])),
            (Chance::Integer(10), vec![4], Some(vec![2, 2])),
            (Chance::Permutation, vec![6], None),
            (Chance::Permutation, vec![3, 5], Some(vec![2, 2])),
            (beta, vec![6], Some(vec![2])),
        ];
        let word = |shape: Shape| (shape, Draws::Whole(1 << 16));
        let sample = |(chance, shape, samples): (Chance, Shape, Option<Shape>)| Sample {
            op: Arc::new(Random { chance, path: "sample.draw".into(), shape }),
            operands: std::iter::once(word(vec![8])).chain(samples.map(word)).collect(),
        };
        cases.map(sample).into()
    }
}
