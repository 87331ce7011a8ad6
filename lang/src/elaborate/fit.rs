//! Values against types: axes and sizes are bound at their first use and checked after.

use std::fmt::Display;
use std::rc::Rc;

use super::Elaborator;
use super::draw::is_distribution;
use super::ops::Axes;
use super::value::{Abort, Outcome, Scope, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Axis, Element, TermId};
use crate::syntax::{self, Dim, ExprKind, ItemKind, Name, Type, TypeKind};

impl<'m> Elaborator<'m> {
    /// A value against the type that is written at its definition.
    pub fn conform(&mut self, ty: &'m Type, value: Value<'m>, scope: &Rc<Scope<'m>>, span: Span, name: &'m Name) -> Outcome<'m> {
        let inner = Rc::new(scope.inside("", Vec::new(), Vec::new()));
        let mut carried = scope.carried.clone();
        self.fit(ty, value, &inner, span, &format_args!("`{}`", name.text), &mut carried, true)
    }

    /// A value against a type. Axes beyond the type's are added to `carried` (the call is mapped over them), or, where the type is
    /// `closed`, must be among them. Sizes are bound in `sizes`.
    #[allow(clippy::too_many_arguments)]
    pub fn fit(
        &mut self,
        ty: &'m Type,
        value: Value<'m>,
        sizes: &Rc<Scope<'m>>,
        span: Span,
        what: &dyn Display,
        carried: &mut Vec<Axis>,
        closed: bool,
    ) -> Outcome<'m> {
        match &ty.kind {
            TypeKind::Word(name) => {
                if let Some(alias) = self.alias(name, sizes) {
                    return self.fit(alias, value, sizes, span, what, carried, closed);
                }
                self.fit_word(name, value, span, what, carried, closed)
            }
            TypeKind::Record(fields) => {
                let Value::Record(own) = &value else {
                    return if matches!(value, Value::Scene(_)) {
                        Ok(value)
                    } else {
                        Err(self.misfit(what, "a record", &value, span, ty.span))
                    };
                };
                let mut values = own.to_vec();
                for (name, field) in fields {
                    match values.iter_mut().find(|(key, _)| *key == name.text) {
                        Some((_, value)) => {
                            let what = &format_args!("`{}` of {what}", name.text);
                            *value = self.fit(field, value.clone(), sizes, span, what, carried, closed)?;
                        }
                        None if name.text == "mask" => {}
                        None => {
                            let message = format!("{what} needs the field `{}`", name.text);
                            let fault = Fault::error("unknown-field", message, span, value.describe()).also(name.span, "announced here");
                            return Err(self.fault(fault));
                        }
                    }
                }
                Ok(Value::Record(values.into()))
            }
            TypeKind::Tensor(element, dims) => self.fit_tensor((*element, dims), value, sizes, (span, ty.span), what, (carried, closed)),
        }
    }

    fn alias(&self, name: &Name, scope: &Rc<Scope<'m>>) -> Option<&'m Type> {
        let modules = self.modules;
        let items = modules.find(scope.module, &name.text)?;
        match modules.item(*items.first()?).kind() {
            ItemKind::Alias(_, ty) => Some(ty),
            _ => None,
        }
    }

    fn fit_word(
        &mut self,
        name: &'m Name,
        value: Value<'m>,
        span: Span,
        what: &dyn Display,
        carried: &mut Vec<Axis>,
        closed: bool,
    ) -> Outcome<'m> {
        let scalar = |element: Element| match name.text.as_str() {
            "real" | "schedule" => element != Element::Bool,
            "int" => element == Element::Int,
            "bool" => element == Element::Bool,
            _ => false,
        };
        let fits = match (&value, name.text.as_str()) {
            (Value::Tensor(id), "real" | "schedule" | "int" | "bool") => {
                let ty = self.store.ty(*id).clone();
                let beyond: Vec<_> = ty.axes.iter().filter(|(axis, _)| !carried.contains(axis)).copied().collect();
                if closed && !beyond.is_empty() {
                    return Err(self.left_over(what, *id, &beyond, span, name.span));
                }
                carried.extend(beyond.iter().map(|(axis, _)| *axis));
                scalar(ty.element)
            }
            (Value::Number(_), "real" | "schedule") => true,
            (Value::Number(number), "int") => number.integer().is_some(),
            (_, "real" | "schedule" | "int") => false,
            (value, "bool") => matches!(value, Value::Bool(_)),
            (value, "text") => matches!(value, Value::Text(_)),
            (value, "file" | "folder") => matches!(value, Value::Text(_) | Value::None),
            (value, "list") => matches!(value, Value::List(_) | Value::Family(_)),
            (value, "fn") => matches!(value, Value::Function(..) | Value::Instance(_)),
            (value, "net") => matches!(value, Value::Net(_)),
            (value, "distribution") => {
                matches!(value, Value::Distribution(_) | Value::Number(_) | Value::Tensor(_) | Value::None) || is_distribution(value)
            }
            (value, "duration") => matches!(value, Value::Duration(..)),
            (value, "scene") => matches!(value, Value::Scene(_)),
            (value, "axes" | "axis") => matches!(value, Value::Axes(_)),
            (value, "data") => matches!(value, Value::Data(..) | Value::Pipeline(_)),
            (value, "record") => matches!(value, Value::Record(_)),
            _ => true,
        };
        if fits { Ok(value) } else { Err(self.misfit(what, &format!("`{}`", name.text), &value, span, name.span)) }
    }

    fn fit_tensor(
        &mut self,
        ty: (syntax::Element, &'m [Dim]),
        value: Value<'m>,
        sizes: &Rc<Scope<'m>>,
        places: (Span, Span),
        what: &dyn Display,
        (carried, closed): (&mut Vec<Axis>, bool),
    ) -> Outcome<'m> {
        let (element, dims) = ty;
        let open = dims.iter().any(|dim| matches!(dim, Dim::Rest(_)));
        let named: Vec<_> =
            dims.iter().filter_map(|dim| if let Dim::Axis(name, size) = dim { Some((name, size.as_ref())) } else { None }).collect();
        let (has, axes): (Element, Axes) = match &value {
            Value::Tensor(id) => (self.store.ty(*id).element, self.store.ty(*id).axes.clone()),
            Value::Number(_) => (Element::Real, Vec::new()),
            Value::Bool(_) => (Element::Bool, Vec::new()),
            Value::List(_) | Value::Record(_) if open && named.is_empty() => return Ok(value),
            _ => return Err(self.misfit(what, "a tensor", &value, places.0, places.1)),
        };
        let wanted = match element {
            syntax::Element::Bool => has == Element::Bool,
            syntax::Element::Int => has == Element::Int || matches!(&value, Value::Number(number) if number.integer().is_some()),
            syntax::Element::Real => has != Element::Bool || (open && named.is_empty()),
        };
        if !wanted {
            let name = if element == syntax::Element::Bool { "truth values" } else { "numbers" };
            return Err(self.misfit(what, name, &value, places.0, places.1));
        }
        let mut listed = Vec::new();
        for (name, size) in named {
            let axis = self.axis(name)?;
            listed.push(axis);
            let Some((_, own)) = axes.iter().find(|(own, _)| *own == axis) else {
                let found = self.shown_axes(&axes);
                let fault = Fault::error(
                    "axis-mismatch",
                    format!("{what} must have the axis `{}`", name.text),
                    places.0,
                    format!("this has {found}"),
                );
                return Err(self.fault(fault.also(name.span, "asked for here")));
            };
            self.bind_size(name, size, *own, sizes, (places.0, &axes))?;
        }
        if let Some(Dim::Rest(name)) = dims.iter().find(|dim| matches!(dim, Dim::Rest(_)))
            && sizes.rest(&name.text).is_none()
        {
            let rest = axes.iter().filter(|(axis, _)| !listed.contains(axis) && !carried.contains(axis)).copied().collect();
            sizes.rests.borrow_mut().push((&name.text, rest));
        }
        if !open {
            let beyond: Axes = axes.iter().filter(|(axis, _)| !listed.contains(axis) && !carried.contains(axis)).copied().collect();
            if closed
                && !beyond.is_empty()
                && let Value::Tensor(id) = value
            {
                return Err(self.left_over(what, id, &beyond, places.0, places.1));
            }
            carried.extend(beyond.iter().map(|(axis, _)| *axis));
        }
        Ok(value)
    }

    /// A size in a signature: a new name is bound, anything else must agree.
    fn bind_size(
        &mut self,
        axis: &'m Name,
        size: Option<&'m syntax::Expr>,
        own: usize,
        sizes: &Rc<Scope<'m>>,
        (place, axes): (Span, &Axes),
    ) -> Result<(), Abort> {
        let number = || Value::Number(super::number::Number::whole(own as i64));
        let (name, written) = match size.map(|expr| (&*expr.kind, expr)) {
            None => (Some(axis), axis.span),
            Some((ExprKind::Path(path), _)) if path.segments.len() == 1 && path.segments[0].text == "_" => return Ok(()),
            Some((ExprKind::Path(path), expr)) if path.segments.len() == 1 => (Some(&path.segments[0]), expr.span),
            Some((_, expr)) => (None, expr.span),
        };
        if size.is_some() && name.is_some_and(|name| name.text == "_") {
            return Ok(());
        }
        let own_name = name.filter(|name| sizes.bound.borrow().iter().any(|(key, _)| *key == name.text));
        let announced = match (name, own_name, size) {
            (Some(name), None, None) => {
                sizes.bind(&name.text, number());
                return Ok(());
            }
            (Some(name), None, Some(expr)) => match self.resolve(sizes, &name.text) {
                Some(_) => self.whole(expr, sizes)?,
                None => {
                    sizes.bind(&name.text, number());
                    return Ok(());
                }
            },
            (Some(name), Some(_), _) => match sizes.bound(&name.text) {
                Some(Value::Number(number)) => number.integer().unwrap_or(-1),
                _ => return Ok(()),
            },
            (None, _, Some(expr)) => self.whole(expr, sizes)?,
            (None, _, None) => return Ok(()),
        };
        if announced == own as i64 {
            return Ok(());
        }
        let shown = self.shown_axes(axes);
        let message = format!("`{}` is {own} here, where {announced} is due", axis.text);
        let fault = Fault::error("size-mismatch", message, place, format!("this has {shown}"));
        Err(self
            .fault(fault.also(written, format!("{announced} is due by this")).help("A size is never stretched: resize, crop or slice.")))
    }

    /// Elements and axes of a type whose sizes are all known; none for records and words.
    pub fn tensor_type(&mut self, ty: &'m Type, sizes: &Rc<Scope<'m>>) -> Result<Option<(Element, Axes)>, Abort> {
        let (element, dims) = match &ty.kind {
            TypeKind::Word(name) => match (self.alias(name, sizes), name.text.as_str()) {
                (Some(alias), _) => return self.tensor_type(alias, sizes),
                (None, "real") => return Ok(Some((Element::Real, Vec::new()))),
                (None, "int") => return Ok(Some((Element::Int, Vec::new()))),
                _ => return Ok(None),
            },
            TypeKind::Record(_) => return Ok(None),
            TypeKind::Tensor(element, dims) => (*element, dims),
        };
        let mut axes = Vec::new();
        for dim in dims {
            let (name, size) = match dim {
                Dim::Axis(name, size) => (name, size),
                Dim::Rest(name) => match sizes.rest(&name.text) {
                    Some(rest) => {
                        axes.extend(rest);
                        continue;
                    }
                    None => return Ok(None),
                },
            };
            let axis = self.axis(name)?;
            let size = match size {
                Some(size) => self.length(size, sizes)?,
                None => match sizes.bound(&name.text) {
                    Some(Value::Number(number)) => number.integer().and_then(|n| usize::try_from(n).ok()).unwrap_or(1),
                    _ => return Ok(None),
                },
            };
            axes.push((axis, size));
        }
        let element = match element {
            syntax::Element::Real => Element::Real,
            syntax::Element::Int => Element::Int,
            syntax::Element::Bool => Element::Bool,
        };
        Ok(Some((element, axes)))
    }

    fn misfit(&mut self, what: &dyn Display, wanted: &str, value: &Value<'m>, span: Span, written: Span) -> Abort {
        let found = self.describe(value);
        let fault = Fault::error("wrong-kind", format!("{what} must be {wanted}, this is {found}"), span, found);
        self.fault(fault.also(written, "announced here"))
    }

    fn left_over(&mut self, what: &dyn Display, id: TermId, beyond: &Axes, span: Span, written: Span) -> Abort {
        let (axis, size) = beyond[0];
        let name = self.axis_name(axis).to_string();
        let shown = self.shown(id);
        let fault = Fault::error("axis-mismatch", format!("{what} has `{name}: {size}` left"), span, format!("this has {shown}"));
        self.fault(fault.also(written, "announced without it").help(format!("Reduce it, as in `mean(.., over: {name})`, or announce it.")))
    }
}
