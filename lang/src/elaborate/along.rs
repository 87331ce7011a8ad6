//! Operations along axes: reductions, products, stacking, moving, calculus.

use std::rc::Rc;

use super::Elaborator;
use super::builtin::Actuals;
use super::number::Number;
use super::ops::Placed;
use super::value::{Abort, Axes, Outcome, Scope, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Axis, Binary, Element, Prim, Reduction, TermId};
use crate::syntax::{Expr, ExprKind, Name};

/// Largest size of an axis.
const LONGEST: usize = 1 << 24;
/// Most elements of a value.
const LARGEST: usize = 1 << 36;

impl<'m> Elaborator<'m> {
    /// `sum`, `max` or `min` of a list, of a value over axes, or (the latter two) of two values.
    pub fn reduce(&mut self, how: Reduction, actuals: &mut Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let x = actuals.value(self, &["x", "xs"], span)?;
        let pair = match how {
            Reduction::Sum => Binary::Add,
            Reduction::Max => Binary::Max,
            Reduction::Min => Binary::Min,
        };
        if how != Reduction::Sum
            && let Some(given) = actuals.second(self)
        {
            let y = given.value(self)?;
            return self.binary(pair, x, (y, given.span()), span, &scope.carried);
        }
        let over = actuals.axes(self, "over")?;
        if let Value::List(items) = &x.0 {
            return self.fold_list(pair, items, x.1, span, &scope.carried);
        }
        let Value::Tensor(id) = x.0 else {
            return if matches!(x.0, Value::Number(_)) { Ok(x.0) } else { Err(self.expected("a number", &x.0, x.1)) };
        };
        let ty = self.store.ty(id).clone();
        if ty.element == Element::Bool {
            let message = "truth values are not added up or compared";
            return Err(self.fault(Fault::error("wrong-kind", message, x.1, self.shown(id)).help("Say `indicator(..)` first.")));
        }
        let axes = self.axes_of(id, &over.0, (x.1, over.1), &scope.carried)?;
        if axes.is_empty() {
            return Ok(Value::Tensor(id));
        }
        let left = ty.axes.into_iter().filter(|(axis, _)| !axes.contains(axis)).collect();
        Ok(Value::Tensor(self.store.intern(Prim::Reduce(how, axes), vec![id], ty.element, left, span)))
    }

    fn fold_list(&mut self, op: Binary, items: &[Value<'m>], place: Span, span: Span, carried: &[Axis]) -> Outcome<'m> {
        let Some((first, rest)) = items.split_first() else {
            return if op == Binary::Add {
                Ok(Value::Number(Number::whole(0)))
            } else {
                Err(self.fault(Fault::error("wrong-kind", "an empty list has no largest and no smallest", place, "empty")))
            };
        };
        let mut total = first.clone();
        for item in rest {
            total = self.binary(op, (total, place), (item.clone(), place), span, carried)?;
        }
        Ok(total)
    }

    /// The axes that are meant, each of which the value must have; all but the carried ones where nothing is said. Sorted.
    pub fn axes_of(&mut self, id: TermId, axes: &Axes, places: (Span, Span), carried: &[Axis]) -> Result<Vec<Axis>, Abort> {
        let own: Vec<Axis> = self.store.ty(id).axes.iter().map(|(axis, _)| *axis).collect();
        let Axes::Listed(listed) = axes else {
            return Ok(own.into_iter().filter(|axis| !carried.contains(axis)).collect());
        };
        for axis in listed {
            if !own.contains(axis) {
                let (name, shown) = (self.axis_name(*axis).to_string(), self.shown(id));
                let fault =
                    Fault::error("axis-mismatch", format!("there is no axis `{name}` here"), places.1, format!("asks for `{name}`"));
                return Err(self.fault(fault.also(places.0, format!("this has {shown}"))));
            }
        }
        let mut axes = listed.clone();
        axes.sort();
        axes.dedup();
        Ok(axes)
    }

    /// `argmax(x, over:)`.
    pub fn argmax(&mut self, actuals: &mut Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let x = actuals.value(self, &["x"], span)?;
        let over = actuals.axes(self, "over")?;
        let id = self.operand(&x, &Value::None)?;
        let axes = self.axes_of(id, &over.0, (x.1, over.1), &scope.carried)?;
        let [axis] = axes.as_slice() else {
            let fault = Fault::error("axis-mismatch", "`argmax` goes over one axis", over.1, format!("{} axes", axes.len()));
            return Err(self.fault(fault.also(x.1, self.shown(id))));
        };
        let left = self.without(id, &axes);
        Ok(Value::Tensor(self.store.intern(Prim::ArgMax(*axis), vec![id], Element::Int, left, span)))
    }

    /// `order(x, along:)`.
    pub fn order(&mut self, actuals: &mut Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let x = actuals.value(self, &["x"], span)?;
        let along = actuals.axes(self, "along")?;
        let id = self.operand(&x, &Value::None)?;
        let axes = self.axes_of(id, &along.0, (x.1, along.1), &scope.carried)?;
        let [axis] = axes.as_slice() else {
            let fault = Fault::error("axis-mismatch", "`order` goes along one axis", along.1, format!("{} axes", axes.len()));
            return Err(self.fault(fault.also(x.1, self.shown(id))));
        };
        let own = self.store.ty(id).axes.clone();
        Ok(Value::Tensor(self.store.intern(Prim::Order(*axis), vec![id], Element::Int, own, span)))
    }

    fn without(&self, id: TermId, axes: &[Axis]) -> Vec<(Axis, usize)> {
        self.store.ty(id).axes.iter().filter(|(axis, _)| !axes.contains(axis)).copied().collect()
    }

    /// `dot(x, y, over:)`.
    pub fn dot(&mut self, actuals: &mut Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let x = actuals.value(self, &["x"], span)?;
        let y = actuals.value(self, &["y"], span)?;
        let over = actuals.axes(self, "over")?;
        let (a, b) = (self.operand(&x, &Value::None)?, self.operand(&y, &Value::None)?);
        let axes = self.axes_of(a, &over.0, (x.1, over.1), &scope.carried)?;
        self.axes_of(b, &Axes::Listed(axes.clone()), (y.1, over.1), &scope.carried)?;
        let (left, right) = (self.store.ty(a).axes.clone(), self.store.ty(b).axes.clone());
        let mut all = left.clone();
        for (axis, size) in right {
            match left.iter().find(|(name, _)| *name == axis) {
                Some((_, other)) if *other != size => return Err(self.size_mismatch(axis, ((a, x.1), *other), ((b, y.1), size))),
                Some(_) => {}
                None => all.push((axis, size)),
            }
        }
        all.retain(|(axis, _)| !axes.contains(axis));
        self.not_too_large(&all, span)?;
        Ok(Value::Tensor(self.store.intern(Prim::Dot(axes), vec![a, b], Element::Real, all, span)))
    }

    /// `count(x, over:)`: the number of elements along axes.
    pub fn count(&mut self, actuals: &mut Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let x = actuals.value(self, &["x"], span)?;
        let over = actuals.axes(self, "over")?;
        let number = match x.0 {
            Value::List(items) => items.len(),
            Value::Tensor(id) => {
                let axes = self.axes_of(id, &over.0, (x.1, over.1), &scope.carried)?;
                self.store.ty(id).axes.iter().filter(|(axis, _)| axes.contains(axis)).map(|(_, size)| size).product()
            }
            _ => 1,
        };
        Ok(Value::Number(Number::whole(number as i64)))
    }

    /// `size(x, axis)`.
    pub fn size(&mut self, actuals: &mut Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let x = actuals.value(self, &["x"], span)?;
        let axis = actuals.axes(self, "axis")?;
        let id = self.operand(&x, &Value::None)?;
        let axes = self.axes_of(id, &axis.0, (x.1, axis.1), &scope.carried)?;
        let sizes = self.store.ty(id).axes.iter().filter(|(own, _)| axes.contains(own)).map(|(_, size)| *size);
        Ok(Value::Number(Number::whole(sizes.product::<usize>() as i64)))
    }

    /// `index(level: 5)`: places along a new axis.
    pub fn index(&mut self, actuals: &mut Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let axes = self.sized(actuals, scope)?;
        let [(axis, size)] = axes.as_slice() else {
            let fault = Fault::error("wrong-arguments", "`index` goes along one axis", span, format!("{} axes", axes.len()));
            return Err(self.fault(fault.help("Write `index(height: 5)`.")));
        };
        Ok(Value::Tensor(self.store.intern(Prim::Index(*axis), vec![], Element::Int, vec![(*axis, *size)], span)))
    }

    /// `spread(x, width: 5)`: repeated along new axes.
    pub fn spread(&mut self, actuals: &mut Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let x = actuals.value(self, &["x"], span)?;
        let new = self.sized(actuals, scope)?;
        let id = self.operand(&x, &Value::None)?;
        let mut axes = self.store.ty(id).axes.clone();
        for (axis, size) in new {
            if axes.iter().any(|(own, _)| *own == axis) {
                let message = format!("the value has the axis `{}` already", self.axis_name(axis));
                return Err(self.fault(Fault::error("axis-mismatch", message, x.1, self.shown(id)).help("`spread` makes new axes only.")));
            }
            axes.push((axis, size));
        }
        self.not_too_large(&axes, span)?;
        Ok(Value::Tensor(self.spread_to(id, axes, span)))
    }

    pub fn not_too_large(&mut self, axes: &[(Axis, usize)], span: Span) -> Result<(), Abort> {
        let count = axes.iter().try_fold(1usize, |count, (_, size)| count.checked_mul(*size));
        if count.is_some_and(|count| count <= LARGEST) {
            return Ok(());
        }
        let shown = self.shown_axes(axes);
        let fault = Fault::error("bad-size", format!("a value with {shown} has more than 2^36 elements"), span, shown);
        Err(self.fault(fault.help("No device holds this: reduce before, or slice.")))
    }

    /// All remaining labels as axes with sizes.
    pub fn sized(&mut self, actuals: &mut Actuals<'m>, scope: &Rc<Scope<'m>>) -> Result<Vec<(Axis, usize)>, Abort> {
        let mut axes = Vec::new();
        for (label, expr) in actuals.labelled() {
            let axis = self.axis(label)?;
            axes.push((axis, self.length(expr, scope)?));
        }
        Ok(axes)
    }

    /// A size: a whole number from one.
    pub fn length(&mut self, expr: &'m Expr, scope: &Rc<Scope<'m>>) -> Result<usize, Abort> {
        let size = self.whole(expr, scope)?;
        match usize::try_from(size) {
            Ok(size) if (1..=LONGEST).contains(&size) => Ok(size),
            _ => {
                let fault = Fault::error("bad-size", format!("an axis cannot have the size {size}"), expr.span, format!("{size}"));
                Err(self.fault(fault.help("Sizes are whole numbers from 1 to 2^24.")))
            }
        }
    }

    /// The axis with this name.
    pub fn axis(&mut self, name: &Name) -> Result<Axis, Abort> {
        if let Some(axis) = self.axes.get(name.text.as_str()) {
            return Ok(*axis);
        }
        let fault = Fault::error("unknown-axis", format!("no axis is called `{}`", name.text), name.span, "not declared");
        let known = self.spec.axes.clone();
        let fault = super::nearest(fault, &name.text, &known);
        Err(self.fault(fault))
    }

    /// An expression that names axes: `channel`, `[height, width]`, `all`, or a formal that holds such.
    pub fn axes_expr(&mut self, expr: &'m Expr, scope: &Rc<Scope<'m>>) -> Result<Axes, Abort> {
        match &*expr.kind {
            ExprKind::Path(path) if path.segments.len() == 1 => {
                let name = &path.segments[0];
                if let Some(Value::Axes(axes)) = scope.bound(&name.text) {
                    return Ok(axes);
                }
                if name.text == "all" && !self.axes.contains_key("all") {
                    return Ok(Axes::All);
                }
                Ok(Axes::Listed(vec![self.axis(name)?]))
            }
            ExprKind::List(items) => {
                let mut axes = Vec::new();
                for item in items {
                    match self.axes_expr(item, scope)? {
                        Axes::All => return Ok(Axes::All),
                        Axes::Listed(more) => axes.extend(more),
                    }
                }
                Ok(Axes::Listed(axes))
            }
            ExprKind::If(on, yes, no) => {
                let branch = if self.decided(on, scope)? { yes } else { no };
                self.axes_expr(branch, scope)
            }
            _ => match self.eval(expr, scope)? {
                Value::Axes(axes) => Ok(axes),
                other => Err(self.expected("the name of an axis", &other, expr.span)),
            },
        }
    }

    /// `stack(xs, as:)` and `concat(xs, along:)`.
    pub fn join(&mut self, stacked: bool, actuals: &mut Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let xs = actuals.value(self, &["xs"], span)?;
        let (axes, place) = actuals.axes(self, if stacked { "as" } else { "along" })?;
        let Axes::Listed(axes) = axes else { return Err(self.expected("the name of an axis", &Value::Axes(axes), place)) };
        let (Value::List(items), [axis]) = (&xs.0, axes.as_slice()) else { return Err(self.expected("a list", &xs.0, xs.1)) };
        let mut ids = Vec::new();
        let example = items.iter().find(|item| matches!(item, Value::Tensor(_))).cloned().unwrap_or(Value::None);
        for item in items.iter() {
            ids.push(self.operand(&(item.clone(), xs.1), &example)?);
        }
        if stacked {
            return self.stack(ids, *axis, (xs.1, place), span, &scope.carried);
        }
        let ids = self.level(ids, *axis, &scope.carried, span);
        self.concat(ids, *axis, (xs.1, place), span)
    }

    fn stack(&mut self, mut ids: Vec<TermId>, axis: Axis, places: (Span, Span), span: Span, carried: &[Axis]) -> Outcome<'m> {
        let Some(largest) = ids.iter().copied().max_by_key(|id| self.store.ty(*id).axes.len()) else {
            return Err(self.fault(Fault::error("wrong-kind", "an empty list cannot be stacked", places.0, "empty")));
        };
        let axes = self.store.ty(largest).axes.clone();
        let element = self.joint_element(&ids);
        for id in &mut ids {
            let own = self.store.ty(*id).axes.clone();
            if own == axes {
                continue;
            }
            let missing = axes.iter().any(|(axis, _)| !carried.contains(axis) && own.iter().all(|(name, _)| name != axis));
            if missing {
                let (left, right) = (self.shown(largest), self.shown(*id));
                let fault =
                    Fault::error("axis-mismatch", "what is stacked must have equal axes", places.0, format!("has {left} and {right}"));
                return Err(self.fault(fault.help("Spread or reduce the odd one.")));
            }
            self.broadcast((largest, places.0), (*id, places.0), carried)?;
            *id = self.spread_to(*id, axes.clone(), span);
        }
        if axes.iter().any(|(own, _)| *own == axis) {
            let (name, shown) = (self.axis_name(axis).to_string(), self.shown(largest));
            let fault = Fault::error("axis-mismatch", format!("the members have the axis `{name}` already"), places.1, "the new axis")
                .also(places.0, shown);
            return Err(self.fault(fault.help("`stack` makes a new axis; `concat(.., along: ..)` joins along one that all have.")));
        }
        let mut all = axes;
        all.push((axis, ids.len()));
        Ok(Value::Tensor(self.store.intern(Prim::Stack(axis), ids, element, all, span)))
    }

    /// Values that lack an axis over which the call is mapped are repeated along it, where another one has it.
    fn level(&mut self, ids: Vec<TermId>, axis: Axis, carried: &[Axis], span: Span) -> Vec<TermId> {
        let mut mapped: Vec<(Axis, usize)> = ids.iter().flat_map(|id| self.store.ty(*id).axes.clone()).collect();
        mapped.retain(|(own, _)| *own != axis && carried.contains(own));
        mapped.sort();
        mapped.dedup_by_key(|(own, _)| *own);
        let mut all = Vec::new();
        for id in ids {
            let mut axes = self.store.ty(id).axes.clone();
            axes.extend(mapped.iter().filter(|(new, _)| axes.iter().all(|(own, _)| own != new)).copied().collect::<Vec<_>>());
            all.push(self.spread_to(id, axes, span));
        }
        all
    }

    fn concat(&mut self, ids: Vec<TermId>, axis: Axis, places: (Span, Span), span: Span) -> Outcome<'m> {
        let Some(first) = ids.first().copied() else {
            return Err(self.fault(Fault::error("wrong-kind", "an empty list cannot be joined", places.0, "empty")));
        };
        let (rest, mut length) = (self.without(first, &[axis]), 0);
        for id in &ids {
            let size = self.store.ty(*id).axes.iter().find(|(own, _)| *own == axis).map(|(_, size)| *size);
            match size {
                Some(size) if self.without(*id, &[axis]) == rest => length += size,
                _ => {
                    let (name, left, right) = (self.axis_name(axis).to_string(), self.shown(first), self.shown(*id));
                    let message = format!("what is joined along `{name}` must have it, and agree in all other axes");
                    let fault = Fault::error("axis-mismatch", message, places.0, format!("has {left} and {right}"));
                    return Err(self.fault(fault));
                }
            }
        }
        let mut axes = rest;
        axes.push((axis, length));
        let element = self.joint_element(&ids);
        Ok(Value::Tensor(self.store.intern(Prim::Concat(axis), ids, element, axes, span)))
    }

    fn joint_element(&self, ids: &[TermId]) -> Element {
        let mut elements = ids.iter().map(|id| self.store.ty(*id).element);
        let first = elements.next().unwrap_or(Element::Real);
        if elements.all(|element| element == first) { first } else { Element::Real }
    }

    /// `translate(x, right:, down:)`.
    pub fn translate(&mut self, actuals: &mut Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let x = actuals.value(self, &["x"], span)?;
        let right = actuals.value(self, &["right"], span)?;
        let down = actuals.value(self, &["down"], span)?;
        let (Some(height), Some(width)) = (self.axes.get("height").copied(), self.axes.get("width").copied()) else {
            return Err(Abort::Faulted);
        };
        let id = self.operand(&x, &Value::None)?;
        self.axes_of(id, &Axes::Listed(vec![height, width]), (x.1, span), &scope.carried)?;
        let mut args = vec![id];
        for by in [right, down] {
            let number = self.operand(&by, &Value::None)?;
            let axes = self.store.ty(number).axes.clone();
            if let Some((axis, _)) = axes.iter().find(|(axis, _)| !scope.carried.contains(axis)) {
                let message = format!("a picture moves as a whole, this differs along `{}`", self.axis_name(*axis));
                return Err(self.fault(Fault::error("not-a-scalar", message, by.1, self.shown(number))));
            }
            if !axes.is_empty() {
                return Err(self.pend("moves that differ along a mapped axis", span));
            }
            args.push(number);
        }
        let ty = self.store.ty(id).clone();
        Ok(Value::Tensor(self.store.intern(Prim::Translate { height, width }, args, Element::Real, ty.axes, span)))
    }

    /// `grad(y, wrt: x)`.
    pub fn grad(&mut self, actuals: &mut Actuals<'m>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let y = actuals.value(self, &["y"], span)?;
        let x = actuals.value(self, &["wrt"], span)?;
        let Value::Tensor(target) = y.0 else {
            return Err(self.expected("a run-time value to differentiate", &y.0, y.1));
        };
        let Value::Tensor(by) = x.0 else {
            return Err(self.expected("a run-time value to differentiate by", &x.0, x.1));
        };
        if let Prim::Buffer { .. } = self.store.terms.get(by).prim {
            let message = "no gradient passes into the state of a net";
            let fault = Fault::error("gradient-stops", message, x.1, "this is a state").also(self.store.terms.get(by).span, "kept here");
            return Err(self.fault(fault.help("Make it a `weight`, if it is to be trained.")));
        }
        let axes = self.store.ty(target).axes.clone();
        if let Some((axis, size)) = axes.iter().find(|(axis, _)| !scope.carried.contains(axis)) {
            let message = format!("a gradient is that of one number, this has `{}: {size}` left", self.axis_name(*axis));
            let fault = Fault::error("not-a-scalar", message, y.1, self.shown(target));
            return Err(self.fault(fault.help("Say which one: `sum(..)` or `mean(..)` of it.")));
        }
        let own = self.store.ty(by).clone();
        if axes.iter().any(|(axis, _)| own.axes.iter().all(|(name, _)| name != axis)) {
            return Err(self.pend("gradients of mapped functions", span));
        }
        let total = if axes.is_empty() {
            target
        } else {
            let over = axes.iter().map(|(axis, _)| *axis).collect();
            self.store.intern(Prim::Reduce(Reduction::Sum, over), vec![target], Element::Real, vec![], span)
        };
        self.sinks.push((total, y.1, super::Sink::Gradient));
        let grad = self.store.intern(Prim::Grad, vec![total, by], Element::Real, own.axes, span);
        self.gradients.push((grad, y.1, x.1));
        Ok(Value::Tensor(grad))
    }

    /// `stop(x)`, `oracle(x)`: the same value, seen differently.
    pub fn veil(&mut self, prim: Prim, actuals: &mut Actuals<'m>, span: Span) -> Outcome<'m> {
        let (value, place) = actuals.value(self, &["x"], span)?;
        self.veiled(&prim, value, place, span)
    }

    fn veiled(&mut self, prim: &Prim, value: Value<'m>, place: Span, span: Span) -> Outcome<'m> {
        match value {
            Value::Tensor(id) => {
                let ty = self.store.ty(id).clone();
                if *prim == Prim::Oracle && !self.spec.oracles.contains(&span) {
                    self.spec.oracles.push(span);
                }
                Ok(Value::Tensor(self.store.intern(prim.clone(), vec![id], ty.element, ty.axes, span)))
            }
            Value::Record(fields) => {
                let mut values = Vec::new();
                for (name, field) in fields.iter() {
                    values.push((name.clone(), self.veiled(prim, field.clone(), place, span)?));
                }
                Ok(Value::Record(values.into()))
            }
            Value::Number(_) | Value::Bool(_) => Ok(value),
            other => Err(self.expected("a number", &other, place)),
        }
    }

    /// `average(x, over: data)`.
    pub fn average(&mut self, actuals: &mut Actuals<'m>, span: Span) -> Outcome<'m> {
        let (x, place): Placed<'m> = actuals.value(self, &["x"], span)?;
        let (over, over_place) = actuals.value(self, &["over"], span)?;
        let (data, part) = self.data_of(&over, over_place)?;
        if matches!(x, Value::Number(_)) {
            return Ok(x);
        }
        let id = self.operand(&(x, place), &Value::None)?;
        self.averages.push((id, place, Some(data)));
        let axes = self.store.ty(id).axes.clone();
        Ok(Value::Tensor(self.store.intern(Prim::Average { data, part }, vec![id], Element::Real, axes, span)))
    }
}
