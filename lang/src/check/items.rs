//! Items: each kind of definition at the top of a file.

use super::names::with;
use super::what::What;
use super::{Checker, Scope, graph};
use crate::explain;
use crate::fault::Fault;
use crate::modules::ModuleId;
use crate::nearest::suggestion;
use crate::syntax::{Accept, Binding, Eval, Extend, ItemKind, Model, Name, NameRule, Output, Set, Solve};

impl<'m> Checker<'m> {
    /// Checks one item.
    pub(super) fn item(&mut self, module: ModuleId, kind: &'m ItemKind) {
        for name in graph::names_of(kind) {
            self.reserved(name);
        }
        let mut scope = Scope::of(module);
        match kind {
            ItemKind::Use(_) | ItemKind::Axis(..) | ItemKind::Broken => {}
            ItemKind::Extend(extend) => self.extend(extend, module),
            ItemKind::Alias(_, ty) => self.alias_type(ty, module),
            ItemKind::Param(param) => self.param(param, module),
            ItemKind::Variant(variant) => self.variant(variant, module),
            ItemKind::Data(binding) => self.data(binding, &mut scope),
            ItemKind::Names(_, rules) => self.name_rules(rules, &mut scope),
            ItemKind::Fn(function) => self.function(function, module),
            ItemKind::Net(net) => self.net(net, module),
            ItemKind::Model(model) => self.model(model, &mut scope),
            ItemKind::Scene(name, statements) => self.scene(name, statements, module),
            ItemKind::Perturb(perturb) => self.perturb(perturb, module),
            ItemKind::Let(binding) => self.binding(binding, &mut scope),
            ItemKind::Draw(draw) => self.draw(draw, &mut scope),
            ItemKind::Loss(binding) => self.loss(binding, &mut scope),
            ItemKind::Solve(solve) => self.solve(solve, &mut scope),
            ItemKind::Train(train) => self.train(train, &mut scope),
            ItemKind::Eval(eval) => self.eval(eval, &mut scope),
            ItemKind::Output(output) => self.output(output, &mut scope),
            ItemKind::Accept(accept) => self.accept(accept),
        }
    }

    fn alias_type(&mut self, ty: &'m crate::syntax::Type, module: ModuleId) {
        let mut scope = Scope::of(module);
        self.ty(ty, &mut scope);
    }

    fn extend(&mut self, extend: &'m Extend, module: ModuleId) {
        let modules = self.modules;
        let Some(base) = modules.base.get(&module) else { return };
        for set in &extend.with {
            let Some(target) = set.target.segments.last() else { continue };
            let names = &modules.list[base.0].names;
            let mut scope = Scope::of(module);
            let given = self.expr(&set.value, &mut scope);
            let Some(replaced) = names.get(&target.text).and_then(|ids| ids.first()) else { continue };
            let needed = self.what_of(*replaced, &target.text);
            self.same_kind(set, &needed, &given);
        }
    }

    fn same_kind(&mut self, set: &'m Set, needed: &What<'m>, given: &What<'m>) {
        let same = std::mem::discriminant(needed) == std::mem::discriminant(given);
        let function = matches!(needed, What::Function(..)) && matches!(given, What::Instance(_));
        if same || function || matches!(needed, What::Unknown) || matches!(given, What::Unknown) {
            return;
        }
        let message = format!("{} would stand in the place of {}", given.describe(), needed.describe());
        let fault = Fault::error("wrong-kind", message, set.value.span, given.describe()).also(set.target.span, needed.describe());
        self.fault(fault.help("A replacement has the kind of what it replaces."));
    }

    fn data(&mut self, binding: &'m Binding, scope: &mut Scope<'m>) {
        self.family(&binding.binder, scope);
        let what = self.expr(&binding.value, scope);
        if !matches!(what, What::Data(_) | What::Unknown) {
            let fault = Fault::error(
                "wrong-kind",
                format!("a data item comes from pictures, this is {}", what.describe()),
                binding.value.span,
                what.describe(),
            );
            self.fault(fault.help("Begin with `pictures(photos)` or `collect({ .. }, over: ..)`; for a value write `let`."));
        }
    }

    fn name_rules(&mut self, rules: &'m [NameRule], scope: &mut Scope<'m>) {
        for rule in rules {
            let indices: Vec<&str> = rule.official.text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
            let mut indexed = Vec::new();
            bracket_names(&rule.ours, &mut indexed);
            for name in indexed.into_iter().filter(|name| !indices.contains(&name.text.as_str())) {
                let message = format!("the official name has no `{{{}}}`", name.text);
                let fault = Fault::error("unknown-name", message, name.span, "not bound").also(rule.official.span, "the official name");
                self.fault(with(fault, suggestion(&name.text, indices.iter().copied())));
            }
            self.official_name(rule, &indices);
            for group in rule.layout.iter().flatten() {
                self.group(group, scope);
            }
        }
    }

    /// Counters and stars stand where they mean something.
    fn official_name(&mut self, rule: &'m NameRule, counters: &[&str]) {
        let (name, place) = (&rule.official.text, rule.official.span);
        let unused = is_none(&rule.ours);
        let mut counted = Vec::new();
        bracket_names(&rule.ours, &mut counted);
        let closed = name.matches('{').count() == name.matches('}').count() && counters.iter().all(|one| is_word(one));
        let bound = counted.iter().all(|name| counters.contains(&name.text.as_str()));
        let idle = counters.iter().any(|one| counted.iter().all(|name| name.text != *one));
        let wrong = if !closed {
            Some(("a brace opens or closes no counter", "A counter is a name in braces: `\"blocks.{i}.norm.weight\"`."))
        } else if idle && bound && !unused {
            Some(("a counter of the official name stands nowhere in our path", "Say where it counts: `\"blocks.{i}.w\" : block[i].w`."))
        } else if !unused && name.chars().skip(1).any(|c| c == '*') {
            Some((
                "a star stands inside of an official name",
                "It may begin a name, as in `\"*.weight\" : w`; in `\"head.*\" : none` it may stand anywhere.",
            ))
        } else {
            None
        };
        if let Some((message, help)) = wrong {
            self.fault(Fault::error("misplaced", message, place, "here").help(help));
        }
    }

    fn model(&mut self, model: &'m Model, scope: &mut Scope<'m>) {
        self.family(&model.binder, scope);
        self.built(&model.net, "a model", scope);
        let Some((file, names)) = &model.from else { return };
        let what = self.expr(file, scope);
        if !matches!(what, What::Text | What::None | What::Unknown) {
            self.wrong_kind(file, &what, "a file of weights");
        }
        let what = self.path(names, scope);
        if !matches!(what, What::Names | What::Unknown) {
            let fault = Fault::error(
                "wrong-kind",
                format!("official names come from a `names` map, this is {}", what.describe()),
                names.span,
                what.describe(),
            );
            self.fault(fault.help("Write `names MAP { \"official.name\": our.path }` and name it here."));
        }
    }

    fn loss(&mut self, binding: &'m Binding, scope: &mut Scope<'m>) {
        self.family(&binding.binder, scope);
        let what = self.expr(&binding.value, scope);
        if !matches!(what, What::Value | What::Unknown) {
            let fault = Fault::error(
                "wrong-kind",
                format!("a loss is one number per sample, this is {}", what.describe()),
                binding.value.span,
                what.describe(),
            );
            self.fault(fault.help("Reduce it: `mean(..)`, `sum(.. for k in ..)`."));
        }
    }

    fn solve(&mut self, solve: &'m Solve, scope: &mut Scope<'m>) {
        self.family(&solve.binder, scope);
        self.duration(&solve.duration, scope);
        self.block(&solve.statements, scope);
    }

    fn eval(&mut self, eval: &'m Eval, scope: &mut Scope<'m>) {
        if let Some(over) = &eval.over {
            let what = self.expr(over, scope);
            match what {
                What::Data(_) | What::Duration | What::Unknown => {}
                What::Value => self.duration(over, scope),
                other => self.wrong_kind(over, &other, "a data item or a number of samples"),
            }
        }
        for set in &eval.with {
            self.phase_set(set, scope);
        }
        let what = self.expr(&eval.value, scope);
        if !matches!(what, What::Value | What::Record(_) | What::None | What::Unknown) {
            self.wrong_kind(&eval.value, &what, "a number, or a record of numbers");
        }
    }

    /// Only a warning can be accepted, and only with a reason.
    fn accept(&mut self, accept: &'m Accept) {
        let code = &accept.code;
        if !explain::WARNINGS.contains(&code.text.as_str()) {
            let known = explain::explain(&code.text).is_some();
            let fault = if known {
                Fault::error("wrong-kind", format!("`{}` is an error, and only warnings can be accepted", code.text), code.span, "an error")
            } else {
                Fault::error("unknown-name", format!("no warning is called `{}`", code.text), code.span, "not found")
            };
            self.fault(with(fault, suggestion(&code.text, explain::WARNINGS.iter().copied())));
        }
        if accept.reason.text.trim().is_empty() {
            let fault = Fault::error("wrong-kind", "a warning is accepted for a reason", accept.reason.span, "no reason");
            self.fault(fault.help("Say why it is meant so; `segc check` repeats it."));
        }
    }

    fn output(&mut self, output: &'m Output, scope: &mut Scope<'m>) {
        let what = self.expr(&output.value, scope);
        if !matches!(what, What::Value | What::Unknown) {
            self.wrong_kind(&output.value, &what, "a mask");
        }
        let what = self.expr(&output.over, scope);
        if !matches!(what, What::Data(_) | What::Unknown) {
            self.wrong_kind(&output.over, &what, "a data item");
        }
    }
}

/// Whether a line says that nothing uses a tensor.
fn is_none(expr: &crate::syntax::Expr) -> bool {
    matches!(&*expr.kind, crate::syntax::ExprKind::Path(path) if path.segments.len() == 1 && path.segments[0].text == "none")
}

/// Whether a text can be the name of a counter.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The bare names that index parts in a `names` map.
fn bracket_names<'a>(expr: &'a crate::syntax::Expr, found: &mut Vec<&'a Name>) {
    use crate::syntax::{Entry, ExprKind};
    if let ExprKind::Bracket(value, entries) = &*expr.kind {
        bracket_names(value, found);
        for entry in entries {
            if let Entry::Index(at) = entry {
                indices(at, found);
            }
        }
    } else if let ExprKind::Field(value, _) = &*expr.kind {
        bracket_names(value, found);
    }
}

fn indices<'a>(expr: &'a crate::syntax::Expr, found: &mut Vec<&'a Name>) {
    if let crate::syntax::ExprKind::Path(path) = &*expr.kind {
        found.extend(path.segments.first());
    }
    graph::children(expr, &mut |child| indices(child, found));
}
