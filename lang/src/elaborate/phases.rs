//! Training phases in the order in which they run: what they are called, how long they take, which models they train.

#[cfg(test)]
mod tests;

use std::rc::Rc;

use super::Elaborator;
use super::number::Number;
use super::value::{Abort, Scope, Value};
use crate::fault::Fault;
use crate::modules::ModuleId;
use crate::source::Span;
use crate::spec::{Duration, Phase, Unit};
use crate::syntax::{self, Expr, Family, Item, ItemKind, Path, Train, TrainKind, TrainStatement, Update};

/// Samples of a batch where a phase says nothing.
const BATCH: usize = 16;

/// A member of a phase, before its statements are evaluated.
#[derive(Clone)]
pub struct Planned<'m> {
    /// What is written.
    pub train: &'m Train,
    /// Where.
    pub module: ModuleId,
    /// The index, with its value, for members of families.
    pub index: Option<(&'m str, Value<'m>)>,
}

impl<'m> Elaborator<'m> {
    /// Lists all phases in [`crate::spec::Spec::phases`]. Lengths and batches are read outside of what the phases set.
    pub fn phases(&mut self, items: &[(ModuleId, &'m Item)]) -> Vec<Planned<'m>> {
        let mut planned = Vec::new();
        for (module, train) in self.in_order(items) {
            self.calls.clear();
            let Ok(members) = self.phase_members(module, train) else { continue };
            for member in members {
                let phase = self.phase(&member);
                if let Some(phase) = self.needed(phase) {
                    self.spec.phases.push(phase);
                    planned.push(member);
                }
            }
        }
        planned
    }

    /// The phases of the text that are not hidden, each behind the one that it is `after`.
    fn in_order(&mut self, items: &[(ModuleId, &'m Item)]) -> Vec<(ModuleId, &'m Train)> {
        let mut open: Vec<(ModuleId, &'m Train)> = Vec::new();
        for (module, item) in items {
            let ItemKind::Train(train) = item.kind() else { continue };
            let name = &train.binder.name.text;
            open.retain(|(_, other)| other.binder.name.text != *name);
            if self.modules.replacement(*module, name).is_none() {
                open.push((*module, train));
            }
        }
        let mut order: Vec<(ModuleId, &'m Train)> = Vec::new();
        while !open.is_empty() {
            let ready = |(module, train): &(ModuleId, &'m Train)| match self.phase_before(*module, train) {
                Some(before) => open.iter().all(|(_, other)| !std::ptr::eq(*other, before)),
                None => true,
            };
            let Some(next) = open.iter().position(ready) else {
                self.phases_in_a_circle(&open);
                return order;
            };
            order.push(open.remove(next));
        }
        order
    }

    fn phase_before(&self, module: ModuleId, train: &'m Train) -> Option<&'m Train> {
        let id = *self.modules.find_path(module, train.after.as_ref()?)?.first()?;
        match self.modules.item(id).kind() {
            ItemKind::Train(before) => Some(before),
            _ => None,
        }
    }

    fn phases_in_a_circle(&mut self, open: &[(ModuleId, &'m Train)]) {
        let Some((_, first)) = open.first() else { return };
        let name = &first.binder.name;
        let mut fault =
            Fault::error("cyclic-definition", format!("the phase `{}` waits for itself", name.text), name.span, "runs after another phase");
        for (_, other) in &open[1..] {
            fault = fault.also(other.binder.name.span, "runs after another phase");
        }
        self.fault(fault.help("One of them must be the first: take its `after` away."));
    }

    fn phase_members(&mut self, module: ModuleId, train: &'m Train) -> Result<Vec<Planned<'m>>, Abort> {
        let scope = self.module_scope(module);
        let planned = |index| Planned { train, module, index };
        Ok(match &train.binder.family {
            None => vec![planned(None)],
            Some(Family::At(at)) => vec![planned(Some(("", self.eval(at, &scope)?)))],
            Some(Family::Over(name, over)) => {
                self.list(over, &scope)?.iter().map(|index| planned(Some((name.text.as_str(), index.clone())))).collect()
            }
        })
    }

    /// Where a phase's expressions are read: its index is bound.
    pub fn phase_scope(&self, planned: &Planned<'m>) -> Rc<Scope<'m>> {
        let bound = planned.index.iter().cloned().collect();
        Rc::new(self.module_scope(planned.module).inside("", bound, Vec::new()))
    }

    fn phase(&mut self, planned: &Planned<'m>) -> Result<Phase, Abort> {
        let train = planned.train;
        let scope = self.phase_scope(planned);
        let index = planned.index.as_ref().and_then(|(_, value)| value.key()).map_or(String::new(), |key| format!("[{key}]"));
        let length = self.length_of_time(&train.duration, &scope)?;
        let batch = match &train.batch {
            None => BATCH,
            Some(batch) => self.counted(batch, &scope, "samples of a batch")?,
        };
        let fresh = self.models(&train.fresh, &scope)?;
        let mut trained = Vec::new();
        for update in updates(&train.statements) {
            let models = self.models(&update.models, &scope)?;
            let turns = self.turns_of(update, &scope)?;
            trained.extend(models.into_iter().filter(|model| turns > 0 && !trained.contains(model)).collect::<Vec<_>>());
        }
        let name = format!("{}{index}", train.binder.name.text);
        Ok(Phase { name, length, batch, fresh, trained, body: Vec::new(), span: train.binder.name.span })
    }

    /// A duration that is not negative.
    pub fn length_of_time(&mut self, expr: &'m Expr, scope: &Rc<Scope<'m>>) -> Result<Duration, Abort> {
        let (amount, unit) = match self.eval(expr, scope)? {
            Value::Duration(amount, unit) => (amount, unit),
            other => return Err(self.expected("a duration, as in `2k steps`,", &other, expr.span)),
        };
        if amount.compare(Number::ZERO).is_none_or(|order| order.is_lt()) {
            let message = format!("a duration is not below zero, this is {amount}");
            return Err(self.fault(Fault::error("bad-size", message, expr.span, format!("{amount}"))));
        }
        let unit = match unit {
            syntax::Unit::Steps => Unit::Steps,
            syntax::Unit::Samples => Unit::Samples,
            syntax::Unit::Epochs => Unit::Epochs,
        };
        Ok(Duration { amount: amount.real(), unit })
    }

    /// A whole number of at least one.
    pub fn counted(&mut self, expr: &'m Expr, scope: &Rc<Scope<'m>>, what: &str) -> Result<usize, Abort> {
        let number = self.number(expr, scope)?;
        match number.integer().and_then(|count| usize::try_from(count).ok()).filter(|count| (1..=1 << 20).contains(count)) {
            Some(count) => Ok(count),
            None => {
                let message = format!("{what} are a whole number from 1 to {}, not {number}", 1 << 20);
                Err(self.fault(Fault::error("bad-size", message, expr.span, format!("{number}"))))
            }
        }
    }

    /// The beginnings of the paths of models; a family is all its members.
    pub fn models(&mut self, paths: &'m [Path], scope: &Rc<Scope<'m>>) -> Result<Vec<String>, Abort> {
        let mut models = Vec::new();
        for path in paths {
            match self.path(path, scope)? {
                Value::Instance(model) => models.push(model.path.to_string()),
                Value::Family(found) => {
                    for index in self.indices(&found)? {
                        let member = self.member(&found, Some(&index), path.span)?;
                        models.push(self.model_path_of(&member, path.span)?);
                    }
                }
                other => return Err(self.expected("a model", &other, path.span)),
            }
        }
        Ok(models)
    }

    fn model_path_of(&mut self, value: &Value<'m>, span: Span) -> Result<String, Abort> {
        match value {
            Value::Instance(model) => Ok(model.path.to_string()),
            other => Err(self.expected("a model", other, span)),
        }
    }
}

fn updates(statements: &[TrainStatement]) -> Vec<&Update> {
    let mut found = Vec::new();
    for statement in statements {
        match &statement.kind {
            TrainKind::Update(update) => found.push(update),
            TrainKind::Together(_, inner) | TrainKind::Every(_, inner) | TrainKind::Finally(inner) => found.extend(updates(inner)),
            _ => {}
        }
    }
    found
}
