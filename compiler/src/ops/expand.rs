//! A value repeated along new axes.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// A value repeated along new axes.
#[derive(Clone, Debug)]
pub struct Expand {
    /// Sizes of the result.
    pub shape: Shape,
    /// Where each axis of the operand stands in the result, ascending.
    pub places: Vec<usize>,
}

impl Op for Expand {
    fn name(&self) -> &'static str {
        Expand::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        let [x] = operands else { return Err("one operand".into()) };
        let fits = x.len() == self.places.len()
            && self.places.windows(2).all(|pair| pair[0] < pair[1])
            && x.iter().zip(&self.places).all(|(size, place)| self.shape.get(*place) == Some(size));
        if fits { Ok(self.shape.clone()) } else { Err("the axes do not stand in the result".into()) }
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let over: Vec<usize> = (0..self.shape.len()).filter(|axis| !self.places.contains(axis)).collect();
        vec![Some(at.graph.sum(at.upstream, &over))]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::Expand(self.places.clone())
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let x = operands[0];
        Tensor::from_index(shape, |index| x.at(&self.places.iter().map(|&place| index[place]).collect::<Vec<_>>()))
    }
}

impl Room for Expand {
    const NAME: &'static str = "expand";
    const MANUAL: &'static str = "`spread(x, axis: n)`, and every broadcast: repeated along new axes";

    fn samples() -> Vec<Sample> {
        let cases: [(&[usize], &[usize], &[usize]); 5] =
            [(&[], &[], &[]), (&[], &[3], &[]), (&[4, 5], &[3, 4, 5], &[1, 2]), (&[3], &[3, 4, 5], &[0]), (&[4], &[3, 4, 2], &[1])];
        let sample = |(x, shape, places): (&[usize], &[usize], &[usize])| Sample {
            op: Arc::new(Expand { shape: shape.to_vec(), places: places.to_vec() }),
            operands: vec![(x.to_vec(), Draws::Signed)],
        };
        cases.map(sample).into()
    }
}
