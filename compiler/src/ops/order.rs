//! The places of elements from the smallest to the largest.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// Places of the elements along an axis in rising order; equal ones keep their order, NaN comes last.
#[derive(Clone, Debug)]
pub struct Order {
    /// The axis.
    pub axis: usize,
}

impl Op for Order {
    fn name(&self) -> &'static str {
        Order::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        match operands {
            [x] if self.axis < x.len() => Ok(x.to_vec()),
            _ => Err("no such axis".into()),
        }
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        vec![None; at.operands.len()]
    }

    fn derivative(&self) -> Derivative {
        Derivative::None("a place has no slope")
    }

    fn form(&self) -> Form {
        Form::Whole
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let x = operands[0];
        let inner: usize = shape[self.axis + 1..].iter().product();
        let size = shape[self.axis];
        let mut places = vec![0.0; x.data.len()];
        for first in (0..x.data.len()).filter(|at| (at / inner).is_multiple_of(size)) {
            let value = |place: usize| x.data[first + place * inner];
            let mut order: Vec<usize> = (0..size).collect();
            order.sort_by(|&a, &b| (value(a) + 0.0).total_cmp(&(value(b) + 0.0)));
            order.iter().enumerate().for_each(|(rank, &place)| places[first + rank * inner] = place as f64);
        }
        Tensor::new(shape.to_vec(), places)
    }
}

impl Room for Order {
    const NAME: &'static str = "order";
    const MANUAL: &'static str = "`order(x, along)`: places of the elements from the smallest to the largest";

    fn samples() -> Vec<Sample> {
        [(vec![7], 0), (vec![4, 5], 0), (vec![2, 6, 3], 1), (vec![3, 1], 1)]
            .map(|(shape, axis)| Sample { op: Arc::new(Order { axis }), operands: vec![(shape, Draws::Signed)] })
            .into()
    }
}
