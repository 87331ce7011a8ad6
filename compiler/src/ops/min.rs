//! The smallest element over axes.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::kernel::Join;
use crate::tensor::Tensor;

/// The smallest element over axes, which are gone.
#[derive(Clone, Debug)]
pub struct Min {
    /// The axes, ascending.
    pub over: Vec<usize>,
}

impl Op for Min {
    fn name(&self) -> &'static str {
        Min::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        super::reduced(operands, &self.over)
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let first = super::arg_max::first_extreme(at.graph, at.operands[0], at.node, &self.over);
        let shape = at.graph.shape(at.operands[0]).to_vec();
        let spread = at.graph.expand(at.upstream, &shape, &super::kept(&shape, &self.over));
        let none = at.graph.number(0.0);
        vec![Some(at.graph.select(first, spread, none))]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::Reduce(Join::Min, self.over.clone())
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        super::fold(operands[0], &self.over, shape, f64::INFINITY, f64::min)
    }
}

impl Room for Min {
    const NAME: &'static str = "min";
    const MANUAL: &'static str = "`min(x, over)`: the smallest element over axes; the first one takes the gradient";

    fn samples() -> Vec<Sample> {
        super::reduction_samples(|over| Arc::new(Min { over }), Draws::Signed)
    }
}
