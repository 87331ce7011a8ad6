//! The trees of expressions, types and binders.

use super::grammar::Rule;
use super::tree::{Kids, Node, Tree, children};
use crate::fault::Fault;
use crate::source::Span;
use crate::syntax::{Argument, Binder, Dim, Element, Entry, Expr, ExprKind, Family, Generator, Group, Name, Type, TypeKind};

/// An expression with its place.
pub fn make(kind: ExprKind, span: Span) -> Expr {
    Expr { kind: Box::new(kind), span }
}

impl<'a> Tree<'a> {
    /// Any node of the expression rules.
    pub fn expr(&mut self, node: Node<'a>) -> Expr {
        let span = self.span(&node);
        match node.as_rule() {
            Rule::expr => {
                let mut kids = Kids::of(self, node);
                match kids.take(Rule::choose) {
                    Some(choose) => self.choose(choose),
                    None => self.pipe(&mut kids),
                }
            }
            Rule::postfix => self.postfix(node),
            Rule::number => make(ExprKind::Number(node.as_str().to_owned()), span),
            Rule::string => make(ExprKind::Text(self.string(&node).text), span),
            Rule::global => make(ExprKind::Path(self.path(&node)), span),
            Rule::list => self.list(node),
            Rule::record => self.record(node),
            Rule::primary => self.primary(node),
            // What is left has one child that says what it is.
            _ => {
                let mut kids = Kids::of(self, node);
                self.next(&mut kids, span)
            }
        }
    }

    /// The next child as a `postfix`: an operand, what a perturbation starts from, or a path of a `names` map.
    pub fn next_postfix(&mut self, kids: &mut Kids<'a>) -> Expr {
        let empty = self.span_of(0, 0);
        kids.take(Rule::postfix).map_or(make(ExprKind::Broken, empty), |node| self.expr(node))
    }

    fn next(&mut self, kids: &mut Kids<'a>, span: Span) -> Expr {
        kids.any().map_or(make(ExprKind::Broken, span), |node| self.expr(node))
    }

    fn choose(&mut self, node: Node<'a>) -> Expr {
        let span = self.span(&node);
        let mut kids = Kids::of(self, node);
        make(ExprKind::If(kids.expr(self), kids.expr(self), kids.expr(self)), span)
    }

    fn postfix(&mut self, node: Node<'a>) -> Expr {
        let whole = self.span(&node);
        let mut kids = Kids::of(self, node);
        let mut value = self.next(&mut kids, whole);
        while let Some(node) = kids.any() {
            let span = self.span_of(whole.start as usize, self.span(&node).end as usize);
            let kind = match node.as_rule() {
                Rule::call => self.call(value, node),
                Rule::bracket => {
                    let entries = Kids::of(self, node).all(Rule::entry);
                    ExprKind::Bracket(value, entries.into_iter().map(|node| self.entry(node)).collect())
                }
                _ => ExprKind::Field(value, Kids::of(self, node).name(self)),
            };
            value = make(kind, span);
        }
        value
    }

    /// A number, string, name, list, record, or an expression in brackets, whose place includes them.
    fn primary(&mut self, node: Node<'a>) -> Expr {
        let span = self.span(&node);
        let mut kids = Kids::of(self, node);
        let inner = self.next(&mut kids, span);
        Expr { span, ..inner }
    }

    fn call(&mut self, function: Expr, node: Node<'a>) -> ExprKind {
        let mut kids = Kids::of(self, node);
        let mut arguments: Vec<Argument> = kids.all(Rule::arg).into_iter().map(|node| self.argument(node)).collect();
        match (kids.take(Rule::gens), arguments.pop()) {
            (Some(gens), Some(each)) => {
                if let Some(label) = each.label {
                    let fault = Fault::error("syntax", "a comprehension has no label", label.span, "this label names nothing")
                        .help("write `f(label: [e for k in xs])`");
                    self.faults.push(fault);
                }
                ExprKind::CallEach(function, each.value, self.generators(gens))
            }
            (_, last) => {
                arguments.extend(last);
                ExprKind::Call(function, arguments)
            }
        }
    }

    fn argument(&mut self, node: Node<'a>) -> Argument {
        let mut kids = Kids::of(self, node);
        let label = kids.take(Rule::word).map(|node| self.name(&node));
        Argument { label, value: kids.expr(self) }
    }

    fn generators(&mut self, node: Node<'a>) -> Vec<Generator> {
        let gens = Kids::of(self, node).all(Rule::r#gen);
        gens.into_iter().map(|node| self.generator(node)).collect()
    }

    fn generator(&mut self, node: Node<'a>) -> Generator {
        let mut kids = Kids::of(self, node);
        let (names, bracketed) = match kids.take(Rule::taken) {
            Some(taken) => (children(taken).map(|node| self.name(&node)).collect(), true),
            None => (vec![kids.name(self)], false),
        };
        Generator { names, bracketed, over: kids.expr(self) }
    }

    fn list(&mut self, node: Node<'a>) -> Expr {
        let span = self.span(&node);
        let mut kids = Kids::of(self, node);
        let mut values: Vec<Expr> = kids.all(Rule::expr).into_iter().map(|node| self.expr(node)).collect();
        match (kids.take(Rule::gens), values.pop()) {
            (Some(gens), Some(each)) => make(ExprKind::ListEach(each, self.generators(gens)), span),
            (_, last) => {
                values.extend(last);
                make(ExprKind::List(values), span)
            }
        }
    }

    fn record(&mut self, node: Node<'a>) -> Expr {
        let span = self.span(&node);
        let fields = Kids::of(self, node).all(Rule::entry_of);
        let field = |node: Node<'a>| {
            let mut kids = Kids::of(self, node);
            (kids.name(self), kids.expr(self))
        };
        make(ExprKind::Record(fields.into_iter().map(field).collect()), span)
    }

    fn entry(&mut self, node: Node<'a>) -> Entry {
        let mut kids = Kids::of(self, node);
        if let Some(arrow) = kids.take(Rule::arrow) {
            let node_span = self.span(&arrow);
            let mut sides = children(arrow).map(|node| self.group(node)).collect::<Vec<_>>().into_iter();
            let empty = || Group { dims: Vec::new(), grouped: true, span: node_span };
            return Entry::Arrow(sides.next().unwrap_or_else(empty), sides.next().unwrap_or_else(empty));
        }
        match kids.take(Rule::pick) {
            Some(pick) => {
                let mut inner = Kids::of(self, pick);
                Entry::Axis(inner.name(self), inner.expr(self))
            }
            None => Entry::Index(kids.expr(self)),
        }
    }

    /// `(height: 4, width)`, or one name.
    pub fn group(&mut self, node: Node<'a>) -> Group {
        let span = self.span(&node);
        if node.as_rule() == Rule::group {
            let dims = children(node).map(|node| self.dim(node)).collect();
            return Group { dims, grouped: true, span };
        }
        Group { dims: vec![Dim::Axis(self.name(&node), None)], grouped: false, span }
    }

    /// One axis.
    pub fn dim(&mut self, node: Node<'a>) -> Dim {
        let mut kids = Kids::of(self, node);
        match kids.take(Rule::rest) {
            Some(rest) => Dim::Rest(Kids::of(self, rest).name(self)),
            None => Dim::Axis(kids.name(self), kids.maybe_expr(self)),
        }
    }

    /// A type.
    pub fn ty(&mut self, node: Node<'a>) -> Type {
        let span = self.span(&node);
        let mut kids = Kids::of(self, node);
        let kind = match kids.any() {
            Some(inner) if inner.as_rule() == Rule::tensor => self.tensor(inner),
            Some(inner) if inner.as_rule() == Rule::fields => {
                let fields = Kids::of(self, inner).all(Rule::field);
                TypeKind::Record(fields.into_iter().map(|node| self.field_type(node)).collect())
            }
            Some(inner) => TypeKind::Word(self.name(&inner)),
            None => TypeKind::Word(Name { text: String::new(), span }),
        };
        Type { kind, span }
    }

    fn tensor(&mut self, node: Node<'a>) -> TypeKind {
        let mut kids = Kids::of(self, node);
        let element = match kids.take(Rule::element).map(|node| node.as_str()) {
            Some("int") => Element::Int,
            Some(_) => Element::Bool,
            None => Element::Real,
        };
        let dims = kids.take(Rule::dims).map_or(Vec::new(), |node| children(node).map(|node| self.dim(node)).collect());
        TypeKind::Tensor(element, dims)
    }

    fn field_type(&mut self, node: Node<'a>) -> (Name, Type) {
        let mut kids = Kids::of(self, node);
        let name = kids.name(self);
        let empty = Type { kind: TypeKind::Word(name.clone()), span: name.span };
        (name, kids.maybe_type(self).unwrap_or(empty))
    }

    /// A name that may be a family.
    pub fn binder(&mut self, node: Node<'a>) -> Binder {
        let mut kids = Kids::of(self, node);
        let name = kids.name(self);
        let family = kids.take(Rule::family).map(|node| {
            let mut inner = Kids::of(self, node);
            match inner.take(Rule::ident) {
                Some(index) => Family::Over(self.name(&index), inner.expr(self)),
                None => Family::At(inner.expr(self)),
            }
        });
        Binder { name, family }
    }
}
