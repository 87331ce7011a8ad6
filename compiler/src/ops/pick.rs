//! One index of an axis.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// One index of an axis, which is gone.
#[derive(Clone, Debug)]
pub struct Pick {
    /// The axis.
    pub axis: usize,
    /// The index.
    pub at: usize,
}

impl Op for Pick {
    fn name(&self) -> &'static str {
        Pick::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        match operands {
            [x] if self.axis < x.len() && self.at < x[self.axis] => Ok(super::without(x, self.axis)),
            _ => Err("no such index".into()),
        }
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let whole = at.graph.shape(at.operands[0]).to_vec();
        let mut thin = whole.clone();
        thin[self.axis] = 1;
        let slice = at.graph.add(Arc::new(super::Reshape { shape: thin }), &[at.upstream]);
        vec![Some(at.graph.add(Arc::new(super::Embed { axis: self.axis, from: self.at, size: whole[self.axis] }), &[slice]))]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::Pick(self.axis, self.at)
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        Tensor::from_index(shape, |index| {
            let mut full = index.to_vec();
            full.insert(self.axis, self.at);
            operands[0].at(&full)
        })
    }
}

impl Room for Pick {
    const NAME: &'static str = "pick";
    const MANUAL: &'static str = "`x[axis: 3]`: one index of an axis";

    fn samples() -> Vec<Sample> {
        [(vec![4], 0, 2), (vec![3, 5, 6], 0, 1), (vec![3, 5], 1, 4)]
            .map(|(from, axis, at)| Sample { op: Arc::new(Pick { axis, at }), operands: vec![(from, Draws::Signed)] })
            .into()
    }
}
