//! A part of an axis.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// A part of an axis.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The axis.
    pub axis: usize,
    /// Its first index.
    pub from: usize,
    /// How many.
    pub size: usize,
}

impl Op for Slice {
    fn name(&self) -> &'static str {
        Slice::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        match operands {
            [x] if self.axis < x.len() && self.from + self.size <= x[self.axis] => {
                let mut shape = x.to_vec();
                shape[self.axis] = self.size;
                Ok(shape)
            }
            _ => Err("no such part".into()),
        }
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let size = at.graph.shape(at.operands[0])[self.axis];
        vec![Some(at.graph.add(Arc::new(super::Embed { axis: self.axis, from: self.from, size }), &[at.upstream]))]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::Slice(self.axis, self.from)
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        Tensor::from_index(shape, |index| {
            let mut full = index.to_vec();
            full[self.axis] += self.from;
            operands[0].at(&full)
        })
    }
}

impl Room for Slice {
    const NAME: &'static str = "slice";
    const MANUAL: &'static str = "`x[axis: 2..5]`: a part of an axis";

    fn samples() -> Vec<Sample> {
        [(vec![4], 0, 1, 2), (vec![3, 5, 6], 1, 2, 3), (vec![3, 5], 1, 0, 5)]
            .map(|(shape, axis, from, size)| Sample { op: Arc::new(Slice { axis, from, size }), operands: vec![(shape, Draws::Signed)] })
            .into()
    }
}
