//! A linear map along an axis: padding, turning, rolling, resizing, averaging, filtering.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Room, Sample};
use crate::graph::{NodeId, Shape};
use crate::kernel::Rows;
use crate::tensor::Tensor;

/// A sparse matrix applied along an axis. The gradient is the transposed one.
#[derive(Clone)]
pub struct Resample {
    axis: usize,
    rows: Rows,
    mark: u128,
}

impl Resample {
    /// The map of `rows` along `axis`.
    pub fn new(axis: usize, rows: Rows) -> Resample {
        Resample { axis, mark: mark(&rows), rows }
    }
}

/// FNV-1a in 128 bits over all entries: equal maps are recognised without comparing them.
fn mark(rows: &Rows) -> u128 {
    let step = |hash: u128, word: u64| (hash ^ u128::from(word)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013B);
    let start = step(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, rows.len() as u64);
    rows.iter().fold(start, |hash, row| {
        row.iter().fold(step(hash, row.len() as u64), |hash, (place, weight)| step(step(hash, *place as u64), weight.to_bits()))
    })
}

impl std::fmt::Debug for Resample {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let most = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        write!(f, "Resample {{ axis: {}, size: {}, taps: {most}, map: {:032x} }}", self.axis, self.rows.len(), self.mark)
    }
}

impl Op for Resample {
    fn name(&self) -> &'static str {
        Resample::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        let [x] = operands else { return Err("one operand".into()) };
        let Some(&size) = x.get(self.axis) else { return Err(format!("there is no axis {}", self.axis)) };
        if let Some((place, _)) = self.rows.iter().flatten().find(|(place, _)| *place >= size) {
            return Err(format!("the map reads element {place} of an axis of {size}"));
        }
        let mut shape = x.to_vec();
        shape[self.axis] = self.rows.len();
        Ok(shape)
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let size = at.graph.shape(at.operands[0])[self.axis];
        let turned = Resample::new(self.axis, crate::rows::transposed(&self.rows, size));
        vec![Some(at.graph.add(Arc::new(turned), &[at.upstream]))]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::Resample(self.axis, self.rows.clone())
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        Tensor::from_index(shape, |index| {
            let mut from = index.to_vec();
            let entry = |(place, weight): &(usize, f64)| {
                from[self.axis] = *place;
                let value = operands[0].at(&from);
                if *weight == 1.0 { value } else { weight * value }
            };
            self.rows[index[self.axis]].iter().map(entry).sum()
        })
    }
}

impl Room for Resample {
    const NAME: &'static str = "resample";
    const MANUAL: &'static str = "a linear map along an axis: pad, reverse, roll, every, resize, average, fir";

    fn samples() -> Vec<Sample> {
        use segc_lang::spec::{AxisMap, Filter, Outside};
        let resize = |by, corners, smooth| AxisMap::Resize { by, corners, smooth, scale: None };
        let cases = [
            (vec![5], 0, AxisMap::Reverse, 5),
            (vec![3, 4, 2], 1, AxisMap::Roll(-1), 4),
            (vec![2, 5], 1, AxisMap::Pad { before: 3, after: -1, with: Outside::Reflect }, 7),
            (vec![4, 3], 0, AxisMap::Pad { before: -1, after: 2, with: Outside::Zero }, 5),
            (vec![1, 3, 1], 1, AxisMap::Pad { before: 2, after: 1, with: Outside::Edge }, 6),
            (vec![7, 2], 0, AxisMap::Every(3), 3),
            (vec![2, 3, 5], 2, resize(Filter::Nearest, false, false), 8),
            (vec![2, 3, 5], 1, resize(Filter::Bilinear, false, false), 7),
            (vec![3, 33], 1, resize(Filter::Bilinear, true, false), 16),
            (vec![1, 4], 1, resize(Filter::Bicubic, false, false), 9),
            (vec![9, 4], 0, resize(Filter::Bicubic, false, true), 4),
            (vec![2, 7], 1, AxisMap::Average { window: 3, stride: 2, pad: 1, inside: true }, 4),
            (vec![5, 1, 3], 0, AxisMap::AverageTo, 3),
            (vec![2, 6], 1, AxisMap::Fir { taps: vec![0.25, 0.75, 0.75, 0.25], up: 2, down: 1, before: 2, after: 1 }, 12),
        ];
        let sample = |(shape, axis, map, to): (Shape, usize, AxisMap, usize)| Sample {
            op: Arc::new(Resample::new(axis, crate::rows::rows(&map, shape[axis], to))),
            operands: vec![(shape, Draws::Signed)],
        };
        cases.map(sample).into()
    }
}
