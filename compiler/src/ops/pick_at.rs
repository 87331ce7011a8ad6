//! An index of an axis that is known at run time.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// One index of an axis, given by the second operand, a scalar; the axis is gone.
#[derive(Clone, Debug)]
pub struct PickAt {
    /// The axis.
    pub axis: usize,
}

impl Op for PickAt {
    fn name(&self) -> &'static str {
        PickAt::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        match operands {
            [x, []] if self.axis < x.len() => Ok(super::without(x, self.axis)),
            _ => Err("the index is not a scalar".into()),
        }
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let shape = at.graph.shape(at.operands[0]).to_vec();
        let place = at.graph.add(Arc::new(super::Iota { size: shape[self.axis] }), &[]);
        let place = at.graph.expand(place, &shape, &[self.axis]);
        let index = at.graph.expand(at.operands[1], &shape, &[]);
        let on = at.graph.add(Arc::new(super::Equal), &[place, index]);
        let spread = at.graph.expand(at.upstream, &shape, &super::kept(&shape, &[self.axis]));
        let none = at.graph.number(0.0);
        vec![Some(at.graph.select(on, spread, none)), None]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::PickAt(self.axis)
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let index_of_run = operands[1].data[0].clamp(0.0, operands[0].shape[self.axis] as f64 - 1.0) as usize;
        Tensor::from_index(shape, |index| {
            let mut full = index.to_vec();
            full.insert(self.axis, index_of_run);
            operands[0].at(&full)
        })
    }
}

impl Room for PickAt {
    const NAME: &'static str = "pick_at";
    const MANUAL: &'static str = "`x[axis: i]` with an index of run time";

    fn samples() -> Vec<Sample> {
        [(vec![4], 0), (vec![3, 5, 6], 0), (vec![3, 5], 1)]
            .map(|(from, axis)| Sample {
                operands: vec![(from.clone(), Draws::Signed), (vec![], Draws::Whole(from[axis]))],
                op: Arc::new(PickAt { axis }),
            })
            .into()
    }
}
