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
                (parts, [Dim::Axis(new, None)]) if !to.grouped => self.merge(id, parts, new, span, scope),
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
                self.pick_at((id, axis, size), which, (span, at.span))
            }
            other => Err(self.expected("a place along the axis", &other, at.span)),
        }
    }

    /// `x[axis: i]` with an index of run time: axes that both have align, those of the index alone are axes of the result. An index
    /// may have the axis that it picks from, as a new order of its elements has.
    fn pick_at(&mut self, (id, axis, size): (TermId, Axis, usize), which: TermId, (span, place): (Span, Span)) -> Outcome<'m> {
        let (ty, index) = (self.store.ty(id).clone(), self.store.ty(which).axes.clone());
        let mut axes: Vec<_> = ty.axes.iter().filter(|(own, _)| *own != axis).copied().collect();
        for (own, length) in &index {
            match axes.iter().find(|(known, _)| known == own) {
                Some((_, other)) if other != length => {
                    return Err(self.size_mismatch(*own, ((id, span), *other), ((which, place), *length)));
                }
                Some(_) => {}
                None => axes.push((*own, *length)),
            }
        }
        let (from, along) = if index.iter().any(|(own, _)| *own == axis) { self.aside((id, axis, size), &axes, span) } else { (id, axis) };
        let chosen = self.own_place(place);
        self.chosen.push((which, chosen));
        self.not_too_large(&axes, span)?;
        Ok(Value::Tensor(self.store.intern(Prim::PickAt(along), vec![from, which], ty.element, axes, span)))
    }

    /// The value with its axis under a name that neither it nor these axes have.
    fn aside(&mut self, (id, axis, size): (TermId, Axis, usize), axes: &[(Axis, usize)], span: Span) -> (TermId, Axis) {
        let ty = self.store.ty(id).clone();
        let taken = |other: &Axis| axes.iter().chain(&ty.axes).any(|(own, _)| own == other);
        let free = (0..self.spec.axes.len() as u16).map(Axis).find(|other| !taken(other)).unwrap_or(axis);
        let mut moved: Vec<_> = ty.axes.iter().filter(|(own, _)| *own != axis).copied().collect();
        moved.push((free, size));
        (self.store.intern(Prim::Rename(axis, free), vec![id], ty.element, moved, span), free)
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

    fn merge(&mut self, id: TermId, parts: &'m [Dim], new: &'m Name, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let (mut merged, mut size) = (Vec::new(), 1);
        for part in parts {
            let axes = match part {
                Dim::Axis(name, _) => vec![self.size_along(id, name, span)?],
                Dim::Rest(name) => self.rest(id, name, scope)?,
            };
            for (axis, length) in axes {
                merged.push(axis);
                size *= length;
            }
        }
        let to = self.fresh(id, new, &merged)?;
        let ty = self.store.ty(id).clone();
        let mut axes: Vec<_> = ty.axes.into_iter().filter(|(own, _)| !merged.contains(own)).collect();
        axes.push((to, size));
        Ok(Value::Tensor(self.store.intern(Prim::Merge(merged, to), vec![id], ty.element, axes, span)))
    }

    /// The axes of the signature's `..name` that the value has, in the order of their declaration.
    fn rest(&mut self, id: TermId, name: &'m Name, scope: &Rc<Scope<'m>>) -> Result<Vec<(Axis, usize)>, Abort> {
        let Some(rest) = scope.rest(&name.text) else {
            let message = format!("`..{}` stands for no axes here", name.text);
            let fault = Fault::error("axis-mismatch", message, name.span, "not in the signature");
            return Err(self.fault(fault.help("Only a signature with `..a` gives it a meaning: `net norm()(w: [out, ..a])`.")));
        };
        let own = self.store.ty(id).axes.clone();
        Ok(own.into_iter().filter(|(axis, _)| rest.iter().any(|(known, _)| known == axis)).collect())
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
