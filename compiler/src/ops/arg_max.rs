//! The place of the largest element.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{Graph, NodeId, Shape};
use crate::tensor::Tensor;

/// Place of the first largest element along an axis, which is gone.
#[derive(Clone, Debug)]
pub struct ArgMax {
    /// The axis.
    pub axis: usize,
}

/// Truth where `x` is the first element that equals `extreme`, its maximum or minimum over `over`.
pub(super) fn first_extreme(graph: &mut Graph, x: NodeId, extreme: NodeId, over: &[usize]) -> NodeId {
    let shape = graph.shape(x).to_vec();
    let kept = super::kept(&shape, over);
    let spread = graph.expand(extreme, &shape, &kept);
    let equal = graph.add(Arc::new(super::Equal), &[x, spread]);
    // Row-major number inside the reduced axes, so that ties are broken by the order of the definition.
    let mut number = graph.filled(0.0, &shape);
    for &axis in over {
        let place = graph.add(Arc::new(super::Iota { size: shape[axis] }), &[]);
        let place = graph.expand(place, &shape, &[axis]);
        let before = graph.scaled(number, shape[axis] as f64);
        number = graph.plus(before, place);
    }
    let far = graph.number(f64::INFINITY);
    let candidate = graph.select(equal, number, far);
    let first = graph.add(Arc::new(super::Min { over: over.to_vec() }), &[candidate]);
    let first = graph.expand(first, &shape, &kept);
    graph.add(Arc::new(super::Equal), &[number, first])
}

impl Op for ArgMax {
    fn name(&self) -> &'static str {
        ArgMax::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        super::reduced(operands, &[self.axis])
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        vec![None; at.operands.len()]
    }

    fn derivative(&self) -> Derivative {
        Derivative::None("a place has no slope")
    }

    fn form(&self) -> Form {
        Form::ArgMax(self.axis)
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let [x] = operands else { return Tensor::new(shape.to_vec(), vec![0.0; shape.iter().product()]) };
        Tensor::from_index(shape, |index| {
            let mut full = index.to_vec();
            full.insert(self.axis, 0);
            let mut best = (0, f64::NEG_INFINITY);
            for place in 0..x.shape[self.axis] {
                full[self.axis] = place;
                let value = x.at(&full);
                if value > best.1 {
                    best = (place, value);
                }
            }
            best.0 as f64
        })
    }
}

impl Room for ArgMax {
    const NAME: &'static str = "arg_max";
    const MANUAL: &'static str = "`argmax(x, over)`: place of the first largest element along an axis";

    fn samples() -> Vec<Sample> {
        [(vec![5], 0), (vec![4, 3], 0), (vec![2, 3, 6], 2)]
            .map(|(shape, axis)| Sample { op: Arc::new(ArgMax { axis }), operands: vec![(shape, Draws::Signed)] })
            .into()
    }
}
