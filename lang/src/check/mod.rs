//! The static pass over names and kinds: it covers the whole language, whether or not a spec can be run yet.
//!
//! Every item of the spec and its files is walked once, and what they reach of the library. What a name stands for is told by
//! `what::What`, without evaluating anything; sizes, axes of values and everything that depends on params are the business of
//! `elaborate`. Something unknown or faulty fits everywhere, so that one slip gives one fault.

mod bodies;
mod calls;
mod expressions;
mod graph;
mod items;
mod names;
mod params;
mod scenes;
mod training;
mod types;
mod what;

use crate::fault::Fault;
use crate::modules::{ItemId, ModuleId, Modules};
use crate::source::Span;
use crate::syntax::{ItemKind, Name};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use what::What;

/// Proves names, kinds, arguments, declared axes, families, variants and the use of params. Independent faults come together.
pub fn check(modules: &Modules) -> Vec<Fault> {
    let mut checker = Checker::new(modules);
    let own = (0..modules.list.len()).map(ModuleId).filter(|module| !modules.module(*module).library);
    own.for_each(|module| checker.module(module));
    checker.library();
    checker.cyclic_definitions();
    checker.host_in_steps();
    checker.unused_params();
    let mut faults = checker.faults;
    faults.sort_by_key(|fault| {
        fault.labels.first().map(|(span, _)| (span.source != modules.list[modules.root.0].source, span.source, span.start))
    });
    faults
}

/// A name that is bound inside an item.
#[derive(Clone, Debug)]
struct Local<'m> {
    name: String,
    what: What<'m>,
    span: Span,
    /// Whether it may be hidden by another: sizes of signatures and names of a perturbed scene.
    quiet: bool,
}

/// Where an expression stands.
#[derive(Clone, Debug)]
struct Scope<'m> {
    module: ModuleId,
    locals: Vec<Local<'m>>,
    /// Names of `..rest` axes.
    rests: BTreeSet<String>,
}

impl<'m> Scope<'m> {
    fn of(module: ModuleId) -> Scope<'m> {
        Scope { module, locals: Vec::new(), rests: BTreeSet::new() }
    }

    fn local(&self, name: &str) -> Option<&Local<'m>> {
        self.locals.iter().rev().find(|local| local.name == name)
    }
}

/// A reference from one item to another.
#[derive(Clone, Copy, Debug)]
struct Edge {
    from: ItemId,
    to: ItemId,
    span: Span,
}

struct Checker<'m> {
    modules: &'m Modules,
    faults: Vec<Fault>,
    /// Above zero while something is only looked at, not reported.
    silent: usize,
    /// The item that is walked.
    current: Option<ItemId>,
    edges: Vec<Edge>,
    /// What items are; `None` while that is being found out.
    memo: HashMap<(ItemId, String), Option<What<'m>>>,
    /// Axes with the place of their declaration; they are known everywhere.
    axes: BTreeMap<&'m str, Span>,
    /// Aliases that need themselves.
    endless: BTreeSet<ItemId>,
}

impl<'m> Checker<'m> {
    fn new(modules: &'m Modules) -> Checker<'m> {
        let mut axes = BTreeMap::new();
        for item in modules.list.iter().flat_map(|module| &module.file.items) {
            if let Some(ItemKind::Axis(names, _)) = item.plain() {
                axes.extend(names.iter().map(|name| (name.text.as_str(), name.span)));
            }
        }
        let endless = graph::endless_aliases(modules);
        Checker { modules, endless, faults: Vec::new(), silent: 0, current: None, edges: Vec::new(), memo: HashMap::new(), axes }
    }

    fn fault(&mut self, fault: Fault) {
        if self.silent == 0 {
            self.faults.push(fault);
        }
    }

    /// Looks at something without reporting.
    fn quietly<T>(&mut self, look: impl FnOnce(&mut Self) -> T) -> T {
        self.silent += 1;
        let found = look(self);
        self.silent -= 1;
        found
    }

    fn module(&mut self, module: ModuleId) {
        let modules = self.modules;
        for item in 0..modules.list[module.0].file.items.len() {
            self.walk(ItemId { module, item });
        }
        for ids in modules.list[module.0].names.values() {
            let binders: Vec<_> = ids.iter().filter_map(|id| graph::binder(modules.item(*id).kind())).collect();
            self.overlapping(&binders);
        }
    }

    /// Walks what is reached of the library, for what it leads to. The library has no faults of its own, which a test proves.
    fn library(&mut self) {
        let modules = self.modules;
        let mut walked = BTreeSet::new();
        let mut next = 0;
        while let Some(edge) = self.edges.get(next).copied() {
            if modules.module(edge.to.module).library && walked.insert(edge.to) {
                self.walk(edge.to);
            }
            next += 1;
        }
    }

    fn walk(&mut self, id: ItemId) {
        self.current = Some(id);
        self.item(id.module, self.modules.item(id).kind());
        self.current = None;
    }

    /// The word that gives an item this name.
    fn name_of(&self, id: ItemId, name: &str) -> Option<&'m Name> {
        graph::names_of(self.modules.item(id).kind()).into_iter().find(|word| word.text == name)
    }
}
