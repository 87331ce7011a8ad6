//! The trees of statements in braces.

use super::grammar::Rule;
use super::tree::{Kids, Node, Tree, children};
use crate::fault::Fault;
use crate::source::Span;
use crate::syntax::{Draw, Per, Statement, StatementKind, Stored};

impl<'a> Tree<'a> {
    /// The statements of a block; those that `place` does not allow are reported.
    pub fn block(&mut self, kids: &mut Kids<'a>, place: &str, allowed: &[Rule]) -> Vec<Statement> {
        let Some(node) = kids.take(Rule::statements).or_else(|| kids.take(Rule::slots)) else { return Vec::new() };
        let mut last = None;
        children(node).filter(|n| n.as_rule() != Rule::doc).map(|node| self.statement(node, place, allowed, &mut last)).collect()
    }

    fn statement(&mut self, node: Node<'a>, place: &str, allowed: &[Rule], last: &mut Option<Span>) -> Statement {
        let alone = match node.as_rule() {
            Rule::broken => Some(Rule::only_statement),
            Rule::broken_slot => Some(Rule::only_slot),
            _ => None,
        };
        if let Some(alone) = alone {
            return Statement { span: self.lost(&node, alone, last), kind: StatementKind::Broken };
        }
        let span = self.span(&node);
        let inner = if node.as_rule() == Rule::statement { children(node).next() } else { Some(node) };
        let Some(node) = inner else { return Statement { span, kind: StatementKind::Broken } };
        let rule = node.as_rule();
        if !allowed.contains(&rule) {
            self.misplaced(&node, place, allowed);
            return Statement { span, kind: StatementKind::Broken };
        }
        let mut kids = Kids::of(self, node);
        Statement { span, kind: self.statement_kind(rule, &mut kids) }
    }

    fn statement_kind(&mut self, rule: Rule, kids: &mut Kids<'a>) -> StatementKind {
        match rule {
            Rule::r#let => StatementKind::Let(self.binding(kids)),
            Rule::draw => StatementKind::Draw(self.draw(kids)),
            Rule::weight => StatementKind::Weight(self.stored(kids)),
            Rule::state => StatementKind::State(self.stored(kids)),
            Rule::next => StatementKind::Next(kids.name(self), kids.expr(self)),
            Rule::part => {
                let binders = kids.all(Rule::binder).into_iter().map(|node| self.binder(node)).collect();
                StatementKind::Part(binders, kids.expr(self))
            }
            Rule::layer => StatementKind::Layer(self.binding(kids)),
            Rule::slot => match kids.take(Rule::target) {
                Some(target) => {
                    let mut inner = Kids::of(self, target);
                    let binder = inner.binder(self);
                    let fields = inner.all(Rule::word).iter().map(|node| self.name(node)).collect();
                    StatementKind::Slot(binder, fields, kids.expr(self))
                }
                None => StatementKind::Broken,
            },
            _ => StatementKind::Broken,
        }
    }

    /// `draw a, b ~ from per batch`.
    pub fn draw(&mut self, kids: &mut Kids<'a>) -> Draw {
        let binders = kids.all(Rule::binder).into_iter().map(|node| self.binder(node)).collect();
        let from = kids.expr(self);
        let per = kids.take(Rule::per).map(|node| match node.as_str() {
            "batch" => Per::Batch,
            "step" => Per::Step,
            _ => Per::Sample,
        });
        Draw { binders, from, per }
    }

    fn stored(&mut self, kids: &mut Kids<'a>) -> Stored {
        let (name, ty) = (kids.name(self), kids.maybe_type(self));
        Stored { name, ty, drawn: kids.take(Rule::tilde).is_some(), value: kids.expr(self) }
    }

    /// Reports a statement that stands where its kind cannot.
    pub fn misplaced(&mut self, node: &Node<'a>, place: &str, allowed: &[Rule]) {
        let home = match node.as_rule() {
            Rule::layer => "belongs to a scene",
            Rule::weight | Rule::part => "belongs to the body of a net",
            Rule::state | Rule::next => "belongs to the body of a net or to `solve`",
            _ => "does not belong here",
        };
        let word = node.as_str().split_whitespace().next().unwrap_or("").to_owned();
        let span = self.span(node);
        let start = span.start as usize;
        let names: Vec<String> = allowed.iter().map(|rule| format!("`{rule:?}`").replace("r#", "")).collect();
        let names = names.join(", ").replace("`slot`", "slots such as `front: ..`").replace("`average`", "`ema`");
        let article = if place.starts_with(['a', 'e']) { "an" } else { "a" };
        let message = format!("`{word}` cannot stand in {article} `{place}` block").replace("`function`", "function's");
        let fault = Fault::error("misplaced", message, self.span_of(start, start + word.len()), home);
        self.faults.push(fault.help(format!("what may stand here: {names}")));
    }
}
