//! What names stand for, and what to say about those that stand for nothing.

use super::what::{Fields, Layers, What};
use super::{Checker, Edge, Local, Scope, graph};
use crate::fault::Fault;
use crate::modules::{ItemId, ModuleId};
use crate::nearest::{nearest, suggestion};
use crate::source::Span;
use crate::syntax::{ItemKind, Name, Path, StatementKind};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Words that mean something in every expression, with what they are.
pub const WORDS: [(&str, &str); 6] = [
    ("true", "the truth value"),
    ("false", "the truth value"),
    ("none", "nothing given"),
    ("training", "whether a phase is being trained, known when compiling"),
    ("step", "the number of the step"),
    ("infinity", "larger than every number"),
];

/// Words that begin actions; they name nothing.
const RESERVED: [&str; 8] = ["keep", "restart", "finish", "show", "measure", "checkpoint", "output", "edition"];

/// How far parts of parts are followed: a net may contain itself, which is a fault of its own.
const DEEPEST: usize = 4;

impl<'m> Checker<'m> {
    /// What a path stands for; an unknown one is reported.
    pub(super) fn path(&mut self, path: &'m Path, scope: &Scope<'m>) -> What<'m> {
        match path.segments.as_slice() {
            [name] => self.name(name, scope),
            segments => self.member(path, segments, scope),
        }
    }

    fn name(&mut self, name: &'m Name, scope: &Scope<'m>) -> What<'m> {
        if let Some(local) = scope.local(&name.text) {
            return local.what.clone();
        }
        if let Some(what) = self.global(name, scope.module) {
            return what;
        }
        match name.text.as_str() {
            "none" => What::None,
            word if WORDS.iter().any(|(known, _)| *known == word) => What::Value,
            _ => {
                self.unknown_name(name, scope);
                What::Unknown
            }
        }
    }

    /// What a name of the module, its base or the prelude stands for.
    pub(super) fn global(&mut self, name: &'m Name, module: ModuleId) -> Option<What<'m>> {
        let modules = self.modules;
        let id = *modules.find(module, &name.text)?.first()?;
        self.refer(id, name.span);
        Some(self.what_of(id, &name.text))
    }

    pub(super) fn refer(&mut self, to: ItemId, span: Span) {
        if let (Some(from), 0) = (self.current, self.silent) {
            self.edges.push(Edge { from, to, span });
        }
    }

    fn member(&mut self, path: &'m Path, segments: &'m [Name], scope: &Scope<'m>) -> What<'m> {
        let modules = self.modules;
        let Some(module) = modules.find_module(scope.module, &segments[0].text) else {
            self.unknown_module(&segments[0], scope.module);
            return What::Unknown;
        };
        let [_, name] = segments else {
            let fault = Fault::error("unknown-module", "modules do not contain modules", path.span, "more than one `::`");
            self.fault(fault.help("Write `module::name`; what a module uses itself is not visible through it."));
            return What::Unknown;
        };
        let members = &modules.list[module.0].names;
        let Some(id) = members.get(&name.text).and_then(|ids| ids.first()) else {
            let message = format!("module `{}` has no `{}`", segments[0].text, name.text);
            let fault = Fault::error("unknown-name", message, name.span, "not found there");
            let public = members.keys().map(String::as_str).filter(|name| !name.starts_with('_'));
            self.fault(with(fault, suggestion(&name.text, public)));
            return What::Unknown;
        };
        if name.text.starts_with('_') {
            let fault = Fault::error("private-name", format!("`{}` belongs to its module alone", name.text), name.span, "begins with `_`");
            self.fault(fault.help("Names that begin with `_` are not visible outside; write what you need in your own file."));
        }
        self.refer(*id, name.span);
        self.what_of(*id, &name.text)
    }

    fn unknown_module(&mut self, name: &Name, module: ModuleId) {
        if self.left_out(name, module) {
            return;
        }
        let uses = self.modules.lineage(module).flat_map(|module| self.modules.list[module.0].uses.keys().map(String::as_str));
        let fault =
            Fault::error("unknown-module", format!("no module `{}` is in use", name.text), name.span, "not brought in by any `use`");
        let advice = match nearest(&name.text, uses) {
            Some(near) => format!("Did you mean `{near}`?"),
            None => format!("Write `use std::{0}` for a module of the library, or `use \"./{0}.seg\" as {0}` for a file.", name.text),
        };
        self.fault(fault.help(advice));
    }

    /// Reports a name that stands for nothing, with the nearest that does.
    pub(super) fn unknown_name(&mut self, name: &Name, scope: &Scope<'m>) {
        if self.silent > 0 || self.left_out(name, scope.module) {
            return;
        }
        if self.axes.contains_key(name.text.as_str()) {
            let message = format!("`{}` is an axis, and here its size is not known", name.text);
            let fault = Fault::error("wrong-kind", message, name.span, "a value is needed here");
            let help = format!("Only a signature with `{0}` makes `{0}` a size. For the size of a value write `size(x, {0})`.", name.text);
            return self.fault(fault.help(help));
        }
        let known = self.visible(scope);
        let fault = Fault::error("unknown-name", format!("nothing is called `{}`", name.text), name.span, "not found");
        let near = nearest(&name.text, known.iter().map(String::as_str)).map(|near| format!("Did you mean `{near}`?"));
        let module =
            || self.modules.list[scope.module.0].uses.iter().find(|(_, id)| self.modules.list[id.0].names.contains_key(&name.text));
        let advice = near.or_else(|| module().map(|(module, _)| format!("Module `{module}` has it: write `{module}::{}`.", name.text)));
        let advice = advice.unwrap_or_else(|| "Define it with `let`, `param` or `fn`, or bring in its module with `use`.".to_string());
        self.fault(fault.help(advice));
    }

    /// Whether a name may come from what could not be read, which has a fault already: a `use` that found nothing, a broken piece.
    pub(super) fn left_out(&self, name: &Name, module: ModuleId) -> bool {
        let modules = self.modules;
        let lost = |module: ModuleId| {
            let file = &modules.list[module.0].file;
            file.items.iter().any(|item| match item.kind() {
                ItemKind::Use(uses) => uses.iter().any(|entry| graph::use_name(entry) == Some(name.text.as_str())),
                ItemKind::Extend(_) => !modules.base.contains_key(&module),
                kind => graph::broken(kind, item.span).iter().any(|span| has_word(modules.sources.slice(*span), &name.text)),
            })
        };
        modules.lineage(module).any(lost)
    }

    /// Every name that an expression could mean here.
    fn visible(&self, scope: &Scope<'m>) -> Vec<String> {
        let mut names: Vec<String> = scope.locals.iter().map(|local| local.name.clone()).collect();
        names.extend(self.modules.visible(scope.module).map(str::to_string));
        names.extend(WORDS.iter().map(|(word, _)| (*word).to_string()));
        names
    }

    /// What an item is under one of its names.
    pub(super) fn what_of(&mut self, id: ItemId, name: &str) -> What<'m> {
        let key = (id, name.to_string());
        if let Some(known) = self.memo.get(&key) {
            return known.clone().unwrap_or(What::Unknown);
        }
        self.memo.insert(key.clone(), None);
        let what = self.quietly(|checker| checker.find_out(id));
        self.memo.insert(key, Some(what.clone()));
        what
    }

    fn find_out(&mut self, id: ItemId) -> What<'m> {
        let modules = self.modules;
        let module = id.module;
        let mut scope = Scope::of(module);
        match modules.item(id).kind() {
            ItemKind::Param(param) => self.param_what(param, module),
            ItemKind::Data(binding) => {
                self.bind_family(&binding.binder, &mut scope);
                match self.expr(&binding.value, &mut scope) {
                    What::Data(fields) => What::Data(fields),
                    _ => What::Data(None),
                }
            }
            ItemKind::Let(binding) => {
                self.bind_family(&binding.binder, &mut scope);
                match &binding.ty {
                    Some(ty) => self.type_what(ty, module),
                    None => self.expr(&binding.value, &mut scope),
                }
            }
            ItemKind::Loss(_) | ItemKind::Draw(_) => What::Value,
            ItemKind::Fn(function) => What::Function(function, module),
            ItemKind::Net(net) => What::Net(net, module),
            ItemKind::Model(model) => {
                self.bind_family(&model.binder, &mut scope);
                match self.instance(&model.net, &mut scope) {
                    What::Instance(net) => What::Instance(net),
                    _ => What::Instance(None),
                }
            }
            ItemKind::Scene(_, statements) => What::Scene(Rc::new(self.scene_names(statements, None, &mut scope))),
            ItemKind::Perturb(perturb) => {
                self.bind_family(&perturb.binder, &mut scope);
                match self.expr(&perturb.base, &mut scope) {
                    What::Scene(base) => What::Scene(Rc::new(self.scene_names(&perturb.statements, Some(&base), &mut scope))),
                    _ => What::Unknown,
                }
            }
            ItemKind::Solve(solve) => {
                self.bind_family(&solve.binder, &mut scope);
                self.block(&solve.statements, &mut scope);
                What::Record(self.block_fields(&solve.statements, &scope))
            }
            ItemKind::Eval(eval) => match self.expr(&eval.value, &mut scope) {
                What::Record(fields) => What::Record(fields),
                What::Unknown => What::Unknown,
                _ => What::Value,
            },
            ItemKind::Train(_) => What::Phase,
            ItemKind::Variant(_) => What::Variant,
            ItemKind::Names(..) => What::Names,
            ItemKind::Axis(..) => What::Axes,
            _ => What::Unknown,
        }
    }

    fn block_fields(&self, statements: &[crate::syntax::Statement], scope: &Scope<'m>) -> Fields<'m> {
        let mut fields = BTreeMap::new();
        for statement in statements {
            let names: Vec<&Name> = match &statement.kind {
                StatementKind::Next(..) => Vec::new(),
                kind => graph::statement_binders(kind).into_iter().map(|(name, _)| name).collect(),
            };
            for name in names {
                let what = scope.local(&name.text).map_or(What::Unknown, |local| local.what.clone());
                fields.insert(name.text.clone(), what);
            }
        }
        Rc::new(fields)
    }

    /// `what.field`; a field that is not there is reported.
    pub(super) fn field(&mut self, what: &What<'m>, name: &Name) -> What<'m> {
        match what {
            What::Record(fields) => self.field_of(fields.get(&name.text), fields.keys(), name, "the record"),
            What::Scene(scene) if name.text == "layers" => What::List(Box::new(scene.layer())),
            What::Scene(scene) => self.field_of(scene.fields.get(&name.text), scene.fields.keys(), name, "the scene"),
            What::Data(fields) => self.data_field(fields, what, name),
            What::Instance(Some((net, module))) => self.part_of(net, *module, name),
            What::Value | What::Text | What::List(_) | What::Duration | What::Choice(_) | What::Function(..) | What::Net(..) => {
                let message = format!("{} has no fields", what.describe());
                let fault = Fault::error("unknown-field", message, name.span, format!("`{}` is asked for", name.text));
                self.fault(fault.help("Records, data items, scenes, solves, evaluations and models have fields."));
                What::Unknown
            }
            _ => What::Unknown,
        }
    }

    fn data_field(&mut self, fields: &Option<Fields<'m>>, what: &What<'m>, name: &Name) -> What<'m> {
        if ["train", "valid", "test"].contains(&name.text.as_str()) {
            return what.clone();
        }
        if let Some(fields) = fields {
            return self.field_of(fields.get(&name.text), fields.keys(), name, "the data item");
        }
        let known: Vec<String> = ["image", "label", "class", "boxes", "train", "valid", "test"].map(String::from).to_vec();
        let what_it_is = if name.text == "boxes" { What::List(Box::new(What::Value)) } else { What::Value };
        let found = known.contains(&name.text).then_some(what_it_is);
        self.field_of(found.as_ref(), known.iter(), name, "the data item")
    }

    fn field_of<'a>(&mut self, found: Option<&What<'m>>, known: impl Iterator<Item = &'a String>, name: &Name, of: &str) -> What<'m> {
        if let Some(what) = found {
            return what.clone();
        }
        let fault = Fault::error("unknown-field", format!("{of} has no field `{}`", name.text), name.span, "not found");
        self.fault(with(fault, suggestion(&name.text, known.map(String::as_str))));
        What::Unknown
    }

    /// A part of a model by name.
    pub(super) fn part_of(&mut self, net: &'m crate::syntax::Net, module: ModuleId, name: &Name) -> What<'m> {
        let Some(body) = &net.body else { return What::Instance(None) };
        if self.silent > DEEPEST {
            return What::Unknown;
        }
        let binders = body.statements.iter().flat_map(|statement| graph::statement_binders(&statement.kind));
        let names: Vec<&Name> = binders.map(|(name, _)| name).collect();
        for statement in &body.statements {
            if let StatementKind::Part(parts, value) = &statement.kind
                && parts.iter().any(|part| part.name.text == name.text)
            {
                return self.quietly(|checker| {
                    let mut scope = checker.net_scope(net, module);
                    match checker.instance(value, &mut scope) {
                        What::Instance(net) => What::Instance(net),
                        _ => What::Instance(None),
                    }
                });
            }
        }
        if names.iter().any(|known| known.text == name.text) {
            return What::Value;
        }
        let message = format!("net `{}` has no part `{}`", net.name.text, name.text);
        let fault = Fault::error("unknown-part", message, name.span, "not found").also(net.name.span, "the net is defined here");
        self.fault(with(fault, suggestion(&name.text, names.iter().map(|name| name.text.as_str()))));
        What::Unknown
    }

    /// Binds a name inside an item. Names of the file and of the blocks around must not be hidden.
    pub(super) fn bind(&mut self, name: &Name, what: What<'m>, scope: &mut Scope<'m>) {
        if let Some(local) = scope.local(&name.text).filter(|local| !local.quiet && local.span != name.span) {
            self.shadowed(name, local.span);
        } else if let Some(ids) = self.modules.list[scope.module.0].names.get(&name.text)
            && let Some(id) = ids.first()
            && self.current != Some(*id)
            && let Some(there) = self.name_of(*id, &name.text)
        {
            self.shadowed(name, there.span);
        }
        scope.locals.push(Local { name: name.text.clone(), what, span: name.span, quiet: false });
    }

    /// Binds a name that may be hidden.
    pub(super) fn bind_quiet(&mut self, name: &str, span: Span, what: What<'m>, scope: &mut Scope<'m>) {
        scope.locals.push(Local { name: name.to_string(), what, span, quiet: true });
    }

    fn shadowed(&mut self, name: &Name, there: Span) {
        let fault =
            Fault::error("shadowed-name", format!("`{}` has a meaning already", name.text), name.span, "given another meaning here")
                .also(there, "its first meaning")
                .help("Within a file a name means one thing; choose another. Only names of the prelude may be hidden.");
        self.fault(fault);
    }

    /// Reports a name that is an action word.
    pub(super) fn reserved(&mut self, name: &Name) {
        if RESERVED.contains(&name.text.as_str()) {
            let fault =
                Fault::error("reserved-name", format!("`{}` is a word of the language", name.text), name.span, "used as a name here");
            self.fault(fault.help("It begins an action, so nothing can be called so; choose another name."));
        }
    }
}

impl<'m> Layers<'m> {
    /// What its layers have in common.
    pub(super) fn layer(&self) -> What<'m> {
        let mut all = self.layers.iter().filter_map(|name| self.fields.get(name).cloned());
        let first = all.next().unwrap_or(What::Unknown);
        all.fold(first, What::either)
    }
}

/// The fault with a help, if there is one.
pub(super) fn with(fault: Fault, help: Option<String>) -> Fault {
    match help {
        Some(help) => fault.help(help),
        None => fault,
    }
}

/// Whether a text has this word.
fn has_word(text: &str, word: &str) -> bool {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|found| found == word)
}
