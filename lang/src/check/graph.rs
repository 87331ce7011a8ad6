//! What refers to what: cycles of definitions, host algorithms inside steps, params that nothing reads.

use super::{Checker, Edge};
use crate::fault::Fault;
use crate::modules::{ItemId, ModuleId, Modules};
use crate::source::Span;
use crate::syntax::{
    Argument, Binder, Dim, Entry, Expr, ExprKind, Family, Item, ItemKind, Name, Origin, Statement, StatementKind, Type, TypeKind, Use,
    UseTarget,
};
use std::collections::{BTreeMap, BTreeSet};

/// The names that an item defines.
pub(super) fn names_of(kind: &ItemKind) -> Vec<&Name> {
    match kind {
        ItemKind::Alias(name, _) | ItemKind::Names(name, _) | ItemKind::Scene(name, _) => vec![name],
        ItemKind::Param(param) => vec![&param.name],
        ItemKind::Variant(variant) => vec![&variant.name],
        ItemKind::Fn(function) => vec![&function.name],
        ItemKind::Net(net) => vec![&net.name],
        ItemKind::Eval(eval) => vec![&eval.name],
        ItemKind::Draw(draw) => draw.binders.iter().map(|binder| &binder.name).collect(),
        other => binder(other).map(|binder| &binder.name).into_iter().collect(),
    }
}

/// The binder of an item that may be a family.
pub(super) fn binder(kind: &ItemKind) -> Option<&Binder> {
    match kind {
        ItemKind::Data(binding) | ItemKind::Let(binding) | ItemKind::Loss(binding) => Some(&binding.binder),
        ItemKind::Model(model) => Some(&model.binder),
        ItemKind::Perturb(perturb) => Some(&perturb.binder),
        ItemKind::Solve(solve) => Some(&solve.binder),
        ItemKind::Train(train) => Some(&train.binder),
        _ => None,
    }
}

/// What an item is, with an article.
pub(super) fn word(kind: &ItemKind) -> &'static str {
    match kind {
        ItemKind::Alias(..) => "a type",
        ItemKind::Param(_) => "a param",
        ItemKind::Variant(_) => "a variant",
        ItemKind::Data(_) => "a data item",
        ItemKind::Names(..) => "a map of official names",
        ItemKind::Fn(_) => "a function",
        ItemKind::Net(_) => "a net",
        ItemKind::Model(_) => "a model",
        ItemKind::Scene(..) => "a scene",
        ItemKind::Perturb(_) => "a perturbation",
        ItemKind::Let(_) => "a value",
        ItemKind::Draw(_) => "a draw",
        ItemKind::Loss(_) => "a loss",
        ItemKind::Solve(_) => "a solve",
        ItemKind::Train(_) => "a training phase",
        ItemKind::Eval(_) => "an evaluation",
        _ => "something else",
    }
}

/// The name by which a `use` is known.
pub(super) fn use_name(entry: &Use) -> Option<&str> {
    match (&entry.rename, &entry.target) {
        (Some(name), _) => Some(&name.text),
        (None, UseTarget::Module(path)) => path.segments.last().map(|name| name.text.as_str()),
        (None, UseTarget::File(_)) => None,
    }
}

/// The places of an item that could not be parsed.
pub(super) fn broken(kind: &ItemKind, span: Span) -> Vec<Span> {
    let statements: &[Statement] = match kind {
        ItemKind::Broken => return vec![span],
        ItemKind::Fn(function) => function.body.as_ref().map_or(&[], |body| &body.statements),
        ItemKind::Net(net) => net.body.as_ref().map_or(&[], |body| &body.statements),
        ItemKind::Scene(_, statements) => statements,
        ItemKind::Perturb(perturb) => &perturb.statements,
        ItemKind::Solve(solve) => &solve.statements,
        _ => &[],
    };
    statements.iter().filter(|statement| matches!(statement.kind, StatementKind::Broken)).map(|statement| statement.span).collect()
}

/// Aliases from which an alias is reached that needs itself.
pub(super) fn endless_aliases(modules: &Modules) -> BTreeSet<ItemId> {
    let mut next: BTreeMap<ItemId, Vec<ItemId>> = BTreeMap::new();
    for (module, file) in modules.list.iter().enumerate() {
        for (item, found) in file.file.items.iter().enumerate() {
            if let Some(ItemKind::Alias(_, ty)) = found.plain() {
                let module = ModuleId(module);
                let mut words = Vec::new();
                type_words(ty, &mut words);
                let needs = words.into_iter().filter_map(|word| modules.find(module, &word.text)?.first().copied()).collect();
                next.insert(ItemId { module, item }, needs);
            }
        }
    }
    loop {
        let ends: Vec<ItemId> =
            next.iter().filter(|(_, needs)| needs.iter().all(|need| !next.contains_key(need))).map(|(id, _)| *id).collect();
        if ends.is_empty() {
            return next.into_keys().collect();
        }
        ends.iter().for_each(|id| {
            next.remove(id);
        });
    }
}

fn type_words<'a>(ty: &'a Type, found: &mut Vec<&'a Name>) {
    match &ty.kind {
        TypeKind::Word(name) => found.push(name),
        TypeKind::Record(fields) => fields.iter().for_each(|(_, ty)| type_words(ty, found)),
        TypeKind::Tensor(..) => {}
    }
}

/// The names that a statement binds, with the family of each.
pub(super) fn statement_binders(kind: &StatementKind) -> Vec<(&Name, Option<&Family>)> {
    match kind {
        StatementKind::Let(binding) | StatementKind::Layer(binding) => vec![(&binding.binder.name, binding.binder.family.as_ref())],
        StatementKind::Draw(draw) => draw.binders.iter().map(|binder| (&binder.name, binder.family.as_ref())).collect(),
        StatementKind::Part(binders, _) => binders.iter().map(|binder| (&binder.name, binder.family.as_ref())).collect(),
        StatementKind::Weight(stored) | StatementKind::State(stored) => vec![(&stored.name, None)],
        StatementKind::Next(..) | StatementKind::Slot(..) | StatementKind::Broken => Vec::new(),
    }
}

/// The expressions of a statement, those of its types included.
pub(super) fn statement_exprs<'a>(kind: &'a StatementKind, visit: &mut dyn FnMut(&'a Expr)) {
    for (_, family) in statement_binders(kind) {
        if let Some(Family::Over(_, expr) | Family::At(expr)) = family {
            visit(expr);
        }
    }
    match kind {
        StatementKind::Let(binding) | StatementKind::Layer(binding) => {
            binding.ty.iter().for_each(|ty| type_exprs(ty, visit));
            visit(&binding.value);
        }
        StatementKind::Draw(draw) => visit(&draw.from),
        StatementKind::Weight(stored) | StatementKind::State(stored) => {
            stored.ty.iter().for_each(|ty| type_exprs(ty, visit));
            visit(&stored.value);
        }
        StatementKind::Next(_, value) | StatementKind::Part(_, value) | StatementKind::Slot(_, _, value) => visit(value),
        StatementKind::Broken => {}
    }
}

/// The sizes written in a type.
pub(super) fn type_exprs<'a>(ty: &'a Type, visit: &mut dyn FnMut(&'a Expr)) {
    match &ty.kind {
        TypeKind::Tensor(_, dims) => dim_exprs(dims, visit),
        TypeKind::Record(fields) => fields.iter().for_each(|(_, ty)| type_exprs(ty, visit)),
        TypeKind::Word(_) => {}
    }
}

fn dim_exprs<'a>(dims: &'a [Dim], visit: &mut dyn FnMut(&'a Expr)) {
    for dim in dims {
        if let Dim::Axis(_, Some(size)) = dim {
            visit(size);
        }
    }
}

/// The expressions directly inside an expression.
pub(super) fn children<'a>(expr: &'a Expr, visit: &mut dyn FnMut(&'a Expr)) {
    match &*expr.kind {
        ExprKind::Number(_) | ExprKind::Text(_) | ExprKind::Path(_) | ExprKind::Broken => {}
        ExprKind::If(a, b, c) => [a, b, c].into_iter().for_each(visit),
        ExprKind::Pipe(a, b) | ExprKind::Binary(_, a, b) | ExprKind::Range(a, b) => [a, b].into_iter().for_each(visit),
        ExprKind::Not(a) | ExprKind::Negate(a) | ExprKind::Duration(a, _) | ExprKind::Field(a, _) => visit(a),
        ExprKind::Call(callee, arguments) => {
            visit(callee);
            arguments.iter().for_each(|Argument { value, .. }| visit(value));
        }
        ExprKind::CallEach(callee, item, generators) => {
            visit(callee);
            visit(item);
            generators.iter().for_each(|generator| visit(&generator.over));
        }
        ExprKind::ListEach(item, generators) => {
            visit(item);
            generators.iter().for_each(|generator| visit(&generator.over));
        }
        ExprKind::List(items) => items.iter().for_each(visit),
        ExprKind::Record(fields) => fields.iter().for_each(|(_, value)| visit(value)),
        ExprKind::Bracket(value, entries) => {
            visit(value);
            for entry in entries {
                match entry {
                    Entry::Arrow(from, to) => {
                        dim_exprs(&from.dims, visit);
                        dim_exprs(&to.dims, visit);
                    }
                    Entry::Axis(_, at) | Entry::Index(at) => visit(at),
                }
            }
        }
    }
}

/// Whether an expression mentions a bare name.
pub(super) fn mentions(expr: &Expr, name: &str) -> bool {
    if let ExprKind::Path(path) = &*expr.kind {
        return path.segments.len() == 1 && path.segments[0].text == name;
    }
    let mut found = false;
    children(expr, &mut |child| found = found || mentions(child, name));
    found
}

/// The bare names of an expression with their places.
fn names_in<'a>(expr: &'a Expr, found: &mut Vec<&'a Name>) {
    if let ExprKind::Path(path) = &*expr.kind
        && let [name] = path.segments.as_slice()
    {
        found.push(name);
    }
    children(expr, &mut |child| names_in(child, found));
}

/// What to do about values that need themselves.
const SEQUENCE: &str = "A sequence is written as a family: `let d[0] = ..`, `let d[i in 1..n] = f(d[i - 1])`.";

impl<'m> Checker<'m> {
    /// Reports definitions of a block that need themselves. Families may be recurrent.
    pub(super) fn cyclic_block(&mut self, statements: &'m [Statement]) {
        let mut plain: BTreeMap<&str, Vec<&Name>> = BTreeMap::new();
        for statement in statements {
            if let StatementKind::Let(binding) | StatementKind::Layer(binding) = &statement.kind
                && binding.binder.family.is_none()
            {
                let mut found = Vec::new();
                names_in(&binding.value, &mut found);
                plain.insert(&binding.binder.name.text, found);
            }
        }
        let mut done: BTreeSet<&str> = BTreeSet::new();
        for start in plain.keys().copied().collect::<Vec<_>>() {
            let mut way = Way::new();
            if let Some(cycle) = local_cycle(start, &plain, &mut way, &mut done) {
                let places = cycle.iter().map(|name| (name.text.clone(), name.span)).collect();
                return self.cycle(places, SEQUENCE);
            }
        }
    }

    /// Reports items that need themselves, with the way round.
    pub(super) fn cyclic_definitions(&mut self) {
        let modules = self.modules;
        let mut next: BTreeMap<ItemId, Vec<Edge>> = BTreeMap::new();
        for edge in &self.edges {
            let recurrent = binder(modules.item(edge.to).kind()).is_some_and(|binder| binder.family.is_some());
            if !recurrent && defines(modules.item(edge.from)) && defines(modules.item(edge.to)) {
                next.entry(edge.from).or_default().push(*edge);
            }
        }
        let mut done: BTreeSet<ItemId> = BTreeSet::new();
        for start in next.keys().copied().collect::<Vec<_>>() {
            let mut way = Vec::new();
            if let Some(cycle) = item_cycle(start, &next, &mut way, &mut done) {
                let places = cycle.iter().map(|edge| (modules.sources.slice(edge.span).to_string(), edge.span)).collect();
                let advice = match modules.item(start).kind() {
                    ItemKind::Variant(_) => "One of them must start from none of the others.",
                    ItemKind::Alias(..) => "A type cannot contain itself.",
                    ItemKind::Fn(_) | ItemKind::Net(_) => {
                        "Functions and nets are written out where they are used, so none can use itself; a sequence is a family."
                    }
                    _ => SEQUENCE,
                };
                self.cycle(places, advice);
            }
        }
    }

    fn cycle(&mut self, places: Vec<(String, Span)>, advice: &str) {
        let Some(((name, span), rest)) = places.split_first() else { return };
        let mut round: Vec<&str> = places.iter().map(|(name, _)| name.as_str()).collect();
        round.push(name);
        let mut fault = Fault::error("cyclic-definition", format!("`{name}` is defined by itself"), *span, "needed here");
        for (_, span) in rest.iter().take(6) {
            fault = fault.also(*span, "which needs this");
        }
        self.fault(fault.help(format!("The way round: {}. {advice}", round.join(" -> "))));
    }

    /// Reports host algorithms on the way of what is computed in steps.
    pub(super) fn host_in_steps(&mut self) {
        let modules = self.modules;
        let mut next: BTreeMap<ItemId, Vec<Edge>> = BTreeMap::new();
        for edge in &self.edges {
            next.entry(edge.from).or_default().push(*edge);
        }
        let mut seen: BTreeSet<(ModuleId, Span)> = BTreeSet::new();
        for start in next.keys().copied().collect::<Vec<_>>() {
            let Some(what) = step_of(modules.item(start)) else { continue };
            if let Some(edge) = self.host_below(start, &next)
                && seen.insert((edge.from.module, edge.span))
            {
                let host = modules.sources.slice(edge.span);
                let fault =
                    Fault::error("host-in-step", format!("`{host}` runs on the host and has no gradient"), edge.span, "a host algorithm")
                        .also(head(modules.item(start)), format!("reached by {what}"))
                        .help("Host algorithms may stand in `data`, `eval`, `collect` and `show` only.");
                self.fault(fault);
            }
        }
    }

    fn host_below(&self, start: ItemId, next: &BTreeMap<ItemId, Vec<Edge>>) -> Option<Edge> {
        let mut open = vec![start];
        let mut seen = BTreeSet::from([start]);
        while let Some(here) = open.pop() {
            for edge in next.get(&here).into_iter().flatten() {
                match self.modules.item(edge.to).kind() {
                    ItemKind::Fn(function) if function.origin == Origin::Host => return Some(*edge),
                    ItemKind::Fn(_) | ItemKind::Let(_) | ItemKind::Scene(..) | ItemKind::Perturb(_) if seen.insert(edge.to) => {
                        open.push(edge.to)
                    }
                    _ => {}
                }
            }
        }
        None
    }

    /// Warns of params of the spec that nothing reads.
    pub(super) fn unused_params(&mut self) {
        let modules = self.modules;
        let read: BTreeSet<ItemId> = self
            .edges
            .iter()
            .filter(|edge| !matches!(modules.item(edge.from).kind(), ItemKind::Variant(_)) && edge.from != edge.to)
            .map(|edge| edge.to)
            .collect();
        for (item, found) in modules.list[modules.root.0].file.items.iter().enumerate() {
            let id = ItemId { module: modules.root, item };
            if let ItemKind::Param(param) = found.kind()
                && !read.contains(&id)
                && !param.name.text.starts_with('_')
            {
                let name = &param.name;
                let fault = Fault::warning("unused-param", format!("nothing reads the param `{}`", name.text), name.span, "in no variant");
                self.fault(fault.help("Use it, or take it out: setting it would change nothing."));
            }
        }
    }
}

/// Whether an item is a definition that could need itself.
fn defines(item: &Item) -> bool {
    matches!(
        item.kind(),
        ItemKind::Let(_)
            | ItemKind::Param(_)
            | ItemKind::Data(_)
            | ItemKind::Fn(_)
            | ItemKind::Net(_)
            | ItemKind::Model(_)
            | ItemKind::Loss(_)
            | ItemKind::Scene(..)
            | ItemKind::Perturb(_)
            | ItemKind::Draw(_)
            | ItemKind::Solve(_)
            | ItemKind::Alias(..)
            | ItemKind::Variant(_)
    )
}

/// Items whose values are computed in steps.
fn step_of(item: &Item) -> Option<&'static str> {
    match item.kind() {
        ItemKind::Loss(_) => Some("this loss"),
        ItemKind::Solve(_) => Some("this solve"),
        ItemKind::Net(_) => Some("this net"),
        _ => None,
    }
}

fn head(item: &Item) -> Span {
    names_of(item.kind()).first().map_or(item.span, |name| name.span)
}

fn item_cycle(here: ItemId, next: &BTreeMap<ItemId, Vec<Edge>>, way: &mut Vec<Edge>, done: &mut BTreeSet<ItemId>) -> Option<Vec<Edge>> {
    if let Some(at) = way.iter().position(|edge| edge.from == here) {
        return Some(way[at..].to_vec());
    }
    if !done.insert(here) {
        return None;
    }
    for edge in next.get(&here).into_iter().flatten() {
        way.push(*edge);
        let found = item_cycle(edge.to, next, way, done);
        way.pop();
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Steps of a way through a block: the definition that is left, and the word in it that leads on.
type Way<'a> = Vec<(&'a str, &'a Name)>;

fn local_cycle<'a>(
    here: &'a str,
    plain: &BTreeMap<&'a str, Vec<&'a Name>>,
    way: &mut Way<'a>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<&'a Name>> {
    if let Some(at) = way.iter().position(|(from, _)| *from == here) {
        return Some(way[at..].iter().map(|(_, word)| *word).collect());
    }
    let needs = plain.get(here)?;
    if !done.insert(here) {
        return None;
    }
    for need in needs {
        way.push((here, need));
        let found = local_cycle(&need.text, plain, way, done);
        way.pop();
        if found.is_some() {
            return found;
        }
    }
    None
}
