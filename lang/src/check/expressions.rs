//! Expressions: what they are, and what does not fit together in them.

use super::names::with;
use super::types::{kind_type, kind_word};
use super::what::{What, literal};
use super::{Checker, Scope};
use crate::fault::Fault;
use crate::nearest::suggestion;
use crate::source::Span;
use crate::syntax::{BinaryOp, Entry, Expr, ExprKind, Generator, Kind, Name, TypeKind};
use std::rc::Rc;

impl<'m> Checker<'m> {
    /// What an expression is; everything wrong in it is reported.
    pub(super) fn expr(&mut self, expr: &'m Expr, scope: &mut Scope<'m>) -> What<'m> {
        match &*expr.kind {
            ExprKind::Number(_) => What::Value,
            ExprKind::Text(_) => What::Text,
            ExprKind::Path(path) => self.path(path, scope),
            ExprKind::If(on, yes, no) => {
                self.number(on, scope);
                let yes = self.expr(yes, scope);
                let no = self.expr(no, scope);
                yes.either(no)
            }
            ExprKind::Pipe(value, stage) => {
                let piped = self.expr(value, scope);
                self.stage(stage, (value, piped), scope)
            }
            ExprKind::Binary(op, a, b) => self.binary(*op, a, b, scope),
            ExprKind::Not(a) | ExprKind::Negate(a) => {
                self.number(a, scope);
                What::Value
            }
            ExprKind::Range(a, b) => {
                self.number(a, scope);
                self.number(b, scope);
                What::List(Box::new(What::Value))
            }
            ExprKind::Duration(count, _) => {
                self.number(count, scope);
                What::Duration
            }
            ExprKind::Call(..) | ExprKind::CallEach(..) => self.application(expr, scope),
            ExprKind::Bracket(value, entries) => self.bracket(value, entries, scope),
            ExprKind::Field(value, name) => {
                let what = self.expr(value, scope);
                self.field(&what, name)
            }
            ExprKind::List(items) => {
                let mut all = items.iter().map(|item| self.expr(item, scope)).collect::<Vec<_>>().into_iter();
                let first = all.next().unwrap_or(What::Unknown);
                What::List(Box::new(all.fold(first, What::either)))
            }
            ExprKind::ListEach(item, generators) => {
                let what = self.each(generators, scope, |checker, scope| checker.expr(item, scope));
                What::List(Box::new(what))
            }
            ExprKind::Record(fields) => self.record(fields, scope),
            ExprKind::Broken => What::Unknown,
        }
    }

    fn record(&mut self, fields: &'m [(Name, Expr)], scope: &mut Scope<'m>) -> What<'m> {
        let mut all = std::collections::BTreeMap::new();
        for (name, value) in fields {
            let what = self.expr(value, scope);
            if all.insert(name.text.clone(), what).is_some() {
                self.duplicate(name, "field");
            }
        }
        What::Record(Rc::new(all))
    }

    pub(super) fn duplicate(&mut self, name: &Name, what: &str) {
        let fault = Fault::error("duplicate-name", format!("{what} `{}` is given twice", name.text), name.span, "given before");
        self.fault(fault.help("Keep one of them."));
    }

    /// Runs `inside` with the names of the generators bound.
    pub(super) fn each<T>(
        &mut self,
        generators: &'m [Generator],
        scope: &mut Scope<'m>,
        inside: impl FnOnce(&mut Self, &mut Scope<'m>) -> T,
    ) -> T {
        let depth = scope.locals.len();
        for generator in generators {
            let over = self.expr(&generator.over, scope);
            let what = match over {
                What::List(item) if !generator.bracketed => *item,
                What::List(_) | What::Unknown => What::Unknown,
                other => {
                    self.wrong_kind(&generator.over, &other, "a list or range to go through");
                    What::Unknown
                }
            };
            for name in &generator.names {
                self.bind(name, what.clone(), scope);
            }
        }
        let result = inside(self, scope);
        scope.locals.truncate(depth);
        result
    }

    /// An expression that must be a number or tensor.
    pub(super) fn number(&mut self, expr: &'m Expr, scope: &mut Scope<'m>) {
        let what = self.expr(expr, scope);
        if !what.is_number() {
            self.wrong_kind(expr, &what, "a number or tensor");
        }
    }

    fn binary(&mut self, op: BinaryOp, a: &'m Expr, b: &'m Expr, scope: &mut Scope<'m>) -> What<'m> {
        if !matches!(op, BinaryOp::Equal | BinaryOp::NotEqual) {
            let left = self.expr(a, scope);
            let right = self.expr(b, scope);
            if let (BinaryOp::Multiply | BinaryOp::Divide, What::Duration) = (op, &left) {
                return What::Duration;
            }
            for (side, what) in [(a, left), (b, right)] {
                if !what.is_number() {
                    self.wrong_kind(side, &what, "a number or tensor");
                }
            }
            return What::Value;
        }
        let left = self.quietly(|checker| checker.expr(a, scope));
        let right = self.quietly(|checker| checker.expr(b, scope));
        match (&left, &right) {
            (What::Choice(words), _) => {
                self.expr(a, scope);
                self.choice(b, words, scope);
            }
            (_, What::Choice(words)) => {
                self.expr(b, scope);
                self.choice(a, words, scope);
            }
            _ => {
                self.expr(a, scope);
                self.expr(b, scope);
            }
        }
        What::Value
    }

    /// An expression that is one of a choice's words, or another choice.
    pub(super) fn choice(&mut self, expr: &'m Expr, words: &[&'m str], scope: &mut Scope<'m>) {
        match &*expr.kind {
            ExprKind::If(on, yes, no) => {
                self.number(on, scope);
                self.choice(yes, words, scope);
                self.choice(no, words, scope);
            }
            ExprKind::Path(path) if path.segments.len() == 1 => {
                let name = &path.segments[0];
                if words.contains(&name.text.as_str()) {
                    return;
                }
                let bound = scope.local(&name.text).is_some() || self.modules.find(scope.module, &name.text).is_some();
                let what = if bound { self.expr(expr, scope) } else { What::None };
                if !bound || !matches!(what, What::Choice(_) | What::Unknown) {
                    let message = format!("`{}` is none of the words of this choice", name.text);
                    let fault = Fault::error("unknown-choice", message, expr.span, "not one of them");
                    self.fault(with(fault, suggestion(&name.text, words.iter().copied())));
                }
            }
            ExprKind::Broken => {}
            _ => {
                let what = self.expr(expr, scope);
                if !matches!(what, What::Choice(_) | What::Unknown) {
                    self.wrong_kind(expr, &what, &format!("one of {}", crate::nearest::list(words)));
                }
            }
        }
    }

    fn bracket(&mut self, value: &'m Expr, entries: &'m [Entry], scope: &mut Scope<'m>) -> What<'m> {
        let mut what = self.expr(value, scope);
        if let What::Function(function, _) = &what
            && function.result.as_ref().is_some_and(|ty| matches!(&ty.kind, TypeKind::Word(name) if name.text == "distribution"))
        {
            what = What::Distribution;
        }
        for entry in entries {
            match entry {
                Entry::Arrow(from, to) => {
                    self.group(from, scope);
                    self.group(to, scope);
                    self.has_axes(value, &what);
                }
                Entry::Axis(axis, at) => {
                    self.axis(axis);
                    let at_what = self.expr(at, scope);
                    if !matches!(at_what, What::Value | What::List(_) | What::Unknown) {
                        self.wrong_kind(at, &at_what, "a place or a range along the axis");
                    }
                    self.has_axes(value, &what);
                }
                Entry::Index(at) => {
                    self.index(at, scope);
                    if let What::List(item) = what {
                        what = *item;
                    }
                }
            }
        }
        what
    }

    fn index(&mut self, at: &'m Expr, scope: &mut Scope<'m>) {
        if let ExprKind::Path(path) = &*at.kind
            && path.segments.len() == 1
            && self.axes.contains_key(path.segments[0].text.as_str())
            && scope.local(&path.segments[0].text).is_none()
        {
            let axis = &path.segments[0].text;
            let fault =
                Fault::error("wrong-kind", format!("`[{axis}]` names an axis but no place along it"), at.span, "an index is needed here");
            return self.fault(fault.help(format!("`x[{axis}: 0]` picks, `x[{axis}: 0..3]` slices, `x[{axis} -> other]` renames.")));
        }
        self.expr(at, scope);
    }

    fn has_axes(&mut self, expr: &'m Expr, what: &What<'m>) {
        if !matches!(what, What::Value | What::Unknown | What::Distribution) {
            self.wrong_kind(expr, what, "a tensor or a distribution, which have axes");
        }
    }

    /// Reports an expression that is not what its place needs.
    pub(super) fn wrong_kind(&mut self, expr: &'m Expr, found: &What<'m>, needed: &str) {
        let shown = match literal(expr) {
            Some(number) => format!("the number {number}"),
            None => found.describe().to_string(),
        };
        let fault = Fault::error("wrong-kind", format!("{needed} is needed here, this is {shown}"), expr.span, shown);
        let help = match found {
            What::Record(fields) | What::Data(Some(fields)) => {
                Some(format!("Take one of its fields: {}.", crate::nearest::list(&fields.keys().collect::<Vec<_>>())))
            }
            What::Data(None) => Some("Take one of its fields: `.image`, `.label`, `.class`.".to_string()),
            What::Scene(_) => Some("Take a layer of it, or its picture: `render(..)`.".to_string()),
            What::Function(..) | What::AnyFunction => Some("Apply it: a call's `(` touches the name.".to_string()),
            What::Net(..) => {
                Some("A net is built and named before it is used: `part NAME = net(..)` or `model NAME = net(..)`.".to_string())
            }
            What::Instance(_) => Some("Apply it to something, or take one of its parts.".to_string()),
            What::Axes => Some("Axes stand behind labels such as `over:` and in brackets; for a size write `size(x, AXIS)`.".to_string()),
            What::Duration => Some("Durations have a unit; for a number leave out `steps`, `samples` or `epochs`.".to_string()),
            _ => None,
        };
        self.fault(with(fault, help));
    }

    /// An expression in a place that has a kind: arguments, defaults, params, `with`.
    pub(super) fn expected(&mut self, expr: &'m Expr, kind: Option<&'m Kind>, scope: &mut Scope<'m>) -> What<'m> {
        let Some(kind) = kind else { return self.expr(expr, scope) };
        if let Kind::Choice(words) = kind {
            let words: Vec<&'m str> = words.iter().map(|word| word.text.as_str()).collect();
            self.choice(expr, &words, scope);
            return What::Choice(words);
        }
        match kind_word(kind) {
            Some("axis" | "axes") => {
                self.axes_argument(expr, scope);
                What::Axes
            }
            Some("field") => What::Value,
            Some("duration") => {
                self.duration(expr, scope);
                What::Duration
            }
            Some("net") => {
                let what = self.instance(expr, scope);
                if !matches!(what, What::Net(..) | What::AnyNet | What::Instance(_) | What::Unknown | What::None) {
                    self.wrong_kind(expr, &what, "a net");
                }
                what
            }
            word => {
                let what = self.expr(expr, scope);
                self.fits(expr, &what, word, kind);
                what
            }
        }
    }

    fn fits(&mut self, expr: &'m Expr, what: &What<'m>, word: Option<&str>, kind: &'m Kind) {
        if let ExprKind::If(..) | ExprKind::Broken = &*expr.kind {
            return;
        }
        let tensor = kind_type(kind).is_some_and(|ty| matches!(ty.kind, TypeKind::Tensor(..)));
        let needed = match word {
            Some("int") => "a whole number",
            Some("real" | "schedule") => "a number",
            Some("bool") => "`true` or `false`",
            Some("text") => "a text",
            Some("file" | "folder") => "a path, as a text",
            Some("list") => "a list",
            Some("fn") => "a function or model",
            Some("data") => "a data item",
            Some("scene") => "a scene",
            Some("record") => "a record",
            Some("distribution") => "a distribution",
            None if tensor => "a number or tensor",
            _ => return,
        };
        let fits = match (word, what) {
            (_, What::Unknown | What::None) => true,
            (Some("int"), What::Value) => literal(expr).is_none_or(|number| number.is_integer()),
            (Some("bool"), What::Value) => literal(expr).is_none(),
            (Some("real" | "schedule"), What::Value) => true,
            (Some("text" | "file" | "folder"), What::Text) => true,
            (Some("list"), What::List(_) | What::Record(_)) => true,
            (Some("fn"), What::Function(..) | What::AnyFunction | What::Instance(_)) => true,
            (Some("data"), What::Data(_)) | (Some("scene"), What::Scene(_)) | (Some("record"), What::Record(_)) => true,
            (Some("distribution"), What::Distribution | What::Value) => true,
            (Some("distribution"), What::Function(function, _)) => is_distribution(function),
            (None, What::Value | What::List(_)) => true,
            _ => false,
        };
        if !fits {
            self.wrong_kind(expr, what, needed);
        }
    }

    /// `over: [height, width]`, `along: channel`, `over: all`.
    fn axes_argument(&mut self, expr: &'m Expr, scope: &mut Scope<'m>) {
        match &*expr.kind {
            ExprKind::List(items) => items.iter().for_each(|item| self.axes_argument(item, scope)),
            ExprKind::Path(path) if path.segments.len() == 1 => {
                let name = &path.segments[0];
                match scope.local(&name.text).map(|local| local.what.clone()) {
                    Some(What::Axes) => {}
                    _ if name.text == "all" => {}
                    _ => self.axis(name),
                }
            }
            ExprKind::Broken => {}
            _ => {
                let what = self.expr(expr, scope);
                if !matches!(what, What::Axes | What::Unknown) {
                    self.wrong_kind(expr, &what, "an axis or a list of axes");
                }
            }
        }
    }

    /// An expression that must be a duration.
    pub(super) fn duration(&mut self, expr: &'m Expr, scope: &mut Scope<'m>) {
        match self.expr(expr, scope) {
            What::Duration | What::Unknown => {}
            What::Value => {
                let fault = Fault::error("missing-unit", "a duration needs a unit", expr.span, "a bare number");
                let bare = matches!(&*expr.kind, ExprKind::Number(_) | ExprKind::Path(_));
                let source = self.modules.sources.slice(expr.span);
                let source = if source.len() > 40 { "x" } else { source };
                let written = if bare { source.to_string() } else { format!("({source})") };
                self.fault(fault.help(format!("Write `{written} steps`, `{written} samples` or `{written} epochs`.")));
            }
            other => self.wrong_kind(expr, &other, "a duration such as `100 steps`"),
        }
    }

    /// An expression that may build a net: the value of `model` and `part`, and arguments that are nets.
    pub(super) fn instance(&mut self, expr: &'m Expr, scope: &mut Scope<'m>) -> What<'m> {
        match &*expr.kind {
            ExprKind::If(on, yes, no) => {
                self.number(on, scope);
                let yes = self.instance(yes, scope);
                let no = self.instance(no, scope);
                yes.either(no)
            }
            ExprKind::Call(callee, arguments) => {
                let what = self.expr(callee, scope);
                self.call(what, callee, arguments, None, expr.span, scope)
            }
            _ => self.expr(expr, scope),
        }
    }

    /// Reports a net that is built where no name is given to it.
    pub(super) fn unnamed_net(&mut self, span: Span) {
        let fault = Fault::error("unnamed-net", "a net is built here without a name", span, "its weights would have no path");
        self.fault(fault.help("Name it first: `part NAME = ..` inside a net, `model NAME = ..` in a spec; then apply the name."));
    }
}

/// Whether a function gives a distribution.
pub(super) fn is_distribution(function: &crate::syntax::Fn) -> bool {
    function.result.as_ref().is_some_and(|ty| matches!(&ty.kind, TypeKind::Word(name) if name.text == "distribution"))
}
