//! Orthogonal first values of weights.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::tensor::Tensor;

/// `[n, m]`: the rows made orthogonal and of length one, one after the other, or the columns where there are fewer. It is the factor Q
/// of the decomposition QR whose R has a positive diagonal (Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of
/// learning in deep linear neural networks", 2014).
#[derive(Clone, Debug)]
pub struct Orthonormal;

/// Gram and Schmidt, each vector against the former ones twice, which keeps them orthogonal to the last digits.
fn made(mut vectors: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for at in 0..vectors.len() {
        let (former, rest) = vectors.split_at_mut(at);
        let own = &mut rest[0];
        for other in former.iter().chain(former.iter()) {
            let along = product(own, other);
            own.iter_mut().zip(other).for_each(|(x, y)| *x -= along * y);
        }
        let length = product(own, own).sqrt();
        own.iter_mut().for_each(|x| *x /= length);
    }
    vectors
}

impl Op for Orthonormal {
    fn name(&self) -> &'static str {
        Orthonormal::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        match operands {
            [[rows, columns]] => Ok(vec![*rows, *columns]),
            _ => Err("a matrix has rows and columns".into()),
        }
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        vec![None; at.operands.len()]
    }

    fn derivative(&self) -> Derivative {
        Derivative::None("it makes first values only")
    }

    fn form(&self) -> Form {
        Form::Whole
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let [rows, columns] = *shape else { return operands[0].clone() };
        let wide = rows <= columns;
        let (count, length) = if wide { (rows, columns) } else { (columns, rows) };
        let place = |vector: usize, element: usize| if wide { [vector, element] } else { [element, vector] };
        let vectors = (0..count).map(|v| (0..length).map(|e| operands[0].at(&place(v, e))).collect()).collect();
        let vectors = made(vectors);
        Tensor::from_index(shape, |index| if wide { vectors[index[0]][index[1]] } else { vectors[index[1]][index[0]] })
    }
}

impl Room for Orthonormal {
    const NAME: &'static str = "orthonormal";
    const MANUAL: &'static str = "rows, or columns where there are fewer, made orthogonal and of length one: `~ orthogonal`";

    fn samples() -> Vec<Sample> {
        [vec![3, 5], vec![6, 2], vec![1, 1], vec![4, 4]]
            .map(|shape| Sample { op: Arc::new(Orthonormal), operands: vec![(shape, Draws::Signed)] })
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_orthogonal_and_the_first_keeps_its_direction() {
        let x = Tensor::from_index(&[4, 7], |index| (1.0 + 7.0 * index[0] as f64 + 2.0 * index[1] as f64).sin());
        let q = Orthonormal.reference(&[&x], &[4, 7]);
        for a in 0..4 {
            for b in 0..4 {
                let product: f64 = (0..7).map(|i| q.at(&[a, i]) * q.at(&[b, i])).sum();
                assert!((product - f64::from(a == b)).abs() < 1e-14, "{a} {b}: {product}");
            }
        }
        assert!((q.at(&[0, 0]) / q.at(&[0, 1]) - x.at(&[0, 0]) / x.at(&[0, 1])).abs() < 1e-14 && q.at(&[0, 0]) * x.at(&[0, 0]) > 0.0);
        let turned = Orthonormal.reference(&[&Tensor::from_index(&[7, 4], |i| x.at(&[i[1], i[0]]))], &[7, 4]);
        assert!((0..4).all(|a| (0..7).all(|i| turned.at(&[i, a]) == q.at(&[a, i]))));
    }
}
