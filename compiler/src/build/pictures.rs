//! Convolutions and pooling over `height` and `width`.

use std::sync::Arc;

use segc_lang::fault::Fault;
use segc_lang::spec::{Axis, Sliding, Term};

use super::{Builder, Dim, Value, named};
use crate::graph::NodeId;
use crate::kernel::{Slide, Window};
use crate::ops;

/// A picture and a weight laid out for a convolution, and what is needed to take the result apart again.
struct Laid {
    x: NodeId,
    w: NodeId,
    /// Axes of the picture alone: they are mapped over.
    mapped: Vec<(Dim, usize)>,
    /// Axes that the weight has too: they are groups.
    paired: Vec<(Dim, usize)>,
}

impl Builder<'_> {
    /// `x: [.., channel, height, width]`, `w: [.., out, channel, row, column]` to `[.., channel, height, width]`.
    pub(super) fn conv2d(&mut self, term: &Term, sliding: Sliding) -> Result<Value, Fault> {
        let laid = self.laid(term, ["out", "channel"])?;
        let op = ops::Conv2d(slide(&sliding, laid.groups()));
        let node = self.graph.add(Arc::new(op), &[laid.x, laid.w]);
        self.taken_apart(node, &laid, term)
    }

    /// `x: [.., channel, height, width]`, `w: [.., channel, out, row, column]`: the adjoint.
    pub(super) fn conv2d_transposed(&mut self, term: &Term, sliding: Sliding) -> Result<Value, Fault> {
        let laid = self.laid(term, ["channel", "out"])?;
        let [_, height, width] = self.picture(term)?;
        let size = [height, width].map(|dim| named(&term.ty).find(|(own, _)| *own == dim).map_or(1, |(_, size)| size));
        let node = ops::adjoint(&mut self.graph, slide(&sliding, laid.groups()), laid.x, laid.w, size);
        self.taken_apart(node, &laid, term)
    }

    /// The largest of windows.
    pub(super) fn max_pool(&mut self, term: &Term, window: Window) -> Result<Value, Fault> {
        let [height, width] = [self.axis("height", term)?, self.axis("width", term)?];
        let x = self.arg(term, 0);
        let own = x.dims.iter().map(|(dim, _)| *dim);
        let order: Vec<Dim> = own.filter(|dim| *dim != height && *dim != width).chain([height, width]).collect();
        let x = self.permuted(x, &order);
        let node = self.graph.add(Arc::new(ops::MaxPool { window }), &[x.node]);
        let dims = x.dims.iter().zip(self.graph.shape(node)).map(|((dim, _), size)| (*dim, *size)).collect();
        Ok(self.ordered(Value { node, dims }))
    }

    /// The picture as `[n, c, h, w]` and the weight as `[o, c / groups, kh, kw]`, their first two axes by name.
    fn laid(&mut self, term: &Term, front: [&str; 2]) -> Result<Laid, Fault> {
        let (picture, mut x, w) = (self.picture(term)?, self.arg(term, 0), self.arg(term, 1));
        let window = [front[0], front[1], "row", "column"];
        let mut weight = Vec::new();
        for name in window {
            weight.push(self.axis(name, term)?);
        }
        let paired: Vec<_> = w.dims.iter().filter(|(dim, _)| !weight.contains(dim)).copied().collect();
        if paired.iter().any(|(dim, _)| !x.has(*dim)) {
            let mut dims = [&x.dims[..], &paired].concat();
            dims.sort_unstable();
            dims.dedup();
            x = Value { node: self.expanded(&x, &dims), dims };
        }
        let pairs = |dim: Dim| paired.iter().any(|(own, _)| *own == dim);
        let mapped: Vec<_> = x.dims.iter().filter(|(dim, _)| !picture.contains(dim) && !pairs(*dim)).copied().collect();
        let names = |dims: &[(Dim, usize)]| dims.iter().map(|(dim, _)| *dim).collect::<Vec<_>>();
        let x = self.permuted(x, &[&names(&mapped)[..], &names(&paired), &picture].concat());
        let w = self.permuted(w, &[&names(&paired)[..], &weight].concat());
        let count = |dims: &[(Dim, usize)]| dims.iter().map(|(_, size)| size).product::<usize>();
        let [channel, height, width] = picture.map(|dim| x.size(dim));
        let shape = vec![count(&mapped), count(&paired) * channel, height, width];
        let window: Vec<usize> = weight.iter().map(|dim| w.size(*dim)).collect();
        let shape_of_w = vec![count(&paired) * window[0], window[1], window[2], window[3]];
        Ok(Laid { x: self.in_shape(x.node, shape), w: self.in_shape(w.node, shape_of_w), mapped, paired })
    }

    fn taken_apart(&mut self, node: NodeId, laid: &Laid, term: &Term) -> Result<Value, Fault> {
        let picture = self.picture(term)?;
        let [_, channels, height, width] = *self.graph.shape(node) else { return Ok(Value { node, dims: Vec::new() }) };
        let channel = channels / laid.groups().max(1);
        let own: Vec<_> = picture.into_iter().zip([channel, height, width]).collect();
        let dims = [&laid.mapped[..], &laid.paired, &own].concat();
        let node = self.in_shape(node, super::sizes(&dims));
        Ok(self.ordered(Value { node, dims }))
    }

    fn in_shape(&mut self, x: NodeId, shape: Vec<usize>) -> NodeId {
        if self.graph.shape(x) == shape { x } else { self.graph.add(Arc::new(ops::Reshape { shape }), &[x]) }
    }

    fn picture(&self, term: &Term) -> Result<[Dim; 3], Fault> {
        Ok([self.axis("channel", term)?, self.axis("height", term)?, self.axis("width", term)?])
    }

    /// The axis with this name, which the prelude declares.
    pub(super) fn axis(&self, name: &str, term: &Term) -> Result<Dim, Fault> {
        let number = self.spec.axes.iter().position(|own| own == name);
        let missing = || Fault::error("unknown-axis", format!("no axis is called `{name}`"), term.span, "needs it");
        number.map(|number| Dim::Axis(Axis(number as u16))).ok_or_else(missing)
    }
}

impl Laid {
    /// How many groups the paired axes make.
    fn groups(&self) -> usize {
        self.paired.iter().map(|(_, size)| size).product()
    }
}

fn slide(sliding: &Sliding, times: usize) -> Slide {
    Slide {
        stride: sliding.stride,
        pad: sliding.pad.map(|pad| pad as isize),
        dilation: sliding.dilation,
        input_dilation: sliding.input_dilation,
        groups: sliding.groups * times,
        turned: false,
    }
}
