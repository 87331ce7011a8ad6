//! Ops by their naive definition in f64, or by an algorithm of the host: what serves where a device has no way of its own.

use segc_compiler::kernel::Whole;
use segc_compiler::ops::{Form, Op};
use segc_compiler::tensor::Tensor;

use crate::host::{Algorithm, Array, algorithm};

/// An op by its definition.
pub(super) struct Definition {
    op: std::sync::Arc<dyn Op>,
    shapes: Vec<Vec<usize>>,
    result: Vec<usize>,
    algorithm: Option<(Algorithm, Vec<f64>)>,
}

impl Definition {
    /// Errors: an algorithm of the host that does not exist.
    pub fn new(whole: &Whole) -> Result<Definition, String> {
        let algorithm = match whole.op.form() {
            Form::Host(name, numbers) => Some((algorithm(&name).ok_or(format!("there is no algorithm `{name}`"))?, numbers)),
            _ => None,
        };
        let shapes = whole.operands.iter().map(|(_, shape)| shape.clone()).collect();
        Ok(Definition { op: whole.op.clone(), shapes, result: whole.result.1.clone(), algorithm })
    }

    /// From operands to result, all row-major.
    pub fn compute(&self, operands: &[&[f32]], result: &mut [f32]) {
        let sides = self.shapes.iter().zip(operands);
        if let Some((algorithm, numbers)) = &self.algorithm {
            let arrays: Vec<Array> = sides.map(|(shape, x)| Array { shape: shape.clone(), values: x.to_vec() }).collect();
            return result.copy_from_slice(&algorithm(&arrays, numbers).values);
        }
        let tensors: Vec<Tensor> = sides.map(|(shape, x)| Tensor::new(shape.clone(), x.iter().map(|v| f64::from(*v)).collect())).collect();
        let value = self.op.reference(&tensors.iter().collect::<Vec<_>>(), &self.result);
        result.iter_mut().zip(value.data).for_each(|(to, from)| *to = from as f32);
    }
}
