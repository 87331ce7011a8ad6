//! `translate(x, right, down)` by whole pixels that are known at run time.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// `x: [b.., r.., h, w]` moved by `right: [b..]` and `down: [b..]`, which are rounded to whole pixels; zeros come in. There is a
/// derivative for x only.
#[derive(Clone, Debug)]
pub struct Shift {
    /// Leading axes along which the moves differ.
    pub batch: usize,
}

impl Op for Shift {
    fn name(&self) -> &'static str {
        Shift::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        let [x, right, down] = operands else { return Err("a picture and two moves".into()) };
        if x.len() < self.batch + 2 {
            return Err("a picture has rows and columns".into());
        }
        if *right != &x[..self.batch] || *down != &x[..self.batch] {
            return Err(format!("the moves {right:?} and {down:?} do not have the first {} axes of {x:?}", self.batch));
        }
        Ok(x.to_vec())
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let back = [1, 2].map(|i| at.graph.negated(at.operands[i]));
        vec![Some(at.graph.add(Arc::new(self.clone()), &[at.upstream, back[0], back[1]])), None, None]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::Shift(self.batch)
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let [x, right, down] = operands else { return Tensor::new(shape.to_vec(), Vec::new()) };
        let last = shape.len() - 1;
        Tensor::from_index(shape, |index| {
            let own = &index[..self.batch];
            let source = |axis: usize, by: &Tensor| {
                let from = index[axis] as f64 - by.at(own).round();
                (from >= 0.0 && from < shape[axis] as f64).then_some(from as usize)
            };
            match (source(last - 1, down), source(last, right)) {
                (Some(row), Some(column)) => x.at(&[&index[..last - 1], &[row, column]].concat()),
                _ => 0.0,
            }
        })
    }
}

impl Room for Shift {
    const NAME: &'static str = "shift";
    const MANUAL: &'static str = "`translate(x, right, down)` by whole pixels that are known at run time; zeros come in";

    fn samples() -> Vec<Sample> {
        let cases = [(vec![4, 5], 0), (vec![3, 4, 5], 1), (vec![2, 3, 6, 1], 1), (vec![2, 2, 1, 3, 7], 2)];
        let sample = |(shape, batch): (Shape, usize)| {
            let moves = (shape[..batch].to_vec(), Draws::Whole(4));
            Sample { op: Arc::new(Shift { batch }), operands: vec![(shape, Draws::Signed), moves.clone(), moves] }
        };
        cases.map(sample).into()
    }
}
