//! `conv2d(x, w)`: cross-correlation over two axes. Both of its derivatives are convolutions, so it is closed under differentiation.

use std::sync::Arc;

use super::{Backward, Derivative, Draws, Form, Op, Permute, Resample, Reshape, Room, Sample};
use crate::graph::{Graph, NodeId, Shape};
use crate::kernel::Slide;
use crate::tensor::Tensor;

/// `x: [n, c, h, w]` and `w: [o, c / groups, kh, kw]` to `[n, o, h', w']`.
#[derive(Clone, Debug)]
pub struct Conv2d(pub Slide);

/// The adjoint of a convolution with respect to its first operand: `y: [n, o, h', w']` and `w: [o, c / groups, kh, kw]` to
/// `[n, c, h, w]` of the rows and columns `size`. It is a convolution with the reversed weight in which strides and the dilation of
/// the input change places.
pub fn adjoint(graph: &mut Graph, slide: Slide, y: NodeId, w: NodeId, size: [usize; 2]) -> NodeId {
    let [from, taps] = [y, w].map(|x| [2, 3].map(|axis| graph.shape(x)[axis]));
    let back = backwards(slide, from, taps, size);
    if slide.groups == 1 {
        return graph.add(Arc::new(Conv2d(Slide { turned: !slide.turned, ..back })), &[y, w]);
    }
    let turned = exchanged(graph, w, slide.groups);
    let turned = reversed(graph, turned);
    graph.add(Arc::new(Conv2d(back)), &[y, turned])
}

/// How the adjoint of a convolution slides, from places `from` of the result back to `size` places.
fn backwards(slide: Slide, from: [usize; 2], taps: [usize; 2], size: [usize; 2]) -> Slide {
    let mut pad = [0; 4];
    for axis in 0..2 {
        let [stride, apart, dilation] = [slide.stride, slide.input_dilation, slide.dilation].map(|pair| pair[axis] as isize);
        pad[2 * axis] = dilation * (taps[axis] as isize - 1) - slide.pad[2 * axis];
        pad[2 * axis + 1] = (size[axis] as isize - 1) * apart - (from[axis] as isize - 1) * stride + slide.pad[2 * axis];
    }
    Slide { stride: slide.input_dilation, input_dilation: slide.stride, pad, ..slide }
}

/// `[g o, c, ..]` to `[g c, o, ..]`.
fn exchanged(graph: &mut Graph, w: NodeId, groups: usize) -> NodeId {
    let [out, channels, rows, columns] = four(graph.shape(w));
    let parts = reshaped(graph, w, &[groups, out / groups, channels, rows, columns]);
    let parts = permuted(graph, parts, &[0, 2, 1, 3, 4]);
    reshaped(graph, parts, &[groups * channels, out / groups, rows, columns])
}

fn reversed(graph: &mut Graph, x: NodeId) -> NodeId {
    [2, 3].into_iter().fold(x, |x, axis| match graph.shape(x)[axis] {
        1 => x,
        size => graph.add(Arc::new(Resample::new(axis, crate::rows::reverse(size))), &[x]),
    })
}

fn reshaped(graph: &mut Graph, x: NodeId, shape: &[usize]) -> NodeId {
    if graph.shape(x) == shape { x } else { graph.add(Arc::new(Reshape { shape: shape.to_vec() }), &[x]) }
}

fn permuted(graph: &mut Graph, x: NodeId, order: &[usize]) -> NodeId {
    graph.add(Arc::new(Permute { order: order.to_vec() }), &[x])
}

fn four(shape: &[usize]) -> [usize; 4] {
    std::array::from_fn(|axis| shape.get(axis).copied().unwrap_or(1))
}

/// The derivative of the weight: samples and channels change places, and the result's derivative is the window.
fn weight(graph: &mut Graph, slide: Slide, x: NodeId, w: NodeId, upstream: NodeId) -> NodeId {
    let [n, c, height, width] = four(graph.shape(x));
    let (shape, groups) = (four(graph.shape(w)), slide.groups);
    let windows = four(graph.shape(upstream));
    let mut pad = slide.pad;
    for (axis, size) in [height, width].into_iter().enumerate() {
        let reach = slide.dilation[axis] * (shape[2 + axis] - 1) + slide.stride[axis] * (windows[2 + axis] - 1);
        pad[2 * axis + 1] = reach as isize - ((size - 1) * slide.input_dilation[axis]) as isize - pad[2 * axis];
    }
    let parts = reshaped(graph, x, &[n, groups, c / groups, height, width]);
    let parts = permuted(graph, parts, &[2, 1, 0, 3, 4]);
    let x = reshaped(graph, parts, &[c / groups, groups * n, height, width]);
    let window = permuted(graph, upstream, &[1, 0, 2, 3]);
    let slide = Slide { stride: slide.dilation, dilation: slide.stride, pad, ..slide };
    let made = graph.add(Arc::new(Conv2d(slide)), &[x, window]);
    permuted(graph, made, &[1, 0, 2, 3])
}

impl Conv2d {
    /// How many windows there are along an axis of `size` elements.
    fn windows(&self, axis: usize, size: usize, taps: usize) -> Result<usize, String> {
        let slide = &self.0;
        if slide.stride[axis] * slide.dilation[axis] * slide.input_dilation[axis] == 0 || size == 0 || taps == 0 {
            return Err("strides, dilations and sizes are at least 1".into());
        }
        let extent = ((size - 1) * slide.input_dilation[axis]) as isize + slide.pad[2 * axis] + slide.pad[2 * axis + 1];
        let room = extent - (slide.dilation[axis] * (taps - 1)) as isize;
        match usize::try_from(room) {
            Ok(room) => Ok(room / slide.stride[axis] + 1),
            Err(_) => Err(format!("a window of {taps} taps does not fit into {size} pixels with the pads {:?}", slide.pad)),
        }
    }
}

impl Op for Conv2d {
    fn name(&self) -> &'static str {
        Conv2d::NAME
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Shape, String> {
        let &[&[n, c, height, width], &[o, part, rows, columns]] = operands else {
            return Err("a convolution takes [n, c, h, w] and [o, c / groups, kh, kw]".into());
        };
        let groups = self.0.groups;
        if self.0.turned {
            if c != o || groups != 1 {
                return Err(format!("{c} channels by a turned weight of {o}, {groups} groups"));
            }
            return Ok(vec![n, part, self.windows(0, height, rows)?, self.windows(1, width, columns)?]);
        }
        if groups == 0 || c != part * groups || o % groups != 0 {
            return Err(format!("{c} channels and {o} results do not divide into {groups} groups of {part} channels"));
        }
        Ok(vec![n, o, self.windows(0, height, rows)?, self.windows(1, width, columns)?])
    }

    fn gradient(&self, at: &mut Backward) -> Vec<Option<NodeId>> {
        let [x, w] = [at.operands[0], at.operands[1]];
        let [_, _, height, width] = four(at.graph.shape(x));
        let of_x = at.wanted[0].then(|| adjoint(at.graph, self.0, at.upstream, w, [height, width]));
        let of_w = at.wanted[1].then(|| {
            if !self.0.turned {
                return weight(at.graph, self.0, x, w, at.upstream);
            }
            // The same weight of the convolution whose adjoint this is, with picture and result exchanged.
            let [_, _, down, across] = four(at.graph.shape(at.upstream));
            let [_, _, rows, columns] = four(at.graph.shape(w));
            let plain = Slide { turned: false, ..backwards(self.0, [down, across], [rows, columns], [height, width]) };
            weight(at.graph, plain, at.upstream, w, x)
        });
        vec![of_x, of_w]
    }

    fn derivative(&self) -> Derivative {
        Derivative::Every
    }

    fn form(&self) -> Form {
        Form::Conv(self.0)
    }

    fn reference(&self, operands: &[&Tensor], shape: &[usize]) -> Tensor {
        let [x, w] = operands else { return Tensor::new(shape.to_vec(), Vec::new()) };
        let slide = &self.0;
        let [_, _, rows, columns] = four(&w.shape);
        let part = if slide.turned { w.shape[0] } else { w.shape[1] };
        let source = |axis: usize, place: usize, tap: usize| {
            let at = (slide.stride[axis] * place + slide.dilation[axis] * tap).checked_add_signed(-slide.pad[2 * axis])?;
            let apart = slide.input_dilation[axis];
            (at % apart == 0 && at / apart < x.shape[2 + axis]).then_some(at / apart)
        };
        Tensor::from_index(shape, |index| {
            let first = index[1] / (shape[1] / slide.groups) * part;
            let mut total = 0.0;
            for (row, down) in (0..rows).filter_map(|tap| Some((tap, source(0, index[2], tap)?))) {
                for (column, right) in (0..columns).filter_map(|tap| Some((tap, source(1, index[3], tap)?))) {
                    for channel in 0..part {
                        let tap = match slide.turned {
                            true => w.at(&[channel, index[1], rows - 1 - row, columns - 1 - column]),
                            false => w.at(&[index[1], channel, row, column]),
                        };
                        total += x.at(&[index[0], first + channel, down, right]) * tap;
                    }
                }
            }
            total
        })
    }
}

impl Room for Conv2d {
    const NAME: &'static str = "conv2d";
    const MANUAL: &'static str = "`conv2d(x, w)`: cross-correlation with strides, pads, dilations and groups";

    fn samples() -> Vec<Sample> {
        let plain = Slide { stride: [1, 1], pad: [0; 4], dilation: [1, 1], input_dilation: [1, 1], groups: 1, turned: false };
        let cases = [
            ([2, 3, 5, 4], [4, 3, 3, 3], Slide { pad: [1; 4], ..plain }),
            ([1, 2, 1, 1], [3, 2, 1, 1], plain),
            ([2, 3, 7, 6], [2, 3, 3, 4], Slide { stride: [2, 2], pad: [1; 4], ..plain }),
            ([1, 4, 6, 5], [6, 2, 3, 2], Slide { pad: [2, 0, 1, 3], groups: 2, ..plain }),
            ([2, 3, 6, 9], [3, 1, 3, 3], Slide { stride: [1, 2], dilation: [2, 3], pad: [2, 2, 3, 3], groups: 3, ..plain }),
            ([1, 2, 6, 7], [2, 2, 3, 3], Slide { pad: [-1, 2, 1, -2], ..plain }),
            ([1, 2, 3, 4], [2, 2, 4, 3], Slide { input_dilation: [2, 3], pad: [1, 3, 2, -1], stride: [1, 2], ..plain }),
            ([2, 2, 8, 8], [2, 1, 2, 2], Slide { stride: [3, 3], groups: 2, ..plain }),
            ([2, 3, 5, 4], [3, 4, 3, 3], Slide { pad: [1; 4], turned: true, ..plain }),
            ([2, 2, 3, 4], [2, 3, 4, 3], Slide { input_dilation: [2, 3], pad: [1, 3, 2, -1], stride: [1, 2], turned: true, ..plain }),
        ];
        let sample = |(x, w, slide): ([usize; 4], [usize; 4], Slide)| Sample {
            op: Arc::new(Conv2d(slide)),
            operands: vec![(x.into(), Draws::Signed), (w.into(), Draws::Signed)],
        };
        cases.map(sample).into()
    }
}
