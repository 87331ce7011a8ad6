//! What the phase of the moment does: its statements, with the terms of those that act in it.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::Elaborator;
use super::builtin::{Actuals, Given};
use super::moment::Trains;
use super::phases::Planned;
use super::value::{Abort, Outcome, Scope, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Act, Average, Duration, Element, Prim, Statement, TermId, Update};
use crate::syntax::{self, Expr, ItemKind, Net, Path, TrainKind, TrainStatement};

/// What is known of the phase while its statements are read.
pub struct Present<'m> {
    /// The phase.
    pub planned: Planned<'m>,
    /// Where its expressions are read.
    pub scope: Rc<Scope<'m>>,
    /// Whether its models train.
    pub training: bool,
    /// Weights that an update of their model moves.
    pub moved: BTreeSet<usize>,
    /// The rule that moves a weight, and where it is written.
    pub rules: HashMap<usize, (&'m Net, Span)>,
}

impl<'m> Elaborator<'m> {
    /// Evaluates the statements of the phase with this number, in the world that it sets.
    pub fn in_phase(&mut self, planned: &Planned<'m>, number: usize, training: bool) {
        self.calls.clear();
        let phase = &self.spec.phases[number];
        let (by, batch, trained) = (format!("phase `{}`", phase.name), phase.batch, phase.trained.clone());
        let outside = self.phase_scope(planned);
        self.world = self.world_with(&planned.train.with, &outside, &by);
        if training {
            let stage = &mut self.worlds[self.world].stage;
            stage.trains = Trains::Models(trained);
            stage.batch = stage.batch.or(Some(batch));
        }
        let scope = self.phase_scope(planned);
        let mut present = Present { planned: planned.clone(), scope, training, moved: BTreeSet::new(), rules: HashMap::new() };
        if training {
            self.losses(&planned.train.statements, &present.scope);
        }
        let body = self.statements(&planned.train.statements, &mut present);
        self.spec.phases[number].body = body;
        if training {
            self.check_moved(planned.train, &present);
        }
    }

    /// All losses are evaluated before any statement: from then on the weights of the models are known.
    fn losses(&mut self, statements: &'m [TrainStatement], scope: &Rc<Scope<'m>>) {
        for statement in statements {
            match &statement.kind {
                TrainKind::Update(update) if self.turns_of(update, scope) != Ok(0) => {
                    let _ = self.loss_of(&update.by);
                }
                TrainKind::Together(_, inner) | TrainKind::Every(_, inner) | TrainKind::Finally(inner) => self.losses(inner, scope),
                _ => {}
            }
        }
    }

    /// The loss of an update: one number per sample, and where it is computed.
    pub fn loss_of(&mut self, by: &'m Path) -> Result<(TermId, Span), Abort> {
        let module = self.modules.of_source(by.span.source).unwrap_or(self.modules.root);
        let item = self.modules.find_path(module, by).and_then(|ids| ids.first()).map(|id| self.modules.item(*id).kind());
        let place = if let Some(ItemKind::Loss(binding)) = item { binding.value.span } else { by.span };
        let scope = self.module_scope(module);
        let value = self.path(by, &scope)?;
        let id = self.operand(&(value, place), &Value::None)?;
        self.scalar(id, place, &format!("the loss `{}`", text(by)))?;
        if self.store.ty(id).element == Element::Bool {
            return Err(self.expected("a number", &Value::Tensor(id), place));
        }
        Ok((id, place))
    }

    fn statements(&mut self, statements: &'m [TrainStatement], present: &mut Present<'m>) -> Vec<Statement> {
        let mut body = Vec::new();
        for statement in statements {
            self.calls.clear();
            let acts = self.acts(&statement.kind, present);
            for act in self.needed(acts).unwrap_or_default() {
                body.push(Statement { act, span: statement.span });
            }
        }
        body
    }

    fn acts(&mut self, kind: &'m TrainKind, present: &mut Present<'m>) -> Result<Vec<Act>, Abort> {
        let scope = present.scope.clone();
        let act = match kind {
            TrainKind::Update(update) if self.turns_of(update, &scope)? == 0 => return Ok(Vec::new()),
            TrainKind::Update(update) => Act::Update(self.update(update, present)?),
            TrainKind::Together(on, inner) => {
                let together = on.as_ref().map_or(Ok(true), |on| self.decided(on, &scope))?;
                let inner = self.statements(inner, present);
                if !together {
                    return Ok(inner.into_iter().map(|statement| statement.act).collect());
                }
                Act::Together(inner)
            }
            TrainKind::Average(models, decay, from) => Act::Average(self.averages(models, decay, from.as_ref(), present)?),
            TrainKind::Every(period, inner) => Act::Every(self.period(period, &scope)?, self.statements(inner, present)),
            TrainKind::Finally(inner) => Act::Finally(self.statements(inner, present)),
            TrainKind::Keep(by) => Act::Keep(self.decision(by, Element::Real, "this decides which weights are kept", present)?),
            TrainKind::Restart(when) => {
                Act::Restart(self.decision(when, Element::Bool, "this decides when training starts anew", present)?)
            }
            TrainKind::Finish(when) => Act::Finish(self.decision(when, Element::Bool, "this decides when training ends", present)?),
            TrainKind::Show(count, values) => {
                let count = self.counted(count, &scope, "pictures shown")?;
                Act::Show { count, values: self.pictures_of(values, count, present)? }
            }
            TrainKind::Measure(evals) if present.training => Act::Measure(evals.iter().map(text).collect()),
            TrainKind::Measure(evals) => Act::Measure(self.measured(evals)?),
            TrainKind::Checkpoint => Act::Checkpoint,
            TrainKind::Broken => return Err(Abort::Faulted),
        };
        Ok(vec![act])
    }

    /// A duration above zero.
    fn period(&mut self, period: &'m Expr, scope: &Rc<Scope<'m>>) -> Result<Duration, Abort> {
        let length = self.length_of_time(period, scope)?;
        if length.amount > 0.0 {
            return Ok(length);
        }
        Err(self.fault(Fault::error("bad-size", "this would be done again and again in no time", period.span, "no time")))
    }

    fn update(&mut self, update: &'m syntax::Update, present: &mut Present<'m>) -> Result<Update, Abort> {
        let models = self.models(&update.models, &present.scope)?;
        let repeat = self.turns_of(update, &present.scope)?;
        let terms = if present.training { Some(self.update_terms(update, &models, present)?) } else { None };
        Ok(Update { loss: text(&update.by), models, repeat, terms })
    }

    /// How many turns an update takes; one that takes none is not there.
    pub fn turns_of(&mut self, update: &'m syntax::Update, scope: &Rc<Scope<'m>>) -> Result<usize, Abort> {
        let Some(repeat) = &update.repeat else { return Ok(1) };
        let number = self.number(repeat, scope)?;
        match number.integer().and_then(|turns| usize::try_from(turns).ok()).filter(|turns| *turns <= 1 << 20) {
            Some(turns) => Ok(turns),
            None => {
                let message = format!("an update takes a whole number of turns, not {number}");
                Err(self.fault(Fault::error("bad-size", message, repeat.span, format!("{number}"))))
            }
        }
    }

    fn averages(&mut self, models: &'m [Path], decay: &'m Expr, from: Option<&'m Expr>, present: &Present<'m>) -> Result<Average, Abort> {
        let models = self.models(models, &present.scope)?;
        let from = from.map(|from| self.length_of_time(from, &present.scope)).transpose()?;
        let mut weights = Vec::new();
        for number in if present.training { self.weights_of(&models) } else { Vec::new() } {
            let weight = self.weight_leaf(number, decay.span);
            let ty = self.store.ty(weight).clone();
            let kept = self.store.intern(Prim::Averaged(number), vec![], ty.element, ty.axes, decay.span);
            let by = self.eval(decay, &present.scope)?;
            let next = self.library("lerp", vec![Value::Tensor(weight), Value::Tensor(kept), by], decay.span, &present.scope)?;
            weights.push((number, self.operand(&(next, decay.span), &Value::None)?));
        }
        Ok(Average { models, from, weights })
    }

    /// A function of the prelude, applied to values.
    pub fn library(&mut self, name: &'static str, values: Vec<Value<'m>>, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let prelude = self.modules.prelude;
        let found = self.modules.list[prelude.0].names.get(name).and_then(|ids| ids.first()).copied();
        let Some(ItemKind::Fn(function)) = found.map(|id| self.modules.item(id).kind()) else { return Err(Abort::Faulted) };
        let given = values.into_iter().map(|value| (None, Given::Passed(value, span))).collect();
        self.calls.push(span);
        let outcome = self.apply(function, prelude, Actuals { given, function: name }, span, scope);
        self.calls.pop();
        outcome
    }
}

/// A path as it is written.
pub fn text(path: &Path) -> String {
    let segments: Vec<&str> = path.segments.iter().map(|name| name.text.as_str()).collect();
    let fields = path.fields.iter().map(|name| format!(".{}", name.text));
    segments.join("::") + &fields.collect::<String>()
}
