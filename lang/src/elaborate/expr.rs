//! Expressions to values.

use std::rc::Rc;

use super::Elaborator;
use super::draw::is_distribution;
use super::number::Number;
use super::value::{Abort, Outcome, Scope, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::spec;
use crate::syntax::{BinaryOp, Entry, Expr, ExprKind, Generator, Name};

/// Nested evaluations before a spec is refused.
const DEEPEST: usize = 4_000;
/// Evaluations in all before a spec is refused.
const MOST: u64 = 4_000_000;
/// Longest list.
const LONGEST: i64 = 1_000_000;

impl<'m> Elaborator<'m> {
    /// The value of an expression.
    pub fn eval(&mut self, expr: &'m Expr, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        self.evaluations += 1;
        if self.depth >= DEEPEST || self.evaluations >= MOST || self.exhausted {
            return Err(self.endless(expr.span));
        }
        self.depth += 1;
        let outcome = self.eval_kind(expr, scope);
        self.depth -= 1;
        outcome
    }

    fn eval_kind(&mut self, expr: &'m Expr, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        match &*expr.kind {
            ExprKind::Number(text) => match Number::parse(text) {
                Some(number) => Ok(Value::Number(number)),
                None => Err(self.fault(Fault::error("wrong-kind", format!("`{text}` is no number"), expr.span, "not a number"))),
            },
            ExprKind::Text(text) => Ok(Value::Text(text.as_str().into())),
            ExprKind::Path(path) => self.path(path, scope),
            ExprKind::If(on, yes, no) => {
                let branch = if self.decided(on, scope)? { yes } else { no };
                self.eval(branch, scope)
            }
            ExprKind::Pipe(value, function) => self.pipe(value, function, expr.span, scope),
            ExprKind::Binary(op, left, right) => self.operation(*op, left, right, expr.span, scope),
            ExprKind::Not(value) => {
                let value = self.eval(value, scope)?;
                self.unary(spec::Unary::Not, value, expr.span)
            }
            ExprKind::Negate(value) => {
                let value = self.eval(value, scope)?;
                self.unary(spec::Unary::Negate, value, expr.span)
            }
            ExprKind::Range(low, high) => {
                let (low, high) = (self.whole(low, scope)?, self.whole(high, scope)?);
                if high.saturating_sub(low) > LONGEST {
                    return Err(self.endless(expr.span));
                }
                Ok(Value::List((low..high).map(|at| Value::Number(Number::whole(at))).collect()))
            }
            ExprKind::Duration(value, unit) => {
                let number = self.number(value, scope)?;
                Ok(Value::Duration(number, *unit))
            }
            ExprKind::Call(function, arguments) => self.call(function, arguments, expr.span, scope),
            ExprKind::CallEach(function, item, generators) => {
                let list = self.comprehension(item, generators, scope)?;
                self.call_with(function, list, item.span, &[], expr.span, scope)
            }
            ExprKind::Bracket(value, entries) => self.bracket(value, entries, expr.span, scope),
            ExprKind::Field(value, name) => {
                let value = self.eval(value, scope)?;
                self.field(value, name, expr.span)
            }
            ExprKind::List(items) => {
                let outcomes: Vec<_> = items.iter().map(|item| self.eval(item, scope)).collect();
                Ok(Value::List(self.all(outcomes)?.into()))
            }
            ExprKind::ListEach(item, generators) => self.comprehension(item, generators, scope),
            ExprKind::Record(fields) => {
                let outcomes: Vec<_> = fields.iter().map(|(_, value)| self.eval(value, scope)).collect();
                let values = self.all(outcomes)?;
                Ok(Value::Record(fields.iter().map(|(name, _)| name.text.clone()).zip(values).collect()))
            }
            ExprKind::Broken => Err(Abort::Faulted),
        }
    }

    /// The value where a word of a choice may stand.
    pub fn eval_choice(&mut self, expr: &'m Expr, words: &'m [Name], scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        match &*expr.kind {
            ExprKind::Path(path) if path.segments.len() == 1 => {
                let text = &path.segments[0].text;
                if let Some(word) = words.iter().find(|word| word.text == *text) {
                    return Ok(Value::Choice(&word.text, words));
                }
                if self.resolve(scope, text).is_some() {
                    return self.path(path, scope);
                }
                let shown = words.iter().map(|word| format!("`{}`", word.text)).collect::<Vec<_>>().join(", ");
                let fault = Fault::error(
                    "unknown-choice",
                    format!("`{text}` is none of the words {shown}"),
                    path.span,
                    "not a word of this choice",
                );
                let known = words.iter().map(|word| word.text.clone()).collect::<Vec<_>>();
                Err(self.fault(super::nearest(fault, text, &known)))
            }
            ExprKind::If(on, yes, no) => {
                let branch = if self.decided(on, scope)? { yes } else { no };
                self.eval_choice(branch, words, scope)
            }
            _ => self.eval(expr, scope),
        }
    }

    /// A condition that must be known when compiling.
    pub fn decided(&mut self, on: &'m Expr, scope: &Rc<Scope<'m>>) -> Result<bool, Abort> {
        match self.eval(on, scope)? {
            Value::Bool(on) => Ok(on),
            Value::Tensor(_) => {
                let text = self.modules.sources.slice(on.span).to_string();
                let fault = Fault::error(
                    "wrong-time",
                    format!("`if` is decided when compiling, `{text}` only at run time"),
                    on.span,
                    "a run-time value",
                );
                Err(self.fault(fault.help("Use `where(condition, yes, no)`, which chooses at run time.")))
            }
            other => Err(self.expected("true or false", &other, on.span)),
        }
    }

    /// A number known when compiling.
    pub fn number(&mut self, expr: &'m Expr, scope: &Rc<Scope<'m>>) -> Result<Number, Abort> {
        match self.eval(expr, scope)? {
            Value::Number(number) => Ok(number),
            other => Err(self.expected("a number known when compiling", &other, expr.span)),
        }
    }

    /// A whole number known when compiling.
    pub fn whole(&mut self, expr: &'m Expr, scope: &Rc<Scope<'m>>) -> Result<i64, Abort> {
        let number = self.number(expr, scope)?;
        match number.integer() {
            Some(whole) => Ok(whole),
            None => {
                let fault =
                    Fault::error("wrong-kind", format!("a whole number is needed here, this is {number}"), expr.span, format!("{number}"));
                Err(self.fault(fault.help("Say how it becomes whole: `floor(..)` or `round(..)`.")))
            }
        }
    }

    /// A list.
    pub fn list(&mut self, expr: &'m Expr, scope: &Rc<Scope<'m>>) -> Result<Rc<[Value<'m>]>, Abort> {
        match self.eval(expr, scope)? {
            Value::List(items) => Ok(items),
            other => Err(self.expected("a list", &other, expr.span)),
        }
    }

    /// The fault of a value of the wrong kind.
    pub fn expected(&mut self, what: &str, found: &Value<'m>, span: Span) -> Abort {
        let found = self.describe(found);
        let code = if found.starts_with("a run-time") && what.contains("compiling") { "wrong-time" } else { "wrong-kind" };
        self.fault(Fault::error(code, format!("{what} is needed here, this is {found}"), span, found))
    }

    /// What a value is, with the axes of run-time values.
    pub fn describe(&self, value: &Value<'m>) -> String {
        match value {
            Value::Tensor(id) if self.store.ty(*id).axes.is_empty() => "a run-time number".into(),
            Value::Tensor(id) => format!("a run-time value {}", self.shown(*id)),
            other => other.describe(),
        }
    }

    /// Whether two compile-time values are equal; none where it is not known when compiling.
    pub fn same(&self, a: &Value<'m>, b: &Value<'m>) -> Option<bool> {
        Some(match (a, b) {
            (Value::Number(a), Value::Number(b)) => a == b,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Choice(a, _), Value::Choice(b, _)) => a == b,
            (Value::None, Value::None) => true,
            (Value::None, _) | (_, Value::None) => false,
            (Value::Tensor(_), _) | (_, Value::Tensor(_)) => return None,
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len()
                    && a.iter().zip(b.iter()).map(|(a, b)| self.same(a, b)).collect::<Option<Vec<_>>>()?.into_iter().all(|x| x)
            }
            _ => return None,
        })
    }

    fn operation(&mut self, op: BinaryOp, left: &'m Expr, right: &'m Expr, span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        if matches!(op, BinaryOp::And | BinaryOp::Or) {
            let first = self.eval(left, scope);
            if let Ok(Value::Bool(known)) = first {
                return if known == (op == BinaryOp::Or) { first } else { self.truth(right, scope) };
            }
            let second = self.eval(right, scope);
            let (first, second) = self.both(first, second)?;
            let op = if op == BinaryOp::And { spec::Binary::And } else { spec::Binary::Or };
            return self.binary(op, (first, left.span), (second, right.span), span, &scope.carried);
        }
        let (first, second) = self.operands(op, left, right, scope)?;
        if matches!(op, BinaryOp::Equal | BinaryOp::NotEqual)
            && let Some(same) = self.same(&first, &second)
        {
            return Ok(Value::Bool(same == (op == BinaryOp::Equal)));
        }
        let op = match op {
            BinaryOp::Add => spec::Binary::Add,
            BinaryOp::Subtract => spec::Binary::Subtract,
            BinaryOp::Multiply => spec::Binary::Multiply,
            BinaryOp::Divide => spec::Binary::Divide,
            BinaryOp::Power => spec::Binary::Power,
            BinaryOp::Equal => spec::Binary::Equal,
            BinaryOp::NotEqual => spec::Binary::NotEqual,
            BinaryOp::Less => spec::Binary::Less,
            BinaryOp::LessEqual => spec::Binary::LessEqual,
            BinaryOp::Greater => spec::Binary::Greater,
            BinaryOp::GreaterEqual => spec::Binary::GreaterEqual,
            BinaryOp::And | BinaryOp::Or => return Err(Abort::Faulted),
        };
        self.binary(op, (first, left.span), (second, right.span), span, &scope.carried)
    }

    fn truth(&mut self, expr: &'m Expr, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let value = self.eval(expr, scope)?;
        let fits = match &value {
            Value::Bool(_) => true,
            Value::Tensor(id) => self.store.ty(*id).element == spec::Element::Bool,
            _ => false,
        };
        if fits { Ok(value) } else { Err(self.expected("true or false", &value, expr.span)) }
    }

    /// Both operands; beside a choice, a bare word is one of its words.
    fn operands(&mut self, op: BinaryOp, left: &'m Expr, right: &'m Expr, scope: &Rc<Scope<'m>>) -> Result<(Value<'m>, Value<'m>), Abort> {
        if matches!(op, BinaryOp::Equal | BinaryOp::NotEqual) {
            let bare = |expr: &'m Expr| match &*expr.kind {
                ExprKind::Path(path) if path.segments.len() == 1 => Some(&path.segments[0].text),
                _ => None,
            };
            if bare(left).is_some_and(|text| self.resolve(scope, text).is_none()) {
                let second = self.eval(right, scope)?;
                let Value::Choice(_, words) = second else { return Ok((self.eval(left, scope)?, second)) };
                return Ok((self.eval_choice(left, words, scope)?, second));
            }
            let first = self.eval(left, scope)?;
            if let Value::Choice(_, words) = first {
                return Ok((first, self.eval_choice(right, words, scope)?));
            }
            return Ok((first, self.eval(right, scope)?));
        }
        let (first, second) = (self.eval(left, scope), self.eval(right, scope));
        self.both(first, second)
    }

    fn comprehension(&mut self, item: &'m Expr, generators: &'m [Generator], scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let mut outcomes = Vec::new();
        self.generate(item, generators, scope, &mut outcomes)?;
        Ok(Value::List(self.all(outcomes)?.into()))
    }

    fn generate(
        &mut self,
        item: &'m Expr,
        generators: &'m [Generator],
        scope: &Rc<Scope<'m>>,
        values: &mut Vec<Outcome<'m>>,
    ) -> Result<(), Abort> {
        let Some((generator, rest)) = generators.split_first() else {
            values.push(self.eval(item, scope));
            return if values.len() as i64 > LONGEST { Err(self.endless(item.span)) } else { Ok(()) };
        };
        for (place, value) in self.list(&generator.over, scope)?.iter().enumerate() {
            let bound = match (generator.bracketed, value, generator.names.as_slice()) {
                (false, value, [name]) => vec![(name.text.as_str(), value.clone())],
                (_, Value::List(parts), names) if parts.len() == names.len() => {
                    names.iter().map(|name| name.text.as_str()).zip(parts.iter().cloned()).collect()
                }
                _ => return Err(self.expected(&format!("a list of {}", generator.names.len()), value, generator.over.span)),
            };
            // What is drawn for one item is not drawn for another, nor for one of another list in the same definition.
            let path = format!("[{}]", value.key().unwrap_or_else(|| place.to_string()));
            let inner = Scope { sites: scope.sites.clone(), ..scope.inside(&path, bound, Vec::new()) };
            self.generate(item, rest, &Rc::new(inner), values)?;
        }
        Ok(())
    }

    fn bracket(&mut self, value: &'m Expr, entries: &'m [Entry], span: Span, scope: &Rc<Scope<'m>>) -> Outcome<'m> {
        let mut value = self.eval(value, scope)?;
        for entry in entries {
            value = match (&value, entry) {
                (Value::Family(found), Entry::Index(index)) => {
                    let index = self.eval(index, scope)?;
                    self.member(&found.clone(), Some(&index), span)?
                }
                (Value::Layers(scene, name), Entry::Index(index)) => {
                    let index = self.eval(index, scope)?;
                    self.scene_member(&scene.clone(), name, Some(&index), span)?
                }
                (Value::List(items), Entry::Index(index)) => {
                    let at = self.whole(index, scope)?;
                    match usize::try_from(at).ok().and_then(|at| items.get(at)) {
                        Some(item) => item.clone(),
                        None => {
                            let message = format!("there is no place {at} in a list of {}", items.len());
                            return Err(self.fault(Fault::error("unknown-member", message, index.span, "places count from 0")));
                        }
                    }
                }
                (Value::Distribution(_) | Value::Function(..), entry)
                    if matches!(value, Value::Distribution(_)) || is_distribution(&value) =>
                {
                    self.distribution_axis(&value, entry, span, scope)?
                }
                (_, Entry::Index(index)) => {
                    let what = self.describe(&value);
                    let fault = Fault::error("wrong-kind", format!("{what} has no members"), index.span, "a bare index");
                    return Err(self.fault(
                        fault.help("A bare index picks from a list or family. For a run-time value say the axis: `x[channel: 0]`."),
                    ));
                }
                (_, entry) => self.axis_entry(&value, entry, span, scope)?,
            };
        }
        Ok(value)
    }

    fn endless(&mut self, span: Span) -> Abort {
        if std::mem::replace(&mut self.exhausted, true) {
            return Abort::Faulted;
        }
        let fault = Fault::error("too-deep", "evaluating this spec takes too long or goes too deep", span, "given up here");
        self.fault(fault.help("Look for a recurrence without a base case, or for a list with very many members."))
    }
}
