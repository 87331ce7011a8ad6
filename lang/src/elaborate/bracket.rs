//! The bracket after a run-time value: pick, slice, rename, split, merge.

use std::rc::Rc;

use super::Elaborator;
use super::value::{Abort, Outcome, Scope, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Axis, Element, Prim, TermId};
use crate::syntax::{Dim, Entry, Expr, ExprKind, Group, Name};

impl<'m> Elaborator<'m> {
    /// One entry of a bracket that speaks about an axis.
    pub fn axis_entry(&mut self, value: &Value<'m>, entry: &'m Entry, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let Value::Tensor(id) = *value else {
            return Err(self.expected("a run-time value with axes", value, span));
        };
        match entry {
            Entry::Axis(name, at) => self.at_axis(id, name, at, span, scope),
            Entry::Arrow(from, to) => match (from.dims.as_slice(), to.dims.as_slice()) {
                ([Dim::Axis(old, None)], [Dim::Axis(new, None)]) if !from.grouped && !to.grouped => self.rename(id, old, new, span),
                ([Dim::Axis(old, None)], parts) if !from.grouped => self.split(id, old, parts, span, scope),
                (parts, [Dim::Axis(new, None)]) if !to.grouped => self.merge(id, parts, new, span),
                _ => Err(self.bad_arrow(from, to)),
            },
            Entry::Index(_) => Err(Abort::Faulted),
        }
    }

    fn size_along(&mut self, id: TermId, name: &Name, span: Span) -> Result<(Axis, usize), Abort> {
        let axis = self.axis(name)?;
        if let Some(found) = self.store.ty(id).axes.iter().find(|(own, _)| *own == axis) {
            return Ok(*found);
        }
        let shown = self.shown(id);
        let fault =
            Fault::error("axis-mismatch", format!("there is no axis `{}` here", name.text), name.span, format!("asks for `{}`", name.text));
        Err(self.fault(fault.also(span, format!("the value has {shown}"))))
    }

    fn fresh(&mut self, id: TermId, name: &Name, but: &[Axis]) -> Result<Axis, Abort> {
        let axis = self.axis(name)?;
        if but.contains(&axis) || self.store.ty(id).axes.iter().all(|(own, _)| *own != axis) {
            return Ok(axis);
        }
        let shown = self.shown(id);
        let fault = Fault::error(
            "axis-mismatch",
            format!("the value has the axis `{}` already", name.text),
            name.span,
            format!("the value has {shown}"),
        );
        Err(self.fault(fault.help("Axes of one value have different names.")))
    }

    fn at_axis(&mut self, id: TermId, name: &'m Name, at: &'m Expr, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let (axis, size) = self.size_along(id, name, span)?;
        let ty = self.store.ty(id).clone();
        let rest: Vec<_> = ty.axes.iter().filter(|(own, _)| *own != axis).copied().collect();
        if let ExprKind::Range(low, high) = &*at.kind {
            let (low, high) = (self.whole(low, scope)?, self.whole(high, scope)?);
            if low < 0 || high <= low || high > size as i64 {
                return Err(self.outside(&format!("{low}..{high}"), name, size, at.span));
            }
            let mut axes = rest;
            axes.push((axis, (high - low) as usize));
            return Ok(Value::Tensor(self.store.intern(Prim::Slice(axis, low as usize), vec![id], ty.element, axes, span)));
        }
        match self.eval(at, scope)? {
            Value::Number(number) => match number.integer().and_then(|at| usize::try_from(at).ok()).filter(|at| *at < size) {
                Some(at) => Ok(Value::Tensor(self.store.intern(Prim::Pick(axis, at), vec![id], ty.element, rest, span))),
                None => Err(self.outside(&number.to_string(), name, size, at.span)),
            },
            Value::Tensor(which) => {
                let index = self.store.ty(which).clone();
                if index.element != Element::Int {
                    return Err(self.expected("a whole number", &Value::Tensor(which), at.span));
                }
                if index.axes.iter().any(|own| !rest.contains(own)) {
                    let (left, right) = (self.shown(id), self.shown(which));
                    let fault =
                        Fault::error("axis-mismatch", "the index has axes that the value has not", at.span, format!("this has {right}"));
                    return Err(self.fault(fault.also(span, format!("the value has {left}"))));
                }
                let place = self.own_place(at.span);
                self.chosen.push((which, place));
                Ok(Value::Tensor(self.store.intern(Prim::PickAt(axis), vec![id, which], ty.element, rest, span)))
            }
            other => Err(self.expected("a place along the axis", &other, at.span)),
        }
    }

    fn rename(&mut self, id: TermId, old: &'m Name, new: &'m Name, span: Span) -> Outcome<'m> {
        let (axis, size) = self.size_along(id, old, span)?;
        let to = self.fresh(id, new, &[axis])?;
        let ty = self.store.ty(id).clone();
        let mut axes: Vec<_> = ty.axes.into_iter().filter(|(own, _)| *own != axis).collect();
        axes.push((to, size));
        Ok(Value::Tensor(self.store.intern(Prim::Rename(axis, to), vec![id], ty.element, axes, span)))
    }

    fn split(&mut self, id: TermId, old: &'m Name, parts: &'m [Dim], span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let (axis, size) = self.size_along(id, old, span)?;
        let (mut sizes, mut unknown) = (Vec::new(), None);
        for (place, part) in parts.iter().enumerate() {
            let Dim::Axis(name, length) = part else { return Err(self.pend("axes without names", span)) };
            let new = self.fresh(id, name, &[axis])?;
            match length {
                Some(length) => sizes.push((new, self.length(length, scope)?)),
                None if unknown.is_none() => {
                    unknown = Some(place);
                    sizes.push((new, 1));
                }
                None => {
                    let fault = Fault::error("bad-size", "only one part of a split may go without its size", name.span, "which size?");
                    return Err(self.fault(fault));
                }
            }
        }
        let product: usize = sizes.iter().map(|(_, size)| size).product();
        if let Some(place) = unknown {
            sizes[place].1 = size / product.max(1);
        }
        if sizes.iter().map(|(_, size)| size).product::<usize>() != size {
            let parts = sizes.iter().map(|(_, size)| size.to_string()).collect::<Vec<_>>().join(" x ");
            let message = format!("`{}` has the size {size}, which is not {parts}", old.text);
            return Err(self.fault(Fault::error("size-mismatch", message, old.span, format!("{size}"))));
        }
        let ty = self.store.ty(id).clone();
        let mut axes: Vec<_> = ty.axes.into_iter().filter(|(own, _)| *own != axis).collect();
        axes.extend(sizes.iter().copied());
        Ok(Value::Tensor(self.store.intern(Prim::Split(axis, sizes), vec![id], ty.element, axes, span)))
    }

    fn merge(&mut self, id: TermId, parts: &'m [Dim], new: &'m Name, span: Span) -> Outcome<'m> {
        let (mut merged, mut size) = (Vec::new(), 1);
        for part in parts {
            let Dim::Axis(name, _) = part else { return Err(self.pend("axes without names", span)) };
            let (axis, length) = self.size_along(id, name, span)?;
            merged.push(axis);
            size *= length;
        }
        let to = self.fresh(id, new, &merged)?;
        let ty = self.store.ty(id).clone();
        let mut axes: Vec<_> = ty.axes.into_iter().filter(|(own, _)| !merged.contains(own)).collect();
        axes.push((to, size));
        Ok(Value::Tensor(self.store.intern(Prim::Merge(merged, to), vec![id], ty.element, axes, span)))
    }

    fn outside(&mut self, at: &str, name: &Name, size: usize, span: Span) -> Abort {
        let message = format!("`{}` has the size {size}: {at} lies outside", name.text);
        self.fault(Fault::error("out-of-range", message, span, format!("places are 0 to {}", size - 1)))
    }

    fn bad_arrow(&mut self, from: &Group, to: &Group) -> Abort {
        let fault = Fault::error(
            "axis-mismatch",
            "an arrow renames one axis, splits one or merges several into one",
            from.span.to(to.span),
            "this does neither",
        );
        self.fault(fault.help("`[token -> key]`, `[feature -> (head: 6, feature: 64)]` or `[(head, feature) -> feature]`."))
    }
}
