//! Windows over pixels: convolutions, pooling by the largest, and the arguments that they share.

use super::Elaborator;
use super::builtin::Actuals;
use super::ops::{Axes, Placed};
use super::value::{Abort, Outcome, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Axis, Element, Prim, Sliding, TermId};

/// The window that slides over one axis.
pub struct Window {
    /// Its elements.
    pub size: usize,
    /// From element to element.
    pub dilation: usize,
    /// From window to window.
    pub stride: usize,
    /// What is added at both ends together.
    pub pad: usize,
}

impl Window {
    /// How many windows fit.
    pub fn count(&self, length: usize) -> Option<usize> {
        let reach = self.dilation * (self.size - 1) + 1;
        (length + self.pad).checked_sub(reach).map(|room| room / self.stride + 1)
    }
}

impl<'m> Elaborator<'m> {
    /// `conv2d(x, w, stride:, pad:, dilation:, input_dilation:, groups:)`.
    pub fn conv2d(&mut self, actuals: &mut Actuals<'m>, span: Span) -> Outcome<'m> {
        let [x, w] = self.picture_and_kernel(actuals, span)?;
        let stride = self.pair(actuals, "stride", [1, 1], 1)?;
        let pad = self.frame(actuals, "pad")?;
        let dilation = self.pair(actuals, "dilation", [1, 1], 1)?;
        let input_dilation = self.pair(actuals, "input_dilation", [1, 1], 1)?;
        let groups = self.one(actuals, "groups", 1, 1)?;
        let [out, channel, row, column] = self.kernel_sizes(w.0, &w.1)?;
        self.grouped((x.0, channel, "channel"), (w.0, out), groups, [x.1, w.1])?;
        let [height, width] = self.pixel_sizes(x.0, x.1)?;
        let mut sides = [0; 2];
        for (at, (size, kernel)) in [(height, row), (width, column)].into_iter().enumerate() {
            let window = Window { size: kernel, dilation: dilation[at], stride: stride[at], pad: pad[2 * at] + pad[2 * at + 1] };
            let length = (size - 1) * input_dilation[at] + 1;
            sides[at] = self.windows(&window, length, at, [x.1, w.1])?;
        }
        let axes = self.convolved(x.0, out, sides)?;
        self.not_too_large(&axes, span)?;
        let sliding = Sliding { stride, pad, dilation, input_dilation, groups };
        Ok(Value::Tensor(self.store.intern(Prim::Conv2d(sliding), vec![x.0, w.0], Element::Real, axes, span)))
    }

    /// `conv2d_transposed(x, w, stride:, pad:, dilation:, out_pad:, groups:)`.
    pub fn conv2d_transposed(&mut self, actuals: &mut Actuals<'m>, span: Span) -> Outcome<'m> {
        let [x, w] = self.picture_and_kernel(actuals, span)?;
        let stride = self.pair(actuals, "stride", [1, 1], 1)?;
        let pad = self.frame(actuals, "pad")?;
        let dilation = self.pair(actuals, "dilation", [1, 1], 1)?;
        let out_pad = self.pair(actuals, "out_pad", [0, 0], 0)?;
        let groups = self.one(actuals, "groups", 1, 1)?;
        let [out, channel, row, column] = self.kernel_sizes(w.0, &w.1)?;
        let own = self.length_of(x.0, "channel", x.1)?;
        if own != channel || !own.is_multiple_of(groups) {
            let message = format!("a kernel for {channel} channels in {groups} groups meets {own} channels");
            let fault = Fault::error("size-mismatch", message, w.1, self.shown(w.0)).also(x.1, self.shown(x.0));
            return Err(self.fault(fault));
        }
        let [height, width] = self.pixel_sizes(x.0, x.1)?;
        let mut sides = [0; 2];
        for (at, (size, kernel)) in [(height, row), (width, column)].into_iter().enumerate() {
            let full = (size - 1) * stride[at] + dilation[at] * (kernel - 1) + out_pad[at] + 1;
            let cut = pad[2 * at] + pad[2 * at + 1];
            sides[at] = match full.checked_sub(cut).filter(|left| *left > 0) {
                Some(left) => left,
                None => {
                    let message = format!("{cut} pixels are cut off of {full}");
                    return Err(self.fault(Fault::error("bad-size", message, span, "nothing is left").help("Make `pad` smaller.")));
                }
            };
        }
        let axes = self.convolved(x.0, out * groups, sides)?;
        self.not_too_large(&axes, span)?;
        let sliding = Sliding { stride, pad, dilation, input_dilation: [1, 1], groups };
        Ok(Value::Tensor(self.store.intern(Prim::Conv2dTransposed(sliding), vec![x.0, w.0], Element::Real, axes, span)))
    }

    /// `max_pool(x, by, stride:, pad:)`.
    pub fn max_pool(&mut self, actuals: &mut Actuals<'m>, span: Span) -> Outcome<'m> {
        let (x, place) = self.tensor(actuals, span)?;
        let window = self.windowed(actuals, span)?;
        let stride = self.pair(actuals, "stride", window, 1)?;
        let pad = self.frame(actuals, "pad")?;
        let sizes = self.pixel_sizes(x, place)?;
        let mut sides = [0; 2];
        for at in 0..2 {
            let along = Window { size: window[at], dilation: 1, stride: stride[at], pad: pad[2 * at] + pad[2 * at + 1] };
            sides[at] = self.windows(&along, sizes[at], at, [place, span])?;
            self.window_meets(pad[2 * at].max(pad[2 * at + 1]), window[at], span)?;
        }
        let mut axes = self.store.ty(x).axes.clone();
        self.resize_axes(&mut axes, sides)?;
        Ok(Value::Tensor(self.store.intern(Prim::MaxPool { window, stride, pad }, vec![x], Element::Real, axes, span)))
    }

    /// Every window must have something of the picture.
    pub fn window_meets(&mut self, pad: usize, window: usize, span: Span) -> Result<(), Abort> {
        if pad < window {
            return Ok(());
        }
        let message = "a window lies outside of the picture altogether";
        let fault = Fault::error("bad-size", message, span, "`pad` is as large as the window");
        Err(self.fault(fault.help("Pad by less than the window.")))
    }

    fn picture_and_kernel(&mut self, actuals: &mut Actuals<'m>, span: Span) -> Result<[(TermId, Span); 2], Abort> {
        let x = self.tensor(actuals, span)?;
        let w = actuals.value(self, &["w"], span)?;
        Ok([x, (self.operand(&w, &Value::None)?, w.1)])
    }

    /// The first argument, a run-time value of numbers.
    pub fn tensor(&mut self, actuals: &mut Actuals<'m>, span: Span) -> Result<(TermId, Span), Abort> {
        let x = actuals.value(self, &["x"], span)?;
        let id = self.operand(&x, &Value::None)?;
        if self.store.ty(id).element == Element::Bool {
            return Err(self.expected("a picture of numbers", &x.0, x.1));
        }
        Ok((id, x.1))
    }

    /// The window of a pooling.
    pub fn windowed(&mut self, actuals: &mut Actuals<'m>, span: Span) -> Result<[usize; 2], Abort> {
        let by = actuals.value(self, &["by"], span)?;
        let [down, right] = self.whole_numbers(&by, 1)?;
        Ok([down, right])
    }

    /// One number, or one down and one right.
    pub fn pair(&mut self, actuals: &mut Actuals<'m>, label: &str, usual: [usize; 2], least: usize) -> Result<[usize; 2], Abort> {
        match actuals.take(&[label]) {
            None => Ok(usual),
            Some(given) => {
                let value = (given.value(self)?, given.span());
                self.whole_numbers(&value, least)
            }
        }
    }

    /// One number.
    pub fn one(&mut self, actuals: &mut Actuals<'m>, label: &str, usual: usize, least: usize) -> Result<usize, Abort> {
        match actuals.take(&[label]) {
            None => Ok(usual),
            Some(given) => {
                let value = (given.value(self)?, given.span());
                self.whole_numbers::<1>(&value, least).map(|[one]| one)
            }
        }
    }

    /// One number, one down and one right, or one for each side: top, bottom, left, right.
    pub fn frame(&mut self, actuals: &mut Actuals<'m>, label: &str) -> Result<[usize; 4], Abort> {
        let Some(given) = actuals.take(&[label]) else { return Ok([0; 4]) };
        let value = (given.value(self)?, given.span());
        if matches!(&value.0, Value::List(items) if items.len() == 4) {
            return self.whole_numbers(&value, 0);
        }
        let [down, right] = self.whole_numbers(&value, 0)?;
        Ok([down, down, right, right])
    }

    /// So many numbers from `least` on; one stands for all.
    pub fn whole_numbers<const N: usize>(&mut self, value: &Placed<'m>, least: usize) -> Result<[usize; N], Abort> {
        let list = match &value.0 {
            Value::List(items) if items.len() == N => items.to_vec(),
            Value::Number(_) => vec![value.0.clone(); N],
            other => return Err(self.expected(&format!("a number or a list of {N}"), other, value.1)),
        };
        let mut numbers = [0; N];
        for (number, item) in numbers.iter_mut().zip(list) {
            let whole = if let Value::Number(number) = &item { number.integer() } else { None };
            *number = match whole.and_then(|whole| usize::try_from(whole).ok()).filter(|whole| (least..1 << 24).contains(whole)) {
                Some(whole) => whole,
                None => return Err(self.expected(&format!("a whole number from {least} on"), &item, value.1)),
            };
        }
        Ok(numbers)
    }

    /// The sizes `out`, `channel`, `row`, `column` of a kernel, which has no other axes.
    fn kernel_sizes(&mut self, w: TermId, place: &Span) -> Result<[usize; 4], Abort> {
        let mut sizes = [0; 4];
        for (size, name) in sizes.iter_mut().zip(["out", "channel", "row", "column"]) {
            *size = self.length_of(w, name, *place)?;
        }
        if self.store.ty(w).axes.len() != 4 {
            let fault =
                Fault::error("axis-mismatch", "a kernel is `[out, channel, row, column]`", *place, format!("this has {}", self.shown(w)));
            return Err(self.fault(fault.help("One kernel serves a whole call: scale the picture's channels instead.")));
        }
        Ok(sizes)
    }

    /// Height and width.
    pub fn pixel_sizes(&mut self, x: TermId, place: Span) -> Result<[usize; 2], Abort> {
        Ok([self.length_of(x, "height", place)?, self.length_of(x, "width", place)?])
    }

    /// The size of an axis that must be there.
    pub fn length_of(&mut self, x: TermId, name: &str, place: Span) -> Result<usize, Abort> {
        let axis = self.known_axis(name)?;
        if let Some((_, size)) = self.store.ty(x).axes.iter().find(|(own, _)| *own == axis) {
            return Ok(*size);
        }
        let shown = self.shown(x);
        Err(self.fault(Fault::error("axis-mismatch", format!("there is no axis `{name}` here"), place, format!("this has {shown}"))))
    }

    /// An axis of the prelude.
    pub fn known_axis(&self, name: &str) -> Result<Axis, Abort> {
        self.axes.get(name).copied().ok_or(Abort::Faulted)
    }

    fn grouped(&mut self, x: (TermId, usize, &str), w: (TermId, usize), groups: usize, places: [Span; 2]) -> Result<(), Abort> {
        let own = self.length_of(x.0, x.2, places[0])?;
        if own == x.1 * groups && w.1.is_multiple_of(groups) {
            return Ok(());
        }
        let due = x.1 * groups;
        let message = if own == due {
            format!("{} channels do not fall into {groups} groups", w.1)
        } else {
            format!("`channel` is {own} here, the kernel is for {due}")
        };
        let fault = Fault::error("size-mismatch", message, places[0], format!("this has {}", self.shown(x.0)));
        let parts = if groups == 1 { String::new() } else { format!(", in {groups} groups") };
        Err(self.fault(fault.also(places[1], format!("the kernel has {}{parts}", self.shown(w.0)))))
    }

    /// How many windows fit along `height` (0) or `width` (1).
    pub fn windows(&mut self, window: &Window, length: usize, at: usize, places: [Span; 2]) -> Result<usize, Abort> {
        if let Some(count) = window.count(length) {
            return Ok(count);
        }
        let name = ["height", "width"][at];
        let (reach, all) = (window.dilation * (window.size - 1) + 1, length + window.pad);
        let message = format!("a window of {reach} pixels does not fit along `{name}`, which has {all} with its padding");
        let fault = Fault::error("bad-size", message, places[0], format!("`{name}` is {length} here"));
        Err(self.fault(fault.also(places[1], "the window").help("Take a smaller window, or pad the picture.")))
    }

    fn convolved(&mut self, x: TermId, out: usize, sides: [usize; 2]) -> Result<Axes, Abort> {
        let channel = self.known_axis("channel")?;
        let mut axes = self.store.ty(x).axes.clone();
        axes.iter_mut().filter(|(axis, _)| *axis == channel).for_each(|(_, size)| *size = out);
        self.resize_axes(&mut axes, sides)?;
        Ok(axes)
    }

    fn resize_axes(&mut self, axes: &mut Axes, sides: [usize; 2]) -> Result<(), Abort> {
        for (name, side) in ["height", "width"].into_iter().zip(sides) {
            let axis = self.known_axis(name)?;
            axes.iter_mut().filter(|(own, _)| *own == axis).for_each(|(_, size)| *size = side);
        }
        Ok(())
    }
}
