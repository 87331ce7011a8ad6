//! A part put into a longer axis of zeros: the adjoint of `slice`.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// A part of an axis, zeros around it.
#[derive(Clone, Debug)]
pub struct Embed {
    /// The axis.
    pub axis: usize,
    /// Where the part begins.
    pub from: usize,
    /// Size of the axis.
    pub size: usize,
}

impl Op for Embed {
    fn name(&self) -> &'static str {
        Embed::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        match operands {
            [x] if self.axis < x.len() && self.from + x[self.axis] <= self.size => {
                let mut shape = x.to_vec();
                shape[self.axis] = self.size;
                Ok(shape)
            }
            _ => Err("the part does not fit".into()),
        }
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let size = at.graph.shape(at.operands[0])[self.axis];
        vec![Some(at.graph.add(Arc::new(super::Slice { axis: self.axis, from: self.from, size }), &[at.upstream]))]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::Embed(self.axis, self.from)
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let x = operands[0];
        Tensor::from_index(shape, |index| {
            let mut part = index.to_vec();
            match part[self.axis].checked_sub(self.from) {
                Some(place) if place < x.shape[self.axis] => {
                    part[self.axis] = place;
                    x.at(&part)
                }
                _ => 0.0,
            }
        })
    }
}

impl Room for Embed {
    const NAME: &'static str = "embed";
    const MANUAL: &'static str = "a part put into a longer axis of zeros";

    fn samples() -> Vec<Sample> {
        [(vec![2], 0, 1, 5), (vec![3, 5], 0, 0, 4), (vec![3, 2], 1, 3, 5)]
            .map(|(shape, axis, from, size)| Sample { op: Arc::new(Embed { axis, from, size }), operands: vec![(shape, Draws::Signed)] })
            .into()
    }
}
