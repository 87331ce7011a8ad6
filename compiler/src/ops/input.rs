//! A value from outside: a field of a sample, a state, a solved value.

use super::{Backward, Derivative, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// A value from outside, by number in [`crate::Graph::leaves`].
#[derive(Clone, Debug)]
pub struct Input {
    /// Its number.
    pub number: usize,
    /// Its sizes.
    pub shape: Shape,
}

impl Op for Input {
    fn name(&self) -> &'static str {
        Input::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        match operands {
            [] => Ok(self.shape.clone()),
            _ => Err("an input has no operands".into()),
        }
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        vec![None; at.operands.len()]
    }

    fn derivative(&self) -> Derivative {
        Derivative::None("it has no operands")
    }

    fn form(&self) -> Form {
        Form::Input(self.number)
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        // Executors bind inputs before they evaluate; without a value an input is zero.
        let _ = operands;
        Tensor::new(shape.to_vec(), vec![0.0; shape.iter().product()])
    }
}

impl Room for Input {
    const NAME: &'static str = "input";
    const MANUAL: &'static str = "a value from outside the program";

    fn samples() -> Vec<Sample> {
        Vec::new()
    }
}
