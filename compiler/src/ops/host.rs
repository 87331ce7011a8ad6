//! An algorithm of the host, for evaluation.

use super::{Backward, Derivative, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// An algorithm of the host.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name.
    pub algorithm: String,
    /// Bits of its compile-time numbers.
    pub numbers: Vec<u64>,
    /// Sizes of its result.
    pub shape: Shape,
}

impl Op for Host {
    fn name(&self) -> &'static str {
        Host::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        let _ = operands;
        Ok(self.shape.clone())
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        vec![None; at.operands.len()]
    }

    fn derivative(&self) -> Derivative {
        Derivative::None("algorithms of the host have no derivative")
    }

    fn form(&self) -> Form {
        Form::Host(self.algorithm.clone(), self.numbers.iter().map(|bits| f64::from_bits(*bits)).collect())
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        // Executors call the algorithm; the definition lives with the host.
        let _ = operands;
        Tensor::new(shape.to_vec(), vec![f64::NAN; shape.iter().product()])
    }
}

impl Room for Host {
    const NAME: &'static str = "host";
    const MANUAL: &'static str = "an algorithm of the host, for evaluation only";

    fn samples() -> Vec<Sample> {
        Vec::new()
    }
}
