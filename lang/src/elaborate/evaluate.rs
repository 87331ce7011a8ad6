//! Evaluations: what they go over and the numbers that they average; as values, where a phase decides by them.

use super::Elaborator;
use super::value::{Abort, Outcome, Value};
use crate::fault::Fault;
use crate::modules::ModuleId;
use crate::source::Span;
use crate::spec::{self, Element, Over, Prim, TermId};
use crate::syntax::{Eval, ItemKind, Path, Unit};

/// Most numbers of one value of an evaluation without data.
const MOST: usize = 64;

impl<'m> Elaborator<'m> {
    /// An evaluation with its values; one that is `none` is left out.
    pub fn evaluation(&mut self, module: ModuleId, eval: &'m Eval) -> Result<(), Abort> {
        let world = self.world_of(module, eval);
        let made = self.within(world, |inside| inside.evaluated(module, eval))?;
        if !made.values.is_empty() && self.spec.evals.iter().all(|known| known.name != made.name) {
            self.spec.evals.push(made);
        }
        Ok(())
    }

    fn evaluated(&mut self, module: ModuleId, eval: &'m Eval) -> Result<spec::Eval, Abort> {
        let scope = self.module_scope(module);
        let place = eval.value.span;
        let value = self.eval(&eval.value, &scope)?;
        let mut values = Vec::new();
        if !matches!(value, Value::None) {
            self.flatten(value, String::new(), place, eval.over.is_none(), &mut values)?;
        }
        let over = if values.is_empty() { None } else { self.over(module, eval)? };
        for (_, id) in &values {
            match over {
                Some(Over::Data(data, _)) => self.reads.push((*id, place, Some(data))),
                Some(Over::Samples(_)) => self.reads.push((*id, place, None)),
                None => self.for_all_samples(*id, place)?,
            }
        }
        let needs_labels = values.iter().any(|(_, id)| self.knows_labels(*id));
        let over = over.unwrap_or(Over::Samples(1));
        Ok(spec::Eval { name: eval.name.text.clone(), over, values, needs_labels, span: eval.name.span })
    }

    /// What an evaluation sets is another world, one for each.
    fn world_of(&mut self, module: ModuleId, eval: &'m Eval) -> usize {
        if eval.with.is_empty() {
            return self.world;
        }
        let key = (std::ptr::from_ref(eval) as usize, self.world);
        if let Some(known) = self.eval_worlds.get(&key) {
            return *known;
        }
        let scope = self.module_scope(module);
        let world = self.world_with(&eval.with, &scope, &format!("evaluation `{}`", eval.name.text));
        self.eval_worlds.insert(key, world);
        world
    }

    fn over(&mut self, module: ModuleId, eval: &'m Eval) -> Result<Option<Over>, Abort> {
        let Some(over) = &eval.over else { return Ok(None) };
        let scope = self.module_scope(module);
        Ok(Some(match self.eval(over, &scope)? {
            Value::Duration(count, Unit::Samples) => match count.integer().and_then(|count| usize::try_from(count).ok()) {
                Some(count) if count > 0 => Over::Samples(count),
                _ => {
                    let message = format!("an evaluation goes over a whole number of samples, not {count}");
                    return Err(self.fault(Fault::error("bad-size", message, over.span, format!("{count}"))));
                }
            },
            value => {
                let (data, part) = self.data_of(&value, over.span)?;
                Over::Data(data, part)
            }
        }))
    }

    /// A value without own samples, for an evaluation that goes over none.
    fn for_all_samples(&mut self, id: TermId, place: Span) -> Result<(), Abort> {
        if !self.store.sampled(id) {
            return Ok(());
        }
        let fault =
            Fault::error("wrong-kind", "an evaluation of single samples must say over which", place, "differs from sample to sample");
        Err(self.fault(fault.help("Write `eval .. over images.test = ..`, or take an average: `average(.., over: images.test)`.")))
    }

    /// The named numbers of an evaluation; records in records are joined with a dot, and so are the places of `lists`.
    fn flatten(
        &mut self,
        value: Value<'m>,
        name: String,
        span: Span,
        lists: bool,
        values: &mut Vec<(String, TermId)>,
    ) -> Result<(), Abort> {
        let joined = |inner: &str| if name.is_empty() { inner.to_string() } else { format!("{name}.{inner}") };
        match value {
            Value::None => Ok(()),
            Value::Record(fields) => {
                fields.iter().try_for_each(|(field, value)| self.flatten(value.clone(), joined(field), span, lists, values))
            }
            Value::Tensor(id) if lists && self.is_short(id) => {
                let ty = self.store.ty(id).clone();
                for (axis, size) in ty.axes {
                    for at in 0..size {
                        let one = self.store.intern(Prim::Pick(axis, at), vec![id], ty.element, vec![], span);
                        self.flatten(Value::Tensor(one), joined(&at.to_string()), span, lists, values)?;
                    }
                }
                Ok(())
            }
            Value::Number(_) | Value::Tensor(_) => {
                let id = self.operand(&(value, span), &Value::None)?;
                self.scalar(id, span, &if name.is_empty() { "an evaluation".to_string() } else { format!("`{name}`") })?;
                if self.store.ty(id).element == Element::Bool {
                    return Err(self.expected("a number", &Value::Tensor(id), span));
                }
                values.push((name, id));
                Ok(())
            }
            other => Err(self.expected("a number or a record of numbers", &other, span)),
        }
    }

    /// Whether a value is a few numbers along one axis.
    fn is_short(&self, id: TermId) -> bool {
        matches!(self.store.ty(id).axes.as_slice(), [(_, size)] if *size <= MOST)
    }

    /// `measure A, B` of a phase: those that are not `none`, by name.
    pub fn measured(&mut self, paths: &'m [Path]) -> Result<Vec<String>, Abort> {
        let mut names = Vec::new();
        for path in paths {
            let module = self.modules.of_source(path.span.source).unwrap_or(self.modules.root);
            let id = self.modules.find_path(module, path).and_then(|ids| ids.first()).copied();
            let Some(id) = id else { return Err(Abort::Faulted) };
            let ItemKind::Eval(eval) = self.modules.item(id).kind() else { return Err(Abort::Faulted) };
            self.evaluation(id.module, eval)?;
            names.extend(self.spec.evals.iter().filter(|known| known.name == eval.name.text).map(|known| known.name.clone()));
        }
        Ok(names)
    }

    /// An evaluation as a value: its numbers are averages over its data.
    pub fn read_evaluation(&mut self, module: ModuleId, eval: &'m Eval, span: Span) -> Outcome<'m> {
        let world = self.world_of(module, eval);
        self.within(world, |inside| {
            let scope = inside.module_scope(module);
            let value = inside.eval(&eval.value, &scope)?;
            match inside.over(module, eval)? {
                None => Ok(value),
                Some(over) => inside.averaged(value, over, eval.value.span, span),
            }
        })
    }

    fn averaged(&mut self, value: Value<'m>, over: Over, place: Span, span: Span) -> Outcome<'m> {
        match value {
            Value::Tensor(id) => {
                let Over::Data(data, part) = over else { return Err(self.pend("decisions by evaluations without data", span)) };
                if self.store.ty(id).element == Element::Bool {
                    return Err(self.expected("a number", &Value::Tensor(id), place));
                }
                self.averages.push((id, place, Some(data)));
                let axes = self.store.ty(id).axes.clone();
                Ok(Value::Tensor(self.store.intern(Prim::Average { data, part }, vec![id], Element::Real, axes, place)))
            }
            Value::Record(fields) => {
                let outcomes = fields.iter().map(|(_, value)| self.averaged(value.clone(), over, place, span)).collect();
                let values = self.all(outcomes)?;
                Ok(Value::Record(fields.iter().map(|(name, _)| name.clone()).zip(values).collect()))
            }
            other => Ok(other),
        }
    }
}
