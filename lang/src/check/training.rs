//! Training phases: what is updated by which loss with which rule, and what happens now and then.

use super::names::with;
use super::what::What;
use super::{Checker, Scope, graph};
use crate::fault::Fault;
use crate::modules::{ItemId, ModuleId};
use crate::nearest::suggestion;
use crate::syntax::{Expr, ItemKind, Model, Name, Net, Path, Set, StatementKind, Train, TrainKind, TrainStatement, Update};

/// Parts of parts of parts are looked for so deep.
const NESTED: usize = 16;

impl<'m> Checker<'m> {
    /// A training phase.
    pub(super) fn train(&mut self, train: &'m Train, scope: &mut Scope<'m>) {
        self.family(&train.binder, scope);
        if let Some(after) = &train.after {
            self.item_path(after, scope, "a training phase", |kind| matches!(kind, ItemKind::Train(_)));
        }
        for set in &train.with {
            self.phase_set(set, scope);
        }
        self.duration(&train.duration, scope);
        if let Some(batch) = &train.batch {
            self.number(batch, scope);
        }
        for path in &train.fresh {
            self.model_path(path, scope);
        }
        self.turns(&train.statements, scope);
    }

    /// `with name = value` of a phase or an evaluation: params and data.
    pub(super) fn phase_set(&mut self, set: &'m Set, scope: &mut Scope<'m>) {
        let settable = |kind: &ItemKind| matches!(kind, ItemKind::Param(_) | ItemKind::Data(_));
        let found = self.item_path(&set.target, scope, "a param or a data item", settable);
        let kind = found.map(|id| self.modules.item(id).kind());
        match kind {
            Some(ItemKind::Param(param)) => {
                self.expected(&set.value, param.kind.as_ref(), scope);
            }
            Some(ItemKind::Data(_)) => {
                let what = self.expr(&set.value, scope);
                if !matches!(what, What::Data(_) | What::Unknown) {
                    self.wrong_kind(&set.value, &what, "a data item");
                }
            }
            _ => {
                self.expr(&set.value, scope);
            }
        }
    }

    fn turns(&mut self, statements: &'m [TrainStatement], scope: &mut Scope<'m>) {
        for statement in statements {
            match &statement.kind {
                TrainKind::Update(update) => self.update(update, scope),
                TrainKind::Together(on, turns) => {
                    if let Some(on) = on {
                        self.number(on, scope);
                    }
                    self.turns(turns, scope);
                }
                TrainKind::Average(models, decay, from) => {
                    models.iter().for_each(|path| {
                        self.model_path(path, scope);
                    });
                    self.number(decay, scope);
                    if let Some(from) = from {
                        self.duration(from, scope);
                    }
                }
                TrainKind::Every(period, turns) => {
                    self.duration(period, scope);
                    self.turns(turns, scope);
                }
                TrainKind::Finally(turns) => self.turns(turns, scope),
                TrainKind::Keep(value) | TrainKind::Restart(value) | TrainKind::Finish(value) => self.number(value, scope),
                TrainKind::Show(count, values) => self.show(count, values, scope),
                TrainKind::Measure(paths) => paths.iter().for_each(|path| {
                    self.item_path(path, scope, "an evaluation", |kind| matches!(kind, ItemKind::Eval(_)));
                }),
                TrainKind::Checkpoint | TrainKind::Broken => {}
            }
        }
    }

    fn show(&mut self, count: &'m Expr, values: &'m [Expr], scope: &mut Scope<'m>) {
        self.number(count, scope);
        for value in values {
            let what = self.expr(value, scope);
            if !matches!(what, What::Value | What::Scene(_) | What::Record(_) | What::Unknown) {
                self.wrong_kind(value, &what, "a scene, a picture or a mask");
            }
        }
    }

    fn update(&mut self, update: &'m Update, scope: &mut Scope<'m>) {
        let mut models = Vec::new();
        for path in &update.models {
            if let Some(model) = self.model_path(path, scope) {
                self.frozen(model, path);
                models.push(model);
            }
        }
        self.item_path(&update.by, scope, "a loss", |kind| matches!(kind, ItemKind::Loss(_)));
        self.rule(&update.with, scope);
        if let Some((rule, parts)) = &update.but {
            self.rule(rule, scope);
            for path in parts {
                self.updated_part(path, &models, scope);
            }
        }
        for number in update.clip.iter().chain(&update.repeat) {
            self.number(number, scope);
        }
    }

    fn frozen(&mut self, model: &'m Model, path: &Path) {
        if !model.frozen {
            return;
        }
        let name = &model.binder.name;
        let fault = Fault::error("frozen-update", format!("`{}` is frozen and must not be updated", name.text), path.span, "updated here")
            .also(name.span, "promised here that no phase updates it")
            .help("Take it out of the update, or `frozen` off the model.");
        self.fault(fault);
    }

    /// An optimiser: a net without weights, built by a call.
    fn rule(&mut self, rule: &'m Expr, scope: &mut Scope<'m>) {
        let what = self.instance(rule, scope);
        let optimiser = match &what {
            What::Instance(Some((net, _))) => net.inputs.len() == 2,
            What::Instance(None) | What::Unknown => true,
            _ => false,
        };
        if !optimiser {
            let fault =
                Fault::error("wrong-kind", format!("an optimiser is needed here, this is {}", what.describe()), rule.span, "no optimiser");
            self.fault(fault.help("An optimiser is a net from a parameter and its gradient, built by a call: `adam(1e-3)`."));
        }
    }

    /// `on mapping`: a part of an updated model, or one of the models.
    fn updated_part(&mut self, path: &'m Path, models: &[&'m Model], scope: &mut Scope<'m>) {
        let [name] = path.segments.as_slice() else { return };
        if models.iter().any(|model| model.binder.name.text == name.text) {
            return;
        }
        let mut parts: Vec<&str> = models.iter().map(|model| model.binder.name.text.as_str()).collect();
        let mut known = true;
        for model in models {
            match self.quietly(|checker| checker.instance(&model.net, scope)) {
                What::Instance(Some((net, module))) => known &= self.parts_of(net, module, NESTED, &mut parts),
                _ => return,
            }
        }
        // A net that is given as an argument may be any of those that are there.
        if !known {
            parts.extend(self.all_parts());
        }
        if !parts.contains(&name.text.as_str()) {
            let fault = Fault::error("unknown-part", format!("no updated model has a part `{}`", name.text), name.span, "not found");
            self.fault(with(fault, suggestion(&name.text, parts)));
        }
    }

    /// The names of all parts of a net and of its parts; false where not all are known.
    fn parts_of(&mut self, net: &'m Net, module: ModuleId, depth: usize, parts: &mut Vec<&'m str>) -> bool {
        let (Some(body), true) = (&net.body, depth > 0) else { return false };
        let mut known = true;
        for statement in &body.statements {
            let StatementKind::Part(_, inner) = &statement.kind else { continue };
            parts.extend(part_names(&statement.kind));
            let built = self.quietly(|checker| {
                let mut scope = checker.net_scope(net, module);
                checker.instance(inner, &mut scope)
            });
            known &= match built {
                What::Instance(Some((inner, module))) => self.parts_of(inner, module, depth - 1, parts),
                _ => false,
            };
        }
        known
    }

    /// The names of the parts of all nets.
    fn all_parts(&self) -> Vec<&'m str> {
        let modules = self.modules;
        let items = modules.list.iter().flat_map(|module| &module.file.items);
        let bodies = items.filter_map(|item| if let ItemKind::Net(net) = item.kind() { net.body.as_ref() } else { None });
        bodies.flat_map(|body| &body.statements).flat_map(|statement| part_names(&statement.kind)).collect()
    }

    fn model_path(&mut self, path: &'m Path, scope: &mut Scope<'m>) -> Option<&'m Model> {
        let id = self.item_path(path, scope, "a model", |kind| matches!(kind, ItemKind::Model(_)))?;
        match self.modules.item(id).kind() {
            ItemKind::Model(model) => Some(model),
            _ => None,
        }
    }

    /// A path that must name an item of a kind; candidates for a misspelt one are of that kind.
    fn item_path(&mut self, path: &'m Path, scope: &mut Scope<'m>, needed: &str, fits: impl Fn(&ItemKind) -> bool) -> Option<ItemId> {
        let modules = self.modules;
        let [name] = path.segments.as_slice() else {
            self.path(path, scope);
            return None;
        };
        let Some(id) = modules.find(scope.module, &name.text).and_then(|ids| ids.first()).copied() else {
            self.unknown_item(name, scope, needed, &fits);
            return None;
        };
        self.global(name, scope.module);
        let kind = modules.item(id).kind();
        if fits(kind) {
            return Some(id);
        }
        if !matches!(kind, ItemKind::Broken) {
            let word = graph::word(kind);
            let fault = Fault::error("wrong-kind", format!("{needed} is needed here, `{}` is {word}", name.text), path.span, word);
            let names = self.of_kind(scope, &fits);
            self.fault(with(fault, suggestion(&name.text, names)));
        }
        None
    }

    fn unknown_item(&mut self, name: &Name, scope: &Scope<'m>, needed: &str, fits: &impl Fn(&ItemKind) -> bool) {
        if self.left_out(name, scope.module) {
            return;
        }
        let message = format!("nothing is called `{}`, and {needed} is needed here", name.text);
        let fault = Fault::error("unknown-name", message, name.span, "not found");
        let names = self.of_kind(scope, fits);
        self.fault(with(fault, suggestion(&name.text, names)));
    }

    fn of_kind(&self, scope: &Scope<'m>, fits: &impl Fn(&ItemKind) -> bool) -> Vec<&'m str> {
        let modules = self.modules;
        let mut names = Vec::new();
        let mut here = Some(scope.module);
        while let Some(module) = here {
            let all = modules.list[module.0].names.iter();
            names.extend(all.filter(|(_, ids)| ids.iter().any(|id| fits(modules.item(*id).kind()))).map(|(name, _)| name.as_str()));
            here = modules.base.get(&module).copied();
        }
        names
    }
}

fn part_names(kind: &StatementKind) -> Vec<&str> {
    match kind {
        StatementKind::Part(binders, _) => binders.iter().map(|binder| binder.name.text.as_str()).collect(),
        _ => Vec::new(),
    }
}
