//! Nets: what builds them, the names of their parts, and their application.

#[cfg(test)]
mod tests;

use std::rc::Rc;

use super::Elaborator;
use super::builtin::Actuals;
use super::names::{definitions, found_in};
use super::value::{Abort, Def, Instance, Outcome, Recipe, Scope, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Call, Prim};
use crate::syntax::{Body, Expr, Model, Name, Statement, StatementKind};

impl<'m> Elaborator<'m> {
    /// `model m = conv(64)`.
    pub fn model(&mut self, model: &'m Model, scope: &Rc<Scope<'m>>, shown: &str) -> Outcome<'m> {
        let name = &model.binder.name;
        let module = scope.module;
        let of_spec = self.chain.contains(&module);
        let before = if of_spec { String::new() } else { format!("{}.", self.modules.list[module.0].name) };
        let path = format!("{before}{}", member(&name.text, shown));
        if let Some((file, names)) = &model.from {
            self.pretrained(&path, file, names, scope)?;
        }
        self.instance(&model.net, name, path, scope)
    }

    /// `part a, b = conv(out)`: the one with this name.
    pub fn part(&mut self, name: &'m Name, net: &'m Expr, scope: &Rc<Scope<'m>>, shown: &str) -> Outcome<'m> {
        let Some(whole) = scope.instance.clone() else { return Err(Abort::Faulted) };
        self.instance(net, name, format!("{whole}.{}", member(&name.text, shown)), scope)
    }

    /// A net with a name. The arguments that build it are evaluated once.
    fn instance(&mut self, net: &'m Expr, name: &'m Name, path: String, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let recipe = match self.eval(net, scope)? {
            Value::Net(recipe) => recipe,
            other => return Err(self.expected("a net, built as in `conv(64)`,", &other, net.span)),
        };
        Ok(Value::Instance(Rc::new(self.built(&recipe, &name.text, path, net.span, scope)?)))
    }

    /// A net with what builds it, under a name.
    pub fn built(
        &mut self,
        recipe: &Recipe<'m>,
        name: &'m str,
        path: String,
        span: Span,
        scope: &Rc<Scope<'m>>,
    ) -> Result<Instance<'m>, Abort> {
        let outer = self.module_scope(recipe.module);
        let path: Rc<str> = path.into();
        let within = Scope { instance: Some(path.clone()), ..self.called_scope(&outer, name, span, scope) };
        let built = Rc::new(within);
        let actuals = Actuals { given: recipe.given.clone(), function: &recipe.net.name.text };
        self.calls.push(span);
        let bound = self.bind_formals(&recipe.net.name.text, &recipe.net.builds, actuals, span, &built);
        self.calls.pop();
        bound?;
        Ok(Instance { net: recipe.net, name, path, scope: built })
    }

    /// `critic(x)`: the net's body over its weights. A call with states is noted and its results are marked.
    pub fn apply_net(&mut self, instance: &Rc<Instance<'m>>, actuals: Actuals<'m>, span: Span, caller: &Rc<Scope<'m>>) -> Outcome<'m> {
        let net = instance.net;
        let sizes = self.called_scope(&instance.scope, instance.name, span, caller);
        let sizes = Rc::new(Scope { instance: Some(instance.path.clone()), ..sizes });
        let mapped = self.bind_formals(&net.name.text, &net.inputs, actuals, span, &sizes)?;
        let Some(body) = &net.body else {
            return Err(self.pend(&format!("`{}`, which the library only announces", net.name.text), span));
        };
        let acts = self.stage().trains.model(&instance.path)
            && body.statements.iter().any(|statement| matches!(statement.kind, StatementKind::Next(..)));
        let call = self.noted(&body.statements, &instance.path, acts, &sizes);
        let inner = mapped.scope(&sizes, inner_definitions(&body.statements));
        let scope = Rc::new(Scope { instance: Some(instance.path.clone()), call, ..inner });
        let states = self.states(body, &scope)?;
        let value = self.eval(&body.value, &scope)?;
        let value = self.fit_result(net.result.as_ref(), value, &sizes, body.value.span, &net.name.text, mapped)?;
        let Some(call) = call else { return Ok(value) };
        self.spec.calls[call].states = if acts { self.next_states(body, &scope, &states)? } else { plain(&states) };
        Ok(if acts { self.marked(value, call, span) } else { value })
    }

    /// The number of a call of a net that has states. Calls that change nothing are one.
    fn noted(&mut self, statements: &[Statement], path: &Rc<str>, acts: bool, scope: &Rc<Scope<'m>>) -> Option<usize> {
        statements.iter().find(|statement| matches!(statement.kind, StatementKind::State(_)))?;
        if let (false, Some(known)) = (acts, self.idle_calls.get(path)) {
            return Some(*known);
        }
        let number = self.spec.calls.len();
        self.spec.calls.push(Call { states: Vec::new(), order: scope.order.to_vec() });
        if !acts {
            self.idle_calls.insert(path.clone(), number);
        }
        Some(number)
    }

    /// The states that a body declares, with their numbers.
    fn states(&mut self, body: &'m Body, scope: &Rc<Scope<'m>>) -> Result<Vec<(&'m str, usize)>, Abort> {
        let mut states = Vec::new();
        for statement in &body.statements {
            if let StatementKind::State(stored) = &statement.kind {
                states.push((stored.name.text.as_str(), self.buffer(stored, scope)?));
            }
        }
        Ok(states)
    }

    /// States with their next values, through which no gradient passes.
    fn next_states(
        &mut self,
        body: &'m Body,
        scope: &Rc<Scope<'m>>,
        states: &[(&str, usize)],
    ) -> Result<Vec<(usize, Option<crate::spec::TermId>)>, Abort> {
        let mut all = plain(states);
        for statement in &body.statements {
            let StatementKind::Next(name, value) = &statement.kind else { continue };
            let Some(place) = states.iter().position(|(state, _)| *state == name.text) else { return Err(Abort::Faulted) };
            let found = found_in(scope, &name.text).ok_or(Abort::Faulted)?;
            let Value::Tensor(leaf) = self.member(&found, None, name.span)? else { return Err(Abort::Faulted) };
            let next = (self.eval(value, scope)?, value.span);
            let next = self.operand(&next, &Value::Tensor(leaf))?;
            self.shared(next, value.span, &format!("the next `{}`", name.text))?;
            let next = self.agree(leaf, next, name, value.span)?;
            let ty = self.store.ty(next).clone();
            all[place].1 = Some(self.store.intern(Prim::Stop, vec![next], ty.element, ty.axes, value.span));
        }
        Ok(all)
    }

    /// A value of a net or of its states is the same for all samples.
    pub fn shared(&mut self, id: crate::spec::TermId, span: Span, what: &str) -> Result<(), Abort> {
        if self.stage().batch.is_none() || !self.store.sampled(id) {
            return Ok(());
        }
        let fault = Fault::error("wrong-kind", format!("{what} differs from sample to sample"), span, "computed for every sample");
        Err(self
            .fault(fault.help("A state is one for the whole batch: take a mean over it, as in `mean(batch(x, as: other), over: other)`.")))
    }

    /// Results of a call, so that whoever needs them makes it.
    fn marked(&mut self, value: Value<'m>, call: usize, span: Span) -> Value<'m> {
        match value {
            Value::Tensor(id) => {
                let ty = self.store.ty(id).clone();
                Value::Tensor(self.store.intern(Prim::Called(call), vec![id], ty.element, ty.axes, span))
            }
            Value::List(items) => Value::List(items.iter().map(|item| self.marked(item.clone(), call, span)).collect()),
            Value::Record(fields) => {
                Value::Record(fields.iter().map(|(name, field)| (name.clone(), self.marked(field.clone(), call, span))).collect())
            }
            other => other,
        }
    }

    /// `actor.synthesis`: a part of a model.
    pub fn part_of(&mut self, instance: &Rc<Instance<'m>>, name: &'m Name, span: Span) -> Outcome<'m> {
        let statements = instance.net.body.as_ref().map_or(&[][..], |body| &body.statements);
        let parts: Vec<_> =
            inner_definitions(statements).into_iter().filter(|def| !matches!(def, Def::Weight(_) | Def::State(_))).collect();
        let inner = instance.scope.inside("", Vec::new(), parts);
        let scope = Rc::new(Scope { instance: Some(instance.path.clone()), ..inner });
        match found_in(&scope, &name.text).filter(|found| matches!(found.cases.first(), Some(Def::Part(..)))) {
            Some(found) => self.found(found, span),
            None => {
                let parts = scope.defs.iter().filter(|def| matches!(def, Def::Part(..))).filter_map(Def::name);
                let known = parts.map(|name| name.text.clone()).collect();
                Err(self.unknown_field(&Value::Instance(instance.clone()), name, known))
            }
        }
    }
}

fn plain(states: &[(&str, usize)]) -> Vec<(usize, Option<crate::spec::TermId>)> {
    states.iter().map(|(_, number)| (*number, None)).collect()
}

/// `block.8`.
fn member(name: &str, shown: &str) -> String {
    if shown.is_empty() { name.to_string() } else { format!("{name}.{shown}") }
}

/// The definitions of a net's body.
fn inner_definitions(statements: &[Statement]) -> Vec<Def<'_>> {
    let mut defs = definitions(statements);
    for statement in statements {
        match &statement.kind {
            StatementKind::Weight(stored) => defs.push(Def::Weight(stored)),
            StatementKind::State(stored) => defs.push(Def::State(stored)),
            StatementKind::Part(binders, net) => defs.extend((0..binders.len()).map(|number| Def::Part(binders, number, net))),
            _ => {}
        }
    }
    defs
}
