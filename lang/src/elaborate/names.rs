//! Names to values: scopes, items, members of families; everything is evaluated when first read and then remembered.

use std::rc::Rc;

use super::Elaborator;
use super::value::{Abort, Def, Found, Memo, Outcome, Recipe, Scene, Scope, Value};
use crate::fault::Fault;
use crate::modules::{ItemId, ModuleId};
use crate::source::Span;
use crate::spec::{self, Part};
use crate::syntax::{Expr, ExprKind, Family, ItemKind, Name, Path, Statement, StatementKind};

/// What a name stands for, not yet evaluated.
pub enum Resolved<'m> {
    /// It has a value.
    Value(Value<'m>),
    /// It has definitions.
    Found(Found<'m>),
    /// It is an item of this name, or several.
    Items(&'m str, &'m [ItemId]),
    /// It is a layer or field of the scene that is perturbed.
    Layer(Rc<Scene<'m>>, &'m str),
    /// Another definition stands in its place: `extend .. with name = value`.
    Replaced(&'m Expr, ModuleId),
}

/// What a name means in a module, which is looked up once.
#[derive(Clone, Copy)]
pub enum Meant<'m> {
    /// Items that are no axes.
    Items(&'m [ItemId]),
    /// What stands in its place, and the module where that is read.
    Replaced(&'m Expr, ModuleId),
    /// At most a word of the language.
    Nothing,
}

impl<'m> Elaborator<'m> {
    /// The value of a path.
    pub fn path(&mut self, path: &'m Path, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let modules = self.modules;
        let [name] = path.segments.as_slice() else {
            return match (path.segments.last(), modules.find_path(scope.module, path)) {
                (Some(name), Some(items)) => self.items(&name.text, items, path.span),
                _ => Err(self.unknown_path(path)),
            };
        };
        match self.resolve(scope, &name.text) {
            Some(resolved) => self.resolved(resolved, path.span),
            None => Err(self.unknown_name(name, scope)),
        }
    }

    /// What a name stands for.
    pub fn resolve(&mut self, scope: &Rc<Scope<'m>>, name: &'m str) -> Option<Resolved<'m>> {
        let mut here = Some(scope);
        while let Some(scope) = here {
            if let Some((_, value)) = scope.bound.borrow().iter().rev().find(|(key, _)| *key == name) {
                return Some(Resolved::Value(value.clone()));
            }
            if let Some(found) = found_in(scope, name) {
                return Some(Resolved::Found(found));
            }
            if let Some(base) = &scope.base
                && let Some(name) = base.field(name)
            {
                return Some(Resolved::Layer(base.clone(), name));
            }
            here = scope.parent.as_ref();
        }
        self.resolve_item(scope, name)
    }

    fn resolve_item(&mut self, scope: &Scope<'m>, name: &'m str) -> Option<Resolved<'m>> {
        let key = (scope.module, name);
        let known = self.meant.get(&key).copied().unwrap_or_else(|| self.meaning(scope.module, name));
        self.meant.insert(key, known);
        let value = match (known, name) {
            (Meant::Replaced(value, by), _) => return Some(Resolved::Replaced(value, by)),
            (Meant::Items(items), _) => return Some(Resolved::Items(name, items)),
            (_, "true") => Value::Bool(true),
            (_, "false") => Value::Bool(false),
            (_, "training") => Value::Bool(self.trains_in(scope)),
            (_, "step") => Value::Tensor(self.elapsed(spec::Unit::Steps)),
            (_, "none") => Value::None,
            (_, "infinity") => Value::Number(super::number::Number::Real(f64::INFINITY)),
            _ => return None,
        };
        Some(Resolved::Value(value))
    }

    /// What a name means in a module, outside of all scopes.
    fn meaning(&self, module: ModuleId, name: &str) -> Meant<'m> {
        let modules = self.modules;
        let definer = modules.lineage(module).find(|module| modules.list[module.0].names.contains_key(name));
        if let Some(set) = definer.and_then(|definer| modules.replacement(definer, name)) {
            let by = modules.of_source(set.value.span.source).unwrap_or(modules.root);
            return Meant::Replaced(&set.value, by);
        }
        let items = modules.find(module, name);
        let items = items.filter(|items| !items.iter().all(|id| matches!(modules.item(*id).kind(), ItemKind::Axis(..))));
        items.map_or(Meant::Nothing, Meant::Items)
    }

    /// The value of what a name stands for.
    pub fn resolved(&mut self, resolved: Resolved<'m>, span: Span) -> Outcome<'m> {
        match resolved {
            Resolved::Value(value) => Ok(value),
            Resolved::Found(found) => self.found(found, span),
            Resolved::Items(name, items) => self.items(name, items, span),
            Resolved::Layer(scene, name) => self.scene_field(&scene, name, span),
            Resolved::Replaced(value, by) => {
                let scope = self.module_scope(by);
                self.eval(value, &scope)
            }
        }
    }

    /// The scope of a module.
    pub fn module_scope(&self, module: ModuleId) -> Rc<Scope<'m>> {
        self.worlds[self.world].scope(module)
    }

    /// The value of items with one name.
    pub fn items(&mut self, name: &str, items: &[ItemId], span: Span) -> Outcome<'m> {
        let modules = self.modules;
        let Some(first) = items.first() else { return Err(Abort::Faulted) };
        match modules.item(*first).kind() {
            ItemKind::Fn(function) => Ok(Value::Function(function, first.module)),
            ItemKind::Param(param) => self.param(first.module, param),
            ItemKind::Net(net) => Ok(Value::Net(Rc::new(Recipe { net, module: first.module, given: Vec::new() }))),
            ItemKind::Train(_) => Err(self.pend("training phases", span)),
            ItemKind::Eval(eval) => self.read_evaluation(first.module, eval, span),
            ItemKind::Names(..) => Err(self.pend("official weights", span)),
            ItemKind::Broken => Err(Abort::Faulted),
            _ => match self.found_items(name, items) {
                Some(found) => self.found(found, span),
                None => Err(self.not_a_value(modules.item(*first).span, span)),
            },
        }
    }

    /// The definitions that items with one name are.
    pub fn found_items(&mut self, name: &str, items: &[ItemId]) -> Option<Found<'m>> {
        let modules = self.modules;
        let mut cases = Vec::new();
        for id in items {
            match modules.item(*id).kind() {
                ItemKind::Let(binding) | ItemKind::Loss(binding) => cases.push(Def::Let(binding)),
                ItemKind::Data(binding) => cases.push(Def::Data(binding)),
                ItemKind::Draw(draw) => cases.extend((0..draw.binders.len()).map(|k| Def::Draw(draw, k))),
                ItemKind::Solve(solve) => cases.push(Def::Solve(solve)),
                ItemKind::Scene(name, statements) => cases.push(Def::Scene(name, statements)),
                ItemKind::Perturb(perturb) => cases.push(Def::Perturb(perturb)),
                ItemKind::Model(model) => cases.push(Def::Model(model)),
                _ => {}
            }
        }
        // One `draw` names several things.
        cases.retain(|case| case.name().is_some_and(|own| own.text == name));
        let name = cases.first().and_then(Def::name)?.text.as_str();
        Some(Found { name, cases, scope: self.module_scope(items.first()?.module) })
    }

    /// The value of definitions; a family whose member is still to be named is a value, too.
    pub fn found(&mut self, found: Found<'m>, span: Span) -> Outcome<'m> {
        if found.cases.iter().any(|case| case.family().is_some()) {
            return Ok(Value::Family(Rc::new(found)));
        }
        self.member(&found, None, span)
    }

    /// One member of a family, or the only one.
    pub fn member(&mut self, found: &Found<'m>, index: Option<&Value<'m>>, span: Span) -> Outcome<'m> {
        let text = match index {
            None => None,
            Some(value) => Some(value.key().ok_or_else(|| self.run_time_index(found.name, value, span))?),
        };
        let key = (found.name, text);
        let known = found.scope.memo.borrow().get(&key).cloned();
        match known {
            Some(Memo::Done(outcome)) => return outcome,
            Some(Memo::Running) => return Err(self.cycle(found.name, span)),
            None => {}
        }
        found.scope.memo.borrow_mut().insert(key.clone(), Memo::Running);
        self.running.push((key.clone(), span));
        let outcome = self.choose(found, index, span);
        self.running.pop();
        found.scope.memo.borrow_mut().insert(key, Memo::Done(outcome.clone()));
        outcome
    }

    fn choose(&mut self, found: &Found<'m>, index: Option<&Value<'m>>, span: Span) -> Outcome<'m> {
        for case in &found.cases {
            match (case.family(), index) {
                (None, _) => return self.define(case, &found.scope, 0, ""),
                (Some(Family::At(at)), Some(index)) => {
                    let at = self.eval(at, &found.scope)?;
                    if self.same(&at, index) == Some(true) {
                        return self.define(case, &found.scope, 0, &index.key().unwrap_or_default());
                    }
                }
                (Some(Family::Over(name, over)), Some(index)) => {
                    if let Some(at) = self.position(over, index, &found.scope)? {
                        let scope = Rc::new(found.scope.inside("", vec![(&name.text, index.clone())], Vec::new()));
                        return self.define(case, &scope, at, &index.key().unwrap_or_default());
                    }
                }
                (Some(_), None) => {}
            }
        }
        let shown = index.and_then(Value::key).unwrap_or_default();
        let mut fault = Fault::error("unknown-member", format!("`{}` has no member [{shown}]", found.name), span, "asked for here");
        if let Some(name) = found.cases.first().and_then(Def::name) {
            fault = fault.also(name.span, "the family is defined here");
        }
        Err(self.fault(fault.help("Ask for one of its members, or add a case for this index.")))
    }

    /// The place of an index among those that a family goes over.
    fn position(&mut self, over: &'m Expr, index: &Value<'m>, scope: &Rc<Scope<'m>>) -> Result<Option<usize>, Abort> {
        if let ExprKind::Range(low, high) = &*over.kind {
            let (low, high) = (self.whole(low, scope)?, self.whole(high, scope)?);
            let Value::Number(number) = index else { return Ok(None) };
            let inside = number.integer().filter(|at| (low..high).contains(at));
            return Ok(inside.map(|at| (at - low) as usize));
        }
        let items = self.list(over, scope)?;
        Ok(items.iter().position(|item| self.same(item, index) == Some(true)))
    }

    fn define(&mut self, case: &Def<'m>, scope: &Rc<Scope<'m>>, at: usize, shown: &str) -> Outcome<'m> {
        match case {
            Def::Let(binding) => {
                let scope = &self.named_scope(scope, &binding.binder.name.text, shown);
                let value = self.eval(&binding.value, scope)?;
                match &binding.ty {
                    Some(ty) => self.conform(ty, value, scope, binding.value.span, &binding.binder.name),
                    None => Ok(value),
                }
            }
            Def::Data(binding) => self.data_item(binding, scope),
            Def::Layer(binding) => {
                let scope = self.named_scope(scope, &binding.binder.name.text, shown);
                self.layer(binding, &scope)
            }
            Def::Draw(draw, number) => self.draw(draw, *number, scope, shown),
            Def::Solve(solve) => self.solve(solve, scope, at),
            Def::Scene(name, statements) => Ok(self.scene(name, statements, scope)),
            Def::Perturb(perturb) => self.perturb(perturb, scope, shown),
            Def::Model(model) => self.model(model, scope, shown),
            Def::Part(binders, number, net) => self.part(&binders[*number].name, net, scope, shown),
            Def::Weight(stored) => self.weight(stored, scope),
            Def::State(stored) => self.state(stored, scope),
            Def::Slot(statement) => match &statement.kind {
                StatementKind::Slot(_, _, value) => self.eval(value, scope),
                _ => Err(Abort::Faulted),
            },
        }
    }

    /// Where a definition is evaluated: calls in it are known by its name.
    fn named_scope(&self, scope: &Rc<Scope<'m>>, name: &str, shown: &str) -> Rc<Scope<'m>> {
        let path = if shown.is_empty() { name.to_string() } else { format!("{name}[{shown}]") };
        Rc::new(scope.inside(&path, Vec::new(), Vec::new()))
    }

    /// `value.name`.
    pub fn field(&mut self, value: Value<'m>, name: &'m Name, span: Span) -> Outcome<'m> {
        match &value {
            Value::Record(fields) => match fields.iter().find(|(key, _)| *key == name.text) {
                Some((_, value)) => Ok(value.clone()),
                None => {
                    let known = fields.iter().map(|(key, _)| key.clone()).collect();
                    Err(self.unknown_field(&value, name, known))
                }
            },
            Value::Data(number, part) => self.data_field(*number, *part, name, span),
            Value::Pipeline(_) => Err(self.pend("pictures of differing sizes", span)),
            Value::Instance(instance) => self.part_of(&instance.clone(), name, span),
            Value::Solved(solve, member) => self.solved_field(*solve, *member, name, span),
            Value::Scene(scene) => match scene.field(&name.text) {
                Some(own) => self.scene_field(&scene.clone(), own, span),
                None if name.text == "layers" => self.layers(&scene.clone(), span),
                None => Err(self.unknown_field(&value, name, scene.fields())),
            },
            _ => {
                let what = value.describe();
                let fault = Fault::error(
                    "unknown-field",
                    format!("{what} has no fields"),
                    name.span,
                    format!("`{}` is asked of {what}", name.text),
                );
                Err(self.fault(fault.help("Fields belong to records, data items, scenes and solves.")))
            }
        }
    }

    /// The fault of a field that is not there.
    pub fn unknown_field(&mut self, value: &Value<'m>, name: &Name, known: Vec<String>) -> Abort {
        let fault = Fault::error("unknown-field", format!("{} has no field `{}`", value.describe(), name.text), name.span, "not found");
        self.fault(super::nearest(fault, &name.text, &known))
    }

    fn unknown_path(&mut self, path: &Path) -> Abort {
        let text = path.segments.iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join("::");
        let fault = Fault::error("unknown-name", format!("nothing is called `{text}`"), path.span, "not found");
        self.fault(fault.help("The part before `::` names a module that `use` brings in; the part behind it is defined there."))
    }

    fn unknown_name(&mut self, name: &Name, scope: &Rc<Scope<'m>>) -> Abort {
        let modules = self.modules;
        let mut known: Vec<String> = [scope.module, modules.prelude]
            .into_iter()
            .chain(modules.base.get(&scope.module).copied())
            .flat_map(|module| modules.list[module.0].names.keys().cloned())
            .collect();
        let mut here = Some(scope);
        while let Some(scope) = here {
            known.extend(scope.bound.borrow().iter().map(|(name, _)| (*name).to_string()));
            known.extend(scope.defs.iter().filter_map(Def::name).map(|name| name.text.clone()));
            here = scope.parent.as_ref();
        }
        let fault = if self.axes.contains_key(name.text.as_str()) {
            Fault::error("wrong-kind", format!("`{}` is an axis, not a value", name.text), name.span, "a value is needed here").help(
                format!("Its size is `size(x, {0})`; in a function whose signature has `{0}`, the name alone is the size.", name.text),
            )
        } else {
            let fault = Fault::error("unknown-name", format!("nothing is called `{}`", name.text), name.span, "not found");
            super::nearest(fault, &name.text, &known)
        };
        self.fault(fault)
    }

    fn not_a_value(&mut self, item: Span, span: Span) -> Abort {
        let fault =
            Fault::error("wrong-kind", "this name does not stand for a value", span, "a value is needed here").also(item, "it is this");
        self.fault(fault)
    }

    fn run_time_index(&mut self, name: &str, value: &Value<'m>, span: Span) -> Abort {
        let fault = Fault::error(
            "wrong-time",
            format!("a member of `{name}` is chosen when compiling, {} is not known then", value.describe()),
            span,
            "a run-time index",
        );
        self.fault(fault.help("Compute all members and choose among them: `stack([..], as: which)[which: i]`."))
    }

    fn cycle(&mut self, name: &str, span: Span) -> Abort {
        let start = self.running.iter().rposition(|((own, _), _)| *own == name).unwrap_or(0);
        let mut fault =
            Fault::error("cyclic-definition", format!("`{name}` is computed from itself"), span, format!("`{name}` is needed again here"));
        let way: Vec<_> = self.running[start..].iter().take(6).cloned().collect();
        for ((name, index), place) in way.iter().skip(1) {
            let index = index.as_ref().map_or(String::new(), |index| format!("[{index}]"));
            fault = fault.also(*place, format!("... which needs `{name}{index}`"));
        }
        self.fault(fault.help("A recurrence needs an index that moves and a base case: `let y[0] = ..`, `let y[i in 1..n] = f(y[i - 1])`."))
    }

    /// The data that a value is, for `over`.
    pub fn data_of(&mut self, value: &Value<'m>, span: Span) -> Result<(usize, Part), Abort> {
        match value {
            Value::Data(number, part) => Ok((*number, *part)),
            Value::Pipeline(_) => Err(self.pend("pictures of differing sizes", span)),
            _ => {
                let message = format!("data is needed here, this is {}", value.describe());
                Err(self.fault(
                    Fault::error("wrong-kind", message, span, value.describe()).help("Name a data item or a part of it: `images.test`."),
                ))
            }
        }
    }
}

/// The definitions of a name in this scope alone.
pub fn found_in<'m>(scope: &Rc<Scope<'m>>, name: &str) -> Option<Found<'m>> {
    let cases: Vec<Def<'m>> =
        scope.defs.iter().filter(|def| !matches!(def, Def::Slot(_)) && def.name().is_some_and(|own| own.text == name)).copied().collect();
    let name = cases.first()?.name()?.text.as_str();
    Some(Found { name, cases, scope: scope.clone() })
}

/// The definitions among statements.
pub fn definitions(statements: &[Statement]) -> Vec<Def<'_>> {
    let mut defs = Vec::new();
    for statement in statements {
        match &statement.kind {
            StatementKind::Let(binding) => defs.push(Def::Let(binding)),
            StatementKind::Draw(draw) => defs.extend((0..draw.binders.len()).map(|k| Def::Draw(draw, k))),
            StatementKind::Layer(binding) => defs.push(Def::Layer(binding)),
            StatementKind::Slot(..) => defs.push(Def::Slot(statement)),
            _ => {}
        }
    }
    defs
}
