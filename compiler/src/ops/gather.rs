//! `x[axis: i]` with an index of run time that has axes.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample, Scatter};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// `x: [b.., k, r..]` and `i: [b.., m..]` to `[b.., m.., r..]`: elements `i` of the axis behind the first `batch` ones. An index is
/// rounded down; one outside of the axis means its nearest end.
#[derive(Clone, Debug)]
pub struct Gather {
    /// Leading axes that both have.
    pub batch: usize,
}

/// The place that an index means on an axis of `size`.
pub(super) fn meant(index: f64, size: usize) -> usize {
    index.clamp(0.0, size as f64 - 1.0) as usize
}

/// Sizes of operands on which `gather` and `scatter` are tested: those of x, of the index, the number of leading axes.
pub(super) const CASES: [(&[usize], &[usize], usize); 6] = [
    (&[5], &[4], 0),
    (&[5, 3], &[2, 2], 0),
    (&[2, 4, 3], &[2, 5], 1),
    (&[2, 3, 6], &[2, 3], 2),
    (&[1, 7], &[1, 3, 1], 1),
    (&[3, 1, 2], &[3, 4], 1),
];

impl Op for Gather {
    fn name(&self) -> &'static str {
        Gather::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        let [x, index] = operands else { return Err("a value and an index".into()) };
        if x.len() <= self.batch || index.len() < self.batch || x[..self.batch] != index[..self.batch] {
            return Err(format!("the first {} axes of {x:?} and the index {index:?} differ", self.batch));
        }
        if x[self.batch] == 0 {
            return Err("an axis without elements has none to take".into());
        }
        Ok([index, &x[self.batch + 1..]].concat())
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let size = at.graph.shape(at.operands[0])[self.batch];
        vec![Some(at.graph.add(Arc::new(Scatter { batch: self.batch, size }), &[at.upstream, at.operands[1]])), None]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::Gather(self.batch)
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let [x, i] = operands else { return Tensor::new(shape.to_vec(), Vec::new()) };
        Tensor::from_index(shape, |index| {
            let (own, rest) = index.split_at(i.shape.len());
            let place = meant(i.at(own), x.shape[self.batch]);
            x.at(&[&own[..self.batch], &[place], rest].concat())
        })
    }
}

impl Room for Gather {
    const NAME: &'static str = "gather";
    const MANUAL: &'static str = "`x[axis: i]` with an index that has axes: an index outside means the nearest end";

    fn samples() -> Vec<Sample> {
        let sample = |(x, index, batch): (&[usize], &[usize], usize)| Sample {
            op: Arc::new(Gather { batch }),
            operands: vec![(x.to_vec(), Draws::Signed), (index.to_vec(), Draws::Whole(x[batch] + 1))],
        };
        CASES.map(sample).into()
    }
}
