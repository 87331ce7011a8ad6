//! Axes in another order.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// Axes in another order.
#[derive(Clone, Debug)]
pub struct Permute {
    /// For each axis of the result the operand's.
    pub order: Vec<usize>,
}

impl Op for Permute {
    fn name(&self) -> &'static str {
        Permute::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        let [x] = operands else { return Err("one operand".into()) };
        let mut sorted = self.order.clone();
        sorted.sort_unstable();
        let fits = sorted.into_iter().eq(0..x.len());
        if fits { Ok(self.order.iter().map(|&axis| x[axis]).collect()) } else { Err("not an order of its axes".into()) }
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let mut order = vec![0; self.order.len()];
        self.order.iter().enumerate().for_each(|(new, &old)| order[old] = new);
        vec![Some(at.graph.add(Arc::new(Permute { order }), &[at.upstream]))]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::Permute(self.order.clone())
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let x = operands[0];
        Tensor::from_index(shape, |index| {
            let mut old = vec![0; index.len()];
            self.order.iter().zip(index).for_each(|(&axis, &i)| old[axis] = i);
            x.at(&old)
        })
    }
}

impl Room for Permute {
    const NAME: &'static str = "permute";
    const MANUAL: &'static str = "axes in another order, where a rename changes the layout";

    fn samples() -> Vec<Sample> {
        [(vec![2, 3], vec![1, 0]), (vec![2, 3, 4], vec![2, 0, 1]), (vec![1, 5], vec![1, 0])]
            .map(|(from, order)| Sample { op: Arc::new(Permute { order }), operands: vec![(from, Draws::Signed)] })
            .into()
    }
}
