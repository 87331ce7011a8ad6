//! `index(axis: n)`.

use super::{Backward, Derivative, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// 0, 1, .., size - 1.
#[derive(Clone, Debug)]
pub struct Iota {
    /// How many.
    pub size: usize,
}

impl Op for Iota {
    fn name(&self) -> &'static str {
        Iota::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        match operands {
            [] => Ok(vec![self.size]),
            _ => Err("an index has no operands".into()),
        }
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        vec![None; at.operands.len()]
    }

    fn derivative(&self) -> Derivative {
        Derivative::None("it has no operands")
    }

    fn form(&self) -> Form {
        Form::Whole
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let _ = operands;
        Tensor::new(shape.to_vec(), (0..self.size).map(|i| i as f64).collect())
    }
}

impl Room for Iota {
    const NAME: &'static str = "iota";
    const MANUAL: &'static str = "`index(axis: n)`: 0, 1, .., n - 1";

    fn samples() -> Vec<Sample> {
        [1, 6].map(|size| Sample { op: std::sync::Arc::new(Iota { size }), operands: Vec::new() }).into()
    }
}
