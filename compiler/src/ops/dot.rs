//! `dot(a, b, over)`: any batched matrix product.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// A sum of products: axes with equal letters align, letters that the result lacks are summed over.
#[derive(Clone, Debug)]
pub struct Dot {
    /// Letters of the first operand's axes.
    pub a: Vec<u8>,
    /// Letters of the second operand's axes.
    pub b: Vec<u8>,
    /// Letters of the result's axes.
    pub result: Vec<u8>,
}

impl Dot {
    fn sizes(&self, a: &[usize], b: &[usize]) -> Result<std::collections::BTreeMap<u8, usize>, String> {
        let mut sizes = std::collections::BTreeMap::new();
        for (letter, size) in self.a.iter().zip(a).chain(self.b.iter().zip(b)) {
            if sizes.insert(*letter, *size).is_some_and(|known| known != *size) {
                return Err("an axis has two sizes".into());
            }
        }
        Ok(sizes)
    }
}

impl Op for Dot {
    fn name(&self) -> &'static str {
        Dot::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        let [a, b] = operands else { return Err("two operands".into()) };
        if a.len() != self.a.len() || b.len() != self.b.len() {
            return Err("an axis without letter".into());
        }
        let sizes = self.sizes(a, b)?;
        self.result.iter().map(|letter| sizes.get(letter).copied().ok_or("a letter from nowhere".into())).collect()
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let [a, b] = [at.operands[0], at.operands[1]];
        let part = |own: &[u8], other: &[u8], x: NodeId, graph: &mut crate::graph::Graph, shape: Shape| {
            // Along a letter that only this side has the sum runs over it alone: its derivative is the same everywhere.
            let places: Vec<usize> = (0..own.len()).filter(|i| self.result.contains(&own[*i]) || other.contains(&own[*i])).collect();
            let result = places.iter().map(|place| own[*place]).collect();
            let made = graph.add(Arc::new(Dot { a: self.result.clone(), b: other.to_vec(), result }), &[at.upstream, x]);
            graph.expand(made, &shape, &places)
        };
        let [of_a, of_b] = [a, b].map(|x| at.graph.shape(x).to_vec());
        let left = at.wanted[0].then(|| part(&self.a, &self.b, b, at.graph, of_a));
        let right = at.wanted[1].then(|| part(&self.b, &self.a, a, at.graph, of_b));
        vec![left, right]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::Contract(self.a.clone(), self.b.clone(), self.result.clone())
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let [a, b] = operands else { return Tensor::new(shape.to_vec(), Vec::new()) };
        let Ok(sizes) = self.sizes(&a.shape, &b.shape) else { return Tensor::new(shape.to_vec(), Vec::new()) };
        let summed: Vec<u8> = sizes.keys().copied().filter(|letter| !self.result.contains(letter)).collect();
        let extent: Vec<usize> = summed.iter().map(|letter| sizes[letter]).collect();
        Tensor::from_index(shape, |index| {
            let mut total = 0.0;
            for inner in crate::tensor::indices(&extent) {
                let place = |letter: &u8| match self.result.iter().position(|l| l == letter) {
                    Some(axis) => index[axis],
                    None => summed.iter().position(|l| l == letter).map_or(0, |axis| inner[axis]),
                };
                let at = |letters: &[u8], x: &Tensor| x.at(&letters.iter().map(place).collect::<Vec<_>>());
                total += at(&self.a, a) * at(&self.b, b);
            }
            total
        })
    }
}

impl Room for Dot {
    const NAME: &'static str = "dot";
    const MANUAL: &'static str = "`dot(a, b, over)`: shared axes align, those listed are summed over, others stay";

    fn samples() -> Vec<Sample> {
        let cases = [
            (["ij", "jk", "ik"], [vec![3, 4], vec![4, 5]]),
            (["bij", "bkj", "bik"], [vec![2, 3, 4], vec![2, 5, 4]]),
            (["i", "i", ""], [vec![7], vec![7]]),
            (["ij", "jk", "k"], [vec![3, 4], vec![4, 5]]),
            (["ijk", "il", "i"], [vec![2, 3, 1], vec![2, 3]]),
        ];
        let sample = |([a, b, result], shapes): ([&str; 3], [Vec<usize>; 2])| Sample {
            op: Arc::new(Dot { a: a.into(), b: b.into(), result: result.into() }),
            operands: shapes.map(|shape| (shape, Draws::Signed)).into(),
        };
        cases.map(sample).into()
    }
}
