//! `stop(x)`.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// The value, without gradient.
#[derive(Clone, Debug)]
pub struct Stop;

impl Op for Stop {
    fn name(&self) -> &'static str {
        Stop::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        super::same(operands)
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        vec![None; at.operands.len()]
    }

    fn derivative(&self) -> Derivative {
        Derivative::None("it cuts the gradient")
    }

    fn form(&self) -> Form {
        Form::Reshape
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        Tensor::new(shape.to_vec(), operands[0].data.clone())
    }
}

impl Room for Stop {
    const NAME: &'static str = "stop";
    const MANUAL: &'static str = "`stop(x)`: the value, without gradient";

    fn samples() -> Vec<Sample> {
        vec![Sample { op: Arc::new(Stop), operands: vec![(vec![3, 4], Draws::Signed)] }]
    }
}
