//! `max_pool(x)`: the largest of windows over the last two axes.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, MaxPoolPlace, Op, Reshape, Room, Sample, Scatter};
use crate::graph::{NodeId, Shape};
use crate::kernel::Window;
use crate::tensor::Tensor;

/// The largest of each window over the last two axes; outside of the picture nothing is larger.
#[derive(Clone, Debug)]
pub struct MaxPool {
    /// The windows.
    pub window: Window,
}

/// Sizes of what windows over the last two axes give.
pub(super) fn pooled(window: &Window, operands: &[&[usize]]) -> Result<Shape, String> {
    let [[outer @ .., height, width]] = operands else { return Err("a picture has rows and columns".into()) };
    let mut shape = outer.to_vec();
    for (axis, size) in [*height, *width].into_iter().enumerate() {
        let (taps, [before, after]) = (window.size[axis], [window.pad[2 * axis], window.pad[2 * axis + 1]]);
        if taps == 0 || window.stride[axis] == 0 || before >= taps || after >= taps {
            return Err(format!("windows of {taps} pixels cannot have the pads {before} and {after}"));
        }
        let room = (size + before + after).checked_sub(taps).filter(|_| size > 0);
        let room = room.ok_or(format!("a window of {taps} pixels does not fit into {size} with the pads {before} and {after}"))?;
        shape.push(room / window.stride[axis] + 1);
    }
    Ok(shape)
}

/// Row and column of the first largest pixel of the window at `index`.
pub(super) fn winner(window: &Window, x: &Tensor, index: &[usize]) -> Vec<usize> {
    let lead = index.len() - 2;
    let span = |axis: usize| {
        let start = index[lead + axis] * window.stride[axis];
        start.saturating_sub(window.pad[2 * axis])..(start + window.size[axis] - window.pad[2 * axis]).min(x.shape[lead + axis])
    };
    let mut best: Option<(f64, Vec<usize>)> = None;
    for row in span(0) {
        for column in span(1) {
            let place = [&index[..lead], &[row, column]].concat();
            let value = x.at(&place);
            if best.as_ref().is_none_or(|(most, _)| value > *most) {
                best = Some((value, place));
            }
        }
    }
    best.map_or(index.to_vec(), |(_, place)| place)
}

/// Pictures and paddings on which pooling is tested.
pub(super) fn pools(op: impl Fn(Window) -> Arc<dyn Op>) -> Vec<Sample> {
    let cases = [
        (vec![4, 6], Window { size: [2, 2], stride: [2, 2], pad: [0; 4] }),
        (vec![2, 3, 7, 5], Window { size: [3, 3], stride: [2, 2], pad: [1; 4] }),
        (vec![1, 1, 1], Window { size: [1, 1], stride: [1, 1], pad: [0; 4] }),
        (vec![3, 5, 6], Window { size: [3, 2], stride: [1, 3], pad: [2, 0, 0, 1] }),
    ];
    cases.into_iter().map(|(shape, window)| Sample { op: op(window), operands: vec![(shape, Draws::Signed)] }).collect()
}

impl Op for MaxPool {
    fn name(&self) -> &'static str {
        MaxPool::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        pooled(&self.window, operands)
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let whole = at.graph.shape(at.operands[0]).to_vec();
        let lead = whole.len() - 2;
        let place = at.graph.add(Arc::new(MaxPoolPlace { window: self.window }), &at.operands);
        let mut flat = at.graph.shape(place).to_vec();
        let windows = flat.drain(lead..).product();
        flat.push(windows);
        let [upstream, place] = [at.upstream, place].map(|x| at.graph.add(Arc::new(Reshape { shape: flat.clone() }), &[x]));
        let size = whole[lead..].iter().product();
        let spread = at.graph.add(Arc::new(Scatter { batch: lead, size }), &[upstream, place]);
        vec![Some(at.graph.add(Arc::new(Reshape { shape: whole }), &[spread]))]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::MaxPool { window: self.window, place: false }
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        Tensor::from_index(shape, |index| operands[0].at(&winner(&self.window, operands[0], index)))
    }
}

impl Room for MaxPool {
    const NAME: &'static str = "max_pool";
    const MANUAL: &'static str = "`max_pool(x)`: the largest of windows over height and width; the first one takes the gradient";

    fn samples() -> Vec<Sample> {
        pools(|window| Arc::new(MaxPool { window }))
    }
}
