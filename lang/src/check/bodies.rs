//! Bodies of functions, nets and solves: statements in any order, families, states.

use super::graph::statement_binders;
use super::names::with;
use super::what::{What, literal};
use super::{Checker, Scope};
use crate::fault::Fault;
use crate::modules::ModuleId;
use crate::nearest::suggestion;
use crate::syntax::{Binder, Binding, Body, Draw, Expr, ExprKind, Family, Fn, Name, Net, Origin, Statement, StatementKind, Stored};
use std::collections::BTreeMap;

impl<'m> Checker<'m> {
    /// A function of a module.
    pub(super) fn function(&mut self, function: &'m Fn, module: ModuleId) {
        let builtin = function.origin != Origin::Written;
        let (mut scope, sizes) = self.signature(&[&function.formals], function.result.as_ref(), module, builtin);
        self.lonely_sizes(&sizes, &exprs(&[&function.formals], function.body.as_ref()));
        match &function.body {
            Some(body) => {
                self.nothing_stored(body);
                self.body(body, &mut scope);
            }
            None if !builtin => self.missing_body(&function.name, module),
            None => {}
        }
    }

    /// A net of a module.
    pub(super) fn net(&mut self, net: &'m Net, module: ModuleId) {
        let (mut scope, sizes) = self.signature(&[&net.builds, &net.inputs], net.result.as_ref(), module, false);
        self.lonely_sizes(&sizes, &exprs(&[&net.builds, &net.inputs], net.body.as_ref()));
        match &net.body {
            Some(body) => self.body(body, &mut scope),
            None => self.missing_body(&net.name, module),
        }
    }

    fn missing_body(&mut self, name: &Name, module: ModuleId) {
        let source = self.modules.list[module.0].source;
        if self.modules.sources.get(source).name.starts_with("std::") {
            return;
        }
        let fault = Fault::error("missing-body", format!("`{}` has no body", name.text), name.span, "only a signature");
        self.fault(fault.help("Write `= VALUE` or `{ .. return VALUE }` behind the signature."));
    }

    fn nothing_stored(&mut self, body: &Body) {
        for statement in &body.statements {
            let what = match &statement.kind {
                StatementKind::Weight(_) => "a weight",
                StatementKind::State(_) => "a state",
                StatementKind::Part(..) => "a part",
                _ => continue,
            };
            let fault = Fault::error("weight-in-function", format!("a function cannot have {what}"), statement.span, "needs a net");
            self.fault(fault.help("Functions remember nothing. Make it a net: `net NAME(what builds it)(what it is applied to) -> ..`."));
        }
    }

    fn body(&mut self, body: &'m Body, scope: &mut Scope<'m>) {
        self.block(&body.statements, scope);
        self.expr(&body.value, scope);
    }

    /// Binds the names of a block and checks its statements.
    pub(super) fn block(&mut self, statements: &'m [Statement], scope: &mut Scope<'m>) {
        self.bind_names(statements, scope);
        for statement in statements {
            self.statement(&statement.kind, scope);
        }
        self.stored_and_next(statements);
        self.cyclic_block(statements);
        for binders in families(statements).values() {
            self.overlapping(binders);
        }
    }

    /// Binds every name of a block, so that statements may stand in any order; what each is gets better in a second look.
    pub(super) fn bind_names(&mut self, statements: &'m [Statement], scope: &mut Scope<'m>) {
        let mut seen: BTreeMap<&str, &Name> = BTreeMap::new();
        for statement in statements {
            for (name, family) in statement_binders(&statement.kind) {
                match seen.get(name.text.as_str()) {
                    Some(before) if family.is_none() => {
                        let fault = Fault::error("duplicate-name", format!("`{}` is defined twice", name.text), name.span, "defined again")
                            .also(before.span, "defined first")
                            .help("A name means one thing; give one of them another name.");
                        self.fault(fault);
                    }
                    Some(_) => {}
                    None => {
                        seen.insert(&name.text, name);
                        self.reserved(name);
                        self.bind(name, What::Unknown, scope);
                    }
                }
            }
        }
        for statement in statements {
            let what = self.quietly(|checker| checker.statement_what(&statement.kind, scope));
            for (name, _) in statement_binders(&statement.kind) {
                if let Some(local) = scope.locals.iter_mut().rev().find(|local| local.name == name.text) {
                    local.what = what.clone();
                }
            }
        }
    }

    fn statement_what(&mut self, kind: &'m StatementKind, scope: &mut Scope<'m>) -> What<'m> {
        let depth = scope.locals.len();
        let what = match kind {
            StatementKind::Let(binding) | StatementKind::Layer(binding) => {
                self.bind_family(&binding.binder, scope);
                match &binding.ty {
                    Some(ty) => self.type_what(ty, scope.module),
                    None => self.expr(&binding.value, scope),
                }
            }
            StatementKind::Part(binders, value) => {
                binders.iter().for_each(|binder| self.bind_family(binder, scope));
                match self.instance(value, scope) {
                    What::Instance(net) => What::Instance(net),
                    _ => What::Instance(None),
                }
            }
            StatementKind::Draw(_) | StatementKind::Weight(_) | StatementKind::State(_) => What::Value,
            _ => What::Unknown,
        };
        scope.locals.truncate(depth);
        what
    }

    /// Checks one statement, whose names are bound.
    pub(super) fn statement(&mut self, kind: &'m StatementKind, scope: &mut Scope<'m>) {
        let depth = scope.locals.len();
        match kind {
            StatementKind::Let(binding) => self.binding(binding, scope),
            StatementKind::Layer(binding) => {
                self.binding(binding, scope);
                self.layer_is_record(binding, scope);
            }
            StatementKind::Draw(draw) => self.draw(draw, scope),
            StatementKind::Weight(stored) | StatementKind::State(stored) => self.stored(stored, scope),
            StatementKind::Next(_, value) => self.number(value, scope),
            StatementKind::Part(binders, value) => self.part(binders, value, scope),
            StatementKind::Slot(..) | StatementKind::Broken => {}
        }
        scope.locals.truncate(depth);
    }

    /// A `let`, at the top of a file or in a block.
    pub(super) fn binding(&mut self, binding: &'m Binding, scope: &mut Scope<'m>) {
        self.family(&binding.binder, scope);
        if let Some(ty) = &binding.ty {
            self.ty(ty, scope);
        }
        self.expr(&binding.value, scope);
    }

    fn layer_is_record(&mut self, binding: &'m Binding, scope: &mut Scope<'m>) {
        let what = self.quietly(|checker| checker.expr(&binding.value, scope));
        if !matches!(what, What::Record(_) | What::Unknown) {
            let fault = Fault::error(
                "wrong-kind",
                format!("a layer is a record, this is {}", what.describe()),
                binding.value.span,
                what.describe(),
            );
            self.fault(fault.help("Write `{ image: .., mask: .. }`; a missing mask is one everywhere."));
        }
    }

    /// A draw, at the top of a file or in a block.
    pub(super) fn draw(&mut self, draw: &'m Draw, scope: &mut Scope<'m>) {
        for binder in &draw.binders {
            self.family(binder, scope);
        }
        self.distribution(&draw.from, scope);
    }

    fn distribution(&mut self, from: &'m Expr, scope: &mut Scope<'m>) {
        let what = self.expr(from, scope);
        let fits = match &what {
            What::Function(function, _) => super::expressions::is_distribution(function),
            What::Distribution | What::Unknown => true,
            _ => false,
        };
        if !fits {
            let fault = Fault::error(
                "wrong-kind",
                format!("something is drawn from a distribution, this is {}", what.describe()),
                from.span,
                what.describe(),
            );
            self.fault(fault.help(
                "Such as `normal`, `uniform(-1, 1)`, `bernoulli(1/2)`, `integers(0, n)`; for a value that is not random write `let`.",
            ));
        }
    }

    fn stored(&mut self, stored: &'m Stored, scope: &mut Scope<'m>) {
        if let Some(ty) = &stored.ty {
            self.ty(ty, scope);
        }
        let what = self.expr(&stored.value, scope);
        let drawn = match &what {
            What::Function(function, _) => super::expressions::is_distribution(function),
            What::Distribution => true,
            _ => false,
        };
        if drawn && !stored.drawn {
            let fault = Fault::error(
                "wrong-kind",
                format!("`{}` gets a distribution as its value", stored.name.text),
                stored.value.span,
                "a distribution",
            );
            self.fault(fault.help("Write `~` instead of `=` to draw the first value from it."));
        } else if !drawn && !what.is_number() {
            self.wrong_kind(&stored.value, &what, if stored.drawn { "a distribution" } else { "a number or tensor" });
        }
    }

    fn part(&mut self, binders: &'m [Binder], value: &'m Expr, scope: &mut Scope<'m>) {
        for binder in binders {
            self.family(binder, scope);
        }
        self.built(value, "a part", scope);
    }

    /// An expression that must give a built net.
    pub(super) fn built(&mut self, value: &'m Expr, of: &str, scope: &mut Scope<'m>) {
        let what = self.instance(value, scope);
        let help = match what {
            What::Instance(_) | What::Unknown => return,
            What::Net(..) | What::AnyNet => "Build it with its first list of arguments: `conv(64)`, or `conv()` where all have defaults.",
            _ => "Only nets are built: `conv(64)`.",
        };
        let fault = Fault::error("wrong-kind", format!("{of} is a built net, this is {}", what.describe()), value.span, what.describe());
        self.fault(fault.help(help));
    }

    /// Checks what a family goes over and binds its index.
    pub(super) fn family(&mut self, binder: &'m Binder, scope: &mut Scope<'m>) {
        match &binder.family {
            Some(Family::Over(index, over)) => {
                let what = self.expr(over, scope);
                let item = match what {
                    What::List(item) => *item,
                    What::Unknown => What::Unknown,
                    other => {
                        self.wrong_kind(over, &other, "a list or range to go through");
                        What::Unknown
                    }
                };
                self.bind(index, item, scope);
            }
            Some(Family::At(at)) => self.number(at, scope),
            None => {}
        }
    }

    /// Binds the index of a family without reports.
    pub(super) fn bind_family(&mut self, binder: &'m Binder, scope: &mut Scope<'m>) {
        self.quietly(|checker| checker.family(binder, scope));
    }

    fn stored_and_next(&mut self, statements: &'m [Statement]) {
        let states: Vec<&Name> = statements.iter().filter_map(state_name).collect();
        let mut given: BTreeMap<&str, &Name> = BTreeMap::new();
        for statement in statements {
            let StatementKind::Next(name, _) = &statement.kind else { continue };
            if !states.iter().any(|state| state.text == name.text) {
                let message = format!("`{}` has a next value but is no state", name.text);
                let fault = Fault::error("next-without-state", message, name.span, "no `state` of this name");
                let help = suggestion(&name.text, states.iter().map(|state| state.text.as_str()));
                self.fault(with(fault, help.or_else(|| Some(format!("Write `state {} = ..` for its first value.", name.text)))));
            }
            if let Some(before) = given.insert(&name.text, name) {
                let fault = Fault::error("duplicate-name", format!("`{}` has two next values", name.text), name.span, "again")
                    .also(before.span, "the first")
                    .help("Keep one of them; choose with `where`.");
                self.fault(fault);
            }
        }
    }

    /// Reports cases of a family that claim the same member.
    pub(super) fn overlapping(&mut self, binders: &[&'m Binder]) {
        for (at, later) in binders.iter().enumerate() {
            let before = binders[..at].iter().find(|earlier| overlap(earlier, later));
            if let Some(before) = before {
                let fault = Fault::error(
                    "overlapping-cases",
                    format!("two cases of `{}` define the same member", later.name.text),
                    span(later),
                    "this case",
                )
                .also(span(before), "and this one")
                .help("Cases must not overlap: begin the range behind the base case, as in `d[0]` and `d[i in 1..n]`.");
                self.fault(fault);
                return;
            }
        }
    }
}

fn span(binder: &Binder) -> crate::source::Span {
    match &binder.family {
        Some(Family::Over(_, over)) => binder.name.span.to(over.span),
        Some(Family::At(at)) => binder.name.span.to(at.span),
        None => binder.name.span,
    }
}

fn state_name(statement: &Statement) -> Option<&Name> {
    match &statement.kind {
        StatementKind::State(stored) => Some(&stored.name),
        _ => None,
    }
}

/// The families of a block by name.
fn families(statements: &[Statement]) -> BTreeMap<&str, Vec<&Binder>> {
    let mut all: BTreeMap<&str, Vec<&Binder>> = BTreeMap::new();
    for statement in statements {
        let binders: &[Binder] = match &statement.kind {
            StatementKind::Let(binding) | StatementKind::Layer(binding) => std::slice::from_ref(&binding.binder),
            StatementKind::Draw(draw) => &draw.binders,
            StatementKind::Part(binders, _) => binders,
            _ => &[],
        };
        for binder in binders.iter().filter(|binder| binder.family.is_some()) {
            all.entry(&binder.name.text).or_default().push(binder);
        }
    }
    all
}

/// Whether two cases surely claim the same member.
fn overlap(a: &Binder, b: &Binder) -> bool {
    match (&a.family, &b.family) {
        (Some(Family::At(a)), Some(Family::At(b))) => literal(a).is_some() && literal(a) == literal(b),
        (Some(Family::At(at)), Some(Family::Over(_, over))) | (Some(Family::Over(_, over)), Some(Family::At(at))) => inside(at, over),
        (Some(Family::Over(_, a)), Some(Family::Over(_, b))) => {
            let (Some((low, _)), Some((other, _))) = (bounds(a), bounds(b)) else { return false };
            inside(low, b) || inside(other, a)
        }
        _ => false,
    }
}

fn bounds(over: &Expr) -> Option<(&Expr, &Expr)> {
    match &*over.kind {
        ExprKind::Range(low, high) => Some((low, high)),
        _ => None,
    }
}

/// Whether a literal is in a range; an upper bound that is not known is taken to be large.
fn inside(at: &Expr, over: &Expr) -> bool {
    let Some((low, high)) = bounds(over) else { return false };
    let (Some(at), Some(low)) = (literal(at), literal(low)) else { return false };
    match literal(high) {
        Some(high) => low <= at && at < high,
        None => at == low,
    }
}

/// The expressions that can mention a size of a signature.
fn exprs<'m>(lists: &[&'m [crate::syntax::Formal]], body: Option<&'m Body>) -> Vec<&'m Expr> {
    let mut all: Vec<&Expr> = lists.iter().flat_map(|list| list.iter()).filter_map(|formal| formal.default.as_ref()).collect();
    for formal in lists.iter().flat_map(|list| list.iter()) {
        if let Some(ty) = formal.kind.as_ref().and_then(super::types::kind_type) {
            super::graph::type_exprs(ty, &mut |expr| {
                if !matches!(&*expr.kind, ExprKind::Path(_)) {
                    all.push(expr);
                }
            });
        }
    }
    if let Some(body) = body {
        all.push(&body.value);
        for statement in &body.statements {
            super::graph::statement_exprs(&statement.kind, &mut |expr| all.push(expr));
        }
    }
    all
}
