//! What the builders of the syntax tree share: places, names, paths, and the children of a rule.

use super::comment_text;
use super::fault;
use super::grammar::{Grammar, Rule};
use super::lex::Token;
use super::pieces::Piece;
use crate::fault::Fault;
use crate::source::{SourceId, Span};
use crate::syntax::{Binder, Expr, ExprKind, Item, ItemKind, Name, Path, Text, Type};
use pest::Parser;
use pest::iterators::{Pair, Pairs};

/// A rule's match.
pub type Node<'a> = Pair<'a, Rule>;

/// Builds the syntax tree of one source.
#[derive(Clone)]
pub struct Tree<'a> {
    /// The whole text.
    pub text: &'a str,
    source: SourceId,
    /// Its tokens without comments.
    pub tokens: Vec<Token>,
    /// Where the piece that is being built begins; pest counts from there.
    base: usize,
    /// What was found so far.
    pub faults: Vec<Fault>,
}

impl<'a> Tree<'a> {
    /// A builder that has found no fault.
    pub fn new(text: &'a str, source: SourceId, tokens: &[Token]) -> Self {
        let tokens = tokens.iter().filter(|t| !t.is_comment() || t.kind == super::TokenKind::Doc).copied().collect();
        Tree { text, source, tokens, base: 0, faults: Vec::new() }
    }

    /// The item of a piece that is not parsed.
    pub fn lost_piece(&self, piece: Piece) -> Item {
        Item::new(Vec::new(), self.span_of(piece.start, piece.end), ItemKind::Broken)
    }

    /// The item of a piece.
    pub fn piece(&mut self, piece: Piece) -> Item {
        if piece.broken {
            return self.lost_piece(piece);
        }
        self.base = piece.start;
        let text: &'a str = &self.text[piece.start..piece.end];
        match Grammar::parse(Rule::only_item, text) {
            Ok(mut found) => match found.next().and_then(|only| children(only).next()) {
                Some(item) => self.item(item),
                None => self.lost_piece(piece),
            },
            Err(_) => {
                self.explain(Rule::only_item, piece.start, piece.end);
                let start = self.tokens.iter().find(|t| t.start >= piece.start && !t.is_comment()).map_or(piece.start, |t| t.start);
                Item::new(Vec::new(), self.span_of(start.min(piece.end), piece.end), ItemKind::Broken)
            }
        }
    }

    fn item(&mut self, node: Node<'a>) -> Item {
        let mut docs = Vec::new();
        let mut inner = children(node).peekable();
        while let Some(doc) = inner.next_if(|n| n.as_rule() == Rule::doc) {
            docs.push(comment_text(doc.as_str()));
        }
        let Some(node) = inner.next() else {
            return Item::new(docs, self.span_of(self.base, self.base), ItemKind::Broken);
        };
        let span = self.span(&node);
        Item::new(docs, span, self.item_kind(node))
    }

    /// Adds the fault of a text that does not fit `rule`; gives its place.
    pub fn explain(&mut self, rule: Rule, start: usize, end: usize) -> Option<Span> {
        let fault = fault::explain(self, rule, start, end)?;
        let place = fault.labels.first().map(|label| label.0);
        self.faults.push(fault);
        place
    }

    /// Reports a node that the grammar did not recognise, by parsing it alone as `rule`. A fault that only says that a lost
    /// statement ended where the next lost one begins is said once.
    pub fn lost(&mut self, node: &Node<'a>, rule: Rule, last: &mut Option<Span>) -> Span {
        let span = self.span(node);
        let again = last.is_some_and(|place| place.start == span.start);
        *last = if again { None } else { self.explain(rule, span.start as usize, span.end as usize) };
        span
    }

    /// Bytes of the text as a place.
    pub fn span_of(&self, start: usize, end: usize) -> Span {
        Span { source: self.source, start: start as u32, end: end as u32 }
    }

    /// The place of a node, without white space and comments behind it.
    pub fn span(&self, node: &Node<'a>) -> Span {
        let span = node.as_span();
        let (start, end) = (span.start() + self.base, span.end() + self.base);
        let behind = self.tokens.partition_point(|token| token.end <= end);
        let real = self.tokens[..behind].iter().rev().find(|token| !token.is_comment()).map_or(end, |token| token.end);
        self.span_of(start, real.max(start).min(end))
    }

    /// A word.
    pub fn name(&self, node: &Node<'a>) -> Name {
        Name { text: node.as_str().to_owned(), span: self.span(node) }
    }

    /// A string without its quotes.
    pub fn string(&self, node: &Node<'a>) -> Text {
        Text { text: node.as_str().trim_matches('"').to_owned(), span: self.span(node) }
    }

    /// `a::b.c`.
    pub fn path(&self, node: &Node<'a>) -> Path {
        let span = self.span(node);
        let mut at = span.start as usize;
        let mut name = |text: &str, gap: usize| {
            let name = Name { text: text.to_owned(), span: self.span_of(at, at + text.len()) };
            at += text.len() + gap;
            name
        };
        let mut parts = node.as_str().split('.');
        let modules: Vec<&str> = parts.next().unwrap_or("").split("::").collect();
        let last = modules.len() - 1;
        let segments = modules.iter().enumerate().map(|(n, text)| name(text, if n == last { 1 } else { 2 })).collect();
        Path { segments, fields: parts.map(|text| name(text, 1)).collect(), span }
    }

    /// All paths among the children.
    pub fn paths(&self, node: Node<'a>) -> Vec<Path> {
        children(node).map(|path| self.path(&path)).collect()
    }
}

/// The children of a node without its keywords.
pub fn children(node: Node<'_>) -> Children<'_> {
    node.into_inner().filter(|n| n.as_rule() < Rule::k_accept && n.as_rule() != Rule::EOI)
}

/// What [`children`] gives.
pub type Children<'a> = std::iter::Filter<Pairs<'a, Rule>, fn(&Node<'a>) -> bool>;

/// The children of a node in order. The grammar guarantees what is asked for; where it does not, the answer is empty or `Broken`.
pub struct Kids<'a> {
    inner: std::iter::Peekable<Children<'a>>,
    span: Span,
}

impl<'a> Kids<'a> {
    /// The children of `node`.
    pub fn of(tree: &Tree<'a>, node: Node<'a>) -> Self {
        let span = tree.span(&node);
        Kids { inner: children(node).peekable(), span }
    }

    /// The next child if it is a `rule`.
    pub fn take(&mut self, rule: Rule) -> Option<Node<'a>> {
        self.inner.next_if(|node| node.as_rule() == rule)
    }

    /// All following children that are a `rule`.
    pub fn all(&mut self, rule: Rule) -> Vec<Node<'a>> {
        std::iter::from_fn(|| self.take(rule)).collect()
    }

    /// The next child, whatever it is.
    pub fn any(&mut self) -> Option<Node<'a>> {
        self.inner.next()
    }

    /// A name.
    pub fn name(&mut self, tree: &Tree<'a>) -> Name {
        let empty = Name { text: String::new(), span: self.span };
        self.any().map_or(empty, |node| tree.name(&node))
    }

    /// A string.
    pub fn string(&mut self, tree: &Tree<'a>) -> Text {
        let empty = Text { text: String::new(), span: self.span };
        self.take(Rule::string).map_or(empty, |node| tree.string(&node))
    }

    /// A path.
    pub fn path(&mut self, tree: &Tree<'a>) -> Path {
        let empty = Path { segments: Vec::new(), fields: Vec::new(), span: self.span };
        self.take(Rule::path).map_or(empty, |node| tree.path(&node))
    }

    /// Several paths.
    pub fn paths(&mut self, tree: &Tree<'a>) -> Vec<Path> {
        self.take(Rule::paths).map_or(Vec::new(), |node| tree.paths(node))
    }

    /// An expression, if one follows.
    pub fn maybe_expr(&mut self, tree: &mut Tree<'a>) -> Option<Expr> {
        self.take(Rule::expr).map(|node| tree.expr(node))
    }

    /// An expression.
    pub fn expr(&mut self, tree: &mut Tree<'a>) -> Expr {
        let span = self.span;
        self.maybe_expr(tree).unwrap_or_else(|| Expr { kind: Box::new(ExprKind::Broken), span })
    }

    /// A type, if one follows.
    pub fn maybe_type(&mut self, tree: &mut Tree<'a>) -> Option<Type> {
        self.take(Rule::r#type).map(|node| tree.ty(node))
    }

    /// A name that may be a family.
    pub fn binder(&mut self, tree: &mut Tree<'a>) -> Binder {
        let empty = Binder { name: Name { text: String::new(), span: self.span }, family: None };
        self.take(Rule::binder).map_or(empty, |node| tree.binder(node))
    }

    /// What stands inside the next child if it is a `rule`: an expression.
    pub fn inside(&mut self, tree: &mut Tree<'a>, rule: Rule) -> Option<Expr> {
        self.take(rule).map(|node| Kids::of(tree, node).expr(tree))
    }
}
