//! Models where they are settled, and the time that programs are told.

use segc_compiler::Leaf;
use segc_lang::spec::Spec;

use crate::train::Time;
use crate::train::state::{Kind, State};

/// What terms of settled models read beside the data: weights (the moving average of a weight, where there is one), states, the time.
pub(crate) struct Models<'a> {
    state: &'a State,
    weights: Vec<Option<usize>>,
    averaged: Vec<Option<usize>>,
    buffers: Vec<Option<usize>>,
    time: Time,
}

impl<'a> Models<'a> {
    /// The models of a spec. What the state does not hold is refused where it is read.
    pub fn new(spec: &Spec, state: &'a State, time: Time) -> Models<'a> {
        Models {
            weights: spec.weights.iter().map(|weight| state.settled(&weight.path)).collect(),
            averaged: spec.weights.iter().map(|weight| state.number(Kind::Average, &weight.path)).collect(),
            buffers: spec.buffers.iter().map(|buffer| state.number(Kind::Buffer, &buffer.path)).collect(),
            state,
            time,
        }
    }

    /// The models as a collected data item found them ([`State::keep_collected`]); those that no phase trains are as they are.
    pub fn collected(spec: &Spec, state: &'a State, time: Time, data: &str) -> Models<'a> {
        let of = |kind, path: &str| state.collected(data, kind, path).or_else(|| state.number(kind, path).filter(|_| spec.stays(path)));
        Models {
            weights: spec.weights.iter().map(|weight| of(Kind::Weight, &weight.path)).collect(),
            averaged: vec![None; spec.weights.len()],
            buffers: spec.buffers.iter().map(|buffer| of(Kind::Buffer, &buffer.path)).collect(),
            state,
            time,
        }
    }

    /// The value of a leaf that is no sample's.
    pub fn value(&self, leaf: &Leaf) -> Option<&[f32]> {
        let number = match leaf {
            Leaf::Weight(number) => self.weights.get(*number),
            Leaf::Averaged(number) => self.averaged.get(*number),
            Leaf::Buffer(number) => self.buffers.get(*number),
            Leaf::Clock => return Some(&self.time.clock),
            Leaf::Elapsed(unit) => return Some(self.time.elapsed(*unit)),
            _ => None,
        };
        number.copied().flatten().map(|number| self.state.values(number))
    }
}
