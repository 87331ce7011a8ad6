//! Where the largest pixel of a window stands.

use std::sync::Arc;

use super::max_pool::{pooled, pools, winner};
use super::{Backward, Derivative, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::kernel::Window;
use crate::tensor::Tensor;

/// For each window over the last two axes `row * width + column` of its first largest pixel.
#[derive(Clone, Debug)]
pub struct MaxPoolPlace {
    /// The windows.
    pub window: Window,
}

impl Op for MaxPoolPlace {
    fn name(&self) -> &'static str {
        MaxPoolPlace::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        pooled(&self.window, operands)
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        vec![None; at.operands.len()]
    }

    fn derivative(&self) -> Derivative {
        Derivative::None("a place has no slope")
    }

    fn form(&self) -> Form {
        Form::MaxPool { window: self.window, place: true }
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let x = operands[0];
        let width = x.shape[x.shape.len() - 1];
        Tensor::from_index(shape, |index| match winner(&self.window, x, index)[..] {
            [.., row, column] => (row * width + column) as f64,
            _ => f64::NAN,
        })
    }
}

impl Room for MaxPoolPlace {
    const NAME: &'static str = "max_pool_place";
    const MANUAL: &'static str = "where the largest pixel of a window stands; the gradient of `max_pool` goes there";

    fn samples() -> Vec<Sample> {
        pools(|window| Arc::new(MaxPoolPlace { window }))
    }
}
