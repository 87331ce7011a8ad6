//! The largest element over axes.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::kernel::Join;
use crate::tensor::Tensor;

/// The largest element over axes, which are gone.
#[derive(Clone, Debug)]
pub struct Max {
    /// The axes, ascending.
    pub over: Vec<usize>,
}

impl Op for Max {
    fn name(&self) -> &'static str {
        Max::NAME
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
        Form::Reduce(Join::Max, self.over.clone())
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        super::fold(operands[0], &self.over, shape, f64::NEG_INFINITY, f64::max)
    }
}

impl Room for Max {
    const NAME: &'static str = "max";
    const MANUAL: &'static str = "`max(x, over)`: the largest element over axes; the first one takes the gradient";

    fn samples() -> Vec<Sample> {
        super::reduction_samples(|over| Arc::new(Max { over }), Draws::Signed)
    }
}
