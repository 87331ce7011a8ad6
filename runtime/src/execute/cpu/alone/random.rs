//! Random draws: the same elements as their definition, a block of random words at a time.

use segc_compiler::kernel::Chance;
use segc_compiler::ops::{elements, stream};
use segc_compiler::rng::{Stream, normal_of, uniform_of};

use super::{Hands, Room};

/// A draw, for all samples or for each.
pub(super) struct Random {
    chance: Chance,
    path: String,
    /// Elements of one draw, and of its last axis.
    count: usize,
    row: usize,
}

impl Random {
    pub fn new(chance: Chance, path: String, shapes: &[&[usize]], result: &[usize]) -> Random {
        let draws = match shapes {
            [_, [samples, 2]] => *samples,
            _ => 1,
        };
        let own = if matches!(shapes, [_, [_, 2]]) { &result[1..] } else { result };
        Random { chance, path, count: result.iter().product::<usize>() / draws.max(1), row: own.last().copied().unwrap_or(1) }
    }
}

impl Room for Random {
    fn run(&self, operands: &[&[f32]], result: &mut [f32], hands: &mut Hands) {
        let wide = |values: &[f32]| values.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
        let clock = wide(operands[0]);
        hands.pieces(result, self.count, |number, to| {
            let sample = operands.get(1).map_or(Vec::new(), |samples| wide(&samples[2 * number..2 * number + 2]));
            let stream = stream(&self.path, &clock, &sample);
            match self.chance {
                Chance::Normal => blocks(&stream, to, |words| {
                    let [[a, b], [c, d]] = [normal_of(words[0], words[1]), normal_of(words[2], words[3])];
                    [a, b, c, d]
                }),
                Chance::Uniform => blocks(&stream, to, |words| words.map(uniform_of)),
                chance => {
                    let made = elements(&stream, chance, to.len(), self.row);
                    for (to, x) in to.iter_mut().zip(made) {
                        *to = x as f32;
                    }
                }
            }
        });
    }
}

/// Four elements for each block of four words.
fn blocks(stream: &Stream, to: &mut [f32], made: impl Fn([u32; 4]) -> [f64; 4]) {
    for (number, to) in to.chunks_mut(4).enumerate() {
        for (to, x) in to.iter_mut().zip(made(stream.block(number as u32))) {
            *to = x as f32;
        }
    }
}
