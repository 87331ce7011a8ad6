//! A weighted sum of moved copies over the last two axes; one tap is `translate` by whole pixels.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::kernel::Tap;
use crate::tensor::Tensor;

/// A weighted sum of moved copies over the last two axes, zero outside.
#[derive(Clone, Debug)]
pub struct Stencil {
    /// The copies.
    pub taps: Vec<Tap>,
}

impl Op for Stencil {
    fn name(&self) -> &'static str {
        Stencil::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        match operands {
            [x] if x.len() >= 2 => Ok(x.to_vec()),
            _ => Err("a picture has rows and columns".into()),
        }
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let taps = self.taps.iter().map(|tap| Tap { down: -tap.down, right: -tap.right, ..*tap }).collect();
        vec![Some(at.graph.add(Arc::new(Stencil { taps }), &[at.upstream]))]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::Stencil(self.taps.clone())
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let x = operands[0];
        let [.., rows, columns] = shape else { return x.clone() };
        let inside = |place: usize, by: isize, size: usize| place.checked_add_signed(-by).filter(|place| *place < size);
        Tensor::from_index(shape, |index| {
            let mut from = index.to_vec();
            let last = index.len() - 1;
            let tap = |tap: &Tap| {
                let (Some(row), Some(column)) = (inside(index[last - 1], tap.down, *rows), inside(index[last], tap.right, *columns)) else {
                    return 0.0;
                };
                (from[last - 1], from[last]) = (row, column);
                tap.weight * x.at(&from)
            };
            self.taps.iter().map(tap).sum()
        })
    }
}

impl Room for Stencil {
    const NAME: &'static str = "stencil";
    const MANUAL: &'static str = "`translate(x, right, down)` by whole pixels, and weighted sums of such; zeros come in";

    fn samples() -> Vec<Sample> {
        let tap = |down, right, weight| Tap { down, right, weight };
        let cases = [
            vec![tap(0, 3, 1.0)],
            vec![tap(-2, 1, 1.0)],
            (-2..3).map(|k| tap(k, 0, 0.1 * (k as f64 + 3.0))).collect(),
            (-3..4).map(|k| tap(0, k, 0.3 - 0.1 * k as f64)).collect(),
            vec![tap(1, 0, -1.0), tap(-1, 0, -1.0), tap(0, 0, 4.0), tap(0, 1, -1.0), tap(0, -1, -1.0)],
            vec![tap(9, 0, 2.0)],
        ];
        let shapes = [vec![4, 5], vec![3, 7, 40], vec![1, 1], vec![2, 2, 6, 33]];
        let sample = |taps: &Vec<Tap>, shape: &Shape| Sample {
            op: Arc::new(Stencil { taps: taps.clone() }),
            operands: vec![(shape.clone(), Draws::Signed)],
        };
        shapes.iter().flat_map(|shape| cases.iter().map(move |taps| sample(taps, shape))).collect()
    }
}
