//! Values joined along an axis.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// Values joined along an axis that all have.
#[derive(Clone, Debug)]
pub struct Concat {
    /// The axis.
    pub axis: usize,
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        Concat::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        let [first, ..] = operands else { return Err("nothing to join".into()) };
        let rest = |x: &[usize]| super::without(x, self.axis);
        if first.len() <= self.axis || operands.iter().any(|x| x.len() != first.len() || rest(x) != rest(first)) {
            return Err("the other axes differ".into());
        }
        let mut shape = first.to_vec();
        shape[self.axis] = operands.iter().map(|x| x[self.axis]).sum();
        Ok(shape)
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let mut from = 0;
        let operands = at.operands.clone();
        let part = |&operand: &NodeId| {
            let size = at.graph.shape(operand)[self.axis];
            from += size;
            Some(at.graph.add(Arc::new(super::Slice { axis: self.axis, from: from - size, size }), &[at.upstream]))
        };
        operands.iter().map(part).collect()
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::Concat(self.axis)
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        Tensor::from_index(shape, |index| {
            let mut part = index.to_vec();
            for x in operands {
                if part[self.axis] < x.shape[self.axis] {
                    return x.at(&part);
                }
                part[self.axis] -= x.shape[self.axis];
            }
            f64::NAN
        })
    }
}

impl Room for Concat {
    const NAME: &'static str = "concat";
    const MANUAL: &'static str = "`concat(xs, along)` and `stack(xs, as)`: joined along an axis";

    fn samples() -> Vec<Sample> {
        [(vec![vec![2], vec![3]], 0), (vec![vec![2, 3], vec![2, 1], vec![2, 4]], 1), (vec![vec![1, 4, 2]; 3], 0)]
            .map(|(shapes, axis)| Sample {
                op: Arc::new(Concat { axis }),
                operands: shapes.into_iter().map(|shape| (shape, Draws::Signed)).collect(),
            })
            .into()
    }
}
