//! The same elements in another shape.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// The same elements in another shape.
#[derive(Clone, Debug)]
pub struct Reshape {
    /// Sizes of the result.
    pub shape: Shape,
}

impl Op for Reshape {
    fn name(&self) -> &'static str {
        Reshape::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        let [x] = operands else { return Err("one operand".into()) };
        let equal = x.iter().product::<usize>() == self.shape.iter().product();
        if equal { Ok(self.shape.clone()) } else { Err("another number of elements".into()) }
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let shape = at.graph.shape(at.operands[0]).to_vec();
        vec![Some(at.graph.add(Arc::new(Reshape { shape }), &[at.upstream]))]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::Reshape
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        Tensor::new(shape.to_vec(), operands[0].data.clone())
    }
}

impl Room for Reshape {
    const NAME: &'static str = "reshape";
    const MANUAL: &'static str = "splits and merges of neighbouring axes: the same elements in another shape";

    fn samples() -> Vec<Sample> {
        [(vec![6], vec![2, 3]), (vec![2, 3, 4], vec![6, 4]), (vec![1], vec![])]
            .map(|(from, shape)| Sample { op: Arc::new(Reshape { shape }), operands: vec![(from, Draws::Signed)] })
            .into()
    }
}
