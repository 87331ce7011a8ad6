//! Ops that no loop runs: by their naive definition in f64, or by an algorithm of the host.

use segc_compiler::kernel::{self, Place};
use segc_compiler::ops::Form;
use segc_compiler::tensor::Tensor;

use super::tile::buffer;
use crate::host::{Algorithm, Array, algorithm};

/// One op alone.
pub(super) struct Whole {
    op: kernel::Whole,
    algorithm: Option<(Algorithm, Vec<f64>)>,
}

impl Whole {
    pub fn new(op: &kernel::Whole) -> Result<Whole, String> {
        let algorithm = match op.op.form() {
            Form::Host(name, numbers) => Some((algorithm(&name).ok_or(format!("there is no algorithm `{name}`"))?, numbers)),
            _ => None,
        };
        Ok(Whole { op: op.clone(), algorithm })
    }

    pub fn run(&self, inputs: &[&[f32]], arena: &mut [f32]) {
        let (place, shape) = &self.op.result;
        let elements = |shape: &[usize]| shape.iter().product::<usize>();
        let result: Vec<f32> = match &self.algorithm {
            Some((algorithm, numbers)) => {
                let array = |(place, shape): &(Place, Vec<usize>)| Array {
                    shape: shape.clone(),
                    values: buffer(*place, inputs, arena)[..elements(shape)].to_vec(),
                };
                algorithm(&self.op.operands.iter().map(array).collect::<Vec<_>>(), numbers).values
            }
            None => {
                let operand = |(place, shape): &(Place, Vec<usize>)| {
                    let from = &buffer(*place, inputs, arena)[..elements(shape)];
                    Tensor::new(shape.clone(), from.iter().map(|x| f64::from(*x)).collect())
                };
                let operands: Vec<Tensor> = self.op.operands.iter().map(operand).collect();
                let value = self.op.op.reference(&operands.iter().collect::<Vec<_>>(), shape);
                value.data.into_iter().map(|x| x as f32).collect()
            }
        };
        if let Place::Arena(at) = place {
            arena[*at..at + result.len()].copy_from_slice(&result);
        }
    }
}
