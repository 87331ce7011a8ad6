//! Calls: arguments against the formals of what is called.

use super::names::with;
use super::types::kind_word;
use super::what::What;
use super::{Checker, Scope};
use crate::fault::Fault;
use crate::modules::ModuleId;
use crate::nearest::suggestion;
use crate::source::Span;
use crate::syntax::{Argument, Expr, ExprKind, Fn, Formal, Name, TypeKind};

/// The first argument of a pipe's stage, with what it is.
type Piped<'a, 'm> = Option<&'a (&'m Expr, What<'m>)>;

impl<'m> Checker<'m> {
    /// A call that stands in an expression.
    pub(super) fn application(&mut self, expr: &'m Expr, scope: &mut Scope<'m>) -> What<'m> {
        let what = match &*expr.kind {
            ExprKind::Call(callee, arguments) => {
                let what = self.expr(callee, scope);
                self.call(what, callee, arguments, None, expr.span, scope)
            }
            ExprKind::CallEach(callee, item, generators) => {
                let what = self.expr(callee, scope);
                let item = self.each(generators, scope, |checker, scope| checker.expr(item, scope));
                let list = (callee, What::List(Box::new(item)));
                self.call(what, callee, &[], Some(&list), expr.span, scope)
            }
            _ => What::Unknown,
        };
        self.named(what, expr.span)
    }

    fn named(&mut self, what: What<'m>, span: Span) -> What<'m> {
        if let What::Instance(_) = what {
            self.unnamed_net(span);
            return What::Unknown;
        }
        what
    }

    /// A stage of a pipe: a call that gets one more argument, or a function or model by name.
    pub(super) fn stage(&mut self, stage: &'m Expr, piped: (&'m Expr, What<'m>), scope: &mut Scope<'m>) -> What<'m> {
        let result = match &*stage.kind {
            ExprKind::Call(callee, arguments) => {
                let what = self.expr(callee, scope);
                if let What::Net(..) = what {
                    self.unnamed_net(stage.span);
                    return What::Unknown;
                }
                self.call(what, callee, arguments, Some(&piped), stage.span, scope)
            }
            _ => {
                let what = self.expr(stage, scope);
                self.call(what, stage, &[], Some(&piped), stage.span, scope)
            }
        };
        self.named(result, stage.span)
    }

    /// What a call gives.
    pub(super) fn call(
        &mut self,
        what: What<'m>,
        callee: &'m Expr,
        arguments: &'m [Argument],
        piped: Piped<'_, 'm>,
        span: Span,
        scope: &mut Scope<'m>,
    ) -> What<'m> {
        match what {
            What::Function(function, module) => {
                let first = self.arguments(&function.name, &[&function.formals], arguments, piped, span, scope);
                self.result(function, module, arguments, first)
            }
            What::Net(net, module) => {
                self.arguments(&net.name, &[&net.builds], arguments, piped, span, scope);
                What::Instance(Some((net, module)))
            }
            What::Instance(Some((net, module))) => {
                self.arguments(&net.name, &[&net.inputs], arguments, piped, span, scope);
                net.result.as_ref().map_or(What::Unknown, |ty| self.type_what(ty, module))
            }
            What::AnyNet => {
                self.loose(arguments, scope);
                What::Instance(None)
            }
            What::AnyFunction | What::Instance(None) | What::Unknown => {
                self.loose(arguments, scope);
                What::Unknown
            }
            other => {
                self.loose(arguments, scope);
                self.not_callable(callee, &other);
                What::Unknown
            }
        }
    }

    fn loose(&mut self, arguments: &'m [Argument], scope: &mut Scope<'m>) {
        for argument in arguments {
            self.expr(&argument.value, scope);
        }
    }

    fn not_callable(&mut self, callee: &'m Expr, what: &What<'m>) {
        let fault = Fault::error("not-callable", format!("{} cannot be applied", what.describe()), callee.span, what.describe());
        let help = match what {
            What::Value | What::List(_) => "Functions, nets and models are applied. To multiply write `*`, to pick write `x[..]`.",
            _ => "Functions, nets and models are applied.",
        };
        self.fault(fault.help(help));
    }

    /// Result of a function; `collect` and pipelines keep their fields.
    fn result(&mut self, function: &'m Fn, module: ModuleId, arguments: &'m [Argument], first: What<'m>) -> What<'m> {
        let Some(ty) = &function.result else { return What::Unknown };
        let word = match &ty.kind {
            TypeKind::Word(name) => name.text.as_str(),
            _ => "",
        };
        match (word, first) {
            ("any", first) => first,
            ("data", What::Data(fields)) => What::Data(fields),
            ("data", What::Record(fields)) => What::Data(Some(fields)),
            ("list", What::List(item)) if arguments.len() == 2 => What::List(item),
            _ => self.type_what(ty, module),
        }
    }

    /// Puts arguments to formals and checks each; gives what the first formal got.
    fn arguments(
        &mut self,
        name: &'m Name,
        lists: &[&'m [Formal]],
        arguments: &'m [Argument],
        piped: Piped<'_, 'm>,
        span: Span,
        scope: &mut Scope<'m>,
    ) -> What<'m> {
        let formals: Vec<&'m Formal> = lists.iter().flat_map(|list| list.iter()).collect();
        let sizes = formals.iter().position(|formal| formal.kind.as_ref().and_then(kind_word) == Some("sizes"));
        let mut given: Vec<Option<Span>> = vec![None; formals.len()];
        let mut first = What::Unknown;
        let mut next = 0;
        if let (Some((value, what)), Some(slot)) = (piped, given.first_mut()) {
            *slot = Some(value.span);
            next = 1;
            first = what.clone();
        }
        let mut extra: Option<Span> = None;
        for argument in arguments {
            let at = match &argument.label {
                Some(label) => match formals.iter().position(|formal| formal.name.text == label.text) {
                    Some(at) if Some(at) != sizes => at,
                    _ if sizes.is_some() => {
                        self.new_axis(label, &argument.value, &mut given, sizes, scope);
                        continue;
                    }
                    _ => {
                        self.unknown_argument(label, name, &formals);
                        self.expr(&argument.value, scope);
                        continue;
                    }
                },
                None if next < formals.len() && Some(next) != sizes => {
                    next += 1;
                    next - 1
                }
                None => {
                    self.expr(&argument.value, scope);
                    extra = extra.or(Some(argument.value.span));
                    continue;
                }
            };
            let what = self.expected(&argument.value, formals[at].kind.as_ref(), scope);
            if at == 0 {
                first = what;
            }
            if let Some(before) = given[at].replace(argument.value.span) {
                self.duplicate_argument(&formals[at].name, argument, before);
            }
        }
        if let Some(extra) = extra {
            self.too_many(name, &formals, extra, sizes.is_some());
        }
        self.missing(name, &formals, &given, span);
        first
    }

    fn new_axis(&mut self, label: &'m Name, value: &'m Expr, given: &mut [Option<Span>], sizes: Option<usize>, scope: &mut Scope<'m>) {
        self.axis(label);
        self.number(value, scope);
        if let Some(at) = sizes {
            given[at] = Some(label.span);
        }
    }

    fn unknown_argument(&mut self, label: &Name, name: &Name, formals: &[&'m Formal]) {
        let message = format!("`{}` has no argument `{}`", name.text, label.text);
        let fault = Fault::error("unknown-argument", message, label.span, "not an argument").also(name.span, "defined here");
        let known = formals.iter().map(|formal| formal.name.text.as_str());
        let help = suggestion(&label.text, known).or_else(|| Some(format!("It has {}.", all(formals))));
        self.fault(with(fault, help));
    }

    fn duplicate_argument(&mut self, formal: &Name, argument: &Argument, before: Span) {
        let message = format!("argument `{}` is given twice", formal.text);
        let fault = Fault::error("duplicate-argument", message, argument.value.span, "given again").also(before, "given first");
        self.fault(fault.help("Arguments without a label fill the formals from the left; label them or leave one out."));
    }

    fn too_many(&mut self, name: &Name, formals: &[&'m Formal], extra: Span, sizes: bool) {
        let count = formals.len();
        let plural = if count == 1 { "" } else { "s" };
        let message = format!("`{}` takes {count} argument{plural}", name.text);
        let fault = Fault::error("too-many-arguments", message, extra, "one too many").also(name.span, "defined here");
        let help = match (sizes, count) {
            (true, _) => format!("New axes are labelled: `{}(.., height: 8)`.", name.text),
            (_, 0) => "It takes none.".to_string(),
            _ => format!("It has {}.", all(formals)),
        };
        self.fault(fault.help(help));
    }

    fn missing(&mut self, name: &Name, formals: &[&'m Formal], given: &[Option<Span>], span: Span) {
        let missing: Vec<&str> = formals
            .iter()
            .zip(given)
            .filter(|(formal, given)| given.is_none() && formal.default.is_none())
            .map(|(formal, _)| formal.name.text.as_str())
            .collect();
        if missing.is_empty() {
            return;
        }
        let names = crate::nearest::list(&missing);
        let fault = Fault::error("missing-argument", format!("`{}` also needs {names}", name.text), span, format!("without {names}"));
        self.fault(fault.also(name.span, "defined here").help(format!("It has {}.", all(formals))));
    }
}

/// The formals with their kinds left out: `` `x`, `sigma` and `taps` ``.
fn all(formals: &[&Formal]) -> String {
    let names: Vec<&str> = formals.iter().map(|formal| formal.name.text.as_str()).collect();
    if names.is_empty() { "no arguments".to_string() } else { crate::nearest::list(&names) }
}
