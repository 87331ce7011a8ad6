//! A number.

use super::{Backward, Derivative, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// A number, kept by its bits so that equal numbers are equal nodes.
#[derive(Clone, Debug)]
pub struct Constant {
    bits: u64,
}

impl Constant {
    /// The node of a number.
    pub fn new(value: f64) -> Constant {
        Constant { bits: value.to_bits() }
    }

    /// The number.
    pub fn value(&self) -> f64 {
        f64::from_bits(self.bits)
    }
}

impl Op for Constant {
    fn name(&self) -> &'static str {
        Constant::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        match operands {
            [] => Ok(Shape::new()),
            _ => Err("a constant has no operands".into()),
        }
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        vec![None; at.operands.len()]
    }

    fn derivative(&self) -> Derivative {
        Derivative::None("it has no operands")
    }

    fn form(&self) -> Form {
        Form::Constant(self.value())
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let _ = operands;
        Tensor::new(shape.to_vec(), vec![self.value()])
    }
}

impl Room for Constant {
    const NAME: &'static str = "constant";
    const MANUAL: &'static str = "a number";

    fn samples() -> Vec<Sample> {
        [0.0, -1.5].map(|value| Sample { op: std::sync::Arc::new(Constant::new(value)), operands: Vec::new() }).into()
    }
}
