//! Per-image optimisations: states, their next values, and what is read of the final ones.

use std::rc::Rc;

use super::names::definitions;
use super::value::{Abort, Def, Outcome, Scope, Value};
use super::{Elaborator, Sink};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec::{Element, Member, Prim, Solve as Solved, State, TermId};
use crate::syntax::{Family, Name, Solve, StatementKind, Stored, Unit};

impl<'m> Elaborator<'m> {
    /// The number of a solve in the spec; its members are still to come.
    fn solve_number(&mut self, solve: &'m Solve, scope: &Rc<Scope<'m>>) -> Result<usize, Abort> {
        let span = solve.binder.name.span;
        if let Some(number) = self.spec.solves.iter().position(|known| known.span == span) {
            return Ok(number);
        }
        let rounds = match self.eval(&solve.duration, scope)? {
            Value::Duration(number, Unit::Steps) => number,
            other => return Err(self.expected("a number of steps, as in `30 steps`,", &other, solve.duration.span)),
        };
        let Some(rounds) = rounds.integer().and_then(|rounds| usize::try_from(rounds).ok()) else {
            let message = format!("a solve takes a whole number of steps, not {rounds}");
            return Err(self.fault(Fault::error("bad-size", message, solve.duration.span, format!("{rounds}"))));
        };
        self.spec.solves.push(Solved { name: solve.binder.name.text.clone(), rounds, members: Vec::new(), span });
        Ok(self.spec.solves.len() - 1)
    }

    /// The member of a solve at this place of its family; the index is bound in `scope`.
    pub fn solve(&mut self, solve: &'m Solve, scope: &Rc<Scope<'m>>, at: usize) -> Outcome<'m> {
        let number = self.solve_number(solve, scope)?;
        let index = match &solve.binder.family {
            Some(Family::Over(name, _)) => scope.bound(&name.text).and_then(|value| value.key()),
            _ => None,
        };
        let base = &solve.binder.name.text;
        let name = index.map_or_else(|| base.clone(), |index| format!("{base}[{index}]"));
        let defs = definitions(&solve.statements);
        let starts = Rc::new(scope.inside(&name, Vec::new(), defs.clone()));
        let mut states = Vec::new();
        let mut bound = Vec::new();
        for statement in &solve.statements {
            let StatementKind::State(stored) = &statement.kind else { continue };
            let first = self.first(stored, &starts)?;
            let ty = self.store.ty(first).clone();
            let prim = Prim::State { solve: number, member: at, state: states.len() };
            let leaf = self.store.intern(prim, vec![], ty.element, ty.axes, stored.name.span);
            self.sinks.push((first, stored.value.span, Sink::State));
            states.push(State { name: stored.name.text.clone(), leaf, first, next: leaf });
            bound.push((stored.name.text.as_str(), Value::Tensor(leaf)));
        }
        let inner = Rc::new(scope.inside(&name, bound, defs.clone()));
        self.nexts(solve, &inner, &mut states)?;
        let watched = self.watched(&defs, &inner)?;
        let members = &mut self.spec.solves[number].members;
        while members.len() <= at {
            members.push(Member { name: String::new(), states: Vec::new(), watched: Vec::new() });
        }
        members[at] = Member { name, states, watched };
        self.members.insert((number, at), inner);
        Ok(Value::Solved(number, at))
    }

    fn first(&mut self, stored: &'m Stored, scope: &Rc<Scope<'m>>) -> Result<TermId, Abort> {
        if stored.drawn {
            return Err(self.pend("random starts of a solve", stored.value.span));
        }
        let mut value = self.eval(&stored.value, scope)?;
        let place = stored.value.span;
        if let Some(ty) = &stored.ty {
            if let (Value::Number(_), Some((element, axes))) = (&value, self.tensor_type(ty, scope)?) {
                let one = self.operand(&(value, place), &Value::None)?;
                let number = self.store.intern(self.store.terms.get(one).prim.clone(), vec![], element, vec![], place);
                return Ok(self.spread_to(number, axes, place));
            }
            value = self.conform(ty, value, scope, place, &stored.name)?;
        }
        self.operand(&(value, place), &Value::None)
    }

    fn nexts(&mut self, solve: &'m Solve, scope: &Rc<Scope<'m>>, states: &mut [State]) -> Result<(), Abort> {
        for statement in &solve.statements {
            let StatementKind::Next(name, value) = &statement.kind else { continue };
            let Some(place) = states.iter().position(|state| state.name == name.text) else {
                let known: Vec<_> = states.iter().map(|state| state.name.clone()).collect();
                let fault = Fault::error("unknown-name", format!("`{}` is no state of this solve", name.text), name.span, "no such state");
                return Err(self.fault(super::nearest(fault, &name.text, &known)));
            };
            let leaf = Value::Tensor(states[place].leaf);
            let next = (self.eval(value, scope)?, value.span);
            let next = self.operand(&next, &leaf)?;
            states[place].next = self.agree(states[place].leaf, next, name, value.span)?;
            self.sinks.push((next, value.span, Sink::State));
        }
        Ok(())
    }

    /// A next value must have the type of its state.
    pub fn agree(&mut self, leaf: TermId, next: TermId, name: &'m Name, span: Span) -> Result<TermId, Abort> {
        let (ty, own) = (self.store.ty(leaf).clone(), self.store.ty(next).clone());
        let shown = (self.shown(leaf), self.shown(next));
        if own.axes.is_empty() {
            return Ok(self.spread_to(next, ty.axes, span));
        }
        if own.axes != ty.axes {
            let message = format!("the next `{}` has other axes than the state", name.text);
            let fault = Fault::error("axis-mismatch", message, span, format!("this has {}", shown.1));
            return Err(self.fault(fault.also(self.store.terms.get(leaf).span, format!("the state has {}", shown.0))));
        }
        if (own.element == Element::Bool) != (ty.element == Element::Bool) {
            return Err(self.expected("a value of the state's kind", &Value::Tensor(next), span));
        }
        Ok(next)
    }

    /// The scalar `let`s, which are watched; all are evaluated, so that their faults are found.
    fn watched(&mut self, defs: &[Def<'m>], scope: &Rc<Scope<'m>>) -> Result<Vec<(String, TermId)>, Abort> {
        let mut watched = Vec::new();
        for def in defs {
            let (Def::Let(binding), None) = (def, def.family()) else { continue };
            let found = super::names::found_in(scope, &binding.binder.name.text);
            let Some(found) = found else { continue };
            if let Value::Tensor(id) = self.member(&found, None, binding.binder.name.span)? {
                let ty = self.store.ty(id);
                if ty.axes.is_empty() && ty.element != Element::Bool {
                    watched.push((binding.binder.name.text.clone(), id));
                }
            }
        }
        Ok(watched)
    }

    /// `cut[s].m`: a state or `let` of a member after the last step.
    pub fn solved_field(&mut self, solve: usize, member: usize, name: &'m Name, span: Span) -> Outcome<'m> {
        let Some(scope) = self.members.get(&(solve, member)).cloned() else { return Err(Abort::Faulted) };
        let own = scope.bound.borrow().iter().find(|(key, _)| *key == name.text).map(|(_, value)| value.clone());
        let value = match (own, super::names::found_in(&scope, &name.text)) {
            (Some(value), _) => value,
            (None, Some(found)) => self.found(found, span)?,
            (None, None) => {
                let mut known: Vec<_> = scope.bound.borrow().iter().map(|(name, _)| (*name).to_string()).collect();
                known.extend(scope.defs.iter().filter_map(Def::name).map(|name| name.text.clone()));
                return Err(self.unknown_field(&Value::Solved(solve, member), name, known));
            }
        };
        Ok(self.finished(value, solve, member, span))
    }

    fn finished(&mut self, value: Value<'m>, solve: usize, member: usize, span: Span) -> Value<'m> {
        match value {
            Value::Tensor(id) => {
                let ty = self.store.ty(id).clone();
                Value::Tensor(self.store.intern(Prim::Solved { solve, member }, vec![id], ty.element, ty.axes, span))
            }
            Value::List(items) => Value::List(items.iter().map(|item| self.finished(item.clone(), solve, member, span)).collect()),
            Value::Record(fields) => {
                Value::Record(fields.iter().map(|(name, item)| (name.clone(), self.finished(item.clone(), solve, member, span))).collect())
            }
            other => other,
        }
    }
}
