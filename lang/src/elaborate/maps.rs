//! Linear maps along axes that are known when compiling: padding, resizing, averages over windows, filters.

use std::rc::Rc;

use super::Elaborator;
use super::builtin::Actuals;
use super::number::Number;
use super::pixels::Window;
use super::value::{Abort, Axes, Outcome, Scope, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Axis, AxisMap, Element, Outside, Prim, TermId};

/// The axes of pixels, down and right.
const PIXELS: [&str; 2] = ["height", "width"];

impl<'m> Elaborator<'m> {
    /// A map along one axis, which gets another size.
    fn along(&mut self, x: TermId, axis: Axis, map: AxisMap, size: usize, span: Span) -> Result<TermId, Abort> {
        let ty = self.store.ty(x).clone();
        let axes: Vec<_> = ty.axes.iter().map(|(own, old)| if *own == axis { (axis, size) } else { (*own, *old) }).collect();
        self.not_too_large(&axes, span)?;
        let copies = matches!(map, AxisMap::Reverse | AxisMap::Roll(_) | AxisMap::Every(_));
        let element = if copies { ty.element } else { Element::Real };
        Ok(self.store.intern(Prim::Along(axis, map), vec![x], element, axes, span))
    }

    /// `pad(x, by, with:)`; negative numbers cut off.
    pub fn pad(&mut self, actuals: &mut Actuals<'m>, span: Span) -> Outcome<'m> {
        let (mut x, place) = self.tensor(actuals, span)?;
        let (by, by_place) = actuals.value(self, &["by"], span)?;
        let by = self.signed(&by, by_place)?;
        let with = match actuals.take(&["with"]) {
            None => Outside::Zero,
            Some(given) => match self.word(&given, &["zero", "reflect", "edge"])? {
                "zero" => Outside::Zero,
                "reflect" => Outside::Reflect,
                _ => Outside::Edge,
            },
        };
        for (at, name) in PIXELS.into_iter().enumerate() {
            let (before, after) = (by[2 * at], by[2 * at + 1]);
            let size = self.length_of(x, name, place)?;
            let widest = before.max(after);
            if with == Outside::Reflect && widest >= size as isize {
                let message = format!("{widest} pixels cannot be mirrored from {size} along `{name}`");
                let fault = Fault::error("bad-size", message, by_place, format!("more than {}", size - 1));
                return Err(self.fault(fault.also(place, format!("`{name}` is {size} here")).help("Pad by less, or pad `with: edge`.")));
            }
            let left = size as isize + before + after;
            if left < 1 {
                let message = format!("{} pixels are cut off of {size} along `{name}`", -(before + after));
                return Err(self.fault(Fault::error("bad-size", message, by_place, "nothing is left")));
            }
            if (before, after) != (0, 0) {
                x = self.along(x, self.known_axis(name)?, AxisMap::Pad { before, after, with }, left as usize, span)?;
            }
        }
        Ok(Value::Tensor(x))
    }

    /// Pixels at the top, bottom, left, right; one number stands for all.
    fn signed(&mut self, value: &Value<'m>, place: Span) -> Result<[isize; 4], Abort> {
        let items = match value {
            Value::List(items) if items.len() == 4 => items.to_vec(),
            Value::Number(_) => vec![value.clone(); 4],
            other => return Err(self.expected("pixels at the top, bottom, left and right", other, place)),
        };
        let mut numbers = [0; 4];
        for (number, item) in numbers.iter_mut().zip(items) {
            *number = self.signed_one(&item, place)?;
        }
        Ok(numbers)
    }

    fn signed_one(&mut self, value: &Value<'m>, place: Span) -> Result<isize, Abort> {
        let whole = if let Value::Number(number) = value { number.integer() } else { None };
        match whole.filter(|whole| whole.abs() < 1 << 24) {
            Some(whole) => Ok(whole as isize),
            None => Err(self.expected("a whole number of elements", value, place)),
        }
    }

    /// `resize(x, to, by:, corners:, smooth:, scale:)` of a run-time value.
    pub fn resize(&mut self, (x, place): (TermId, Span), actuals: &mut Actuals<'m>, span: Span) -> Outcome<'m> {
        let mut x = x;
        let sides = self.target_sides(actuals, span)?;
        let by = self.filter(actuals)?;
        let corners = self.flag(actuals, "corners")?;
        let smooth = self.flag(actuals, "smooth")?;
        let scales = self.scales(actuals)?;
        for ((name, to), scale) in PIXELS.into_iter().zip(sides).zip(scales) {
            let size = self.length_of(x, name, place)?;
            if size != to || scale.is_some() {
                x = self.along(x, self.known_axis(name)?, AxisMap::Resize { by, corners, smooth, scale }, to, span)?;
            }
        }
        Ok(Value::Tensor(x))
    }

    fn target_sides(&mut self, actuals: &mut Actuals<'m>, span: Span) -> Result<[usize; 2], Abort> {
        let to = actuals.value(self, &["to"], span)?;
        self.whole_numbers(&to, 1)
    }

    fn flag(&mut self, actuals: &mut Actuals<'m>, label: &str) -> Result<bool, Abort> {
        let Some(given) = actuals.take(&[label]) else { return Ok(false) };
        match given.value(self)? {
            Value::Bool(on) => Ok(on),
            other => Err(self.expected("true or false", &other, given.span())),
        }
    }

    fn scales(&mut self, actuals: &mut Actuals<'m>) -> Result<[Option<f64>; 2], Abort> {
        let Some(given) = actuals.take(&["scale"]) else { return Ok([None; 2]) };
        let value = given.value(self)?;
        let items = match &value {
            Value::None => return Ok([None; 2]),
            Value::List(items) if items.len() == 2 => items.to_vec(),
            _ => vec![value.clone(); 2],
        };
        let mut scales = [None; 2];
        for (scale, item) in scales.iter_mut().zip(items) {
            *scale = match item {
                Value::Number(number) if number.real() > 0.0 => Some(number.real()),
                other => return Err(self.expected("result pixels per pixel, known when compiling,", &other, given.span())),
            };
        }
        Ok(scales)
    }

    /// `avg_pool(x, by, stride:, pad:, inside:)`.
    pub fn avg_pool(&mut self, actuals: &mut Actuals<'m>, span: Span) -> Outcome<'m> {
        let (mut x, place) = self.tensor(actuals, span)?;
        let windows = self.windowed(actuals, span)?;
        let strides = self.pair(actuals, "stride", windows, 1)?;
        let pads = self.pair(actuals, "pad", [0, 0], 0)?;
        let inside = self.flag(actuals, "inside")?;
        for (at, name) in PIXELS.into_iter().enumerate() {
            let (window, stride, pad) = (windows[at], strides[at], pads[at]);
            let size = self.length_of(x, name, place)?;
            let along = Window { size: window, dilation: 1, stride, pad: 2 * pad };
            let left = self.windows(&along, size, at, [place, span])?;
            self.window_meets(pad, window, span)?;
            x = self.along(x, self.known_axis(name)?, AxisMap::Average { window, stride, pad, inside }, left, span)?;
        }
        Ok(Value::Tensor(x))
    }

    /// `adaptive_avg_pool(x, to)`.
    pub fn adaptive_avg_pool(&mut self, actuals: &mut Actuals<'m>, span: Span) -> Outcome<'m> {
        let (mut x, place) = self.tensor(actuals, span)?;
        let sides = self.target_sides(actuals, span)?;
        for (name, to) in PIXELS.into_iter().zip(sides) {
            if self.length_of(x, name, place)? != to {
                x = self.along(x, self.known_axis(name)?, AxisMap::AverageTo, to, span)?;
            }
        }
        Ok(Value::Tensor(x))
    }

    /// `reverse(x, along:)`, `roll(x, by, along:)`, `strided(x, by, along:)`: elements in other places.
    pub fn rearrange(&mut self, name: &'m str, actuals: &mut Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let x = actuals.value(self, &["x"], span)?;
        let mut id = self.operand(&x, &Value::None)?;
        let by = match name {
            "reverse" => 0,
            _ => {
                let (by, place) = actuals.value(self, &["by"], span)?;
                self.signed_one(&by, place)?
            }
        };
        let along = actuals.axes(self, "along")?;
        for axis in self.axes_of(id, &along.0, (x.1, along.1), &scope.carried)? {
            let size = self.store.ty(id).axes.iter().find(|(own, _)| *own == axis).map_or(1, |(_, size)| *size);
            let (map, left) = match name {
                "reverse" => (AxisMap::Reverse, size),
                "roll" => (AxisMap::Roll(by), size),
                _ if by < 1 => return Err(self.expected("a step from 1 on", &Value::Number(Number::whole(by as i64)), span)),
                _ => (AxisMap::Every(by as usize), size.div_ceil(by as usize)),
            };
            id = self.along(id, axis, map, left, span)?;
        }
        Ok(Value::Tensor(id))
    }

    /// `fir(x, taps, up:, down:, before:, after:, along:)`: zero insertion, padding, true convolution, decimation. The taps are
    /// normalised to sum one.
    pub fn fir(&mut self, actuals: &mut Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let (mut x, place) = self.tensor(actuals, span)?;
        let taps = self.taps(actuals, span)?;
        let [up, down] = [self.one(actuals, "up", 1, 1)?, self.one(actuals, "down", 1, 1)?];
        let mut ends = [0; 2];
        for (end, label) in ends.iter_mut().zip(["before", "after"]) {
            if let Some(given) = actuals.take(&[label]) {
                let value = given.value(self)?;
                *end = self.signed_one(&value, given.span())?;
            }
        }
        let [before, after] = ends;
        let along = match actuals.axes(self, "along")? {
            (Axes::All, _) => (Axes::Listed(vec![self.known_axis("height")?, self.known_axis("width")?]), place),
            listed => listed,
        };
        for axis in self.axes_of(x, &along.0, (place, along.1), &scope.carried)? {
            let size = self.store.ty(x).axes.iter().find(|(own, _)| *own == axis).map_or(1, |(_, size)| *size);
            let long = (size * up) as isize + before + after - taps.len() as isize;
            if long < 0 {
                let (name, all) = (self.axis_name(axis).to_string(), long + taps.len() as isize);
                let message = format!("{} taps do not fit along `{name}`, which has {all} elements with its padding", taps.len());
                return Err(self.fault(Fault::error("bad-size", message, place, self.shown(x)).help("Pad more, or take fewer taps.")));
            }
            let map = AxisMap::Fir { taps: taps.clone(), up, down, before, after };
            x = self.along(x, axis, map, long as usize / down + 1, span)?;
        }
        Ok(Value::Tensor(x))
    }

    fn taps(&mut self, actuals: &mut Actuals<'m>, span: Span) -> Result<Vec<f64>, Abort> {
        let (list, place) = actuals.value(self, &["taps"], span)?;
        let Value::List(items) = &list else { return Err(self.expected("a list of numbers", &list, place)) };
        let mut taps = Vec::new();
        for item in items.iter() {
            let Value::Number(number) = item else { return Err(self.expected("a number known when compiling", item, place)) };
            taps.push(number.real());
        }
        let total: f64 = taps.iter().sum();
        if total == 0.0 || !total.is_finite() {
            let fault =
                Fault::error("out-of-range", "the taps of a filter add up to something, these do not", place, format!("sum {total}"));
            return Err(self.fault(fault.help("They are divided by their sum.")));
        }
        Ok(taps.iter().map(|tap| tap / total).collect())
    }
}
