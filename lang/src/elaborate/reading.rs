//! What a loss reads, found on the text: which scenes it renders and which models see them, whether it holds a mask's area, which
//! draws it recovers. Names, functions and choices known when compiling are followed; nets are not run.

use std::collections::HashMap;
use std::rc::Rc;

use super::Elaborator;
use super::names::Resolved;
use super::value::{Def, Scene, Scope, Value};
use crate::modules::ItemId;
use crate::source::Span;
use crate::syntax::{Argument, BinaryOp, Binding, Body, Entry, Expr, ExprKind, Family, Fn, Generator, ItemKind, Statement, StatementKind};

/// Names followed one after the other before a search is given up.
const FAR: usize = 64;
/// Expressions visited before a search is given up; more than any written spec has.
const MANY: usize = 50_000;

/// An expression and what the names in it mean.
#[derive(Clone)]
pub struct At<'m> {
    expr: &'m Expr,
    scope: Rc<Scope<'m>>,
    frame: Option<Rc<Frame<'m>>>,
}

/// The formals and `let`s of a function that is followed, or the names of `for`.
struct Frame<'m> {
    given: Vec<(&'m str, At<'m>)>,
    lets: &'m [Statement],
    outer: Option<Rc<Frame<'m>>>,
}

/// What was found.
#[derive(Default)]
pub struct Reading<'m> {
    /// Scenes that are rendered, and where.
    pub rendered: Vec<(Rc<Scene<'m>>, Span)>,
    /// Models and the rendered scenes that they see.
    pub seen: Vec<(&'m str, Rc<Scene<'m>>, Span)>,
    /// Means of masks.
    pub bounds: Vec<Span>,
    /// What is zero where means of masks count for nothing.
    pub idle_bounds: Vec<Span>,
    /// Perturbations whose own draws are read.
    pub latents: Vec<&'m str>,
    /// What is zero where such draws count for nothing.
    pub idle_latents: Vec<Span>,
    /// Data items.
    pub data: Vec<&'m Binding>,
    /// Calls of models that are fed with draws: the model and the call.
    pub made: Vec<(&'m str, Span)>,
    draws: usize,
    within: Vec<&'m str>,
    /// What is zero, so that what is read counts for nothing.
    idle: Option<Span>,
    /// What was read, in which meaning and way, and how many draws that found.
    visited: HashMap<(usize, usize, bool, usize), usize>,
    /// Frames of what was read, so that no other one takes their place in memory.
    frames: Vec<Rc<Frame<'m>>>,
    steps: usize,
}

impl<'m> At<'m> {
    /// An expression outside of functions.
    pub fn new(expr: &'m Expr, scope: &Rc<Scope<'m>>) -> At<'m> {
        At { expr, scope: scope.clone(), frame: None }
    }

    /// The expression.
    pub fn expr(&self) -> &'m Expr {
        self.expr
    }

    /// Another expression with the same meanings.
    pub fn part(&self, expr: &'m Expr) -> At<'m> {
        At { expr, ..self.clone() }
    }

    fn local(&self, name: &str) -> Option<At<'m>> {
        let mut here = self.frame.clone();
        while let Some(frame) = here {
            if let Some((_, at)) = frame.given.iter().find(|(own, _)| *own == name) {
                return Some(at.clone());
            }
            for statement in frame.lets {
                if let StatementKind::Let(binding) = &statement.kind
                    && binding.binder.name.text == name
                {
                    return Some(At { expr: &binding.value, scope: self.scope.clone(), frame: Some(frame) });
                }
            }
            here = frame.outer.clone();
        }
        None
    }

    fn inside(&self, given: Vec<(&'m str, At<'m>)>) -> Option<Rc<Frame<'m>>> {
        Some(Rc::new(Frame { given, lets: &[], outer: self.frame.clone() }))
    }
}

impl<'m> Elaborator<'m> {
    /// Reads an expression.
    pub fn read(&mut self, at: &At<'m>, found: &mut Reading<'m>) {
        found.steps += 1;
        if found.steps > MANY {
            return;
        }
        let expr = at.expr;
        match &*expr.kind {
            ExprKind::Path(_) => self.read_name(at, found),
            ExprKind::If(on, yes, no) => match self.decides(&at.part(on)) {
                Some(true) => self.read(&at.part(yes), found),
                Some(false) => self.read(&at.part(no), found),
                None => [yes, no].into_iter().for_each(|side| self.read(&at.part(side), found)),
            },
            ExprKind::Binary(op, left, right) => self.read_binary(*op, &at.part(left), &at.part(right), found),
            ExprKind::Pipe(first, function) => {
                let (function, rest): (_, &[Argument]) = match &*function.kind {
                    ExprKind::Call(function, rest) => (function, rest),
                    _ => (function, &[]),
                };
                let given = std::iter::once((None, at.part(first))).chain(arguments(at, rest)).collect();
                self.read_call(&at.part(function), given, expr.span, found);
            }
            ExprKind::Call(function, given) => self.read_call(&at.part(function), arguments(at, given).collect(), expr.span, found),
            ExprKind::CallEach(function, item, generators) => {
                let item = self.each(at, item, generators, found);
                self.read_call(&at.part(function), vec![(None, item)], expr.span, found);
            }
            ExprKind::ListEach(item, generators) => {
                let item = self.each(at, item, generators, found);
                self.read(&item, found);
            }
            ExprKind::Field(inner, name) => match self.scene_at(&at.part(inner)) {
                Some(scene) => read_scene(&scene, &name.text, found),
                None => self.read_field(at, inner, found),
            },
            ExprKind::Bracket(inner, entries) => {
                self.read(&at.part(inner), found);
                for entry in entries {
                    if let Entry::Axis(_, value) | Entry::Index(value) = entry {
                        self.read(&at.part(value), found);
                    }
                }
            }
            ExprKind::Not(value) | ExprKind::Negate(value) | ExprKind::Duration(value, _) => self.read(&at.part(value), found),
            ExprKind::List(items) => items.iter().for_each(|item| self.read(&at.part(item), found)),
            ExprKind::Record(fields) => fields.iter().for_each(|(_, item)| self.read(&at.part(item), found)),
            ExprKind::Range(..) | ExprKind::Number(_) | ExprKind::Text(_) | ExprKind::Broken => {}
        }
    }

    /// A field of a record is that field; of a net's result, the net.
    fn read_field(&mut self, at: &At<'m>, inner: &'m Expr, found: &mut Reading<'m>) {
        let own = self.followed(at);
        if std::ptr::eq(own.expr, at.expr) { self.read(&at.part(inner), found) } else { self.read(&own, found) }
    }

    fn read_name(&mut self, at: &At<'m>, found: &mut Reading<'m>) {
        let ExprKind::Path(path) = &*at.expr.kind else { return };
        if let ([name], true) = (path.segments.as_slice(), at.frame.is_some())
            && let Some(local) = at.local(&name.text)
        {
            return self.read_once(&local, found);
        }
        let items = match path.segments.as_slice() {
            [name] => match self.resolve(&at.scope, &name.text) {
                Some(Resolved::Found(known)) => {
                    for case in known.cases {
                        match case {
                            Def::Draw(..) => found.draws += 1,
                            Def::Let(binding) => self.read_once(&At::new(&binding.value, &known.scope), found),
                            _ => {}
                        }
                    }
                    return;
                }
                Some(Resolved::Replaced(value, by)) => return self.read_once(&At::new(value, &self.module_scope(by)), found),
                Some(Resolved::Items(_, items)) => items,
                _ => return,
            },
            _ => self.modules.find_path(at.scope.module, path).unwrap_or_default(),
        };
        for item in items.iter().copied() {
            match self.modules.item(item).kind() {
                ItemKind::Let(binding) | ItemKind::Loss(binding) => {
                    self.read_once(&At::new(&binding.value, &self.module_scope(item.module)), found);
                }
                ItemKind::Data(binding) => found.data.push(binding),
                ItemKind::Draw(_) => found.draws += 1,
                _ => {}
            }
        }
    }

    /// What has a name is read once for each way in which it counts.
    fn read_once(&mut self, at: &At<'m>, found: &mut Reading<'m>) {
        let within = found.within.last().map_or(0, |name| name.as_ptr() as usize);
        let meaning = at.frame.as_ref().map_or(Rc::as_ptr(&at.scope) as usize, |frame| Rc::as_ptr(frame) as usize);
        let key = (std::ptr::from_ref(at.expr) as usize, meaning, found.idle.is_some(), within);
        if let Some(draws) = found.visited.get(&key) {
            found.draws += draws;
            return;
        }
        found.visited.insert(key, 0);
        found.frames.extend(at.frame.clone());
        let before = found.draws;
        self.read(at, found);
        found.visited.insert(key, found.draws - before);
    }

    /// A weight of zero makes the other factor idle; so does nothing from which something is taken away, as in `max(0 - mean(m), 0)`.
    fn read_binary(&mut self, op: BinaryOp, left: &At<'m>, right: &At<'m>, found: &mut Reading<'m>) {
        let before = found.idle;
        let zero = match op {
            BinaryOp::Multiply => [left, right].into_iter().find(|weight| self.known(weight) == Some(0.0)),
            BinaryOp::Divide => Some(left).filter(|weight| self.known(weight) == Some(0.0)),
            BinaryOp::Subtract => {
                Some(left).filter(|least| self.known(least).is_some_and(|least| least <= 0.0) && self.is_mean_of_mask(right))
            }
            _ => None,
        };
        if let (Some(zero), None) = (zero, before) {
            found.idle = Some(self.followed(zero).expr.span);
        }
        self.read(left, found);
        self.read(right, found);
        found.idle = before;
    }

    fn is_mean_of_mask(&mut self, at: &At<'m>) -> bool {
        let ExprKind::Call(function, given) = &*at.expr.kind else { return false };
        let named = matches!(&*function.kind, ExprKind::Path(path) if path.segments.len() == 1 && path.segments[0].text == "mean");
        named && given.first().is_some_and(|first| self.is_mask(&at.part(&first.value)))
    }

    fn read_call(&mut self, callee: &At<'m>, given: Vec<(Option<&'m str>, At<'m>)>, span: Span, found: &mut Reading<'m>) {
        if let Some(model) = self.model_at(callee) {
            let before = found.draws;
            found.within.push(model);
            given.iter().for_each(|(_, at)| self.read(at, found));
            found.within.pop();
            if found.draws > before {
                found.made.push((model, span));
            }
            return;
        }
        let called = self.function_at(callee);
        let scene = given.first().and_then(|(_, first)| self.scene_at(first));
        if let (Some(_), Some(scene)) = (&called, scene) {
            found.seen.extend(found.within.iter().map(|model| (*model, scene.clone(), span)));
            found.rendered.push((scene, span));
            return;
        }
        let name = called.as_ref().map(|(function, _)| function.name.text.as_str());
        if matches!(name, Some("mean" | "sum")) && given.first().is_some_and(|(_, first)| self.is_mask(first)) {
            match found.idle {
                Some(zero) => found.idle_bounds.push(zero),
                None => found.bounds.push(span),
            }
        }
        match called {
            Some((Fn { formals, body: Some(body), .. }, scope)) if !matches!(name, Some("mean" | "sum")) => {
                let names: Vec<&'m str> = formals.iter().map(|formal| formal.name.text.as_str()).collect();
                let defaults = formals.iter().filter_map(|formal| Some((formal.name.text.as_str(), formal.default.as_ref()?)));
                let defaults: Vec<_> = defaults.map(|(name, value)| (name, At::new(value, &scope))).collect();
                let given = bound(&names, given).into_iter().chain(defaults).collect();
                self.read_body(body, scope, given, found);
            }
            _ => given.iter().for_each(|(_, at)| self.read(at, found)),
        }
    }

    fn read_body(&mut self, body: &'m Body, scope: Rc<Scope<'m>>, given: Vec<(&'m str, At<'m>)>, found: &mut Reading<'m>) {
        if found.steps + FAR > MANY {
            return;
        }
        let frame = Some(Rc::new(Frame { given, lets: &body.statements, outer: None }));
        self.read(&At { expr: &body.value, scope, frame }, found);
    }

    /// The item of a comprehension; its names mean the lists through which they go.
    fn each(&mut self, at: &At<'m>, item: &'m Expr, generators: &'m [Generator], found: &mut Reading<'m>) -> At<'m> {
        let mut at = at.clone();
        for generator in generators {
            let over = at.part(&generator.over);
            self.read(&over, found);
            at.frame = at.inside(generator.names.iter().map(|name| (name.text.as_str(), over.clone())).collect());
        }
        at.part(item)
    }

    /// The function that an expression names, and where its body is read.
    fn function_at(&mut self, at: &At<'m>) -> Option<(&'m Fn, Rc<Scope<'m>>)> {
        let at = self.followed(at);
        let items = self.items_at(&at)?;
        let first = *items.first()?;
        match self.modules.item(first).kind() {
            ItemKind::Fn(function) => Some((function, self.module_scope(first.module))),
            _ => None,
        }
    }

    /// The model that is called: `critic(..)`, `G[k](..)`, `actor.synthesis(..)`.
    pub fn model_at(&mut self, at: &At<'m>) -> Option<&'m str> {
        let at = self.followed(at);
        match &*at.expr.kind {
            ExprKind::Field(inner, _) | ExprKind::Bracket(inner, _) => self.model_at(&at.part(inner)),
            _ => {
                let first = *self.items_at(&at)?.first()?;
                match self.modules.item(first).kind() {
                    ItemKind::Model(model) => Some(&model.binder.name.text),
                    _ => None,
                }
            }
        }
    }

    fn items_at(&mut self, at: &At<'m>) -> Option<&'m [ItemId]> {
        let ExprKind::Path(path) = &*at.expr.kind else { return None };
        match path.segments.as_slice() {
            [name] if at.local(&name.text).is_some() => None,
            [name] => match self.resolve(&at.scope, &name.text) {
                Some(Resolved::Items(_, items)) => Some(items),
                _ => None,
            },
            _ => self.modules.find_path(at.scope.module, path),
        }
    }

    /// The scene that an expression is; of a family of perturbations the first.
    pub fn scene_at(&mut self, at: &At<'m>) -> Option<Rc<Scene<'m>>> {
        let at = self.followed(at);
        if let ExprKind::Bracket(inner, _) = &*at.expr.kind {
            return self.scene_at(&at.part(inner));
        }
        let items = self.items_at(&at)?;
        let first = *items.first()?;
        let (name, index) = match self.modules.item(first).kind() {
            ItemKind::Scene(name, _) => (name, None),
            ItemKind::Perturb(perturb) => match &perturb.binder.family {
                Some(Family::Over(_, over)) => {
                    let scope = self.module_scope(first.module);
                    (&perturb.binder.name, Some(self.list(over, &scope).ok()?.first()?.clone()))
                }
                Some(Family::At(_)) => return None,
                None => (&perturb.binder.name, None),
            },
            _ => return None,
        };
        let found = self.found_items(&name.text, items)?;
        match self.member(&found, index.as_ref(), at.expr.span) {
            Ok(Value::Scene(scene)) => Some(scene),
            _ => None,
        }
    }

    /// An expression behind names and choices.
    pub fn followed(&mut self, at: &At<'m>) -> At<'m> {
        let mut at = at.clone();
        for _ in 0..FAR {
            match self.behind(&at) {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }

    /// What a name or choice stands for.
    fn behind(&mut self, at: &At<'m>) -> Option<At<'m>> {
        match &*at.expr.kind {
            ExprKind::If(on, yes, no) => Some(at.part(if self.decides(&at.part(on))? { yes } else { no })),
            ExprKind::Field(inner, name) => {
                let record = self.followed(&at.part(inner));
                let ExprKind::Record(fields) = &*record.expr.kind else { return None };
                fields.iter().find(|(own, _)| own.text == name.text).map(|(_, value)| record.part(value))
            }
            ExprKind::Path(path) => {
                let [name] = path.segments.as_slice() else { return None };
                if let Some(local) = at.local(&name.text) {
                    return Some(local);
                }
                match self.resolve(&at.scope, &name.text)? {
                    Resolved::Found(found) => match found.cases.as_slice() {
                        [Def::Let(binding)] if binding.binder.family.is_none() => Some(At::new(&binding.value, &found.scope)),
                        _ => None,
                    },
                    Resolved::Replaced(value, by) => Some(At::new(value, &self.module_scope(by))),
                    Resolved::Items(_, [item]) => match self.modules.item(*item).kind() {
                        ItemKind::Let(binding) if binding.binder.family.is_none() => {
                            Some(At::new(&binding.value, &self.module_scope(item.module)))
                        }
                        _ => None,
                    },
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Whether an expression is a mask of a scene, its complement, or a list with one.
    fn is_mask(&mut self, at: &At<'m>) -> bool {
        let at = self.followed(at);
        match &*at.expr.kind {
            ExprKind::List(items) => items.iter().any(|item| self.is_mask(&at.part(item))),
            ExprKind::Binary(BinaryOp::Subtract, one, mask) => self.known(&at.part(one)) == Some(1.0) && self.is_mask(&at.part(mask)),
            ExprKind::Bracket(inner, entries) => {
                entries.iter().all(|entry| !matches!(entry, Entry::Arrow(..))) && self.is_mask(&at.part(inner))
            }
            ExprKind::Field(inner, name) => name.text != "image" && self.in_scene(&at.part(inner)),
            _ => false,
        }
    }

    /// Whether an expression is a scene or something of one.
    fn in_scene(&mut self, at: &At<'m>) -> bool {
        let at = self.followed(at);
        match &*at.expr.kind {
            ExprKind::Field(inner, _) | ExprKind::Bracket(inner, _) if self.in_scene(&at.part(inner)) => true,
            _ => self.scene_at(&at).is_some(),
        }
    }

    /// A number known when compiling.
    pub fn known(&mut self, at: &At<'m>) -> Option<f64> {
        match self.constant(at)? {
            Value::Number(number) => Some(number.real()),
            _ => None,
        }
    }

    fn decides(&mut self, at: &At<'m>) -> Option<bool> {
        match self.constant(at)? {
            Value::Bool(decided) => Some(decided),
            _ => None,
        }
    }

    fn constant(&mut self, at: &At<'m>) -> Option<Value<'m>> {
        let at = self.followed(at);
        if !self.is_constant(&at, 0) {
            return None;
        }
        let before = self.faults.len();
        let value = self.eval(at.expr, &at.scope).ok();
        self.faults.truncate(before);
        value
    }

    /// Whether an expression may be a word of a choice: it means nothing else.
    fn may_be_word(&mut self, at: &At<'m>) -> bool {
        let ExprKind::Path(path) = &*at.expr.kind else { return false };
        path.segments.len() == 1 && at.local(&path.segments[0].text).is_none() && self.resolve(&at.scope, &path.segments[0].text).is_none()
    }

    /// Whether an expression is arithmetic on numbers, params and words.
    fn is_constant(&mut self, at: &At<'m>, depth: usize) -> bool {
        if depth > FAR {
            return false;
        }
        if let ExprKind::Binary(BinaryOp::Equal | BinaryOp::NotEqual, left, right) = &*at.expr.kind {
            return [left, right].into_iter().all(|side| self.is_constant(&at.part(side), depth + 1) || self.may_be_word(&at.part(side)));
        }
        let mut all = |parts: &[&'m Expr]| parts.iter().all(|part| self.is_constant(&at.part(part), depth + 1));
        match &*at.expr.kind {
            ExprKind::Number(_) | ExprKind::Text(_) => true,
            ExprKind::Negate(value) | ExprKind::Not(value) => all(&[value]),
            ExprKind::Binary(_, left, right) => all(&[left, right]),
            ExprKind::If(on, yes, no) => all(&[on, yes, no]),
            ExprKind::Call(function, given) => {
                let given: Vec<&Expr> = given.iter().map(|argument| &argument.value).collect();
                let plain = ["floor", "round", "min", "max", "log", "exp", "sqrt", "abs", "log2"];
                matches!(&*function.kind, ExprKind::Path(path) if plain.contains(&path.segments[0].text.as_str())) && all(&given)
            }
            ExprKind::Path(path) => {
                let [name] = path.segments.as_slice() else { return false };
                if at.local(&name.text).is_some() {
                    return false;
                }
                match self.resolve(&at.scope, &name.text) {
                    Some(Resolved::Value(Value::Number(_) | Value::Bool(_) | Value::None | Value::Choice(..) | Value::Text(_))) => true,
                    Some(Resolved::Items(_, [item])) => match self.modules.item(*item).kind() {
                        ItemKind::Param(_) => true,
                        ItemKind::Let(binding) if binding.binder.family.is_none() => {
                            let value = At::new(&binding.value, &self.module_scope(item.module));
                            self.is_constant(&value, depth + 1)
                        }
                        _ => false,
                    },
                    _ => false,
                }
            }
            _ => false,
        }
    }
}

fn arguments<'a, 'm>(at: &'a At<'m>, given: &'m [Argument]) -> impl Iterator<Item = (Option<&'m str>, At<'m>)> + use<'a, 'm> {
    given.iter().map(|argument| (argument.label.as_ref().map(|label| label.text.as_str()), at.part(&argument.value)))
}

/// What is given for the formals with these names: by label, the rest in order.
fn bound<'m>(formals: &[&'m str], given: Vec<(Option<&'m str>, At<'m>)>) -> Vec<(&'m str, At<'m>)> {
    let labelled: Vec<&str> = given.iter().filter_map(|(label, _)| *label).collect();
    let mut free = formals.iter().copied().filter(|formal| !labelled.contains(formal)).collect::<Vec<_>>().into_iter();
    given.into_iter().filter_map(|(label, at)| Some((label.or_else(|| free.next())?, at))).collect()
}

/// A draw of a perturbation may be what has to be recovered.
fn read_scene<'m>(scene: &Scene<'m>, field: &str, found: &mut Reading<'m>) {
    if scene.scope.defs.iter().any(|def| matches!(def, Def::Draw(..)) && def.name().is_some_and(|name| name.text == field)) {
        match found.idle {
            Some(zero) => found.idle_latents.push(zero),
            None => found.latents.push(scene.name),
        }
    }
}
