//! Values added up at places of run time: the adjoint of `gather`.

use std::sync::Arc;

use super::gather::{CASES, meant};
use super::{Backward, Derivative, Draws, Form, Gather, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// `x: [b.., m.., r..]` and `i: [b.., m..]` to `[b.., k, r..]`: each element is added at its index, in row-major order of the index.
/// An index is rounded down; one outside of the axis means its nearest end.
#[derive(Clone, Debug)]
pub struct Scatter {
    /// Leading axes that both have.
    pub batch: usize,
    /// Size of the new axis.
    pub size: usize,
}

impl Op for Scatter {
    fn name(&self) -> &'static str {
        Scatter::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        let [x, index] = operands else { return Err("a value and an index".into()) };
        if index.len() < self.batch || !x.starts_with(index) {
            return Err(format!("{x:?} does not begin with the axes {index:?} of the index"));
        }
        if self.size == 0 {
            return Err("an axis without elements takes none".into());
        }
        Ok([&x[..self.batch], &[self.size], &x[index.len()..]].concat())
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        vec![Some(at.graph.add(Arc::new(Gather { batch: self.batch }), &[at.upstream, at.operands[1]])), None]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::Scatter(self.batch)
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let mut result = Tensor::new(shape.to_vec(), vec![0.0; shape.iter().product()]);
        let [x, i] = operands else { return result };
        for (index, value) in crate::tensor::indices(&x.shape).zip(&x.data) {
            let (own, rest) = index.split_at(i.shape.len());
            let place = [&own[..self.batch], &[meant(i.at(own), self.size)], rest].concat();
            result.data[crate::tensor::offset(shape, &place)] += value;
        }
        result
    }
}

impl Room for Scatter {
    const NAME: &'static str = "scatter";
    const MANUAL: &'static str = "values added up at places of run time; the gradient of `x[axis: i]` and of `max_pool`";

    fn samples() -> Vec<Sample> {
        let sample = |(x, index, batch): (&[usize], &[usize], usize)| Sample {
            op: Arc::new(Scatter { batch, size: x[batch] }),
            operands: vec![([index, &x[batch + 1..]].concat(), Draws::Signed), (index.to_vec(), Draws::Whole(x[batch] + 1))],
        };
        CASES.map(sample).into()
    }
}
