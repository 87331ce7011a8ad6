//! The trees of items.

use super::grammar::Rule;
use super::tree::{Kids, Node, Tree};
use crate::fault::Fault;
use crate::source::Span;
use crate::syntax::{
    Accept, Binding, Body, Dim, Eval, Expr, ExprKind, Extend, Figure, Fn, Formal, Group, ItemKind, Kind, Model, NameRule, Net, Origin,
    Output, Param, Perturb, Set, Solve, Statement, StatementKind, Type, TypeKind, Use, UseTarget, Variant,
};

impl<'a> Tree<'a> {
    /// What an item is.
    pub fn item_kind(&mut self, node: Node<'a>) -> ItemKind {
        let rule = node.as_rule();
        let mut kids = Kids::of(self, node);
        match rule {
            Rule::r#use => ItemKind::Use(kids.all(Rule::used).into_iter().map(|node| self.used(node)).collect()),
            Rule::extend => ItemKind::Extend(Extend { file: kids.string(self), with: self.with(&mut kids) }),
            Rule::axis => {
                let names = kids.all(Rule::ident).iter().map(|node| self.name(node)).collect();
                ItemKind::Axis(names, kids.take(Rule::string).map(|node| self.string(&node)))
            }
            Rule::alias => {
                let name = kids.name(self);
                let empty = Type { kind: TypeKind::Word(name.clone()), span: name.span };
                ItemKind::Alias(name, kids.maybe_type(self).unwrap_or(empty))
            }
            Rule::param => ItemKind::Param(self.param(&mut kids)),
            Rule::variant => ItemKind::Variant(self.variant(&mut kids)),
            Rule::data => ItemKind::Data(self.binding(&mut kids)),
            Rule::names => ItemKind::Names(kids.name(self), self.name_rules(&mut kids)),
            Rule::func => ItemKind::Fn(self.function(&mut kids)),
            Rule::net => ItemKind::Net(self.net(&mut kids)),
            Rule::model => ItemKind::Model(self.model(&mut kids)),
            Rule::r#let => ItemKind::Let(self.binding(&mut kids)),
            Rule::draw => ItemKind::Draw(self.draw(&mut kids)),
            Rule::loss => ItemKind::Loss(self.binding(&mut kids)),
            Rule::scene => ItemKind::Scene(kids.name(self), self.block(&mut kids, "scene", &[Rule::r#let, Rule::draw, Rule::layer])),
            Rule::perturb => {
                let (binder, base) = (kids.binder(self), self.next_postfix(&mut kids));
                let statements = self.block(&mut kids, "perturb", &[Rule::r#let, Rule::draw, Rule::slot]);
                ItemKind::Perturb(Perturb { binder, base, statements })
            }
            Rule::solve => {
                let (binder, duration) = (kids.binder(self), kids.expr(self));
                let statements = self.block(&mut kids, "solve", &[Rule::r#let, Rule::draw, Rule::state, Rule::next]);
                ItemKind::Solve(Solve { binder, duration, statements })
            }
            Rule::eval => {
                let (name, over) = (kids.name(self), kids.inside(self, Rule::over));
                ItemKind::Eval(Eval { name, over, with: self.with(&mut kids), value: kids.expr(self) })
            }
            Rule::accept => ItemKind::Accept(Accept { code: kids.string(self), reason: kids.string(self) }),
            Rule::output => ItemKind::Output(Output { name: kids.name(self), value: kids.expr(self), over: kids.expr(self) }),
            Rule::train => ItemKind::Train(self.train(&mut kids)),
            _ => ItemKind::Broken,
        }
    }

    /// `binder (: type)? = expr`.
    pub fn binding(&mut self, kids: &mut Kids<'a>) -> Binding {
        Binding { binder: kids.binder(self), ty: kids.maybe_type(self), value: kids.expr(self) }
    }

    /// An optional `with a = b, ..`.
    pub fn with(&mut self, kids: &mut Kids<'a>) -> Vec<Set> {
        match kids.take(Rule::with) {
            Some(node) => {
                let mut inner = Kids::of(self, node);
                self.sets(&mut inner)
            }
            None => Vec::new(),
        }
    }

    fn variant(&mut self, kids: &mut Kids<'a>) -> Variant {
        let (name, base) = (kids.name(self), kids.take(Rule::path).map(|node| self.path(&node)));
        let (mut sets, mut reported) = (Vec::new(), Vec::new());
        while let Some(node) = kids.any() {
            let rule = node.as_rule();
            let mut inner = Kids::of(self, node);
            match rule {
                Rule::set => sets.push(Set { target: inner.path(self), value: inner.expr(self) }),
                Rule::figure => {
                    let of = inner.path(self);
                    let number = inner.take(Rule::number).map(|number| number.as_str().to_owned()).unwrap_or_default();
                    reported.push(Figure { of, number });
                }
                _ => {}
            }
        }
        Variant { name, base, sets, reported }
    }

    fn sets(&mut self, kids: &mut Kids<'a>) -> Vec<Set> {
        let mut sets = Vec::new();
        while let Some(node) = kids.any() {
            if node.as_rule() == Rule::set {
                let mut inner = Kids::of(self, node);
                sets.push(Set { target: inner.path(self), value: inner.expr(self) });
            }
        }
        sets
    }

    fn used(&mut self, node: Node<'a>) -> Use {
        let mut kids = Kids::of(self, node);
        let target = match kids.take(Rule::string) {
            Some(file) => UseTarget::File(self.string(&file)),
            None => UseTarget::Module(kids.path(self)),
        };
        Use { target, rename: kids.take(Rule::ident).map(|node| self.name(&node)) }
    }

    fn param(&mut self, kids: &mut Kids<'a>) -> Param {
        let name = kids.name(self);
        let kind = kids.take(Rule::kind).map(|node| self.kind(node));
        let (default, range) = (kids.expr(self), kids.maybe_expr(self));
        let help = kids.take(Rule::help).map(|node| Kids::of(self, node).string(self));
        Param { name, kind, default, range, help }
    }

    fn name_rules(&mut self, kids: &mut Kids<'a>) -> Vec<NameRule> {
        let mut rules = Vec::new();
        while let Some(node) = kids.any() {
            if node.as_rule() == Rule::name_rule {
                let mut inner = Kids::of(self, node);
                let (official, ours) = (inner.string(self), self.next_postfix(&mut inner));
                let layout = inner.take(Rule::layout).map(|node| self.layout(node));
                rules.push(NameRule { official, ours, layout });
            }
        }
        rules
    }

    fn layout(&mut self, node: Node<'a>) -> Vec<Group> {
        let mut kids = Kids::of(self, node);
        let mut groups = Vec::new();
        while let Some(node) = kids.any() {
            let span = self.span(&node);
            groups.push(match node.as_rule() {
                Rule::group => self.group(node),
                _ => Group { dims: vec![self.dim(node)], grouped: false, span },
            });
        }
        groups
    }

    fn function(&mut self, kids: &mut Kids<'a>) -> Fn {
        let origin = match (kids.take(Rule::builtin), kids.take(Rule::host)) {
            (None, _) => Origin::Written,
            (Some(_), None) => Origin::Builtin,
            (Some(_), Some(_)) => Origin::Host,
        };
        let (name, formals) = (kids.name(self), self.formals(kids));
        Fn { origin, name, formals, result: kids.maybe_type(self), body: self.body(kids) }
    }

    fn net(&mut self, kids: &mut Kids<'a>) -> Net {
        let (name, builds, inputs) = (kids.name(self), self.formals(kids), self.formals(kids));
        Net { name, builds, inputs, result: kids.maybe_type(self), body: self.body(kids) }
    }

    fn formals(&mut self, kids: &mut Kids<'a>) -> Vec<Formal> {
        let Some(node) = kids.take(Rule::formals) else { return Vec::new() };
        let formals = Kids::of(self, node).all(Rule::formal);
        formals.into_iter().map(|node| self.formal(node)).collect()
    }

    fn formal(&mut self, node: Node<'a>) -> Formal {
        let mut kids = Kids::of(self, node);
        let name = kids.name(self);
        let kind = kids.take(Rule::kind).map(|node| self.kind(node));
        Formal { name, kind, default: kids.maybe_expr(self) }
    }

    fn body(&mut self, kids: &mut Kids<'a>) -> Option<Body> {
        let node = kids.take(Rule::body)?;
        let whole = self.span(&node);
        let mut inner = Kids::of(self, node);
        if let Some(value) = inner.maybe_expr(self) {
            return Some(Body { statements: Vec::new(), value });
        }
        let allowed = [Rule::r#let, Rule::draw, Rule::weight, Rule::state, Rule::next, Rule::part];
        let statements = self.block(&mut inner, "function", &allowed);
        let value = match inner.inside(self, Rule::returned) {
            Some(value) => value,
            None => self.no_value(inner.any(), whole, statements.last()),
        };
        Some(Body { statements, value })
    }

    /// The value of a body whose `return` is broken or missing; a broken last statement may have been it.
    fn no_value(&mut self, node: Option<Node<'a>>, body: Span, last: Option<&Statement>) -> Expr {
        let mut span = self.span_of(body.end as usize - 1, body.end as usize);
        match node {
            Some(node) if node.as_rule() == Rule::broken_return => {
                span = self.span(&node);
                self.explain(Rule::only_return, span.start as usize, span.end as usize);
            }
            _ if last.is_some_and(|last| matches!(last.kind, StatementKind::Broken)) => {}
            _ => {
                let fault = Fault::error("syntax", "this body gives no value", span, "`return` is missing before this")
                    .help("end it with `return` and an expression");
                self.faults.push(fault);
            }
        }
        Expr { kind: Box::new(ExprKind::Broken), span }
    }

    fn model(&mut self, kids: &mut Kids<'a>) -> Model {
        let frozen = kids.take(Rule::frozen).is_some();
        let (binder, net) = (kids.binder(self), kids.expr(self));
        let from = kids.maybe_expr(self).map(|file| (file, kids.path(self)));
        Model { frozen, binder, net, from }
    }

    fn kind(&mut self, node: Node<'a>) -> Kind {
        let mut kids = Kids::of(self, node);
        match kids.take(Rule::choice) {
            Some(choice) => Kind::Choice(Kids::of(self, choice).all(Rule::ident).iter().map(|node| self.name(node)).collect()),
            None => {
                let span = self.span_of(0, 0);
                let empty = Type { kind: TypeKind::Tensor(crate::syntax::Element::Real, Vec::<Dim>::new()), span };
                Kind::Type(kids.maybe_type(self).unwrap_or(empty))
            }
        }
    }
}
