//! Updates: the loss's mean over the batch, its gradients by the weights that it reaches, and the rule that moves them.

use std::rc::Rc;

use super::Elaborator;
use super::builtin::{Actuals, Given};
use super::training::{Present, text};
use super::value::{Abort, Instance, Scope, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Prim, TermId, UpdateTerms, belongs};
use crate::syntax::{Expr, Path, Train, Update};

impl<'m> Elaborator<'m> {
    /// What an update computes.
    pub fn update_terms(&mut self, update: &'m Update, models: &[String], present: &mut Present<'m>) -> Result<UpdateTerms, Abort> {
        let (loss, place) = self.loss_of(&update.by)?;
        let loss = self.mean_of_batch(loss, place)?;
        self.sinks.push((loss, place, super::Sink::Loss));
        self.check_forwards(loss, place, models);
        let reached = self.reached(loss);
        let numbers: Vec<usize> = self.weights_of(models).into_iter().filter(|number| reached[*number]).collect();
        for model in models {
            let own = self.weights_of(std::slice::from_ref(model));
            // What nothing applies is not there, as in a variant without this model.
            let applied = !own.is_empty() || numbers.is_empty();
            if applied && !own.iter().any(|number| reached[*number]) {
                return Err(self.reaches_nothing(update, model, loss));
            }
        }
        present.moved.extend(&numbers);
        let gradients = self.gradients_by(loss, &numbers, update, present)?;
        let weights = self.new_weights(update, &numbers, gradients, present)?;
        Ok(UpdateTerms { loss, weights })
    }

    /// The weights of models that are known so far, in the order of their paths.
    pub fn weights_of(&self, models: &[String]) -> Vec<usize> {
        let own = |number: &usize| models.iter().any(|model| belongs(&self.spec.weights[*number].path, model));
        let mut numbers: Vec<usize> = (0..self.spec.weights.len()).filter(own).collect();
        numbers.sort_by(|a, b| self.spec.weights[*a].path.cmp(&self.spec.weights[*b].path));
        numbers
    }

    /// A weight as a term.
    pub fn weight_leaf(&mut self, number: usize, span: Span) -> TermId {
        let ty = self.spec.weights[number].ty.clone();
        self.store.intern(Prim::Weight(number), vec![], ty.element, ty.axes, span)
    }

    /// Gradients of a loss, perhaps made shorter together.
    fn gradients_by(
        &mut self,
        loss: TermId,
        numbers: &[usize],
        update: &'m Update,
        present: &Present<'m>,
    ) -> Result<Vec<Value<'m>>, Abort> {
        let span = update.by.span;
        let mut gradients = Vec::new();
        for number in numbers {
            let weight = self.weight_leaf(*number, span);
            let ty = self.store.ty(weight).clone();
            gradients.push(Value::Tensor(self.store.intern(Prim::Grad, vec![loss, weight], ty.element, ty.axes, span)));
        }
        let Some(clip) = &update.clip else { return Ok(gradients) };
        let longest = self.eval(clip, &present.scope)?;
        match self.library("clipped", vec![Value::List(gradients.into()), longest], clip.span, &present.scope)? {
            Value::List(clipped) => Ok(clipped.to_vec()),
            other => Err(self.expected("a list of gradients", &other, clip.span)),
        }
    }

    /// The weights with their new values.
    fn new_weights(
        &mut self,
        update: &'m Update,
        numbers: &[usize],
        gradients: Vec<Value<'m>>,
        present: &mut Present<'m>,
    ) -> Result<Vec<(usize, TermId)>, Abort> {
        let rule = self.rule(&update.with, &present.scope)?;
        let other = match &update.but {
            Some((rule, parts)) => Some((self.rule(rule, &present.scope)?, rule.span, parts.as_slice())),
            None => None,
        };
        let mut weights = Vec::new();
        for (number, gradient) in numbers.iter().zip(gradients) {
            let path = &self.spec.weights[*number].path;
            let (rule, span) = match &other {
                Some((other, span, parts)) if parts.iter().any(|part| holds(path, part)) => (other, *span),
                _ => (&rule, update.with.span),
            };
            self.one_rule(*number, rule, span, present)?;
            weights.push((*number, self.stepped(*number, rule, gradient, span, &present.scope)?));
        }
        Ok(weights)
    }

    /// An optimiser with what builds it; it still has no path.
    fn rule(&mut self, rule: &'m Expr, scope: &Rc<Scope<'m>>) -> Result<Instance<'m>, Abort> {
        match self.eval(rule, scope)? {
            Value::Net(recipe) => self.built(&recipe, &recipe.net.name.text, String::new(), rule.span, scope),
            other => Err(self.expected("an optimiser, built as in `adam(1e-3)`,", &other, rule.span)),
        }
    }

    /// The new value of a weight. The optimiser's states have the weight's path.
    fn stepped(
        &mut self,
        number: usize,
        rule: &Instance<'m>,
        gradient: Value<'m>,
        span: Span,
        scope: &Rc<Scope<'m>>,
    ) -> Result<TermId, Abort> {
        let weight = self.weight_leaf(number, span);
        let path = self.spec.weights[number].path.as_str().into();
        let optimiser = Rc::new(Instance { net: rule.net, name: rule.name, path, scope: rule.scope.clone() });
        let given = [Value::Tensor(weight), gradient].into_iter().map(|value| (None, Given::Passed(value, span))).collect();
        self.calls.push(span);
        let moved = self.apply_net(&optimiser, Actuals { given, function: rule.name }, span, scope);
        self.calls.pop();
        let moved = self.operand(&(moved?, span), &Value::None)?;
        if self.store.ty(moved) != self.store.ty(weight) {
            let (own, due) = (self.shown(moved), self.shown(weight));
            let message = format!("`{}` gives {own} for a weight that has {due}", rule.name);
            let fault = Fault::error("axis-mismatch", message, span, "this moves the weight");
            return Err(self.fault(fault.help("An optimiser gives the weight's new value.")));
        }
        Ok(moved)
    }

    /// All updates of a weight in a phase use one optimiser, so that its states mean one thing.
    fn one_rule(&mut self, number: usize, rule: &Instance<'m>, span: Span, present: &mut Present<'m>) -> Result<(), Abort> {
        let (first, place) = *present.rules.entry(number).or_insert((rule.net, span));
        if std::ptr::eq(first, rule.net) {
            return Ok(());
        }
        let path = self.spec.weights[number].path.clone();
        let message = format!("`{path}` is moved by two optimisers in one phase");
        let fault = Fault::error("two-rules", message, span, format!("`{}` here", rule.name))
            .also(place, format!("`{}` here", first.name.text))
            .help("The states of an optimiser belong to the weight: use one rule in a phase, or make two phases.");
        Err(self.fault(fault))
    }

    /// The fault of a loss that does not reach a model that it should train.
    fn reaches_nothing(&mut self, update: &'m Update, model: &str, loss: TermId) -> Abort {
        let by = text(&update.by);
        let message = format!("loss `{by}` does not reach any parameter of `{model}`");
        let fault = Fault::error("gradient-stops", message, update.by.span, format!("should train `{model}`"));
        let weights = self.weights_of(&[model.to_string()]);
        let Some((stop, why)) = self.stop_before(loss, &weights) else {
            let help = format!("It is not computed from `{model}`: take `{model}` out of the update, or use it in the loss.");
            return self.fault(fault.help(help));
        };
        let way = self.way_to(loss, stop).join(" -> ");
        let place = self.store.terms.get(stop).span;
        let mut fault = fault.also(place, format!("the path ends here: {why}"));
        if let Ok((_, place)) = self.loss_of(&update.by) {
            fault = fault.also(place, way);
        }
        self.fault(fault.help("Keep the soft value in the loss, and threshold in `eval` only."))
    }

    /// Warns of weights that nothing moves though their model trains.
    pub fn check_moved(&mut self, train: &'m Train, present: &Present<'m>) {
        if self.faults.iter().any(|fault| fault.severity == crate::fault::Severity::Error) || !self.spec.pending.is_empty() {
            return;
        }
        let Some(phase) = self.spec.phases.iter().find(|phase| !phase.body.is_empty()) else { return };
        for model in phase.trained.clone() {
            let all = self.weights_of(std::slice::from_ref(&model));
            let still: Vec<usize> = all.iter().filter(|number| !present.moved.contains(number)).copied().collect();
            let Some(first) = still.first().map(|number| &self.spec.weights[*number]) else { continue };
            let more = if still.len() > 1 { format!(" and {} more", still.len() - 1) } else { String::new() };
            let message = format!("no loss of this phase reaches `{}`{more}", first.path);
            let fault = Fault::warning("unreached-weight", message, train.binder.name.span, format!("trains `{model}`"));
            let fault = fault.also(first.span, "this weight keeps its first value");
            self.fault(fault.help("Use it in a loss, or make it a `state` if it is meant to stay as it is."));
        }
    }
}

/// Whether a weight is in a part with this name, or in the model itself.
fn holds(path: &str, part: &Path) -> bool {
    part.segments.last().is_some_and(|name| path.split('.').any(|own| own == name.text))
}
