//! The sum over axes.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::kernel::Join;
use crate::tensor::Tensor;

/// The sum over axes, which are gone.
#[derive(Clone, Debug)]
pub struct Sum {
    /// The axes, ascending.
    pub over: Vec<usize>,
}

impl Op for Sum {
    fn name(&self) -> &'static str {
        Sum::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        super::reduced(operands, &self.over)
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let shape = at.graph.shape(at.operands[0]).to_vec();
        vec![Some(at.graph.expand(at.upstream, &shape, &super::kept(&shape, &self.over)))]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::Reduce(Join::Sum, self.over.clone())
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        super::fold(operands[0], &self.over, shape, 0.0, |a, b| a + b)
    }
}

impl Room for Sum {
    const NAME: &'static str = "sum";
    const MANUAL: &'static str = "`sum(x, over)`: the sum over axes";

    fn samples() -> Vec<Sample> {
        super::reduction_samples(|over| Arc::new(Sum { over }), Draws::Signed)
    }
}
