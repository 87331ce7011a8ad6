//! What a spec asks for: data, solves, evaluations, the output; and the rest of its definitions, for their faults.

use super::beside::moments;
use super::value::{Abort, Def, Found, Outcome, Value};
use super::{Elaborator, Sink};
use crate::fault::{Fault, Severity};
use crate::modules::ModuleId;
use crate::params::Moment;
use crate::source::Span;
use crate::spec::{self, Element, TermId};
use crate::syntax::{Family, Item, ItemKind, Output};

impl<'m> Elaborator<'m> {
    /// Elaborates all items of the spec and of the files that it extends.
    pub fn run(&mut self, moment: Moment) {
        let modules = self.modules;
        let items: Vec<(ModuleId, &'m Item)> = self
            .chain
            .clone()
            .into_iter()
            .flat_map(|module| modules.list[module.0].file.items.iter().map(move |item| (module, item)))
            .collect();
        match moment {
            Moment::End => {
                self.shown_params();
                self.phases(&items);
                if let Some(tell) = self.tell.take() {
                    // Nobody listens where nothing is done beside.
                    let _ = tell.send(moments(&self.spec));
                }
                self.end(&items);
            }
            Moment::Phase { number, training } => {
                if let Some(planned) = self.phases(&items).get(number) {
                    self.in_phase(planned, number, training);
                }
                self.shown_params();
            }
        }
    }

    fn end(&mut self, items: &[(ModuleId, &'m Item)]) {
        for (module, item) in items {
            self.item(*module, item);
        }
        self.outputs(items);
        for (place, (module, item)) in items.iter().enumerate() {
            let ItemKind::Eval(eval) = item.kind() else { continue };
            let hidden = items[place + 1..]
                .iter()
                .any(|(_, later)| matches!(later.kind(), ItemKind::Eval(other) if other.name.text == eval.name.text));
            if !hidden {
                self.calls.clear();
                let outcome = self.evaluation(*module, eval);
                self.needed(outcome);
            }
        }
        for (perturb, scene) in std::mem::take(&mut self.perturbations) {
            self.calls.clear();
            self.check_perturbation(perturb, &scene);
        }
        if self.faults.iter().all(|fault| fault.severity != Severity::Error) {
            self.check_degenerate(items);
        }
    }

    /// Data, definitions and solves are evaluated for their own sake; what training needs is noted.
    fn item(&mut self, module: ModuleId, item: &'m Item) {
        self.calls.clear();
        let scope = self.module_scope(module);
        let cases: Vec<Def<'m>> = match item.kind() {
            ItemKind::Data(binding) => vec![Def::Data(binding)],
            ItemKind::Let(binding) | ItemKind::Loss(binding) => vec![Def::Let(binding)],
            ItemKind::Solve(solve) => vec![Def::Solve(solve)],
            ItemKind::Scene(name, statements) => vec![Def::Scene(name, statements)],
            ItemKind::Perturb(perturb) => vec![Def::Perturb(perturb)],
            ItemKind::Model(model) => vec![Def::Model(model)],
            _ => return,
        };
        let Some(name) = cases.first().and_then(Def::name) else { return };
        if self.modules.replacement(module, &name.text).is_some() {
            return;
        }
        let ids = self.modules.list[module.0].names.get(&name.text).cloned();
        let Some(found) = ids.and_then(|ids| self.found_items(&name.text, &ids)) else { return };
        let Some(case) = cases.first() else { return };
        match case.family() {
            None => {
                let outcome = self.member(&found, None, name.span);
                self.defined(item.kind(), outcome, name.span);
            }
            Some(Family::At(at)) => {
                if let Ok(index) = self.eval(at, &scope) {
                    let _ = self.member(&found, Some(&index), name.span);
                }
            }
            Some(Family::Over(_, over)) => {
                let Ok(indices) = self.list(over, &scope) else { return };
                self.members_of(item.kind(), &found, &indices, name.span);
            }
        }
    }

    fn members_of(&mut self, kind: &'m ItemKind, found: &Found<'m>, indices: &[Value<'m>], span: Span) {
        for index in indices {
            let outcome = self.member(found, Some(index), span);
            let failed = outcome.is_err();
            self.defined(kind, outcome, span);
            if failed {
                return;
            }
        }
    }

    /// What is proved of a definition for its own sake.
    fn defined(&mut self, kind: &'m ItemKind, outcome: Outcome<'m>, span: Span) {
        match (kind, outcome) {
            (ItemKind::Loss(binding), Ok(Value::Tensor(id))) => {
                let place = binding.value.span;
                if self.scalar(id, place, &format!("the loss `{}`", binding.binder.name.text)).is_ok() {
                    self.sinks.push((id, place, Sink::Loss));
                }
            }
            (ItemKind::Solve(_), outcome) => {
                self.needed(outcome);
            }
            (ItemKind::Loss(binding), Err(Abort::Pending(origins))) => {
                self.check_trained(&origins, binding.value.span, "this is a loss");
            }
            (ItemKind::Scene(..), Ok(Value::Scene(scene))) => {
                let _ = self.layers(&scene, span);
            }
            (ItemKind::Perturb(perturb), Ok(Value::Scene(scene))) => {
                let _ = self.layers(&scene, span);
                self.perturbations.push((perturb, scene));
            }
            _ => {}
        }
    }

    fn outputs(&mut self, items: &[(ModuleId, &'m Item)]) {
        let outputs: Vec<(ModuleId, &'m Output)> = items
            .iter()
            .filter_map(|(module, item)| if let ItemKind::Output(output) = item.kind() { Some((*module, output)) } else { None })
            .collect();
        let Some((module, output)) = outputs.last() else { return };
        if let Some((_, first)) = outputs[..outputs.len() - 1].iter().find(|(other, _)| other == module) {
            let fault = Fault::error("duplicate-name", "a spec has one output", output.name.span, "a second one")
                .also(first.name.span, "the first");
            self.fault(fault);
            return;
        }
        self.calls.clear();
        let output = self.output(*module, output);
        self.spec.output = self.needed(output);
    }

    fn output(&mut self, module: ModuleId, output: &'m Output) -> Result<spec::Output, Abort> {
        let scope = self.module_scope(module);
        let over = self.eval(&output.over, &scope)?;
        let (data, _) = self.data_of(&over, output.over.span)?;
        let value = (self.eval(&output.value, &scope)?, output.value.span);
        let id = self.operand(&value, &Value::None)?;
        let ty = self.store.ty(id).clone();
        let pixels = ["height", "width"].map(|name| self.axes.get(name).copied());
        if ty.axes.len() != 2 || ty.axes.iter().any(|(axis, _)| !pixels.contains(&Some(*axis))) {
            let shown = self.shown(id);
            let fault = Fault::error("axis-mismatch", format!("the output is a mask, this has {shown}"), value.1, shown);
            return Err(self.fault(fault.help("An output is `[height, width]`, between 0 and 1.")));
        }
        let id = if ty.element == Element::Bool { self.indicator(id, value.1)? } else { id };
        self.sinks.push((id, value.1, Sink::Output));
        self.reads.push((id, value.1, Some(data)));
        Ok(spec::Output { name: output.name.text.clone(), value: id, data })
    }

    /// Truth as one and zero.
    pub fn indicator(&mut self, id: TermId, span: Span) -> Result<TermId, Abort> {
        let number = |n| (Value::Number(super::number::Number::whole(n)), span);
        let value = self.choose_where((Value::Tensor(id), span), number(1), number(0), span, &[])?;
        self.operand(&(value, span), &Value::None)
    }

    /// A value without axes.
    pub fn scalar(&mut self, id: TermId, span: Span, what: &str) -> Result<(), Abort> {
        let axes = self.store.ty(id).axes.clone();
        let Some((axis, size)) = axes.first() else { return Ok(()) };
        let (name, shown) = (self.axis_name(*axis).to_string(), self.shown(id));
        let fault = Fault::error(
            "not-a-scalar",
            format!("{what} is one number per sample, this has `{name}: {size}` left"),
            span,
            format!("has {shown}"),
        );
        Err(self.fault(fault.help("Reduce it: `mean(..)`.")))
    }
}
