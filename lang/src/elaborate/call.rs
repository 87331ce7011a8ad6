//! Calls: functions of the language are inlined; their signatures bind sizes and are checked.

use std::rc::Rc;

use super::Elaborator;
use super::builtin::{Actuals, Given, WORDS};
use super::names::definitions;
use super::origins::without_labels;
use super::value::{Abort, Def, Instance, Outcome, Recipe, Scope, Value};
use crate::fault::Fault;
use crate::modules::ModuleId;
use crate::source::Span;
use crate::spec::{Axis, Prim};
use crate::syntax::{Argument, Expr, ExprKind, Fn, Formal, Kind, Name, Origin, Type, TypeKind};

/// What is called.
enum Callee<'m> {
    Function(&'m Fn, ModuleId),
    Word(&'m str),
    Net(Rc<Recipe<'m>>),
    Instance(Rc<Instance<'m>>),
}

/// The axes over which a call is mapped, without and with their sizes.
pub struct Mapped {
    /// The axes.
    pub carried: Vec<Axis>,
    /// The same, sorted, with their sizes.
    pub folded: Vec<(Axis, usize)>,
}

impl Mapped {
    /// The scope of a body.
    pub fn scope<'m>(&self, sizes: &Rc<Scope<'m>>, defs: Vec<Def<'m>>) -> Scope<'m> {
        let (carried, folded) = (self.carried.clone(), self.folded.clone());
        Scope { carried, folded, sites: sizes.sites.clone(), ..sizes.inside("", Vec::new(), defs) }
    }
}

/// A word of another choice is a word of this one, where it has it.
fn among<'m>(value: Value<'m>, words: &'m [Name]) -> Value<'m> {
    match value {
        Value::Choice(word, others) => {
            let own = words.iter().find(|own| own.text == word);
            own.map_or(Value::Choice(word, others), |own| Value::Choice(&own.text, words))
        }
        other => other,
    }
}

fn is_none(expr: &Expr) -> bool {
    matches!(&*expr.kind, ExprKind::Path(path) if path.segments.len() == 1 && path.segments[0].text == "none")
}

impl<'m> Elaborator<'m> {
    /// `f(a, name: b)`.
    pub fn call(&mut self, function: &'m Expr, arguments: &'m [Argument], span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let given = arguments.iter().map(|a| (a.label.as_ref(), Given::Written(&a.value, scope.clone()))).collect();
        self.call_given(function, given, span, scope)
    }

    /// `f(first, a, name: b)` where the first argument is a value already.
    pub fn call_with(
        &mut self,
        function: &'m Expr,
        first: Value<'m>,
        place: Span,
        arguments: &'m [Argument],
        span: Span,
        scope: &Rc<Scope<'m>>,
    ) -> Outcome<'m> {
        let mut given = vec![(None, Given::Passed(first, place))];
        given.extend(arguments.iter().map(|a| (a.label.as_ref(), Given::Written(&a.value, scope.clone()))));
        self.call_given(function, given, span, scope)
    }

    /// `value |> f(a)`.
    pub fn pipe(&mut self, value: &'m Expr, function: &'m Expr, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let first = self.eval(value, scope)?;
        match &*function.kind {
            ExprKind::Call(function, arguments) => self.call_with(function, first, value.span, arguments, span, scope),
            _ => self.call_with(function, first, value.span, &[], span, scope),
        }
    }

    fn call_given(
        &mut self,
        function: &'m Expr,
        given: Vec<(Option<&'m crate::syntax::Name>, Given<'m>)>,
        span: Span,
        scope: &Rc<Scope<'m>>,
    ) -> Outcome<'m> {
        let written: Vec<_> = given.clone();
        match self.called(function, given, span, scope) {
            Err(Abort::Pending(own)) => {
                let all = self.with_arguments(own, &written);
                let asked =
                    matches!(&*function.kind, ExprKind::Path(path) if path.segments.len() == 1 && path.segments[0].text == "oracle");
                Err(Abort::Pending(if asked { without_labels(&all) } else { all }))
            }
            outcome => outcome,
        }
    }

    fn called(
        &mut self,
        function: &'m Expr,
        given: Vec<(Option<&'m crate::syntax::Name>, Given<'m>)>,
        span: Span,
        scope: &Rc<Scope<'m>>,
    ) -> Outcome<'m> {
        match self.callee(function, scope)? {
            Callee::Word(name) => self.call_builtin(name, Actuals { given, function: name }, span, scope),
            Callee::Net(recipe) => {
                let given = recipe.given.iter().cloned().chain(given).collect();
                Ok(Value::Net(Rc::new(Recipe { given, ..(*recipe).clone() })))
            }
            Callee::Instance(instance) => {
                self.calls.push(span);
                let outcome = self.apply_net(&instance, Actuals { given, function: &instance.net.name.text }, span, scope);
                self.calls.pop();
                outcome
            }
            Callee::Function(called, module) => {
                let name = called.name.text.as_str();
                let mut actuals = Actuals { given, function: name };
                self.calls.push(span);
                let outcome = match called.origin {
                    Origin::Builtin => self.call_builtin(name, actuals, span, scope),
                    Origin::Host if WORDS.contains(&name) => self.call_builtin(name, actuals, span, scope),
                    Origin::Written if name == "resize" || matches!(self.first_value(&mut actuals), Some(Value::Pipeline(_))) => {
                        self.call_builtin(name, actuals, span, scope)
                    }
                    Origin::Written | Origin::Host => self.apply(called, module, actuals, span, scope),
                };
                self.calls.pop();
                outcome
            }
        }
    }

    fn first_value(&mut self, actuals: &mut Actuals<'m>) -> Option<Value<'m>> {
        match actuals.given.first() {
            Some((None, Given::Passed(value, _))) => Some(value.clone()),
            _ => None,
        }
    }

    fn callee(&mut self, function: &'m Expr, scope: &Rc<Scope<'m>>) -> Result<Callee<'m>, Abort> {
        if let ExprKind::Path(path) = &*function.kind
            && let [name] = path.segments.as_slice()
            && WORDS.contains(&name.text.as_str())
            && self.resolve(scope, &name.text).is_none()
        {
            return Ok(Callee::Word(&name.text));
        }
        match self.eval(function, scope)? {
            Value::Function(function, module) => Ok(Callee::Function(function, module)),
            Value::Net(recipe) => Ok(Callee::Net(recipe)),
            Value::Instance(instance) => Ok(Callee::Instance(instance)),
            other => Err(self.expected("a function", &other, function.span)),
        }
    }

    /// Applies a function of the language or the host to its arguments.
    pub fn apply(&mut self, function: &'m Fn, module: ModuleId, actuals: Actuals<'m>, span: Span, caller: &Rc<Scope<'m>>) -> Outcome<'m> {
        let outer = self.module_scope(module);
        let sizes = Rc::new(self.called_scope(&outer, &function.name.text, span, caller));
        let mapped = self.bind_formals(&function.name.text, &function.formals, actuals, span, &sizes)?;
        if function.origin == Origin::Host {
            return self.host(function, &sizes, span);
        }
        let Some(body) = &function.body else {
            return Err(self.pend(&format!("`{}`, which the library only announces", function.name.text), span));
        };
        let scope = Rc::new(mapped.scope(&sizes, definitions(&body.statements)));
        let value = self.eval(&body.value, &scope)?;
        self.fit_result(function.result.as_ref(), value, &sizes, body.value.span, &function.name.text, mapped)
    }

    /// The scope of what is called: nothing is bound yet, the name path and the place go on from the caller's.
    pub fn called_scope(&mut self, outer: &Rc<Scope<'m>>, name: &'m str, span: Span, caller: &Rc<Scope<'m>>) -> Scope<'m> {
        let end = Span { start: span.end, ..span };
        let order = Rc::new(caller.order.iter().copied().chain([end]).collect());
        let (path, sites) = (caller.site(name, span), Rc::default());
        let (carried, folded) = (caller.carried.clone(), caller.folded.clone());
        let instance = caller.instance.clone();
        Scope { path, sites, order, carried, folded, instance, ..outer.inside("", Vec::new(), Vec::new()) }
    }

    /// Binds all formals; the call is mapped over the axes that the arguments have beyond their types.
    pub fn bind_formals(
        &mut self,
        name: &'m str,
        formals: &'m [Formal],
        mut actuals: Actuals<'m>,
        span: Span,
        sizes: &Rc<Scope<'m>>,
    ) -> Result<Mapped, Abort> {
        let mut carried = sizes.carried.clone();
        for formal in formals {
            let value = self.argument(name, formal, &mut actuals, span, sizes, &mut carried)?;
            sizes.bind(&formal.name.text, value);
        }
        actuals.finish(self, formals)?;
        let mut folded = sizes.folded.clone();
        for (_, value) in sizes.bound.borrow().iter() {
            self.add_folded(value, &carried, &mut folded);
        }
        folded.sort();
        Ok(Mapped { carried, folded })
    }

    /// The sizes of those axes of a value over which the call is mapped.
    fn add_folded(&self, value: &Value<'m>, carried: &[Axis], folded: &mut Vec<(Axis, usize)>) {
        match value {
            Value::Tensor(id) => {
                for (axis, size) in &self.store.ty(*id).axes {
                    if carried.contains(axis) && folded.iter().all(|(own, _)| own != axis) {
                        folded.push((*axis, *size));
                    }
                }
            }
            Value::Record(fields) => fields.iter().for_each(|(_, field)| self.add_folded(field, carried, folded)),
            _ => {}
        }
    }

    /// A result against its type.
    pub fn fit_result(
        &mut self,
        ty: Option<&'m Type>,
        value: Value<'m>,
        sizes: &Rc<Scope<'m>>,
        span: Span,
        name: &str,
        mut mapped: Mapped,
    ) -> Outcome<'m> {
        match ty {
            Some(ty) => self.fit(ty, value, sizes, span, &format_args!("the result of `{name}`"), &mut mapped.carried, true),
            None => Ok(value),
        }
    }

    fn argument(
        &mut self,
        name: &'m str,
        formal: &'m Formal,
        actuals: &mut Actuals<'m>,
        span: Span,
        sizes: &Rc<Scope<'m>>,
        extra: &mut Vec<Axis>,
    ) -> Outcome<'m> {
        let given =
            actuals.take(&[&formal.name.text]).or_else(|| formal.default.as_ref().map(|value| Given::Written(value, sizes.clone())));
        let Some(given) = given else {
            let message = format!("`{name}` needs its argument `{}`", formal.name.text);
            let fault = Fault::error("wrong-arguments", message, span, "missing here").also(formal.name.span, "announced here");
            return Err(self.fault(fault));
        };
        let place = given.span();
        let word = match &formal.kind {
            Some(Kind::Choice(words)) => {
                let value = match &given {
                    Given::Written(expr, scope) => self.eval_choice(expr, words, scope)?,
                    Given::Passed(value, _) => value.clone(),
                };
                return Ok(among(value, words));
            }
            Some(Kind::Type(ty)) => match &ty.kind {
                TypeKind::Word(name) => Some(name.text.as_str()),
                _ => None,
            },
            None => None,
        };
        if let (Some("axes" | "axis"), Given::Written(expr, scope)) = (word, &given) {
            return Ok(Value::Axes(self.axes_expr(expr, scope)?));
        }
        let value = given.value(self)?;
        match &formal.kind {
            Some(Kind::Type(_)) if matches!(value, Value::None) && formal.default.as_ref().is_some_and(is_none) => Ok(value),
            Some(Kind::Type(ty)) => self.fit(ty, value, sizes, place, &format_args!("`{}` of `{name}`", formal.name.text), extra, false),
            _ => Ok(value),
        }
    }

    /// A host function: run-time arguments become arguments of the term, numbers its numbers.
    fn host(&mut self, function: &'m Fn, sizes: &Rc<Scope<'m>>, span: Span) -> Outcome<'m> {
        let (mut args, mut numbers) = (Vec::new(), Vec::new());
        for formal in &function.formals {
            match sizes.bound(&formal.name.text) {
                Some(Value::Tensor(id)) => args.push(id),
                Some(Value::Number(number)) => numbers.push(number.real()),
                Some(Value::Bool(known)) => numbers.push(f64::from(u8::from(known))),
                Some(Value::Function(..)) => return Err(self.pend(&format!("`{}` of the host", function.name.text), span)),
                Some(other) => return Err(self.expected("a number or a run-time value", &other, formal.name.span)),
                None => {}
            }
        }
        let Some(result) = &function.result else { return Err(self.pend(&format!("`{}` of the host", function.name.text), span)) };
        match self.tensor_type(result, sizes)? {
            Some((element, axes)) => {
                let prim = Prim::Host { name: function.name.text.clone(), numbers };
                Ok(Value::Tensor(self.store.intern(prim, args, element, axes, span)))
            }
            None => Err(self.pend(&format!("`{}` of the host", function.name.text), span)),
        }
    }
}
