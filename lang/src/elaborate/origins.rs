//! What values are computed from: draws and labels, also where nets stand in between that are not executed yet.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::Elaborator;
use super::builtin::Given;
use super::value::{Abort, Origin, Origins, Outcome, Scope, Value};
use crate::spec::{Prim, TermId};
use crate::syntax::{Expr, ExprKind, Name};

impl<'m> Elaborator<'m> {
    /// All values; where some are pending, what all of them are computed from.
    pub fn all(&mut self, outcomes: Vec<Outcome<'m>>) -> Result<Vec<Value<'m>>, Abort> {
        if let Some(Err(fault)) = outcomes.iter().find(|outcome| matches!(outcome, Err(Abort::Faulted))) {
            return Err(fault.clone());
        }
        if outcomes.iter().any(Result::is_err) {
            let mut union = BTreeSet::new();
            for outcome in &outcomes {
                union.extend(self.origins_of(outcome).iter().cloned());
            }
            return Err(Abort::Pending(Rc::new(union)));
        }
        outcomes.into_iter().collect()
    }

    /// Both values; where one is pending, what both are computed from.
    pub fn both(&mut self, first: Outcome<'m>, second: Outcome<'m>) -> Result<(Value<'m>, Value<'m>), Abort> {
        match (first, second) {
            (Ok(first), Ok(second)) => Ok((first, second)),
            (first, second) => Err(self.all(vec![first, second]).err().unwrap_or(Abort::Faulted)),
        }
    }

    /// What a pending call is computed from: what it met and its arguments.
    pub fn with_arguments(&mut self, own: Origins, given: &[(Option<&'m Name>, Given<'m>)]) -> Origins {
        let mut union = BTreeSet::clone(&own);
        for (label, given) in given {
            match given {
                Given::Passed(value, _) => union.extend(self.origins_of(&Ok(value.clone())).iter().cloned()),
                Given::Written(expr, scope) => {
                    let axes = label.is_some_and(|label| ["over", "as", "along", "by", "with"].contains(&label.text.as_str()));
                    if !axes && !self.is_word(expr, scope) {
                        union.extend(self.origins_of_expr(expr, scope).iter().cloned());
                    }
                }
            }
        }
        Rc::new(union)
    }

    /// Whether an argument is a bare word that stands for no value: an axis, a word of a choice.
    fn is_word(&mut self, expr: &'m Expr, scope: &Rc<Scope<'m>>) -> bool {
        match &*expr.kind {
            ExprKind::Path(path) => path.segments.len() == 1 && self.resolve(scope, &path.segments[0].text).is_none(),
            ExprKind::List(items) => items.iter().any(|item| self.is_word(item, scope)),
            _ => false,
        }
    }

    /// What an expression is computed from.
    pub fn origins_of_expr(&mut self, expr: &'m Expr, scope: &Rc<Scope<'m>>) -> Origins {
        let key = (std::ptr::from_ref(expr) as usize, Rc::as_ptr(scope) as usize);
        if let Some((_, known)) = self.origins.get(&key) {
            return known.clone();
        }
        let outcome = self.eval(expr, scope);
        let origins = self.origins_of(&outcome);
        self.origins.insert(key, (scope.clone(), origins.clone()));
        origins
    }

    /// What an outcome is computed from.
    pub fn origins_of(&self, outcome: &Outcome<'m>) -> Origins {
        match outcome {
            Err(Abort::Pending(origins)) => origins.clone(),
            Err(Abort::Faulted) => Origins::default(),
            Ok(value) => {
                let mut open = Vec::new();
                terms_in(value, &mut open);
                Rc::new(self.origins_of_terms(open))
            }
        }
    }

    fn origins_of_terms(&self, mut open: Vec<TermId>) -> BTreeSet<Origin> {
        let mut found = BTreeSet::new();
        let mut seen = vec![false; if open.is_empty() { 0 } else { self.store.terms.len() }];
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut seen[id.0 as usize], true) {
                continue;
            }
            let term = self.store.terms.get(id);
            match &term.prim {
                Prim::Draw { path, .. } => {
                    found.insert(Origin::Draw(path.clone(), term.span));
                }
                Prim::Field { field, .. } if field == "label" || field == "boxes" => {
                    found.insert(Origin::Label(term.span));
                }
                Prim::Oracle => continue,
                prim => open.extend(self.collected_of(prim)),
            }
            open.extend(&term.args);
        }
        found
    }
}

/// What `oracle` leaves.
pub fn without_labels(origins: &Origins) -> Origins {
    Rc::new(origins.iter().filter(|origin| !matches!(origin, Origin::Label(_))).cloned().collect())
}

fn terms_in(value: &Value<'_>, terms: &mut Vec<TermId>) {
    match value {
        Value::Tensor(id) => terms.push(*id),
        Value::List(items) => items.iter().for_each(|item| terms_in(item, terms)),
        Value::Record(fields) => fields.iter().for_each(|(_, item)| terms_in(item, terms)),
        _ => {}
    }
}
