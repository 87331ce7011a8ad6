//! `grad(y, wrt: x)`: a derivative that `differentiate` expands.

use super::{Backward, Derivative, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// The derivative of the first operand, a scalar, with respect to the second.
#[derive(Clone, Debug)]
pub struct Grad;

impl Op for Grad {
    fn name(&self) -> &'static str {
        Grad::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        match operands {
            [[], x] => Ok(x.to_vec()),
            _ => Err("what is differentiated is not a scalar".into()),
        }
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        vec![None; at.operands.len()]
    }

    fn derivative(&self) -> Derivative {
        Derivative::None("it is expanded first: the derivative of a derivative is that of its ops")
    }

    fn form(&self) -> Form {
        Form::Whole
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        // Expanded before anything runs.
        let _ = operands;
        Tensor::new(shape.to_vec(), vec![f64::NAN; shape.iter().product()])
    }
}

impl Room for Grad {
    const NAME: &'static str = "grad";
    const MANUAL: &'static str = "`grad(y, wrt: x)`: the derivative of a scalar, expanded into ordinary ops";

    fn samples() -> Vec<Sample> {
        Vec::new()
    }
}
